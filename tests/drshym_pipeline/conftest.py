"""Tiny scenes for the tests of the mapping."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.small_scenes import write_lake_scene

SceneFile = Callable[..., Path]


@pytest.fixture(scope="session")
def scene_file() -> SceneFile:
    """A function that writes a small GeoTIFF: land with a lake, speckle, and a border that was not observed."""
    return write_lake_scene
