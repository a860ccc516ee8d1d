"""Water copied into real land: which pixels change, and when nothing is copied."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.datasets.chips import DRY, IGNORED, WATER
from drshym_pipeline.datasets.laid_water import lay_water
from tests.examples import examples

SIDE = 32


def crop(seed: int, vv: float, vh: float, bands: int = 2) -> np.ndarray:
    levels = np.array([vv, vh], np.float32)[:bands, None, None]
    return levels + np.random.default_rng(seed).normal(0, 1.0, (bands, SIDE, SIDE)).astype(np.float32)


def label_with_a_lake() -> np.ndarray:
    label = np.zeros((SIDE, SIDE), np.int8)
    label[8:24, 6:20] = WATER
    return label


DRY_LABEL = np.zeros((SIDE, SIDE), np.int8)


def test_the_lake_has_the_pixels_of_the_water_and_the_rest_those_of_the_land():
    land, water = crop(1, -10, -17), crop(2, -20, -27)
    db, label = lay_water(land, DRY_LABEL, water, label_with_a_lake())
    np.testing.assert_allclose(db[:, 12:20, 10:16], water[:, 12:20, 10:16], atol=1e-3)
    np.testing.assert_array_equal(db[:, :4], land[:, :4])
    np.testing.assert_array_equal(label, label_with_a_lake())
    assert db.dtype == np.float32
    assert label.dtype == np.int8


def test_a_shore_lies_between_land_and_water():
    land, water = (np.full((1, SIDE, SIDE), level, np.float32) for level in (-10.0, -20.0))
    db, _ = lay_water(land, DRY_LABEL, water, label_with_a_lake())
    shore = db[0, 16, 4:8]
    assert shore[0] > shore[1] > shore[2] > shore[3]
    assert -20.0 - 1e-4 <= db.min() <= db.max() <= -10.0 + 1e-4


@given(seed=st.integers(0, 2**16))
@examples(30)
def test_undecided_and_unobserved_pixels_stay_as_they_are(seed: int):
    rng = np.random.default_rng(seed)
    land, water = crop(seed, -10, -17), crop(seed + 1, -20, -27)
    label = np.where(rng.random((SIDE, SIDE)) < 0.2, IGNORED, DRY).astype(np.int8)
    land[:, rng.random((SIDE, SIDE)) < 0.1] = np.nan
    water[:, rng.random((SIDE, SIDE)) < 0.1] = np.nan
    db, laid = lay_water(land, label, water, label_with_a_lake())
    kept = (label == IGNORED) | np.isnan(land[0]) | np.isnan(water[0])
    np.testing.assert_array_equal(db[:, kept], land[:, kept])
    np.testing.assert_array_equal(laid[kept], label[kept])
    np.testing.assert_array_equal(np.isnan(db), np.isnan(land))


def test_water_that_would_not_be_visible_is_not_laid():
    land = crop(1, -19, -26)
    db, label = lay_water(land, DRY_LABEL, crop(2, -20, -27), label_with_a_lake())
    assert db is land
    assert not label.any()


def test_water_under_wind_is_laid_where_vh_shows_it():
    _, label = lay_water(crop(1, -11, -17), DRY_LABEL, crop(2, -11, -28), label_with_a_lake())
    assert label.sum() == label_with_a_lake().sum()


def test_nothing_is_laid_from_a_crop_without_water_or_with_fewer_bands():
    land = crop(1, -10, -17)
    assert lay_water(land, DRY_LABEL, crop(2, -20, -27), DRY_LABEL)[0] is land
    assert lay_water(land, DRY_LABEL, crop(2, -20, -27, bands=1), label_with_a_lake())[0] is land


def test_land_with_vv_alone_gets_vv():
    db, label = lay_water(crop(1, -10, -17, bands=1), DRY_LABEL, crop(2, -20, -27), label_with_a_lake())
    assert db.shape == (1, SIDE, SIDE)
    assert label.any()
