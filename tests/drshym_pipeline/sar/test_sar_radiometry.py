"""The conversion to dB, and the network's scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drshym_pipeline.sar.radiometry import DN_OFFSET_DB, normalise, to_db
from tests.units import from_db

DECIBELS = hnp.arrays(np.float32, hnp.array_shapes(max_dims=2, max_side=8), elements=st.floats(-60, 30, width=32))
UNITS = ("db", "power", "amplitude", "dn", "intensity")


@pytest.mark.parametrize("units", UNITS)
@given(db=DECIBELS)
def test_db_converted_to_any_unit_and_back_is_unchanged(units, db):
    np.testing.assert_allclose(to_db(from_db(db, units), units), db, atol=1e-4)


@given(power=st.floats(1e-6, 1e3))
def test_ten_times_the_power_is_ten_db_more(power):
    low, high = to_db(np.array([power, 10 * power]), "power")
    assert high - low == pytest.approx(10.0, abs=1e-4)


@given(amplitude=st.floats(1e-3, 1e3))
def test_amplitude_is_the_root_of_power(amplitude):
    assert to_db(np.array([amplitude]), "amplitude") == pytest.approx(
        to_db(np.array([amplitude**2]), "power"), abs=1e-4
    )


def test_known_values():
    assert to_db(np.array([1.0, 0.1]), "power") == pytest.approx([0.0, -10.0])
    assert to_db(np.array([0.1]), "amplitude") == pytest.approx([-20.0])
    # 89 is the median DN of land in an IW GRD, -10.5 dB the median of calibrated land.
    assert to_db(np.array([89], np.uint16), "dn") == pytest.approx([-10.5], abs=0.3)
    assert 49 < DN_OFFSET_DB < 50


@pytest.mark.parametrize("units", UNITS)
def test_what_has_no_logarithm_is_not_observed(units):
    values = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert np.isnan(to_db(values, units)).all()
    if units != "db":
        assert np.isnan(to_db(np.array([0.0, -0.1]), units)).all()


@given(db=DECIBELS)
def test_the_scale_stays_in_zero_to_one_and_is_linear_inside(db):
    scaled = normalise(db)
    assert scaled.dtype == np.float32
    assert scaled.min() >= 0 and scaled.max() <= 1
    inside = (db > -30) & (db < 0)
    np.testing.assert_allclose(scaled[inside], (db[inside] + 30) / 30, atol=1e-6)


def test_the_scale_keeps_nan():
    np.testing.assert_array_equal(
        normalise(np.array([-40.0, -30.0, -15.0, 0.0, 9.0, np.nan], np.float32)),
        np.array([0.0, 0.0, 0.5, 1.0, 1.0, np.nan], np.float32),
    )
