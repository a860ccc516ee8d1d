"""Simulated sets on the disk: the layout, writing and reading, resuming, and folders with other content."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.datasets.chips import read_chip
from drshym_pipeline.datasets.prepare import prepare
from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER, HAND_SPLITS, Sen1Floods11
from drshym_pipeline.datasets.simulator import writer
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import DONE_MARKER, STARTED_MARKER, write_dataset, write_scene
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import DataConfig, SimulatedData

SMALL = SimulatedData(seed=42, train=5, valid=2, test=1, hard=2, size=64)
KINDS = {"dem", "landcover", "permanent_water", "pre_event"}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("sim") / "set", SMALL)


def content(root: Path) -> dict[str, bytes]:
    return {
        file.relative_to(root).as_posix(): rasterio.open(file).read().tobytes() for file in sorted(root.rglob("*.tif"))
    }


def test_a_simulated_set_is_read_by_the_loader_of_sen1floods11(written):
    data = Sen1Floods11(written)
    assert set(data.splits()) == {"train", "valid", "test", "hard"}
    assert [len(data.chips(split)) for split in ("train", "valid", "test", "hard")] == [5, 2, 1, 2]
    for split in data.splits():
        for ref in data.chips(split):
            chip = read_chip(ref)
            assert chip.db.shape == (2, 64, 64)
            assert chip.crs == "EPSG:32644"
            assert set(ref.ancillary) == KINDS
            with rasterio.open(ref.image) as image:
                assert image.descriptions == ("VV", "VH")
                assert image.dtypes == ("float32", "float32")
                assert image.compression.name == "deflate"
                assert np.isnan(image.nodata)
                for side in ref.ancillary.values():
                    with rasterio.open(side) as raster:
                        assert (raster.crs, raster.transform, raster.shape) == (image.crs, image.transform, image.shape)


def test_no_event_is_in_two_splits(written):
    data = Sen1Floods11(written)
    events = [{ref.event for ref in data.chips(split)} for split in data.splits()]
    assert sum(map(len, events)) == len(set().union(*events))


def test_the_same_settings_write_the_same_pixels(written, tmp_path):
    again = write_dataset(tmp_path / "again", SMALL)
    assert content(again) == content(written)
    assert Sen1Floods11(again).sha256() == Sen1Floods11(written).sha256()


def test_another_seed_writes_other_pixels(written, tmp_path):
    other = write_dataset(tmp_path / "other", SMALL.model_copy(update={"seed": 43, "train": 1}))
    name = f"{HAND_FOLDER.as_posix()}/S1Hand/Sim-000_00000_S1Hand.tif"
    assert content(other)[name] != content(written)[name]


def test_an_interrupted_set_is_finished_without_writing_finished_chips_again(written, tmp_path):
    class KilledError(Exception):
        pass

    def killer(stage: str, done: int, total: int) -> None:
        if done == 4:
            raise KilledError

    root = tmp_path / "set"
    with pytest.raises(KilledError):
        write_dataset(root, SMALL, killer)
    assert not (root / DONE_MARKER).exists()
    first = root / HAND_FOLDER / "LabelHand" / "Sim-000_00000_LabelHand.tif"
    untouched = first.stat().st_mtime_ns
    write_dataset(root, SMALL)
    assert first.stat().st_mtime_ns == untouched
    assert content(root) == content(written)
    assert (root / DONE_MARKER).is_file()


def test_a_finished_set_is_not_written_again(written):
    before = {file: file.stat().st_mtime_ns for file in written.rglob("*")}
    write_dataset(written, SMALL)
    assert {file: file.stat().st_mtime_ns for file in written.rglob("*")} == before


def test_a_folder_with_a_set_of_other_settings_is_refused(written):
    with pytest.raises(InputError, match="other settings"):
        write_dataset(written, SMALL.model_copy(update={"seed": 7}))


def test_a_folder_with_other_content_is_refused_and_not_changed(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        write_dataset(tmp_path, SMALL)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_set_without_hard_scenes_has_no_split_hard(tmp_path):
    tiny = SimulatedData(train=1, valid=1, test=1, hard=0, size=64)
    assert "hard" not in Sen1Floods11(write_dataset(tmp_path / "set", tiny)).splits()


def test_one_scene_is_written_with_its_additional_rasters(tmp_path):
    scene = simulate_scene(9, 48, 64)
    image = write_scene(tmp_path, "S1_scene", scene)
    assert image == tmp_path / "S1_scene.tif"
    with rasterio.open(image) as dataset:
        np.testing.assert_array_equal(dataset.read(), scene.db)
        assert dataset.transform == scene.transform
    names = {file.stem.removeprefix("S1_scene_") for file in tmp_path.glob("S1_scene_*.tif")}
    assert names == {*KINDS, "label"}


def test_prepare_simulates_a_set_once_and_then_reuses_it(tmp_path):
    config = DataConfig(simulated=SimulatedData(train=1, valid=1, test=1, hard=0, size=64))
    calls: list[str] = []
    data = prepare(config, tmp_path, lambda stage, done, total: calls.append(stage))
    assert len(data.chips("train")) == 1
    first_calls = len(calls)
    assert first_calls > 0
    assert prepare(config, tmp_path, lambda stage, done, total: calls.append(stage)).root == data.root
    assert len(calls) == first_calls


def test_prepare_checks_a_real_set_before_anything_is_trained_on_it(written, tmp_path):
    config = DataConfig(kind="sen1floods11", root=written)
    assert prepare(config, tmp_path).root == written
    with pytest.raises(InputError, match="layout"):
        prepare(DataConfig(kind="sen1floods11", root=tmp_path), tmp_path)
    with pytest.raises(InputError, match=r"data\.root"):
        prepare(DataConfig(kind="sen1floods11"), tmp_path)


def test_prepare_refuses_a_set_with_a_chip_missing(tmp_path):
    config = SimulatedData(train=1, valid=1, test=1, hard=0, size=64)
    root = write_dataset(tmp_path / "set", config)
    (root / HAND_SPLITS / "flood_valid_data.csv").write_text("Sim-1_9_S1Hand.tif,Sim-1_9_LabelHand.tif\n")
    with pytest.raises(InputError, match="Sim-1_9"):
        prepare(DataConfig(kind="sen1floods11", root=root), tmp_path)


def test_a_set_that_is_continued_has_no_temporary_folder_of_a_killed_process(tmp_path: Path):
    root = tmp_path / "set"
    write_dataset(root, SMALL)
    (root / DONE_MARKER).rename(root / STARTED_MARKER)
    left = [folder / ".partial-abc123" for folder in (root, root / HAND_FOLDER / "S1Hand")]
    for folder in left:
        folder.mkdir()
        os.utime(folder, (0, 0))
    write_dataset(root, SMALL)
    assert not any(folder.exists() for folder in left)


class Interrupted(list):
    """A list that is interrupted at its end, when all of its items are in the queue of the threads."""

    def __iter__(self):
        yield from super().__iter__()
        raise KeyboardInterrupt


def test_no_more_chips_are_written_when_the_work_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plans = writer._plan(SimulatedData(train=200, valid=1, test=1, hard=0, size=64))
    monkeypatch.setattr(writer, "_plan", lambda config: Interrupted(plans))
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", SMALL)
    assert len(list((tmp_path / "set").rglob("*_S1Hand.tif"))) < 100
