"""Rasters of many forms give the dB of the clean file, or a refusal; docs/input_contract.md has the rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import SceneMeta, Units
from drshym_pipeline.sar.scene import SceneReader, describe_scene
from drshym_pipeline.sar.validity import FLOOR_DB
from drshym_pipeline.tiling import Window
from tests.examples import examples
from tests.look_alikes import NOT_BACKSCATTER, backscatter_db
from tests.units import from_db

CLEAN = backscatter_db().astype(np.float32)
BLOCK = (slice(60, 90), slice(10, 50))  # on land
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {},
    "strips of 7 rows": {"blockysize": 7, "compress": "deflate"},
    "tiles": {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "lzw"},
    "by band": {"interleave": "band", "compress": "deflate"},
    "plain tiles": {"tiled": True, "blockxsize": 64, "blockysize": 16},
}


def read(path: Path, units: Units | None = None) -> tuple[SceneMeta, np.ndarray]:
    """Return the description of a scene and its dB."""
    meta = describe_scene([path], units=units)
    with SceneReader(meta, Path()) as reader:
        return meta, reader.read(Window(0, 0, meta.height, meta.width))


def tag(path: Path, *, scale: float = 1.0, offset: float = 0.0) -> Path:
    """Write a scale and an offset into a file."""
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (scale,) * dataset.count
        dataset.offsets = (offset,) * dataset.count
    return path


def without(db: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return dB with NaN in all bands where any is missing."""
    result = db.copy()
    result[:, missing if missing.ndim == 2 else missing.any(axis=0)] = np.nan
    return result


def block() -> np.ndarray:
    """Return a mask that is True in `BLOCK`."""
    mask = np.zeros(CLEAN.shape[1:], bool)
    mask[BLOCK] = True
    return mask


# --- which pixels are valid ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bands", [1, 2])
def test_pixels_under_an_internal_mask_are_not_observed(write_tiff, bands):
    dark = CLEAN[:bands].copy()
    dark[:, *BLOCK] = -28.0
    path = write_tiff(dark, "S1_a_VV.tif" if bands == 1 else "S1_a.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(~block())
    meta, db = read(path)
    np.testing.assert_array_equal(db, without(dark, block()))
    assert meta.observed_fraction == pytest.approx(1 - block().mean())


@pytest.mark.parametrize("place", [1, 2, 3])
def test_alpha_is_no_band_and_pixels_with_alpha_zero_are_not_observed(write_tiff, place):
    dark = CLEAN.copy()
    dark[:, *BLOCK] = -28.0
    alpha = np.where(block(), 0.0, 255.0).astype(np.float32)
    values = np.insert(dark, place - 1, alpha, axis=0)
    path = write_tiff(values, "S1_a.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [
            ColorInterp.alpha if band == place else ColorInterp.gray if band == 1 else ColorInterp.undefined
            for band in (1, 2, 3)
        ]
    meta, db = read(path)
    assert place not in [band.band for band in meta.bands]
    np.testing.assert_array_equal(db, without(dark, block()))


def test_a_file_with_alpha_alone_is_refused(write_tiff):
    path = write_tiff(CLEAN[:1], "S1_a.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.alpha]
    with pytest.raises(InputError, match="only band is alpha"):
        read(path)


def test_a_mask_in_a_second_file_is_refused_and_written_into_the_file_it_is_used(write_tiff):
    path = write_tiff(CLEAN, "S1_a.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(~block())
    assert path.with_name("S1_a.tif.msk").is_file()
    with pytest.raises(InputError, match=r"mask in a second file.*GDAL_TIFF_INTERNAL_MASK YES"):
        read(path)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        rasterio.shutil.copy(path, path.with_name("S1_b.tif"), driver="GTiff")
    np.testing.assert_array_equal(read(path.with_name("S1_b.tif"))[1], without(CLEAN, block()))


@pytest.mark.parametrize("share", [0.005, 0.23])
@pytest.mark.parametrize("fill", [-9999.0, -999.0, -99.0, -3.4e38])
@pytest.mark.parametrize("units", ["db", "power"])
def test_numbers_for_no_data_without_a_tag_are_not_observed_and_named(write_tiff, units, fill, share):
    values = from_db(CLEAN, units).astype(np.float32)
    missing = np.random.default_rng(1).random(CLEAN.shape[1:]) < share
    values[:, missing] = fill
    meta, db = read(write_tiff(values, "S1_a.tif"))
    assert meta.units == units
    np.testing.assert_allclose(db, without(CLEAN, missing), atol=1e-3)
    (note,) = [warning for warning in meta.warnings if warning.startswith(f"{missing.mean():.1%} of VV")]
    assert f"{fill:.6g}" in note and "not observed" in note


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("nodata", [None, -9999.0, 0.0])
@pytest.mark.parametrize(
    ("units", "zero"),
    [("power", 0.0), ("power", -1e-4), ("power", 1e-10), ("dn", 0.0), ("db", 0.0), ("db", -np.inf), ("db", -100.0)],
)
def test_vh_that_noise_removal_cut_at_zero_is_at_the_floor(write_tiff, units, zero, nodata, layout):
    values = from_db(CLEAN, units)
    cut = CLEAN[1] <= np.percentile(CLEAN[1], 9)
    values[1, cut] = zero
    border = np.zeros_like(cut)
    border[:30], border[:, -3:] = True, True  # without VH; three columns at the edge of the scene are a border too
    values[1, border] = zero
    dtype = "uint16" if units == "dn" else "float32"
    if units == "dn" and nodata == -9999:
        nodata = 65535
    meta, db = read(write_tiff(values.round().astype(dtype) if units == "dn" else values.astype(dtype), "S1_a.tif",
                               nodata=nodata, **LAYOUTS[layout]))  # fmt: skip
    assert np.isnan(db[:, border]).all()
    inside = ~border
    assert np.isfinite(db[0][inside]).all()
    assert (db[1][inside & cut] == FLOOR_DB).all()
    np.testing.assert_allclose(db[1][inside & ~cut], CLEAN[1][inside & ~cut], atol=0.5 if units == "dn" else 1e-3)
    assert any("of VH is zero, as after noise removal" in warning for warning in meta.warnings)


def test_negative_power_is_never_the_floor(write_tiff):
    values = from_db(CLEAN, "power").astype(np.float32)
    holes = np.random.default_rng(1).random(CLEAN.shape[1:]) < 0.01
    values[1, holes] = -9999.0
    np.testing.assert_allclose(read(write_tiff(values, "S1_a.tif"))[1], without(CLEAN, holes), atol=1e-3)


def test_the_noise_at_the_border_of_a_product_is_not_observed_or_warned_of(write_tiff):
    fringe = np.zeros(CLEAN.shape[1:], bool)
    fringe[:, :8] = True
    rng = np.random.default_rng(1)
    power = from_db(CLEAN, "power").astype(np.float32)
    power[:, fringe] = 10 ** rng.uniform(-8, -5.001, (2, fringe.sum()))
    meta, db = read(write_tiff(power, "S1_a.tif"))
    np.testing.assert_allclose(db, without(CLEAN, fringe), atol=1e-3)
    assert any(warning.startswith("5.0% of VV is outside the limits") for warning in meta.warnings)
    counts = from_db(CLEAN, "dn").round().astype(np.uint16)
    counts[:, fringe] = rng.integers(1, 6, (2, fringe.sum()))
    meta, _ = read(write_tiff(counts, "S1_b.tif"))
    assert any(warning.startswith("5.0% of VV is below -35 dB") for warning in meta.warnings)


@pytest.mark.parametrize("nodata", [None, 0.0, float("nan"), -9999.0])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_border_of_zeros_at_the_bottom_is_mapped(write_tiff, layout, nodata):
    values = CLEAN.copy()
    values[:, 128:] = 0
    meta, db = read(write_tiff(values, "S1_a.tif", nodata=nodata, **LAYOUTS[layout]))
    np.testing.assert_array_equal(np.isnan(db[0]), values[0] == 0)
    assert meta.observed_fraction == pytest.approx(0.8)


@pytest.mark.parametrize("layout", ["strips", "plain tiles"])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_slanted_border_of_zeros_in_any_number_of_bands_is_mapped(write_tiff, count, layout):
    rows, cols = np.mgrid[: CLEAN.shape[1], : CLEAN.shape[2]]
    border = rows + 0.3 * cols > 150
    values = np.concatenate([CLEAN, CLEAN[:1], CLEAN[:1]])[:count]
    values = np.where(border, np.float32(0), values)
    _, db = read(write_tiff(values, "S1_a.tif", **LAYOUTS[layout]))
    np.testing.assert_array_equal(np.isnan(db[0]), border)


def test_zeros_inside_the_scene_are_named_and_those_of_a_border_are_not(write_tiff):
    values = from_db(CLEAN, "power").astype(np.float32)
    border = values.copy()
    border[:, :, :40] = 0
    assert not any("inside the scene" in note for note in read(write_tiff(border, "S1_a.tif"))[0].warnings)
    calm = CLEAN[0] < -21.0
    values[:, calm] = 0
    meta, db = read(write_tiff(values, "S1_b.tif"))
    np.testing.assert_array_equal(np.isnan(db[0]), calm)
    (note,) = [note for note in meta.warnings if "inside the scene" in note]
    assert float(note.split()[1].rstrip("%")) == pytest.approx(100 * calm.mean(), rel=0.2)


@pytest.mark.parametrize(("vv", "expected"), [(-5.0, np.nan), (-18.0, FLOOR_DB)])
def test_zero_db_is_a_cut_value_only_beside_a_dark_one(write_tiff, vv, expected):
    values = CLEAN.copy()
    values[0, 5::9, 5::9], values[1, 5::9, 5::9] = vv, 0.0
    _, db = read(write_tiff(values, "S1_a.tif"))
    np.testing.assert_array_equal(db[1, 5::9, 5::9], np.full_like(db[1, 5::9, 5::9], expected))


# --- what the values are ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "scale", "offset", "accuracy"),
    [
        (lambda db: np.round(db * 100).astype(np.int16), 0.01, 0.0, 0.006),
        (lambda db: np.round(10 ** (db / 10) * 1e4).astype(np.uint16), 1e-4, 0.0, 0.9),
        (lambda db: np.round((db + 100) * 400).astype(np.uint16), 1 / 400, -100.0, 0.002),
        (lambda db: np.round((db + 45) * 5).astype(np.uint8), 0.2, -45.0, 0.11),
        (lambda db: np.round(10 ** (db / 20) * 1e4).astype(np.int32), 1e-4, 0.0, 0.05),
    ],
    ids=["int16 x 100", "uint16 power x 1e4", "uint16 with offset -100", "8 bits with scale", "int32 amplitude"],
)
def test_scale_and_offset_are_applied_first(write_tiff, stored, scale, offset, accuracy):
    meta, db = read(tag(write_tiff(stored(CLEAN), "S1_a.tif"), scale=scale, offset=offset))
    assert "scale:tags" in meta.processing
    difference = np.abs(db - CLEAN)[:, np.isfinite(db).all(axis=0)]
    assert np.isfinite(db).all(axis=0).mean() > 0.995
    assert np.percentile(difference[0], 99) <= accuracy


def test_the_nodata_tag_is_a_stored_number(write_tiff):
    values = np.round(CLEAN * 100).astype(np.int16)
    values[:, *BLOCK] = -1500  # -15 dB in every other place
    path = tag(write_tiff(values, "S1_a.tif", nodata=-1500), scale=0.01)
    missing = (values == -1500).any(axis=0)
    np.testing.assert_array_equal(np.isnan(read(path)[1][0]), missing)


@pytest.mark.parametrize(("scale", "offset"), [(0.0, 0.0), (float("nan"), 0.0), (1.0, float("inf"))])
def test_a_scale_that_cannot_be_used_is_refused(write_tiff, scale, offset):
    with pytest.raises(InputError, match=r"scale .* cannot be used\. Correct the tags"):
        read(tag(write_tiff(CLEAN, "S1_a.tif"), scale=scale, offset=offset))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_units_are_judged_from_all_columns(write_tiff, layout):
    wide = np.tile(from_db(CLEAN, "power"), (1, 1, 5)).astype(np.float32)
    wide[:, :, :400] *= 0.0  # nothing is measured in the columns on the left
    meta, _ = read(write_tiff(wide, "a.tif", **LAYOUTS[layout]))
    assert meta.units == "power"


@pytest.mark.parametrize("fill", [0.0, np.nan])
@pytest.mark.parametrize("place", [(0, 0), (700, 300), (900, 900)])
def test_a_small_scene_in_a_large_empty_raster_is_judged_by_its_pixels(write_tiff, place, fill):
    def inside(values: np.ndarray, fill: float = fill, dtype: str = "float32") -> np.ndarray:
        large = np.full((len(values), 1100, 1100), fill, dtype)
        rows, cols = (slice(start, start + 160) for start in place)
        large[:, rows, cols] = values
        return large

    meta, _ = read(write_tiff(inside(from_db(CLEAN, "power")), "S1_a.tif"))
    assert meta.units == "power"
    assert not any("too few" in note for note in meta.warnings)
    with pytest.raises(InputError, match="not a radar image"):
        read(write_tiff(inside(NOT_BACKSCATTER["elevation"][0](1)[np.newaxis], 0, "uint16"), "S1_VV.tif"))


@pytest.mark.parametrize(("kind", "dtype"), [("elevation", "uint16"), ("normalised dB", "float32")])
def test_holes_do_not_hide_what_a_raster_is(write_tiff, kind, dtype):
    values = NOT_BACKSCATTER[kind][0](1)
    values[np.random.default_rng(1).random(values.shape) < 0.2] = 0
    with pytest.raises(InputError, match=r"not a radar image|normalised"):
        read(write_tiff(values.astype(dtype), "S1_VV.tif"))


def test_a_picture_with_sixteen_bits_is_refused(write_tiff):
    picture = np.clip((CLEAN + 30) * 10, 1, 255).astype(np.uint16)
    with pytest.raises(InputError, match="stretched picture"):
        read(write_tiff(picture, "S1_a.tif"))


@pytest.mark.parametrize("bands", [1, 2])
def test_scaled_db_with_bright_targets_above_one_are_refused(write_tiff, bands):
    scaled = np.maximum(0.0, CLEAN[:bands] / 20.0 + 1.0)
    scaled[:, 70:73, 70:73] = 1.3
    with pytest.raises(InputError, match="normalised"):
        read(write_tiff(scaled.astype(np.float32), "S1_VV.tif" if bands == 1 else "S1_a.tif"))


@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize("units", ["power", "amplitude"])
def test_each_second_pixel_is_read_as_the_whole_or_both_units_are_named(write_tiff, units, bands):
    db = backscatter_db(320, 320).astype(np.float32)[:bands, ::2, ::2]
    path = write_tiff(from_db(db, units).astype(np.float32), "S1_VV.tif" if bands == 1 else "S1_a.tif")
    try:
        meta, _ = read(path)
    except InputError as error:
        assert "--units power or --units amplitude" in error.remedy
    else:
        assert meta.units == units


def test_unusual_second_bands_get_a_warning(write_tiff):
    ramp = np.broadcast_to(np.linspace(-20, -15, CLEAN.shape[2]), CLEAN.shape[1:])
    for vh, words in ((ramp - 4, "VH has no speckle"), (CLEAN[1] + 5.5, "dB are usual")):
        values = np.stack([CLEAN[0], vh]).astype(np.float32)
        meta, _ = read(write_tiff(values, "S1_a.tif", descriptions=("VV", "VH")))
        assert any(words in note for note in meta.warnings), words


def test_intensity_of_snap_is_recognised_by_its_band_names(write_tiff):
    values = from_db(CLEAN, "intensity").astype(np.float32)
    meta, db = read(write_tiff(values, "subset.tif", descriptions=("Intensity_VV", "Intensity_VH")))
    assert meta.units == "intensity"
    np.testing.assert_allclose(db, CLEAN, atol=1e-3)


def test_vv_in_db_with_vh_in_power_is_refused(write_tiff):
    values = np.stack([CLEAN[0], from_db(CLEAN[1], "power")]).astype(np.float32)
    with pytest.raises(InputError, match="different units"):
        read(write_tiff(values, "S1_a.tif"))


@pytest.mark.parametrize("name", ["a.tif", "S1A_IW_GRDH_VV.tif"])
@pytest.mark.parametrize(
    ("kind", "dtype"), [(kind, dtype) for kind, (_, dtypes) in NOT_BACKSCATTER.items() for dtype in dtypes]
)
def test_rasters_that_are_no_backscatter_are_refused(write_tiff, kind, dtype, name):
    path = write_tiff(NOT_BACKSCATTER[kind][0](1).astype(dtype), name)
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_two_dates_are_not_taken_for_vv_and_vh(write_tiff):
    dates = np.stack([CLEAN[0], backscatter_db(seed=3)[0].astype(np.float32)])
    with pytest.raises(InputError, match=r"first band is above the second in .* of pixels"):
        read(write_tiff(dates, "S1_stack.tif"))


@pytest.mark.parametrize("value", [0.0001, 1.0, 38.0])
def test_a_band_with_one_value_is_no_band_of_a_scene(write_tiff, value):
    values = np.stack([CLEAN[0], np.full_like(CLEAN[0], value)])
    with pytest.raises(InputError, match="band 2 has one value only"):
        read(write_tiff(values, "S1_a.tif"))


def test_files_whose_names_state_different_units_are_refused(write_tiff):
    paths = [write_tiff(from_db(CLEAN[0], "power").astype(np.float32), "S1_VV_power.tif"),
             write_tiff(from_db(CLEAN[1], "amplitude").astype(np.float32), "S1_VH_amplitude.tif")]  # fmt: skip
    with pytest.raises(InputError, match="different units, as their names say"):
        describe_scene(paths)


def test_many_pixels_with_one_band_only_give_a_warning(write_tiff):
    values = CLEAN.copy()
    values[1, :40] = np.nan
    meta, _ = read(write_tiff(values, "S1_a.tif"))
    assert any(warning.startswith("25.0% of the pixels have VV and no other band") for warning in meta.warnings)


def test_a_file_that_becomes_shorter_while_it_is_read_is_an_error_of_one_line(write_tiff, monkeypatch):
    from drshym_pipeline.sar import ingest

    path = write_tiff(CLEAN, "S1_a.tif")
    check = ingest.check_zero_tail

    def cut_and_check(dataset: Any, name: Path) -> str | None:
        with name.open("r+b") as handle:
            handle.truncate(2000)
        return check(dataset, name)

    monkeypatch.setattr(ingest, "check_zero_tail", cut_and_check)
    with pytest.raises(InputError, match="changed while it was read"):
        describe_scene([path])


# --- the family ------------------------------------------------------------------------------------------------------

FORMS: dict[str, tuple[Units, Callable[[np.ndarray], np.ndarray], float, float, float]] = {
    # units, stored values of dB, scale, offset, accuracy in dB of 99 % of VV
    "db": ("db", lambda db: db.astype(np.float32), 1.0, 0.0, 1e-3),
    "db in float64": ("db", lambda db: db.astype(np.float64), 1.0, 0.0, 1e-3),
    "power": ("power", lambda db: from_db(db, "power").astype(np.float32), 1.0, 0.0, 1e-3),
    "amplitude": ("amplitude", lambda db: from_db(db, "amplitude").astype(np.float32), 1.0, 0.0, 1e-3),
    "dn": ("dn", lambda db: from_db(db, "dn").round().astype(np.uint16), 1.0, 0.0, 0.4),
    "int16 x 100": ("db", lambda db: np.round(db * 100).astype(np.int16), 0.01, 0.0, 0.006),
    "uint16 power": ("power", lambda db: np.round(from_db(db, "power") * 1e5).astype(np.uint32), 1e-5, 0.0, 0.1),
    "offset": ("db", lambda db: np.round((db + 100) * 400).astype(np.uint16), 1 / 400, -100.0, 0.002),
}
FILLS = ("nan", "tag", "-9999", "-99", "0", "mask")


@st.composite
def forms(draw: st.DrawFn) -> dict[str, Any]:
    """Draw how a scene is written."""
    return {
        "form": draw(st.sampled_from(sorted(FORMS))),
        "fill": draw(st.sampled_from(FILLS)),
        "share": draw(st.sampled_from([0.0, 0.002, 0.05, 0.3])),
        "shape": draw(st.sampled_from(["block", "scattered", "border"])),
        "layout": draw(st.sampled_from(sorted(LAYOUTS))),
        "bands": draw(st.sampled_from(["VV,VH", "VH,VV", "VV", "unnamed"])),
        "name": draw(st.sampled_from(["S1_a.tif", "a.tif", "2021.tif"])),
        "seed": draw(st.integers(0, 30)),
        "level": draw(st.sampled_from([-3.0, 0.0, 2.0])),
    }


def missing_pixels(shape: str, share: float, seed: int, size: tuple[int, int]) -> np.ndarray:
    """Return which pixels are missing."""
    if shape == "scattered":
        return np.asarray(np.random.default_rng(seed).random(size) < share)
    mask = np.zeros(size, bool)
    side = round((share * mask.size) ** 0.5)
    if shape == "block":
        mask[20 : 20 + side, 30 : 30 + side] = True
    else:
        mask[:, : round(share * size[1])] = True
    return mask


@settings(examples(80, more=4), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(drawn=forms())
def test_any_form_of_a_scene_gives_the_same_db_or_a_refusal(write_tiff, drawn):
    db = backscatter_db(96, 96, drawn["seed"]).astype(np.float32) + drawn["level"]
    units, stored, scale, offset, accuracy = FORMS[drawn["form"]]
    missing = missing_pixels(drawn["shape"], drawn["share"], drawn["seed"], db.shape[1:])
    order = [1, 0] if drawn["bands"] == "VH,VV" else [0] if drawn["bands"] == "VV" else [0, 1]
    values = stored(db)[order]
    nodata: float | None = None
    signed = values.dtype.kind != "u"
    if drawn["fill"] == "nan" and values.dtype.kind == "f":
        values[:, missing] = np.nan
    elif drawn["fill"] == "tag":
        nodata = -9999 if signed else 65535
        values[:, missing] = nodata
    elif drawn["fill"] in ("-9999", "-99") and signed:
        values[:, missing] = float(drawn["fill"]) / (scale if drawn["fill"] == "-99" else 1.0)
    elif drawn["fill"] == "0":
        values[:, missing] = 0
    names = {"VV,VH": ("VV", "VH"), "VH,VV": ("VH", "VV"), "VV": ("VV",), "unnamed": ()}[drawn["bands"]]
    path = write_tiff(values, drawn["name"], descriptions=names, nodata=nodata, **LAYOUTS[drawn["layout"]])
    if (scale, offset) != (1.0, 0.0):
        tag(path, scale=scale, offset=offset)
    if drawn["fill"] == "mask" or (drawn["fill"] == "nan" and values.dtype.kind != "f") or (
        drawn["fill"] in ("-9999", "-99") and not signed
    ):  # fmt: skip
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
            dataset.write_mask(~missing)
    try:
        meta, found = read(path)
    except InputError as error:
        assert "\n" not in str(error) and path.name in str(error)
        asked = "power or amplitude" if units in ("power", "amplitude") else "pass --units dn"
        assert units in ("power", "amplitude", "dn") and asked in str(error), error
        meta, found = read(path, units)
    assert meta.units == units
    expected = db[sorted(order)]
    observed = np.isfinite(found).all(axis=0)
    assert not observed[missing].any()
    assert observed[~missing].mean() >= 0.995
    error_db = np.abs(found - expected)[:, observed & ~missing]
    assert np.percentile(error_db[0], 99) <= accuracy


@settings(examples(40, more=4), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    kind=st.sampled_from([(kind, dtype) for kind, (_, dtypes) in NOT_BACKSCATTER.items() for dtype in dtypes]),
    seed=st.integers(0, 200),
    name=st.sampled_from(["a.tif", "S1_a.tif", "a_VV.tif"]),
    units=st.sampled_from([None, "db", "power", "amplitude", "dn", "intensity"]),
)
def test_no_raster_that_is_not_backscatter_is_ever_mapped(write_tiff, kind, seed, name, units):
    path = write_tiff(NOT_BACKSCATTER[kind[0]][0](seed).astype(kind[1]), name)
    with pytest.raises(InputError) as caught:
        read(path, units)
    assert "\n" not in str(caught.value)
