"""Properties of large scenes, tested on small ones; the benchmarks measure the full size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from benchmarks import input_checks, layer_cost, pre_event_cost, scene_memory
from benchmarks.bare_forward import bare_forward
from benchmarks.big_scene import write_big_scene
from benchmarks.original_method import map_in_memory
from benchmarks.profile_scene import summarise
from drshym_pipeline.errors import InputError
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.sar.scene import describe_scene
from drshym_pipeline.tiling import TileGrid
from tests.small_scenes import write_lake_scene


@pytest.mark.system
def test_memory_does_not_grow_with_the_scene(tmp_path: Path):
    peaks = {side: scene_memory.measured(tmp_path, (side, side), "db")["peak"] / 2**20 for side in (1024, 4096)}
    # With sixteen times the pixels only a row of tiles, GDAL's cache up to its limit and the outlines of a strip grow.
    # Measured: 220 MiB, and 280 on a busy machine, where more tiles wait for one another. Backscatter (two bands),
    # network input (three), logits and probabilities of all 4,096 x 4,096 pixels would be 448 MiB of float32.
    assert peaks[4096] < peaks[1024] + 400, peaks


def test_a_scene_in_strips_has_the_same_pixels(tmp_path: Path):
    found = []
    for tiled in (True, False):
        with rasterio.open(write_big_scene(tmp_path / f"{tiled}.tif", (1100, 1500), tiled=tiled)) as scene:
            assert (scene.block_shapes[0] == (512, 512)) == tiled
            assert tiled or scene.block_shapes[0][1] == 1500
            found.append(scene.read())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("form", ["db", "dn"])
def test_a_written_big_scene_can_be_mapped(tmp_path: Path, random_bundle, form):
    source = write_big_scene(tmp_path / "scene.tif", (300, 420), form)
    with rasterio.open(source) as scene:
        assert scene.shape == (300, 420)
        assert scene.block_shapes[0] == (512, 512)
        assert bool(scene.gcps[0]) == (form == "dn")
    reference = random_bundle.reference("checkpoint")
    record = map_scene([source], tmp_path / "out", random_bundle, reference, tile=128, overlap=16)
    assert record.observed_km2 == pytest.approx(300 * (420 - 40) * 1e-4, rel=0.01)
    assert any("georeference" in step for step in record.processing) == (form == "dn")


def test_the_original_method_and_ours_agree_away_from_the_seams(tmp_path: Path, random_bundle):
    source = write_big_scene(tmp_path / "scene.tif", (700, 600))
    map_in_memory(source, tmp_path / "original", random_bundle)
    map_scene([source], tmp_path / "ours", random_bundle, random_bundle.reference("checkpoint"), precision="fp32")
    files = (tmp_path / "original" / "proba.tif", tmp_path / "ours" / "scene_proba.tif")
    with rasterio.open(files[0]) as theirs, rasterio.open(files[1]) as ours:
        first, second = theirs.read(1).astype(int), ours.read(1).astype(int)
    np.testing.assert_array_equal(first == 65_535, second == 65_535)
    # Inside one tile both are the output of the network; they differ only by the rounding to steps of 1/400 dB.
    inside = (slice(0, 180), slice(40, 80))
    assert np.abs(first - second)[inside].max() <= 300
    assert np.median(np.abs(first - second)[inside]) <= 10


def test_the_bare_network_computes_as_many_tiles_as_the_scene_has(random_bundle, monkeypatch):
    seen = []

    class Counted(torch.nn.Module):
        def forward(self, tile: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(tile.shape))
            return tile[:, :1]

    from drshym_pipeline.model import compute

    monkeypatch.setattr(compute, "prepare_network", lambda *_: Counted())
    bare_forward(random_bundle, (1000, 1500), "fp32")()
    assert seen == [(1, 3, 512, 512)] * len(TileGrid(1000, 1500))


@pytest.mark.system
def test_memory_and_time_are_measured_in_processes_of_their_own():
    rows = scene_memory.measure(usual=(520, 520), full=(600, 700))
    assert [row.command for row in rows] == [scene_memory.COMMAND] * 4
    assert "700 x 600 x 2" in rows[0].what
    assert all(values for row in rows for values in row.samples.values())


@pytest.mark.system
def test_a_pre_event_scene_is_measured_against_the_scene_alone():
    rows = pre_event_cost.measure(shape=(520, 520), repeats=1)
    assert [row.command for row in rows] == [pre_event_cost.COMMAND] * 2
    assert all(len(values) == 1 for row in rows for values in row.samples.values())
    assert rows[0].samples["without, seconds of the pre-event scene"] == [0.0]
    assert rows[0].samples["with, seconds of the pre-event scene"][0] > 0


@pytest.mark.system
def test_the_checks_of_values_are_measured_against_a_map_without_them(tmp_path):
    chip, scene = input_checks.measure((256, 256), repeats=1, chips=1)
    assert "512 x 512 chip" in chip.what and "256 x 256" in scene.what
    assert all(len(row.samples["checked"]) == len(row.samples["unchecked"]) == 1 for row in (chip, scene))
    # Without the checks nothing looks at the values; after the block they are checked again.
    path = write_lake_scene(tmp_path / "a.tif", linear=True)
    with input_checks.unchecked():
        assert describe_scene([path]).units == "db"
    with pytest.raises(InputError, match="may be power or amplitude"):
        describe_scene([path])


def test_layers_are_measured_against_the_scene_alone():
    (row,) = layer_cost.measure(shape=(520, 520), repeats=1)
    assert row.command == layer_cost.COMMAND and "reading the layers" in row.measured
    assert [len(values) for values in row.samples.values()] == [1, 1]
    (full,) = layer_cost.measure_full(shape=(520, 520))
    assert full.samples["peak, bytes"][0] > 1 << 28


def test_a_profile_is_added_up_by_our_functions_and_by_the_innermost_functions():
    raw = (
        "a (x.py:1);b (drshym_pipeline/y.py:2);c (torch/z.py:3) 6\na (x.py:1) 2\na (x.py:1);_worker (thread.py:81) 9\n"
    )
    total, ours, innermost = summarise(raw)
    assert total == 8
    assert ours == {"b (drshym_pipeline/y.py:2)": 6, "outside": 2}
    assert innermost == {"c (torch/z.py:3)": 6, "a (x.py:1)": 2}
