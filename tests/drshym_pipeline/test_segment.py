"""`segment`: a scene as a file or as an array becomes a dataset, by the same road as `map_scene`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr

from drshym_pipeline import map_scene, segment
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import MapRecord
from drshym_pipeline.states import MASK_LEGEND

TILE = {"tile": 96, "overlap": 24}
NOW, BEFORE = "S1_20210111_T1234.tif", "S1_20201230_T1234.tif"


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder of temporary files, which must be empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="module")
def source(tmp_path_factory, scene_file) -> Path:
    return scene_file(tmp_path_factory.mktemp("now") / NOW)


@pytest.fixture(scope="module")
def before(tmp_path_factory, scene_file) -> Path:
    return scene_file(tmp_path_factory.mktemp("before") / BEFORE, lake=0.12, seed=7)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory, source, random_bundle) -> tuple[Path, MapRecord]:
    out = tmp_path_factory.mktemp("out")
    return out, map_scene(source, out, random_bundle, **TILE)


@pytest.fixture(scope="module")
def of_file(source, random_bundle) -> xr.Dataset:
    return segment(source, model=random_bundle, **TILE)


def opened(path: Path, **options) -> xr.DataArray:
    """Return the array of a file, read into memory."""
    with rioxarray.open_rasterio(path, **options) as array:
        return array.load()


def assert_same_map(one: xr.Dataset, other: xr.Dataset) -> None:
    assert set(one.data_vars) == set(other.data_vars)
    for name in other.data_vars:
        np.testing.assert_array_equal(one[name].values, other[name].values, err_msg=str(name))
        assert one[name].dtype == other[name].dtype
    for name in ("x", "y"):
        np.testing.assert_array_equal(one[name].values, other[name].values)
    assert one.rio.crs == other.rio.crs
    assert one.rio.transform() == other.rio.transform()
    different = {"source", "source_sha256", "map_version", "record"}
    assert {key: value for key, value in one.attrs.items() if key not in different} == {
        key: value for key, value in other.attrs.items() if key not in different
    }


def test_a_file_gives_the_map_of_map_scene(mapped, of_file):
    out, record = mapped
    with rasterio.open(out / record.files["mask"]) as mask, rasterio.open(out / record.files["proba"]) as proba:
        np.testing.assert_array_equal(of_file.mask.values, mask.read(1))
        stored = proba.read(1)
        assert of_file.rio.crs == mask.crs
        assert of_file.rio.transform() == mask.transform
    probability = of_file.probability.values
    assert probability.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(probability), stored == 65535)
    np.testing.assert_array_equal(np.rint(probability[stored != 65535] * 1e4).astype(int), stored[stored != 65535])
    assert set(of_file.data_vars) == {"mask", "probability"}


def test_the_attributes_have_areas_model_and_source_as_plain_values(mapped, of_file):
    record, attributes = mapped[1], of_file.attrs
    json.dumps(attributes)
    assert attributes["flooded_km2"] == record.flooded.km2
    assert (attributes["flooded_low_km2"], attributes["flooded_high_km2"]) == (
        record.flooded.low_km2,
        record.flooded.high_km2,
    )
    assert attributes["flooded_text"] == record.flooded.text()
    assert (attributes["caption"], attributes["warnings"]) == (record.caption, list(record.warnings))
    assert (attributes["threshold"], attributes["calibration"]) == (0.47, record.calibration.text())
    assert (attributes["scene_id"], attributes["model_sha256"]) == (record.scene_id, record.model.sha256)
    assert (attributes["map_version"], attributes["source"]) == (record.map_version, [_path(record)])
    whole = MapRecord.model_validate_json(attributes["record"])
    same = {"files", "seconds", "created_at"}
    assert whole.model_dump(exclude=same) == record.model_dump(exclude=same)
    assert whole.files == {}


def _path(record: MapRecord) -> str:
    return record.source_uris[0].removeprefix("file://")


def test_a_map_is_the_same_when_it_is_read_from_zarr_as_documented(tmp_path, of_file):
    of_file.to_zarr(tmp_path / "map.zarr", consolidated=False)
    read = xr.open_zarr(tmp_path / "map.zarr", decode_coords="all", mask_and_scale=False, consolidated=False).load()
    xr.testing.assert_equal(read, of_file)
    assert (read.rio.crs, read.rio.transform()) == (of_file.rio.crs, of_file.rio.transform())
    assert (read.attrs, read.mask.dtype) == (of_file.attrs, np.uint8)


def test_the_states_are_named_by_the_cf_conventions(of_file):
    mask = of_file.mask
    assert dict(zip(mask.attrs["flag_meanings"].split(), mask.attrs["flag_values"].tolist(), strict=True)) == (
        MASK_LEGEND
    )
    assert mask.attrs["flag_values"].dtype == mask.dtype
    assert mask.rio.nodata == 255
    assert np.isnan(of_file.probability.rio.nodata)


@pytest.mark.parametrize("options", [{}, {"masked": True}, {"mask_and_scale": True}, {"chunks": False}])
def test_an_opened_scene_gives_the_map_of_its_file(source, random_bundle, of_file, options):
    with rioxarray.open_rasterio(source, **{key: value for key, value in options.items() if value}) as array:
        assert_same_map(segment(array, model=random_bundle, **TILE), of_file)


def test_an_array_that_was_made_in_memory_gives_the_same_pixels(source, random_bundle, of_file):
    values = opened(source)
    array = xr.DataArray(
        values.values,
        dims=("pol", "y", "x"),
        coords={"pol": ["VV", "VH"], "y": values.y.values, "x": values.x.values, "time": np.datetime64("2021-01-11")},
        name="backscatter",
    ).rio.write_crs("EPSG:32644")
    found = segment(array, model=random_bundle, **TILE)
    np.testing.assert_array_equal(found.mask.values, of_file.mask.values)
    assert found.x.equals(array.x.drop_vars(["time", "spatial_ref"]).assign_coords(spatial_ref=found.spatial_ref))
    assert found.attrs["source"] == ["DataArray 'backscatter'"]
    assert (found.attrs["scene_id"], found.attrs["acquired_at"][:10]) == ("backscatter", "2021-01-11")
    # Maps of arrays and their scenes can be computed with each other.
    assert array.where(found.mask == 0).shape == array.shape


@pytest.mark.parametrize("selected", [{"band": [2, 1]}, {"band": 1}])
def test_a_selection_of_bands_keeps_their_names(source, random_bundle, selected):
    array = opened(source).sel(selected)
    found = segment(array, model=random_bundle, **TILE)
    modality = MapRecord.model_validate_json(found.attrs["record"]).modality
    assert modality == ("sentinel1_sar_vv" if array.ndim == 2 else "sentinel1_sar_vv_vh")


def test_a_part_of_a_scene_is_at_its_place(source, random_bundle):
    """The transform in the attributes of a part is still that of the whole scene."""
    array = opened(source)[:, 40:, 60:]
    found = segment(array, model=random_bundle, **TILE)
    np.testing.assert_array_equal(found.x.values, array.x.values)
    a, _, c, _, e, f = found.rio.transform()[:6]
    assert (a, c, e, f) == (10.0, 500_600.0, -10.0, 1_999_600.0)


def test_rows_may_rise_to_the_north(source, random_bundle):
    array = opened(source).sortby("y")
    found = segment(array, model=random_bundle, **TILE)
    np.testing.assert_array_equal(found.y.values, array.y.values)
    assert found.rio.transform().e == 10.0


def test_stored_integers_with_scale_and_fill_value_are_those_of_the_file(tmp_path, source, random_bundle):
    path = tmp_path / "S1_scaled.tif"
    with rasterio.open(source) as original:
        values, profile = original.read(), original.profile
    stored = np.where(np.isnan(values), -32000, np.rint(values * 100)).astype(np.int16)
    with rasterio.open(path, "w", **{**profile, "dtype": "int16", "nodata": -32000}) as target:
        target.write(stored)
        target.scales, target.offsets = (0.01, 0.01), (0.5, 0.5)
        target.descriptions = ("VV", "VH")
    expected = segment(path, model=random_bundle, **TILE)
    assert_same_map(segment(opened(path), model=random_bundle, **TILE), expected)
    decoded = segment(opened(path, mask_and_scale=True), model=random_bundle, **TILE)
    # Decoded in another precision.
    assert (decoded.mask.values == expected.mask.values).mean() > 0.999


def test_a_pair_of_arrays_is_one_scene(tmp_path, scene_file, random_bundle):
    paths = [scene_file(tmp_path / f"x_{name}.tif", bands=(name,), shape=(96, 96)) for name in ("VV", "VH")]
    expected = segment(paths, model=random_bundle, **TILE)
    assert expected.attrs["scene_id"] == "x"
    assert_same_map(segment([opened(path) for path in paths], model=random_bundle, **TILE), expected)


def test_with_a_scene_from_before_the_states_are_apart(tmp_path, source, before, random_bundle):
    record = map_scene(source, tmp_path / "out", random_bundle, pre=before, **TILE)
    found = segment(source, before, model=random_bundle, **TILE)
    assert set(found.data_vars) == {"mask", "probability", "reference", "flood_probability"}
    with rasterio.open(tmp_path / "out" / record.files["mask"]) as mask:
        np.testing.assert_array_equal(found.mask.values, mask.read(1))
    assert {1, 2} <= set(np.unique(found.mask.values))
    assert found.attrs["other_water_text"] == record.separation.other_water.text()
    assert found.attrs["water_km2"] == record.separation.water.km2
    assert_same_map(segment(opened(source), opened(before), model=random_bundle, **TILE), found)


def test_name_time_and_threshold_can_be_given(source, before, random_bundle):
    array = opened(source).rename("now")
    array.encoding.clear()
    found = segment(
        array, model=random_bundle, scene_id="lake", acquired=datetime(2021, 1, 12, 5), threshold=0.6, **TILE
    )
    assert found.attrs["scene_id"] == "lake"
    assert found.attrs["acquired_at"] == datetime(2021, 1, 12, 5, tzinfo=UTC).isoformat()
    assert (found.attrs["threshold"], found.attrs["model_threshold"]) == (0.6, 0.47)
    assert found.attrs["flooded_low_km2"] == 0.0
    assert "flooded_expected_km2" not in found.attrs
    later = datetime(2020, 1, 1)
    with pytest.raises(InputError, match=r"cannot be used as the pre-event scene \(pre\): is of 30 December 2020"):
        segment(array, opened(before), model=random_bundle, acquired=later, **TILE)


def wrong(change):
    return pytest.param(change, id=change.__name__)


def no_crs(array):
    return array.drop_vars("spatial_ref"), "has no CRS", "rio.write_crs"


def three_bands(array):
    whole = xr.concat([array, array[:1]], "band").assign_coords(band=[1, 2, 3])
    whole.attrs.pop("long_name")
    return whole, "has 3 bands, and their names do not say which is VV", "bands="


def complex_values(array):
    return array.astype("complex64"), "complex values (complex64)", "GRD or RTC"


def transposed(array):
    return array.transpose("y", "x", "band"), "(y, x, band) are in another order", "transpose('band', 'y', 'x')"


def turned_around(array):
    return array.transpose("band", "x", "y"), "(band, x, y) are in another order", "transpose('band', 'y', 'x')"


def falling(array):
    return array.sortby("x", ascending=False), "its coordinates x fall", "sortby('x')"


def irregular(array):
    places = array.x.values.copy()
    places[5] += 4.0
    return array.assign_coords(x=places), "its coordinates x do not have equal steps", "regular grid"


def without_coordinates(array):
    return array.drop_vars(["x", "y"]), "has no coordinates x", "the path of its file"


def other_dimensions(array):
    return array.rename(y="row", x="col"), "its dimensions (band, row, col) are not y and x", "Rename"


def four_dimensions(array):
    return array.expand_dims("time"), "has the dimensions (time, band, y, x)", "isel(time=0)"


def two_times(array):
    times = np.array(["2021-01-01", "2021-01-13"], "datetime64[ns]")
    return array.rename(band="time").assign_coords(time=times), "has 2 times in time", "isel(time=0)"


def texts(array):
    return array.astype(str), "not numbers", "float32"


def nothing(array):
    return array[:, :0], "has no pixel", "selection"


def fill_value(array):
    found = array.fillna(0).astype("uint8")
    found.attrs["_FillValue"] = -9999
    return found, "its fill value does not fit the type uint8", "write_nodata"


def places_outside(array):
    return array.assign_coords(y=array.y.values + 5e9), "are outside its CRS", "rio.write_crs"


def an_index(array):
    return (array * 0 - 0.5) + np.linspace(0, 0.4, array.sizes["x"]), "", ""


@pytest.mark.parametrize(
    "change",
    [
        wrong(change)
        for change in (
            *(no_crs, three_bands, complex_values, transposed, turned_around, falling, irregular, without_coordinates),
            *(other_dimensions, four_dimensions, two_times, texts, nothing, fill_value, places_outside, an_index),
        )
    ],
)
def test_a_wrong_array_is_refused_by_its_name(source, random_bundle, temporary, change):
    array, problem, remedy = change(opened(source).rename("vv"))
    with pytest.raises(InputError) as refused:
        segment(array.rename("vv"), model=random_bundle, **TILE)
    error = refused.value
    assert error.subject == "DataArray 'vv'"
    assert problem in error.problem
    assert remedy in error.remedy
    assert "\n" not in str(error)
    assert not any(text in str(error) for text in (str(temporary), "--", "side-car", ".tif"))


@pytest.mark.parametrize(("given", "problem"), [(3, "type int"), (None, "type NoneType"), ({}, "type dict")])
def test_what_is_no_scene_is_refused(random_bundle, given, problem):
    with pytest.raises(InputError, match=problem):
        segment(given, model=random_bundle)


def test_a_dataset_is_refused_with_the_way_to_an_array(source, random_bundle):
    dataset = opened(source).to_dataset("band").rename({1: "vv", 2: "vh"})
    with pytest.raises(InputError, match="has the variables vv, vh") as refused:
        segment(dataset, model=random_bundle)
    assert "to_array('band')" in refused.value.remedy
    array = dataset[["vv", "vh"]].to_array("band").rio.write_crs("EPSG:32644")
    assert segment(array, model=random_bundle, **TILE).attrs["scene_id"] == "scene"


def test_nothing_is_written_beside_the_scene(source, random_bundle):
    there = {path.name for path in source.parent.iterdir()}
    segment(str(source), model=random_bundle, **TILE)
    assert {path.name for path in source.parent.iterdir()} == there


REPROJECTED = """
import sys
from drshym_pipeline import segment
flood = segment(sys.argv[1])
for array in (flood.mask, flood.probability):
    moved = array.rio.reproject("EPSG:4326")
    print(moved.rio.crs, moved.dtype, moved.rio.nodata)
"""


@pytest.mark.system
def test_a_map_can_be_reprojected_in_a_new_process(source, tmp_path):
    """The drivers that are left out for files of unknown origin are left out for a whole process."""
    done = subprocess.run(
        [sys.executable, "-c", REPROJECTED, str(source)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["EPSG:4326 uint8 255", "EPSG:4326 float32 nan"]
    assert not list(tmp_path.glob(".partial-*"))
