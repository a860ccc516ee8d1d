"""A stage opens its scene once: the source and the description are never read a second time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import rasterio

from drshym_pipeline import mapping, stages
from drshym_pipeline.scene_folder import SceneFolder

TILE = {"tile": 64, "overlap": 8}


class FileCounts:
    """Counts by stage: how often Python opens a `scene_meta.json` for reading, and GDAL a GeoTIFF, by name."""

    def __init__(self) -> None:
        self.active = False
        self.opened: Counter[str] = Counter()

    def audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.active and event == "open":
            path, mode, _ = arguments
            # In other modes it is opened to be written, or to be synchronised with the disk.
            if mode in ("r", "rb") and str(path).endswith("scene_meta.json"):
                self.opened["scene_meta.json"] += 1

    def take(self) -> Counter[str]:
        found, self.opened = self.opened, Counter()
        return found


COUNTS = FileCounts()
sys.addaudithook(COUNTS.audit)  # cannot be removed again, only switched off


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileCounts]:
    opened = rasterio.open

    def counting(path, mode="r", *args, **kwargs):
        if mode == "r":
            COUNTS.opened[Path(str(path)).name] += 1
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(rasterio, "open", counting)
    COUNTS.take()
    COUNTS.active = True
    yield COUNTS
    COUNTS.active = False


def at_most_once(found: Counter[str], source: str) -> None:
    assert found[source] <= 1, found
    assert found["scene_meta.json"] <= 1, found


@pytest.mark.parametrize("copy", [True, False])
def test_each_stage_parses_the_description_and_opens_the_source_at_most_once(
    tmp_path, scene_file, random_bundle, counts, copy
):
    source = scene_file(tmp_path / "scene.tif")
    directory = stages.stage([source], tmp_path / "store", copy=copy).directory
    found = counts.take()
    assert found["scene.tif"] == 1
    assert found["scene_meta.json"] == 0

    tiles = stages.write_tiles(SceneFolder(directory), **TILE)
    at_most_once(counts.take(), "scene.tif")

    predicted = stages.predict(
        SceneFolder(directory).tiles(tiles.name), random_bundle, random_bundle.reference("checkpoint")
    )
    at_most_once(counts.take(), "scene.tif")

    drawn = stages.stitch(SceneFolder(directory).tiles(tiles.name).prediction(predicted.name))
    at_most_once(counts.take(), "scene.tif")

    stages.report(SceneFolder(directory).drawing(drawn.directory.name))
    at_most_once(counts.take(), "scene.tif")


def test_a_scene_that_is_staged_again_is_read_once_more(tmp_path, scene_file, counts):
    source = scene_file(tmp_path / "scene.tif")
    for _ in range(2):
        counts.take()
        stages.stage([source], tmp_path / "store")
        at_most_once(counts.take(), "scene.tif")


def test_a_pair_is_opened_once_per_file(tmp_path, scene_file, counts):
    files = [scene_file(tmp_path / f"p_{band.lower()}.tif", bands=(band,)) for band in ("VV", "VH")]
    stages.stage(files, tmp_path / "store", copy=False)
    found = counts.take()
    assert [found[file.name] for file in files] == [1, 1]


def test_the_command_opens_a_scene_once_and_keeps_no_state(tmp_path, scene_file, random_bundle, counts):
    source = scene_file(tmp_path / "scene.tif")
    record = mapping.map_scene([source], tmp_path / "out", random_bundle, random_bundle.reference("checkpoint"), **TILE)
    found = counts.take()
    assert found["scene.tif"] == 1
    assert found["scene_meta.json"] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(record.files.values())
    assert list(record.seconds) == ["stage", "predict", "stitch"]


def test_command_and_stages_make_the_same_files(tmp_path, scene_file, random_bundle):
    source = scene_file(tmp_path / "scene.tif")
    reference = random_bundle.reference("checkpoint")
    record = mapping.map_scene([source], tmp_path / "out", random_bundle, reference, **TILE)
    tiles = stages.write_tiles(stages.stage([source], tmp_path / "store"), **TILE)
    finished = stages.report(stages.stitch(stages.predict(tiles, random_bundle, reference)))
    assert finished.version == record.map_version
    for kind in ("mask", "style", "proba", "overlay", "thumbnail", "flood", "caption"):
        name = record.files[kind]
        assert (tmp_path / "out" / name).read_bytes() == (finished.products / name).read_bytes(), kind
