"""Stored backscatter equals the backscatter that was read."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.inputs import network_input, network_input_of_codes
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.codes import BACKSCATTER_FILE, NOT_OBSERVED_CODE, decode_db, encode_db
from drshym_pipeline.sar.scene import SceneReader, make_backscatter, stage_scene
from drshym_pipeline.tiling import Window

VALUES = st.lists(st.floats(-99, 60, width=32), min_size=1, max_size=40)


@given(VALUES)
def test_stored_decibels_are_exact_to_a_thousandth(values):
    db = np.array(values, np.float32)
    np.testing.assert_allclose(decode_db(encode_db(db)), db, atol=1.3e-3)


@given(VALUES)
def test_decoded_values_are_encoded_to_the_same_codes(values):
    codes = encode_db(np.array(values, np.float32))
    np.testing.assert_array_equal(encode_db(decode_db(codes)), codes)


def test_not_observed_has_its_own_code_and_extremes_are_limited():
    db = np.array([np.nan, -1000.0, 1000.0, -100.0], np.float32)
    codes = encode_db(db)
    assert codes.tolist() == [NOT_OBSERVED_CODE, 1, 65_535, 1]
    assert np.isnan(decode_db(codes)[0])


@pytest.mark.parametrize("bands", ["vv", "vv_vh"])
@pytest.mark.parametrize("count", [1, 2])
def test_the_network_gets_the_same_input_from_codes_and_from_decibels(bands, count):
    rng = np.random.default_rng(0)
    db = rng.uniform(-45, 10, (count, 20, 30)).astype(np.float32)
    db[:, rng.random((20, 30)) < 0.2] = np.nan
    codes = encode_db(db)
    np.testing.assert_allclose(network_input_of_codes(codes, bands), network_input(decode_db(codes), bands), atol=1e-6)


def test_a_staged_scene_stores_its_backscatter_and_makes_it_again_when_it_is_deleted(scene_db, write_tiff, tmp_path):
    meta, directory = stage_scene([write_tiff(scene_db)], tmp_path / "scenes")
    path = directory / BACKSCATTER_FILE
    whole = Window(0, 0, *meta.shape)
    with BackscatterReader(meta, directory) as reader, SceneReader(meta, directory) as source:
        np.testing.assert_array_equal(reader.read(whole), encode_db(source.read(whole)))
        np.testing.assert_array_equal(reader.read(Window(10, 20, 5, 7), 1), reader.read(whole)[:1, 10:15, 20:27])
    before = path.read_bytes()
    path.unlink()
    assert make_backscatter(meta, directory) == path
    assert path.read_bytes() == before


def test_the_error_names_backscatter_that_is_missing_or_of_another_scene(scene_db, write_tiff, tmp_path):
    meta, directory = stage_scene([write_tiff(scene_db)], tmp_path / "scenes")
    other = meta.model_copy(update={"height": 5})
    with pytest.raises(InputError, match="not of the scene"), BackscatterReader(other, directory):
        pass
    (directory / BACKSCATTER_FILE).unlink()
    with pytest.raises(InputError, match=r"backscatter.tif: cannot be read"), BackscatterReader(meta, directory):
        pass


def test_a_full_disk_is_not_reported_as_a_damaged_scene(tmp_path):
    """A process that may not write large files simulates a full disk: both fail in the same call."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from drshym_pipeline.errors import InputError\n"
        "from drshym_pipeline.sar.scene import describe_scene\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try:\n"
        "    describe_scene([Path(sys.argv[1])], backscatter=Path(sys.argv[2]))\n"
        "except InputError as error:\n"
        "    print('the scene is blamed:', error)\n"
        "except OSError as error:\n"
        "    print('the disk is blamed:', error)\n"
    )
    side = 1200
    db = np.random.default_rng(0).normal(-12.0, 2.0, (1, side, side)).astype(np.float32)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": side, "width": side, "crs": "EPSG:32644"}
    source = tmp_path / "S1_x_vv_dB.tif"
    with rasterio.open(source, "w", **profile, transform=from_origin(5e5, 3e6, 10, 10)) as target:
        target.write(db)
    arguments = [sys.executable, "-c", code, str(source), str(tmp_path / "backscatter.tif")]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120).stdout
    assert output.startswith("the disk is blamed: "), output
    assert "backscatter.tif: cannot be written" in output
