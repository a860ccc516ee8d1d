"""A real service with one worker, shared by the tests of this folder, and one map in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from drshym_pipeline.service.settings import ServiceSettings
from tests.http_service import ExplicitSettings, ask_for, served
from tests.small_scenes import write_lake_scene


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="session")
def settings(folder, random_bundle) -> ServiceSettings:
    for name in ("scenes", "outside", "root"):
        (folder / name).mkdir()
    return ExplicitSettings(
        root=folder / "root",
        input_roots=(folder / "scenes",),
        checkpoint=Path(random_bundle.save(folder / "bundle")),
        workers=1,
        at_once_pixels=200 * 300,
        at_once_seconds=600.0,
        scene_pixels=400 * 400,
        upload_bytes=1 << 20,
        queue_limit=5,
        uploads_at_once=2,
        rate="100000/minute",
    )


@pytest.fixture(scope="session")
def client(settings) -> Iterator[httpx.Client]:
    with served(settings) as client:
        yield client


@pytest.fixture(scope="session")
def scene(folder) -> Path:
    return write_lake_scene(folder / "scenes" / "S1_scene_001.tif", shape=(100, 120))


@pytest.fixture(scope="session")
def answer(client, scene) -> dict:
    return ask_for(client, scene.as_uri()).raise_for_status().json()
