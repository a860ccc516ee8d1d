"""A model and scenes for the tests of single commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiled_scenes import cut, run


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, random_bundle) -> Path:
    """A sealed model."""
    return Path(random_bundle.save(tmp_path_factory.mktemp("model") / "bundle"))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """An empty store for one test."""
    folder = tmp_path / "home"
    monkeypatch.setenv("DRSHYM_HOME", str(folder))
    return folder


@pytest.fixture
def scenes(tmp_path, scene_file) -> Path:
    """A folder with a good scene, one without any observation, and a file that is not a TIFF."""
    folder = tmp_path / "in"
    scene_file(folder / "good.tif", shape=(64, 80))
    scene_file(folder / "empty.tif", shape=(64, 64), observed=False)
    (folder / "bad.tif").write_bytes(b"no TIFF")
    return folder


@pytest.fixture
def made(tmp_path, scene_file, checkpoint) -> Path:
    """A folder with a scene `in/s.tif`, its chips in `chips`, and its predicted tiles in `tiles`."""
    scene = scene_file(tmp_path / "in" / "s.tif", shape=(100, 110))
    chips = cut(scene, tmp_path / "chips")
    assert run("predict-folder", "--ckpt", checkpoint, "--in", chips, "--out", tmp_path / "tiles") == 0
    return Path(tmp_path)
