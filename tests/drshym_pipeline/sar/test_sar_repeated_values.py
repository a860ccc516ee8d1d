"""One value that many pixels have is named as possible fill; the command of the warning makes it not observed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.rio.main import main_group
from scipy import ndimage

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import SceneMeta, Units
from drshym_pipeline.sar.repeated_values import repeated_value
from drshym_pipeline.sar.scene import SceneReader, describe_scene
from drshym_pipeline.tiling import Window
from tests.look_alikes import backscatter_db
from tests.units import from_db

CLEAN = backscatter_db().astype(np.float32)
ROWS, COLS = np.mgrid[:160, :160]
BORDER = (COLS + 3 * ROWS < 150) | (COLS - 3 * ROWS > 110)  # two slanted sides: 16 % of the scene


def read(*paths: Path) -> tuple[SceneMeta, np.ndarray]:
    """Return the description of a scene and its dB."""
    meta = describe_scene(list(paths))
    with SceneReader(meta, Path()) as reader:
        return meta, reader.read(Window(0, 0, meta.height, meta.width))


def notes(meta: SceneMeta) -> list[str]:
    """Return the warnings about a value that may be fill."""
    return [note for note in meta.warnings if "may be fill" in note]


def follow(note: str, folder: Path) -> None:
    """Run the command that a warning gives."""
    command = shlex.split(note.split("run: ")[1])
    assert command.pop(0) == "rio"
    done = CliRunner().invoke(main_group, [*command[:-1], str(folder / command[-1])])
    assert done.exit_code == 0, done.output


def filled(fill: float, units: Units = "db") -> np.ndarray:
    """Return a scene with a slanted border of one value in dB, in the units of a file."""
    raw = from_db(np.where(BORDER, np.float32(fill), CLEAN), units)
    return raw.round().astype(np.uint16) if units == "dn" else raw.astype(np.float32)


@pytest.mark.parametrize("units", ["db", "power", "amplitude", "dn"])
@pytest.mark.parametrize("fill", [-30.0, -25.0, -26.98970004, -20.0, -7.0, 1.0])
def test_fill_anywhere_in_the_range_is_named_and_the_remedy_makes_it_not_observed(write_tiff, fill, units):
    path = write_tiff(filled(fill, units), "S1 a.tif")
    try:
        meta, db = read(path)
    except InputError as error:
        # Whether such counts look like an elevation model depends on the last digits of the local statistics.
        assert (units, fill) == ("dn", -7.0), error
        assert "not a radar image" in str(error)
        return
    assert meta.units == units
    (note,) = notes(meta)
    level = float(np.median(db[0][BORDER]))
    assert re.match(r"about 1[67]% of the valid pixels of VV and VH have exactly the value \S+: they may be fill", note)
    assert f"read as backscatter of {level:.1f} dB" in note
    assert ("probably as open water" in note) == (fill <= -20.0)
    assert ("probably as land" in note) == (fill >= -7.0)
    follow(note, path.parent)
    meta, after = read(path)
    assert not notes(meta)
    assert np.isnan(after[:, BORDER]).all()
    # A measurement that has the very same whole number is lost with it.
    assert np.isfinite(after[0][~BORDER]).mean() > (0.93 if units == "dn" else 0.9999)
    np.testing.assert_array_equal(after[np.isfinite(after)], db[np.isfinite(after)])


def test_the_command_has_the_stored_number_of_a_file_with_a_scale(write_tiff):
    stored = np.where(BORDER, -2513, np.round(100 * CLEAN)).astype(np.int16)
    path = write_tiff(stored, "S1_a.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.01, 0.01), (0.5, 0.5)
    (note,) = notes(read(path)[0])
    assert "--nodata -2513 S1_a.tif" in note
    follow(note, path.parent)
    meta, db = read(path)
    assert not notes(meta)
    assert np.isnan(db[:, BORDER]).all()


def test_two_files_and_two_values_are_named_apart_and_each_command_is_enough(write_tiff):
    for first in (0, 1):
        paths = [
            write_tiff(np.where(BORDER, fill, band), f"{first}/S1_a_{name}.tif")
            for name, fill, band in zip(("VV", "VH"), np.float32([-25.0, -31.0]), CLEAN, strict=True)
        ]
        found = notes(read(*paths)[0])
        assert [(" of VV have" in note, " of VH have" in note) for note in found] == [(True, False), (False, True)]
        follow(found[first], paths[0].parent)
        meta, db = read(*paths)
        assert not notes(meta)
        assert np.isnan(db[:, BORDER]).all()


def test_a_file_with_another_tag_keeps_it(write_tiff):
    values = filled(-25.0)
    values[:, :40, 60:100] = -12.0
    (note,) = notes(read(write_tiff(values, "S1_a.tif", nodata=-12.0))[0])
    assert note.endswith("If they mean no data, write them as -12, the nodata value that the file has")
    _, db = read(write_tiff(np.where(values == -25.0, np.float32(-12.0), values), "S1_b.tif", nodata=-12.0))
    assert np.isnan(db[:, BORDER]).all()
    assert np.isnan(db[:, :40, 60:100]).all()


@pytest.mark.parametrize("tag", [None, 0.0, float("nan"), -32768.0])
def test_a_tag_that_is_never_a_measurement_need_not_be_kept(write_tiff, tag):
    values = filled(-25.0)
    values[:, -30:] = -32768.0 if tag is None else tag
    path = write_tiff(values, "S1_a.tif", nodata=tag)
    (note,) = notes(read(path)[0])
    follow(note, path.parent)
    _, db = read(path)
    assert np.isnan(db[:, BORDER]).all()
    assert np.isnan(db[:, -30:]).all()


@pytest.mark.parametrize("limit", [-30.0, -22.0])
def test_values_cut_at_a_limit_are_mapped_with_the_warning(write_tiff, limit):
    values = np.maximum(CLEAN - 3.0, limit).astype(np.float32)
    meta, db = read(write_tiff(values, "S1_a.tif"))
    assert np.isfinite(db).all()
    shares = [float((band == limit).mean()) for band in values]
    assert bool(notes(meta)) == (max(shares) >= 0.05)


ROUNDED: dict[str, Any] = {
    "tenths of a dB": lambda db: np.round(10 * db) / 10,
    "halves of a dB": lambda db: np.round(2 * db) / 2,
    "whole dB": np.round,
    "steps of two dB": lambda db: 2 * np.round(db / 2),
    "8-bit with steps of 0.25 dB": lambda db: np.clip(np.round((db + 45) * 4), 1, 255) / 4 - 45,
    "digital numbers": lambda db: np.round(from_db(db.astype(np.float32), "dn")).astype(float),
    "small digital numbers": lambda db: np.round(from_db(db.astype(np.float32), "dn") / 8).astype(float),
    "power in steps of 0.0002": lambda db: np.round(5000 * 10 ** (db / 10)) / 5000,
}


@pytest.mark.parametrize("form", ROUNDED)
@pytest.mark.parametrize("window", [1, 5])
def test_rounded_values_are_not_taken_for_fill(form, window):
    power = ndimage.uniform_filter(10 ** (backscatter_db(320, 320) / 10), (0, window, window))
    for band in ROUNDED[form](10 * np.log10(power)):
        assert repeated_value(band[band != 0].ravel()) is None


@pytest.mark.parametrize("form", ["tenths of a dB", "halves of a dB", "whole dB", "digital numbers"])
def test_fill_in_rounded_values_is_found(form):
    band = ROUNDED[form](CLEAN[0])
    fill = float(ROUNDED[form](np.array([-27.0]))[0])
    found = repeated_value(np.where(BORDER, fill, band).ravel())
    assert found is not None
    assert found.value == fill
    assert found.share == pytest.approx(BORDER.mean(), abs=0.02)


def test_few_values_or_few_levels_say_nothing():
    values = CLEAN[0].ravel().astype(float)
    assert repeated_value(np.r_[values[:60], np.full(39, -25.0)]) is None
    assert repeated_value(np.r_[values[:60], np.full(40, -25.0)]) is not None
    assert repeated_value(np.r_[np.arange(18.0).repeat(10), np.full(90, 40.0)]) is None
    assert repeated_value(np.r_[np.arange(19.0).repeat(10), np.full(90, 40.0)]) is not None
    assert repeated_value(np.r_[np.arange(100.0), np.full(4, 400.0)]) is None
