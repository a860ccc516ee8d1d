"""A real service in this process: uvicorn on a free port, the real engine with its worker, and a client."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from drshym_pipeline.commands.serving import address_text, listen
from drshym_pipeline.service.app import create_app
from drshym_pipeline.service.server import Server
from drshym_pipeline.service.settings import ServiceSettings

SMALL_TILES = {"tile": 64, "overlap": 16}
# The loggers of the service and of the server around it.
_SERVICE_LOGGERS = {"drshym_pipeline", "uvicorn", "starlette", "fastapi", "asyncio"}
_START_SECONDS = 600.0  # a busy machine needs minutes


class ExplicitSettings(ServiceSettings):
    """Settings that ignore the environment of the user who runs the tests."""

    @classmethod
    def settings_customise_sources(cls, settings_cls, init_settings, *others, **more):
        """Use only the arguments of the constructor."""
        del settings_cls, others, more
        return (init_settings,)


@contextlib.contextmanager
def served(settings: ServiceSettings, *, wait: bool = True) -> Iterator[httpx.Client]:
    """Serve until the end of the block, and yield a client of the service.

    Args:
        settings: The settings of the service.
        wait: Whether to wait until the workers are ready.
    """
    with listen("127.0.0.1", 0) as listener:
        app = create_app(settings)
        server = Server(app, settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(base_url=address_text(listener), timeout=_START_SECONDS) as client:
                _await_start(server, thread)
                if wait:
                    _await_ready(client)
                yield client
        finally:
            server.should_exit = True
            thread.join()


def service_tracebacks(records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    """Return the records of the service that hold a traceback.

    Records of other packages are left out: an SQLite connection of an earlier test, closed by the garbage
    collector during this one in another thread, is logged by sqlalchemy with a traceback.
    """
    return [line for line in records if line.exc_info and line.name.partition(".")[0] in _SERVICE_LOGGERS]


def _await_start(server: Server, thread: threading.Thread) -> None:
    while not server.started:
        assert thread.is_alive(), "the service has not started; its log says why"
        time.sleep(0.02)


def _await_ready(client: httpx.Client) -> None:
    last = time.monotonic() + _START_SECONDS
    while client.get("/ready").status_code != 200:
        assert time.monotonic() < last, "the service is not ready"
        time.sleep(0.1)


def ask_for(client: httpx.Client, uri: object, **more: object) -> httpx.Response:
    """Ask for the map of the scene at an address."""
    return client.post("/v1/segment", json={"domain": "flood_sar", "image_uri": uri, "options": SMALL_TILES, **more})


def await_job(client: httpx.Client, path: str) -> dict[str, Any]:
    """Return the answer about a job when it has ended."""
    last = time.monotonic() + _START_SECONDS
    while True:
        answer: dict[str, Any] = client.get(path).raise_for_status().json()
        if answer["state"] not in ("queued", "running"):
            return answer
        assert time.monotonic() < last, f"the job does not end: {answer}"
        time.sleep(0.05)


def file_part(path: Path, name: str | None = None, field: str = "file") -> tuple[str, tuple[str, bytes]]:
    """Return a file as a part of a form."""
    return field, (name or path.name, path.read_bytes())


def problem_of(response: httpx.Response, status: int, code: str) -> str:
    """Check that an answer is a problem of this status and code without a trace of the program, and return its text."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["code"], body["status"], body["type"]) == (code, status, f"urn:drshym:problem:{code}")
    assert "Traceback" not in response.text
    detail: str = body["detail"]
    assert detail and "\n" not in detail
    return detail
