"""The settings of the service, from the environment (prefix `DRSHYM_SERVICE_`) and the options of `drshym serve`.

Who may read what, and every limit, is here with its default. The defaults are for one machine and one user: the service
answers on the loopback address only, and opens no file of the machine by its address until a folder is configured.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

GIB: Final = 1 << 30


def listed(text: str, separator: str) -> list[str]:
    """Return the values of a variable that has a list: one value, several with a separator, or JSON.

    Args:
        text: The variable.
        separator: What is between two values that are not JSON.

    Raises:
        ValueError: It begins like JSON and is not a list of texts.
    """
    if not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(separator) if part.strip()]
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
        raise ValueError(f'must have the form A{separator}B or ["A", "B"]')
    return values


def _folders(value: Any) -> Any:
    return listed(value, os.pathsep) if isinstance(value, str) else value


def _names(value: Any) -> Any:
    return listed(value, ",") if isinstance(value, str) else value


# The library would read a variable with several values as JSON only.
Folders: TypeAlias = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_folders)]
Names: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]


class ServiceSettings(BaseSettings):
    """Folders, limits and access of one service."""

    model_config = SettingsConfigDict(env_prefix="DRSHYM_SERVICE_", extra="ignore", frozen=True)

    root: Path = Field(description="folder of the service: maps, uploads and the list of jobs; created if missing")
    input_roots: Folders = Field(
        default=(), description="folders whose scenes may be named by image_uri; none by default"
    )
    store: Path | None = Field(default=None, description="store of the lineage whose maps are served too, read-only")
    ancillary: str | None = Field(
        default=None, description="folder or s3:// address of long-term layers, as for the command"
    )
    checkpoint: Path | None = Field(default=None, description="folder of a sealed model; by default as for the command")
    host: str = Field(default="127.0.0.1", description="address to listen on; all but loopback need a token")
    port: int = Field(default=8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    hosts: Names = Field(default=(), description="more names of this service in the header Host of requests")
    proxies: Names = Field(
        default=(), description="addresses of proxies that may say for whom they ask (X-Forwarded-For)"
    )
    token: SecretStr | None = Field(default=None, description="requests must have it as `Authorization: Bearer`")
    workers: int | None = Field(default=None, ge=1, le=64, description="processes that map; chosen from the cores")
    queue_limit: int = Field(default=100, ge=1, description="jobs that may wait; more are refused with 429")
    at_once_pixels: int = Field(default=1024 * 1024, ge=0, description="scenes up to this size are answered at once")
    at_once_seconds: float = Field(default=30.0, gt=0, description="after this time such a request becomes a job too")
    job_seconds: float = Field(default=3600.0, gt=0, description="a job that takes longer is stopped")
    # A worker that maps a small scene has 1.1 GiB: a lower limit would stop every job.
    worker_bytes: int = Field(default=6 * GIB, ge=2 * GIB, description="a worker that uses more memory is stopped")
    upload_bytes: int = Field(default=4 * GIB, ge=1, description="largest upload")
    scene_pixels: int = Field(default=1_000_000_000, ge=1, description="largest scene, in pixels of one band")
    quota_bytes: int = Field(default=50 * GIB, ge=1, description="all maps together; the oldest are deleted beyond it")
    keep_days: float = Field(default=30.0, gt=0, description="age after which a map is deleted")
    keep_upload_hours: float = Field(default=24.0, gt=0, description="age after which an unused upload is deleted")
    rate: str = Field(default="600/minute", description="requests per client, in the notation of the library limits")
    uploads_at_once: int = Field(default=8, ge=1, description="uploads that are received at the same time")
    upload_seconds: float = Field(
        default=60.0, gt=0, description="longest pause of an upload, and time after which upload_rate counts"
    )
    upload_rate: int = Field(
        default=16 << 10, ge=0, description="lowest mean rate of an upload, in bytes per second; 0 for no limit"
    )
    body_seconds: float = Field(default=30.0, gt=0, description="time in which the body of another request must arrive")
