"""Chips are read on one grid, in dB, and pairs that do not fit are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from drshym_pipeline.datasets.chips import ChipRef, read_chip
from drshym_pipeline.errors import InputError

GRID = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 2_900_000.0)


def write(path: Path, pixels: np.ndarray, *, transform: Affine = GRID, crs="EPSG:32644", nodata=None, names=()) -> Path:
    count, height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype=pixels.dtype,
        count=count,
        height=height,
        width=width,
        crs=crs,
        transform=transform,
        nodata=nodata,
    ) as dataset:
        dataset.write(pixels)
        if names:
            dataset.descriptions = names
    return path


@pytest.fixture
def db() -> np.ndarray:
    values = np.full((2, 6, 8), -10.0, np.float32)
    values[1] = -17.0
    values[:, 0, :] = np.nan
    return values


def chip(tmp_path: Path, db: np.ndarray, label: np.ndarray, **label_options) -> ChipRef:
    image = write(tmp_path / "Here_1_S1Hand.tif", db, nodata=float("nan"), names=("VV", "VH"))
    truth = write(tmp_path / "Here_1_LabelHand.tif", label[None].astype(np.int16), **label_options)
    return ChipRef("Here_1", "Here", "train", image, truth)


def test_pixels_not_observed_are_never_labelled(tmp_path, db):
    ref = chip(tmp_path, db, np.ones((6, 8)))
    for choice in ("ignore", "non_flood"):
        read = read_chip(ref, choice)
        assert (read.label[0] == -1).all()
        assert (read.label[1:] == 1).all()
        assert np.isnan(read.db[:, 0]).all()


def test_ignored_labels_become_dry_only_on_request_and_only_where_observed(tmp_path, db):
    label = np.zeros((6, 8))
    label[:3] = -1
    ref = chip(tmp_path, db, label)
    assert (read_chip(ref).label[:3] == -1).all()
    mapped = read_chip(ref, "non_flood").label
    assert (mapped[0] == -1).all()
    assert (mapped[1:] == 0).all()


def test_a_label_with_only_ignored_pixels_is_accepted(tmp_path, db):
    read = read_chip(chip(tmp_path, db, np.full((6, 8), -1)))
    assert (read.label == -1).all()


def test_every_pixel_of_a_chip_without_a_label_is_ignored(tmp_path, db):
    ref = chip(tmp_path, db, np.zeros((6, 8)))
    assert (read_chip(ChipRef("Here_1", "Here", "train", ref.image)).label == -1).all()


def test_a_pixel_missing_in_one_band_is_missing_in_both(tmp_path, db):
    db[1, 3, 4] = 0.0
    assert np.isnan(read_chip(chip(tmp_path, db, np.zeros((6, 8)))).db[0, 3, 4])


def test_bands_are_found_by_their_names(tmp_path, db):
    image = write(tmp_path / "swapped.tif", db[::-1].copy(), names=("VH", "VV"))
    read = read_chip(ChipRef("Here_1", "Here", "train", image))
    np.testing.assert_array_equal(read.db, db)


def test_label_of_another_shape_is_refused_naming_both_files(tmp_path, db):
    with pytest.raises(InputError) as caught:
        read_chip(chip(tmp_path, db, np.zeros((5, 8))))
    text = str(caught.value)
    assert "Here_1_LabelHand.tif" in text
    assert "Here_1_S1Hand.tif" in text
    assert "5 x 8" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "options", [{"transform": GRID @ Affine.translation(1, 0)}, {"crs": "EPSG:32645"}], ids=["shifted", "other CRS"]
)
def test_label_on_another_grid_is_refused_naming_both_files(tmp_path, db, options):
    with pytest.raises(InputError) as caught:
        read_chip(chip(tmp_path, db, np.zeros((6, 8)), **options))
    assert "Here_1_LabelHand.tif" in str(caught.value)
    assert "Here_1_S1Hand.tif" in str(caught.value)


def test_a_label_whose_grid_differs_in_the_last_digits_is_accepted(tmp_path, db):
    near = Affine(10.0 + 1e-9, 0.0, 500_000.0, 0.0, -10.0, 2_900_000.0)
    assert (read_chip(chip(tmp_path, db, np.ones((6, 8)), transform=near)).label[1:] == 1).all()


def test_unknown_label_value_is_refused(tmp_path, db):
    with pytest.raises(InputError, match="holds the value 7"):
        read_chip(chip(tmp_path, db, np.full((6, 8), 7)))


def test_a_file_that_is_not_a_geotiff_is_refused_by_name(tmp_path):
    path = tmp_path / "Here_1_S1Hand.tif"
    path.write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"Here_1_S1Hand\.tif"):
        read_chip(ChipRef("Here_1", "Here", "train", path))
