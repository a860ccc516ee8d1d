"""Options of the Python functions with wrong values, and messages that name these options."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
import xarray as xr

from drshym_pipeline import map_scene, segment
from drshym_pipeline.ancillary.places import open_tiles
from drshym_pipeline.arrays.array_errors import errors_in_python
from drshym_pipeline.arrays.function_options import checked_options
from drshym_pipeline.cli import main
from drshym_pipeline.errors import InputError

GRID = {"tile": 512, "overlap": 64}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("units", "DB"),
        ("bands", 1),
        ("bands", "a"),
        ("bands", (0,)),
        ("bands", (1, 2, 3)),
        ("acquired", "yesterday"),
        ("acquired", 5),
        ("min_area_ha", "x"),
        ("min_area_ha", 0.05),
        ("tile", "512"),
        ("tile", 64.5),
        ("tile", 100_000),
        ("device", "tpu"),
        ("device", "cuda:99"),
        ("batch_size", 1.5),
        ("batch_size", 0),
        ("denoise", "x"),
        ("limits", 5),
        ("precision", "fp8"),
        ("threshold", "0.5"),
        ("scene_id", 5),
        ("ancillary", 5),
        ("ancillary", " "),
        ("progress", 5),
        ("model", 5),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_option(name, value):
    with pytest.raises(InputError) as refused:
        segment("scene.tif", **{name: value})
    assert refused.value.subject == name
    assert "--" not in str(refused.value)


def test_values_of_other_types_that_say_the_same_are_used():
    moment = datetime(2020, 1, 31, 17, 5, tzinfo=UTC)
    found = checked_options(bands="1, 2", acquired="2020-01-31T18:05:00+01:00", threshold=np.float32(0.5), **GRID)
    assert found == {"bands": (1, 2), "acquired": moment, "threshold": 0.5, **GRID}


def test_an_array_is_refused_by_the_function_that_takes_paths(tmp_path):
    with pytest.raises(InputError, match="`segment` maps arrays"):
        map_scene(xr.DataArray(np.zeros((4, 4))), tmp_path / "out")


@pytest.mark.parametrize(
    ("remedy", "expected"),
    [
        (
            "pass --units dn or, for the square, --units intensity",
            'pass units="dn" or, for the square, units="intensity"',
        ),
        ("Leave --units out, or correct the side-car", "Leave units out, or correct the side-car"),
        ("Give one band number for each file: --bands 1,1", "Give one band number for each file: bands=[1, 1]"),
        ("or give --no-denoise", "or give denoise=False"),
        ("give --any-spacing, or write", "give any_spacing=True, or write"),
        (
            "Choose another --out, or replace it with --overwrite",
            "Choose another out, or replace it with overwrite=True",
        ),
        ("run: rio edit-info --nodata 0 x.tif", "run: rio edit-info --nodata 0 x.tif"),
        ("look at /data/x--out.tif", "look at /data/x--out.tif"),
    ],
)
def test_a_message_about_a_file_names_the_options_of_python(remedy, expected):
    with pytest.raises(InputError) as refused, errors_in_python():
        raise InputError("scene.tif", "cannot be used", remedy)
    assert refused.value.remedy == expected


def test_a_place_of_tiles_that_cannot_be_used_is_explained(tmp_path, monkeypatch, capfd):
    with pytest.raises(InputError, match="the folder does not exist"):
        open_tiles(tmp_path / "none")
    with pytest.raises(InputError, match="Write the address with two slashes: s3://b/x"):
        open_tiles("s3:/b/x")
    with pytest.raises(InputError, match="is empty"):
        open_tiles("")
    monkeypatch.setenv("DRSHYM_ANCILLARY", "")
    assert main(["segment", "x.tif", "--out", str(tmp_path / "out")]) == 2
    assert "DRSHYM_ANCILLARY: " in capfd.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--tile", "0"), ("--tile", "5000"), ("--threshold", "1")])
def test_the_command_names_its_option(tmp_path, capfd, option, value):
    assert main(["segment", "x.tif", "--out", str(tmp_path / "out"), option, value]) == 2
    assert f"error: {option}: must be" in capfd.readouterr().err
