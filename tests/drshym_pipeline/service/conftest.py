"""A real map, made once, from which the tests of the service's scenes make their folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from drshym_pipeline.mapping import map_scene
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.service.scenes import SceneCatalogue, ServedScene
from tests.map_samples import REFERENCE
from tests.small_scenes import write_lake_scene


@pytest.fixture(scope="session")
def lake_map(tmp_path_factory: pytest.TempPathFactory, random_bundle: ModelBundle) -> Path:
    """The folder of the products of the scene `S1_lake`."""
    folder = tmp_path_factory.mktemp("lake")
    source = write_lake_scene(folder / "S1_lake.tif", shape=(64, 96))
    map_scene([source], folder / "out", random_bundle, REFERENCE, tile=64, overlap=16)
    return folder / "out"


@pytest.fixture
def add_map(lake_map: Path) -> Callable[..., ServedScene]:
    """A function that publishes a copy of the map in a catalogue."""

    def add(catalogue: SceneCatalogue, job_id: str, identity: str = "a" * 64, name: str = "S1_lake") -> ServedScene:
        scene, folder = catalogue.new_folder(name, identity, job_id)
        shutil.copytree(lake_map, folder, dirs_exist_ok=True)
        for path in (folder, *folder.iterdir()):  # a copy has the times of the original, which a slow run made long ago
            os.utime(path)
        return catalogue.publish(scene, job_id)

    return add
