"""Units, dB, nodata and the network's scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.radiometry import DN_OFFSET_DB, detect_units, normalise, observed, to_db
from tests.units import from_db

DECIBELS = hnp.arrays(np.float32, hnp.array_shapes(max_dims=2, max_side=8), elements=st.floats(-60, 30, width=32))
UNITS = ("db", "power", "amplitude", "dn")


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


def test_a_nodata_tag_that_float32_cannot_hold_still_counts():
    lowest = np.float32(-3.4028234663852886e38)
    assert observed(np.array([lowest, -9.0], np.float32), -3.4028234663852886e38).tolist() == [False, True]


def sample(seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vv = np.where(rng.random(20_000) < 0.3, -20.0, -10.0) + rng.normal(0, 2.2, 20_000)
    return vv.astype(np.float32), (vv - 7 + rng.normal(0, 1.5, 20_000)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("with_vh", [True, False])
def test_units_are_found_from_the_values(units, dtype, with_vh):
    vv, vh = (from_db(band, units).astype(dtype) for band in sample())
    found = detect_units(vv, vh if with_vh else None, dtype, subject="x.tif")
    assert found.units == units
    assert found.evidence


def test_digital_numbers_of_a_grd_are_recognised():
    vv = from_db(sample()[0], "dn").round().astype(np.uint16)
    assert detect_units(vv, None, "uint16", subject="x.tif").units == "dn"


def test_units_given_by_the_user_are_used_without_a_check():
    assert detect_units(sample()[0], None, "float32", subject="x.tif", given="power").units == "power"


def test_a_name_decides_between_power_and_amplitude():
    values = from_db(sample()[0], "power").astype(np.float32)
    assert detect_units(values, None, "float32", subject="x.tif", hint="amplitude").units == "amplitude"


def test_the_user_is_warned_when_the_values_contradict_the_name():
    found = detect_units(sample()[0], None, "float32", subject="x.tif", hint="power")
    assert found.units == "db"
    assert any("say power" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.linspace(0, 255, 5000).astype(np.uint8), "uint8"),
        (np.full(5000, 3.0, np.float32), "float32"),
        (np.linspace(-1500, -500, 5000).astype(np.int16), "int16"),
        (np.linspace(-1, 1, 5000, dtype=np.float32), "float32"),
        (np.linspace(1e6, 1e8, 5000, dtype=np.float32), "float32"),
        (np.random.default_rng(42).normal(0, 1e-9, 5000).astype(np.float32), "float32"),
    ],
    ids=["8-bit", "constant", "scaled dB", "index", "far too large", "noise around zero"],
)
def test_units_that_cannot_be_recognised_are_an_error_that_asks_for_them(values, dtype):
    with pytest.raises(InputError, match=r"^x\.tif: units cannot be recognised.*--units") as caught:
        detect_units(values, None, dtype, subject="x.tif")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("dtype", "units"), [("float32", "db"), ("uint16", "dn")])
def test_without_an_observed_pixel_the_type_decides(dtype, units):
    found = detect_units(np.empty(0, dtype), None, dtype, subject="x.tif")
    assert found.units == units
    assert "no observed pixel" in found.evidence
