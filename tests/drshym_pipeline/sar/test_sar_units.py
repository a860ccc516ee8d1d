"""What the values of a scene are, and whether they are backscatter at all."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import ndimage

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation, Units
from drshym_pipeline.sar.unit_evidence import BandSample, Claims
from drshym_pipeline.sar.units import find_units
from tests.look_alikes import NOT_BACKSCATTER, backscatter_db, elevation
from tests.units import from_db

UNITS: tuple[Units, ...] = ("db", "power", "amplitude", "dn", "intensity")
FLOAT, COUNTS = Claims("float32"), Claims("uint16", named=True)


def sample(values: np.ndarray, polarisation: Polarisation = "VV") -> BandSample:
    return BandSample(polarisation, values[values != 0].ravel().astype(float), (values.astype(float),))


def pair(values: np.ndarray) -> list[BandSample]:
    """Return samples of VV and VH whose n-th values are of the same pixel, as `sample_scene` reads them."""
    usable = (values != 0).all(axis=0)
    names: tuple[Polarisation, ...] = ("VV", "VH")
    return [
        BandSample(name, band[usable].ravel().astype(float), (band.astype(float),))
        for name, band in zip(names, values, strict=True)
    ]


def scene(units: Units, bands: int = 2, db: np.ndarray | None = None) -> list[BandSample]:
    """Return a scene in other units; digital numbers are whole."""
    db = backscatter_db() if db is None else db
    raw = from_db(db.astype(np.float32), units)
    raw = raw.round() if units in ("dn", "intensity") else raw
    names: tuple[Polarisation, ...] = ("VV", "VH")
    return [sample(values, name) for values, name in zip(raw[:bands], names, strict=False)]


def claims(units: Units) -> Claims:
    """Return what the usual product in these units says about itself."""
    if units == "dn":
        return COUNTS
    return Claims("float32", hint="intensity") if units == "intensity" else FLOAT


@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize("units", UNITS)
def test_units_are_found_from_the_values(units, bands):
    found = find_units(scene(units, bands), claims(units), subject="x.tif")
    assert found.units == units
    assert found.evidence and not found.warnings


@pytest.mark.parametrize("units", UNITS)
def test_units_that_the_user_states_are_used(units):
    assert find_units(scene(units), claims(units), subject="x.tif", given=units).units == units


@pytest.mark.parametrize("given", UNITS)
@pytest.mark.parametrize("units", UNITS)
def test_units_that_the_user_states_wrongly_are_refused_and_following_the_remedy_gives_the_right_ones(units, given):
    if given == units:
        return
    with pytest.raises(InputError, match=r"^x\.tif: its values (are not|behave like)") as caught:
        find_units(scene(units), claims(units), subject="x.tif", given=given)
    stated = re.search(r"pass --units (\w+)", caught.value.remedy, re.IGNORECASE)
    assert stated or caught.value.remedy.startswith("Leave --units out")
    retry = stated[1] if stated else None
    assert find_units(scene(units), claims(units), subject="x.tif", given=retry).units == units  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.005, 0.23, 0.6])
@pytest.mark.parametrize("fill", [-9999.0, -999.0, -99.0, -3.4e38, 3.4e38, 1e20])
@pytest.mark.parametrize("units", ["db", "power", "dn"])
def test_numbers_for_no_data_without_a_tag_do_not_change_the_units(units, fill, share):
    bands = []
    for band in scene(units):
        values = band.values.copy()
        values[: int(share * values.size)] = fill
        bands.append(BandSample(band.polarisation, values, band.patches))
    assert find_units(bands, claims(units), subject="x.tif").units == units


def test_squared_digital_numbers_are_recognised_by_name_and_level():
    assert find_units(scene("intensity"), Claims("float32", hint="intensity"), subject="x.tif").units == "intensity"
    # The same word stands for calibrated power in other products.
    assert find_units(scene("power"), Claims("float32", hint="intensity"), subject="x.tif").units == "power"


@pytest.mark.parametrize("water", ["sea", "lake"])
@pytest.mark.parametrize("bands", [1, 2])
def test_amplitude_of_water_alone_is_recognised_or_both_units_are_named(water, bands):
    level = {"sea": (-16.0, -25.0), "lake": (-23.0, -30.0)}[water]
    speckle = np.random.default_rng(3).gamma(4.4, 1 / 4.4, (2, 160, 160))
    # The pixels of a product are smaller than its resolution, so neighbours are alike.
    speckle = ndimage.gaussian_filter(speckle, (0, 0.5, 0.5))
    db = np.array(level)[:, None, None] + 10 * np.log10(speckle)
    for units in ("amplitude", "power"):
        try:
            assert find_units(scene(units, bands, db), FLOAT, subject="x.tif").units == units
        except InputError as error:
            assert "power or amplitude" in str(error)
            assert "--units power or --units amplitude" in error.remedy
            assert find_units(scene(units, bands, db), FLOAT, subject="x.tif", given=units).units == units


@pytest.mark.parametrize("window", [7, 9])
def test_a_filtered_calm_sea_in_db_is_accepted(window):
    speckle = np.random.default_rng(3).gamma(4.4, 1 / 4.4, (160, 160))
    db = -20.0 + 10 * np.log10(ndimage.uniform_filter(speckle, window))
    assert np.ptp(np.percentile(db, (1, 99))) < 2.0
    found = find_units([sample(db)], Claims("float32", named=True), subject="x.tif")
    assert found.units == "db"
    assert any("smoother" in warning for warning in found.warnings)


@pytest.mark.parametrize("window", [3, 5, 7])
@pytest.mark.parametrize("units", ["db", "power"])
def test_a_filtered_scene_needs_a_name_and_gets_a_warning(units, window):
    power = ndimage.uniform_filter(10 ** (backscatter_db() / 10), (0, window, window))
    bands = scene(units, 2, 10 * np.log10(power))
    # After a filter of 5 x 5 pixels or more, power and amplitude look alike when nothing states the units.
    hint = "power" if units == "power" and window > 3 else None
    assert find_units(bands, Claims("float32", hint=hint, named=True), subject="x.tif").units == units
    if window > 3:
        with pytest.raises(
            InputError, match=r"not clear that this is a radar image|--units power or --units amplitude"
        ):
            find_units(bands, FLOAT, subject="x.tif")


def test_bands_of_different_units_are_refused():
    vv, vh = scene("db")[0], scene("power")[1]
    with pytest.raises(InputError, match="different units: VV like dB and VH like linear power"):
        find_units([vv, vh], FLOAT, subject="x.tif")


@pytest.mark.parametrize("given", [None, *UNITS])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("kind", "dtype"), [(kind, dtype) for kind, (_, dtypes) in NOT_BACKSCATTER.items() for dtype in dtypes]
)
def test_rasters_that_are_no_backscatter_are_refused_whatever_they_are_called(kind, dtype, named, given):
    make, _ = NOT_BACKSCATTER[kind]
    for seed in (1, 2, 3):
        with pytest.raises(InputError) as caught:
            find_units([sample(make(seed).astype(dtype))], Claims(dtype, named=named), subject="x.tif", given=given)
        assert "\n" not in str(caught.value)


def test_no_remedy_for_an_eight_bit_picture_names_units():
    with pytest.raises(InputError, match="8-bit") as caught:
        find_units([sample(np.full((50, 50), 90))], Claims("uint8"), subject="x.tif", given="dn")
    assert "--units" not in caught.value.remedy


def test_eight_bits_with_a_scale_are_values_like_others():
    db = np.round((backscatter_db() + 40) / 0.2) * 0.2 - 40
    assert find_units(scene("db", 2, db), FLOAT, subject="x.tif").units == "db"


@pytest.mark.parametrize(("value", "dtype", "units"), [(-12.3, "float32", "db"), (89, "uint16", "dn")])
@pytest.mark.parametrize("side", [1, 3, 12])
def test_tiny_rasters_are_judged_by_their_level(value, dtype, units, side):
    values = np.full((side, side), value) * np.random.default_rng(1).normal(1.0, 0.02, (side, side))
    found = find_units([sample(values)], Claims(dtype, named=True), subject="x.tif")
    assert found.units == units
    assert any("too few neighbouring valid pixels to check" in warning for warning in found.warnings)


def test_a_tiny_raster_of_power_or_amplitude_names_both():
    with pytest.raises(InputError, match="power or amplitude") as caught:
        find_units([sample(np.full((1, 1), 0.4))], FLOAT, subject="x.tif")
    assert "--units power or --units amplitude" in caught.value.remedy


@pytest.mark.parametrize("factor", [100.0, 10_000.0])
def test_whole_numbers_that_lost_their_scale_are_refused(factor):
    for units in ("db", "power"):
        raw = [np.round(from_db(band.astype(np.float32), units) * factor) for band in backscatter_db()]
        if units == "power" and factor < 1000:
            continue  # nothing is left of the values
        bands = [sample(raw[0]), sample(raw[1], "VH")]
        with pytest.raises(InputError):
            find_units(bands, Claims("int16"), subject="x.tif")


def test_a_name_decides_between_power_and_amplitude():
    db = backscatter_db() + 5.0
    assert (
        find_units(scene("amplitude", 1, db), Claims("float32", hint="amplitude"), subject="x.tif").units == "amplitude"
    )


def test_the_user_is_warned_when_the_values_contradict_the_name():
    found = find_units(scene("db"), Claims("float32", hint="power"), subject="x.tif")
    assert found.units == "db"
    assert any("say power" in warning for warning in found.warnings)


@pytest.mark.parametrize(("dtype", "units"), [("float32", "db"), ("uint16", "dn")])
def test_without_an_observed_pixel_the_type_decides(dtype, units):
    found = find_units([BandSample("VV", np.empty(0))], Claims(dtype), subject="x.tif")
    assert found.units == units
    assert "no observed pixel" in found.evidence


# --- families that were found by trying to break the rules -----------------------------------------------------------


def filtered(window: int, bands: int = 2) -> np.ndarray:
    """Return dB after a mean filter of the power."""
    power = ndimage.uniform_filter(10 ** (backscatter_db() / 10), (0, window, window))
    db: np.ndarray = 10 * np.log10(power)[:bands]
    return db


@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize("window", [3, 5, 7])
@pytest.mark.parametrize("units", ["power", "amplitude"])
def test_filtered_power_is_never_read_as_amplitude_in_silence(units, window, bands):
    scene_of = scene(units, bands, filtered(window))
    named = Claims("float32", named=True)
    try:
        assert find_units(scene_of, named, subject="S1.tif").units == units
    except InputError as error:
        assert "power or amplitude" in str(error)
    assert find_units(scene_of, named, subject="S1.tif", given=units).units == units
    hinted = Claims("float32", hint=units, named=True)
    assert find_units(scene_of, hinted, subject="S1.tif").units == units


def test_a_word_in_the_name_does_not_beat_the_speckle():
    found = find_units(scene("power"), Claims("float32", hint="amplitude", named=True), subject="x.tif")
    assert found.units == "power"
    assert any("say amplitude" in warning for warning in found.warnings)


def test_a_name_that_says_db_refuses_other_values():
    for units in ("power", "dn"):
        with pytest.raises(InputError, match="say dB, but its values are not dB"):
            find_units(scene(units), Claims(claims(units).dtype, hint="db", named=True), subject="x.tif")


@pytest.mark.parametrize("window", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("units", ["power", "amplitude"])
def test_units_that_the_user_states_rightly_are_used_for_filtered_products_too(units, window):
    named = Claims("float32", named=True)
    assert find_units(scene(units, 2, filtered(window)), named, subject="x.tif", given=units).units == units


def test_units_that_contradict_the_values_of_a_filtered_product_are_used_with_a_warning():
    named = Claims("float32", named=True)
    found = find_units(scene("amplitude", 2, filtered(5)), named, subject="x.tif", given="power")
    assert any("look more like amplitude" in warning for warning in found.warnings)


@pytest.mark.parametrize("factor", [50, 100, 200, 1000])
def test_unnamed_whole_numbers_are_refused_because_their_scale_is_unknown(factor):
    raw = np.round(from_db(backscatter_db().astype(np.float32), "amplitude") * factor)
    with pytest.raises(InputError, match="may be the digital numbers of a Sentinel-1 GRD"):
        find_units(pair(raw), Claims("uint16"), subject="x.tif")


def test_digital_numbers_at_an_unusual_level_give_a_warning():
    found = find_units(scene("dn", 2, backscatter_db() + 11), COUNTS, subject="x.tif")
    assert any("unusual median" in warning for warning in found.warnings)


@pytest.mark.parametrize(("offset", "span"), [(30, 30), (50, 55), (40, 50), (35, 40)])
@pytest.mark.parametrize("given", [None, "power", "amplitude"])
def test_db_scaled_to_zero_to_one_is_refused_whatever_the_file_is_called(offset, span, given):
    scaled = np.clip((backscatter_db() + offset) / span, 0, 1)
    with pytest.raises(InputError):
        find_units(pair(scaled), Claims("float32", named=True), subject="S1.tif", given=given)


@pytest.mark.parametrize("kind", ["ln power", "bel", "20 log10 of power", "10 log10 of amplitude"])
def test_other_logarithms_are_refused(kind):
    db = backscatter_db()
    values = {"ln power": db * np.log(10) / 10, "bel": db / 10, "20 log10 of power": 2 * db,
              "10 log10 of amplitude": db / 2}[kind]  # fmt: skip
    with pytest.raises(InputError):
        find_units(pair(values), Claims("float32", named=True), subject="S1.tif")


def test_one_band_without_any_name_is_refused():
    with pytest.raises(InputError, match=r"neither its name nor its one band.*scene_VV\.tif"):
        find_units(scene("db", 1), Claims("float32", polarised=False), subject="x.tif")


@pytest.mark.parametrize("share", [0.01, 0.59])
@pytest.mark.parametrize(
    ("units", "fill"),
    [("db", -60.0), ("db", -80.0), ("db", 99.0), ("db", 9999.0), ("power", 1e-10), ("power", 65535.0),
     ("power", 9999.0), ("power", -1.0), ("dn", 65535.0)],
)  # fmt: skip
def test_fill_without_a_tag_changes_neither_the_units_nor_the_speckle(units, fill, share):
    raw = from_db(backscatter_db().astype(np.float32), units)
    border = np.zeros(raw.shape[1:], bool)
    border.ravel()[: int(share * border.size)] = True
    raw[:, border] = fill
    found = find_units(pair(raw), claims(units), subject="x.tif")
    assert (found.units, found.warnings) == (units, ())


def test_values_cut_at_a_limit_do_not_hide_the_speckle():
    cut = np.maximum(backscatter_db(), -10.0)
    assert find_units([sample(cut[0]), sample(np.maximum(cut[1], -17), "VH")], FLOAT, subject="x.tif").units == "db"


def test_power_that_noise_removal_left_below_zero_is_power():
    raw = from_db(backscatter_db().astype(np.float32), "power")
    raw[1] -= np.percentile(raw[1], 20)
    assert find_units(pair(raw), FLOAT, subject="x.tif").units == "power"


def test_depths_below_sea_level_are_no_db():
    depths = np.where(elevation(1) > 0, elevation(1) - 75.0, 0.0)
    with pytest.raises(InputError):
        find_units([sample(depths)], Claims("int16", named=True), subject="S1_VV.tif")


@pytest.mark.parametrize("given", [None, "dn", "intensity"])
@pytest.mark.parametrize("band", [0, 1])
def test_db_without_their_sign_are_refused_also_when_units_are_stated(band, given):
    vv = sample(np.abs(backscatter_db()[band]))
    with pytest.raises(InputError, match="may be dB that lost their sign") as caught:
        find_units([vv], Claims("float32", named=True), subject="x.tif", given=given)
    assert "multiply them by -1" in caught.value.remedy


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("below", [10.0, 12.0])
def test_dark_digital_numbers_are_not_taken_for_db_without_their_sign(rounded, below):
    # Medians of 24 and 19: the level of dB without sign.
    raw = from_db(backscatter_db()[0] - below, "dn")
    assert 4 < np.median(raw) < 36
    vv = sample(raw.round() if rounded else raw)
    assert find_units([vv], Claims("float32", named=True), subject="x.tif", given="dn").units == "dn"


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("offset", [-7.0, -3.0])
def test_a_second_band_that_was_computed_from_the_first_is_refused(factor, offset):
    vv = backscatter_db()[0].astype(np.float32)
    readings: tuple[Units, ...] = ("db", "power")
    for units in readings:
        raw = np.stack([from_db(values, units) for values in (vv, factor * vv + offset)])
        with pytest.raises(InputError, match="its VH was computed from its VV"):
            find_units(pair(raw), FLOAT, subject="x.tif", given=units)


def test_bands_that_are_filtered_strongly_are_not_taken_for_computed_ones():
    db = 10.0 * np.log10(ndimage.uniform_filter(10.0 ** (backscatter_db() / 10.0), (0, 9, 9)))
    assert find_units(pair(db), Claims("float32", named=True), subject="x.tif").units == "db"


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (2.0, True), (5.0, False), (10.0, False)])
def test_digital_numbers_that_are_too_large_are_refused(factor, right):
    samples = [sample(factor * band.patches[0], band.polarisation) for band in scene("dn")]
    if right:
        assert find_units(samples, COUNTS, subject="x.tif").units == "dn"
        return
    with pytest.raises(InputError, match="which is not backscatter"):
        find_units(samples, COUNTS, subject="x.tif")


@pytest.mark.parametrize("given", ["dn", "intensity"])
@pytest.mark.parametrize(("factor", "offset"), [(10.0, 35.0), (100.0, 35.0), (100.0, 0.0), (1000.0, 0.0)])
def test_a_linear_function_of_db_is_not_read_as_digital_numbers(factor, offset, given):
    vv = sample(factor * np.abs(backscatter_db()[0] + offset))
    with pytest.raises(InputError):
        find_units([vv], Claims("float32", named=True), subject="x.tif", given=given)
