"""Which values of a band are measurements."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.sar.radiometry import to_db
from drshym_pipeline.sar.raster_band import BandValues, RasterBand, SceneBands
from drshym_pipeline.sar.validity import (
    FLOOR_DB,
    LEAST_DB,
    MOST_DB,
    SOLID_SIDE,
    below_floor,
    measured,
    not_filled,
    observed,
    solid,
)
from drshym_pipeline.tiling import Window
from tests.examples import examples


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("float32", None), ("float32", float("nan")), ("float64", 0.0), ("int16", -32768), ("float32", -9999)],
)
def test_every_kind_of_fill_is_not_observed(dtype, nodata):
    fills = [0, -32768] + ([nodata] if nodata is not None and dtype != "int16" else [])
    if dtype.startswith("float"):
        fills += [np.nan, np.inf, -np.inf]
    values = np.array([*fills, -12, 7], dtype=dtype)
    assert observed(values, nodata).tolist() == [False] * len(fills) + [True, True]


@pytest.mark.parametrize("nodata", [-3.4028234663852886e38, -np.inf])
def test_a_nodata_tag_that_is_extreme_still_counts(nodata):
    values = np.array([np.float32(nodata), -9.0], np.float32)
    assert not_filled(values, nodata).tolist() == [False, True]


@pytest.mark.parametrize(
    ("db", "expected"),
    [(LEAST_DB, True), (LEAST_DB - 0.1, False), (MOST_DB, True), (MOST_DB + 0.1, False), (np.nan, False), (-25, True)],
)
def test_measurements_are_inside_the_physical_limits(db, expected):
    assert measured(np.array([1.0]), np.array([db], np.float32)).tolist() == [expected]


@pytest.mark.parametrize("limit", [-30.0, -25.0, -20.0, 0.5, 10.0])
def test_values_cut_at_a_limit_inside_the_range_are_measurements(limit):
    values = np.full(50, limit, np.float32)
    assert measured(values, to_db(values, "db")).all()


@pytest.mark.parametrize(
    ("units", "low", "high"),
    [
        ("db", [0.0, -np.inf, -60.0, -100.0], [-30.0, -49.0, -999.0, -9999.0, np.nan, 5.0]),
        ("power", [0.0, 1e-6, -1e-3], [1e-4, 0.1, -1.0, -9999.0, np.nan]),
        ("amplitude", [0.0, 1e-3], [1e-2, 0.3, -0.1, np.nan]),
        ("dn", [0.0], [1.0, 89.0, -1.0]),
        ("intensity", [0.0], [1.0, 8000.0, -1.0]),
    ],
)
def test_only_zero_and_less_than_the_instrument_measures_may_be_the_floor(units, low, high):
    assert below_floor(np.array(low), units).all()
    assert not below_floor(np.array(high), units).any()
    assert to_db(np.array([10 ** (FLOOR_DB / 10)]), "power")[0] == pytest.approx(FLOOR_DB)


def test_only_squares_of_missing_pixels_are_solid():
    missing = np.zeros((100, 100), bool)
    missing[5:40, 5:40] = True
    missing[60 : 60 + SOLID_SIDE - 1, 60:90] = True
    missing[50, 50] = True
    expected = np.zeros_like(missing)
    expected[5:40, 5:40] = True
    np.testing.assert_array_equal(solid(missing), expected)


class MadeBand:
    """A band in memory, for `SceneBands`."""

    noise = table = None

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def read(self, window: Window) -> BandValues:
        values = self.values[window.rows, window.cols]
        return BandValues(values, np.isfinite(values) & (values != 0))


def made_scene(rng: np.random.Generator) -> SceneBands:
    """Return a scene in power with blocks and scattered pixels of zero in either band."""
    height, width = (int(side) for side in rng.integers(30, 130, 2))
    values = rng.uniform(0.01, 0.3, (2, height, width)).astype(np.float32)
    for _ in range(rng.integers(0, 5)):
        row, col, rows, cols = rng.integers(0, height), rng.integers(0, width), *rng.integers(1, 60, 2)
        values[rng.integers(0, 2), row : row + rows, col : col + cols] = 0
    values[1][rng.random((height, width)) < rng.choice([0.0, 0.01, 0.3])] = 0
    return SceneBands([cast("RasterBand", MadeBand(band)) for band in values], (height, width), "power")


@given(st.integers(0, 1 << 32), st.integers(1, 70), st.integers(1, 70))
@examples(100)
def test_what_is_cut_and_what_is_a_border_does_not_depend_on_the_windows(seed: int, rows: int, cols: int):
    scene = made_scene(np.random.default_rng(seed))
    height, width = scene.shape
    whole = Window(0, 0, height, width)
    expected = scene.decibels(scene.read(whole), whole)
    found = np.empty_like(expected)
    for row in range(0, height, rows):
        for col in range(0, width, cols):
            window = Window(row, col, min(rows, height - row), min(cols, width - col))
            found[:, window.rows, window.cols] = scene.decibels(scene.read(window), window)
    np.testing.assert_array_equal(found, expected)
