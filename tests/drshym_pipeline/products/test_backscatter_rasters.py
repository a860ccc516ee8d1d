"""The backscatter of a map: the values of the scene on the map's grid, beside products that do not change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer

from drshym_pipeline.errors import InputError
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.products.backscatter_rasters import NOT_OBSERVED_STEP, as_steps
from drshym_pipeline.records import MapRecord
from drshym_pipeline.sar.codes import decode_db, encode_db
from drshym_pipeline.scene_folder import BACKSCATTER_KINDS, PRODUCT_KINDS
from tests.small_scenes import write_lake_scene

TILE = {"tile": 96, "overlap": 24}
NOW, BEFORE = "S1_20210111_T1234.tif", "S1_20201230_T1234.tif"
STEP_DB = 0.01
# Half a step of the file, half a step of the stored backscatter, and the float32 codes of about 40,000 that it is
# rounded from (2^-8 of a code).
ROUNDING_DB = STEP_DB / 2 + 1 / 800 + 2**-8 / 400


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("in")
    return {
        "now": write_lake_scene(folder / NOW),
        # Another grid: shifted by 7 columns and 3.4 rows, and smaller.
        "before": write_lake_scene(folder / BEFORE, shape=(150, 280), origin=(500_070.0, 1_999_966.0), seed=7),
    }


@pytest.fixture(scope="module")
def mapped(tmp_path_factory, sources, random_bundle) -> tuple[Path, MapRecord]:
    out = tmp_path_factory.mktemp("out")
    options = {"pre": [sources["before"]], "backscatter": True, **TILE}
    return out, map_scene([sources["now"]], out, random_bundle, random_bundle.reference("checkpoint"), **options)


def decibels(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        assert source.dtypes[0] == "int16"
        assert source.nodata == NOT_OBSERVED_STEP
        values = source.read(masked=True).astype(float) * source.scales[0]
    return values.filled(np.nan)


def test_codes_are_rounded_to_the_nearest_step_over_the_whole_range():
    codes = np.arange(1 << 16, dtype=np.uint16)
    steps = as_steps(codes)
    assert steps[0] == NOT_OBSERVED_STEP
    np.testing.assert_allclose(steps[1:] * STEP_DB, decode_db(codes[1:]), atol=STEP_DB / 2 + 1e-5)
    assert (np.diff(steps[1:].astype(int)) >= 0).all()


def test_the_backscatter_is_that_of_the_scene_on_the_grid_of_the_mask(mapped, sources):
    out, record = mapped
    with rasterio.open(out / record.files["backscatter"]) as source, rasterio.open(sources["now"]) as scene:
        assert source.descriptions == ("VV", "VH")
        assert source.shape == record.shape
        assert tuple(source.transform)[:6] == record.transform
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        expected = scene.read()
    np.testing.assert_allclose(decibels(out / record.files["backscatter"]), expected, atol=ROUNDING_DB)


def test_the_backscatter_before_is_on_the_grid_of_the_present_scene(mapped, sources):
    out, record = mapped
    found = decibels(out / record.files["backscatter_before"])
    assert found.shape[1:] == record.shape
    with rasterio.open(sources["before"]) as scene:
        before = scene.read()
    # Row r of the map is row r - 3.4 of the other scene: the nearest one is r - 3.
    np.testing.assert_allclose(found[:, 4:150, 7:287], before[:, 1:147, :280], atol=ROUNDING_DB)
    assert np.isnan(found[:, :, :7]).all()
    assert np.isnan(found[:, 155:]).all()


def test_overviews_do_not_mix_values_with_pixels_that_were_not_observed(random_bundle, tmp_path):
    scene = write_lake_scene(tmp_path / NOW, shape=(600, 1100))
    out = tmp_path / "out"
    record = map_scene([scene], out, random_bundle, random_bundle.reference("checkpoint"), backscatter=True, tile=512)
    with rasterio.open(out / record.files["backscatter"], OVERVIEW_LEVEL=0) as source:
        values = source.read(1, masked=True) * STEP_DB
    assert values.shape == (300, 550)
    assert values.mask.any()
    assert values.min() > -40.0, "no mean contains the number for not observed"


def test_the_other_products_are_the_same_with_and_without_it(mapped, sources, random_bundle, tmp_path):
    out, record = mapped
    reference = random_bundle.reference("checkpoint")
    plain = map_scene([sources["now"]], tmp_path, random_bundle, reference, pre=[sources["before"]], **TILE)
    assert set(record.files) - set(plain.files) == set(BACKSCATTER_KINDS)
    assert record.map_version == plain.map_version
    same = [kind for kind in PRODUCT_KINDS if kind in plain.files and kind not in {"report", "record"}]
    for kind in same:
        assert (out / record.files[kind]).read_bytes() == (tmp_path / plain.files[kind]).read_bytes(), kind


def test_a_map_without_a_scene_from_before_has_only_its_own_and_a_later_map_without_it_deletes_it(
    sources, random_bundle, tmp_path
):
    reference = random_bundle.reference("checkpoint")
    record = map_scene([sources["now"]], tmp_path, random_bundle, reference, backscatter=True, **TILE)
    assert {kind for kind in BACKSCATTER_KINDS if kind in record.files} == {"backscatter"}
    assert (tmp_path / record.files["backscatter"]).is_file()
    map_scene([sources["now"]], tmp_path, random_bundle, reference, **TILE)
    assert not (tmp_path / record.files["backscatter"]).exists()


def test_a_users_own_raster_of_that_name_is_neither_in_the_way_nor_deleted(sources, random_bundle, tmp_path):
    own = tmp_path / "S1_20210111_T1234_backscatter.tif"
    own.write_bytes(b"the user's")
    reference = random_bundle.reference("checkpoint")
    for _ in range(2):
        map_scene([sources["now"]], tmp_path, random_bundle, reference, **TILE)
        assert own.read_bytes() == b"the user's"
    own_scene = tmp_path / "other"
    own_scene.mkdir()
    (own_scene / own.name).write_bytes(b"the user's")
    with pytest.raises(InputError, match=r"_backscatter\.tif: the file already exists and is not of this scene"):
        map_scene([sources["now"]], own_scene, random_bundle, reference, backscatter=True, **TILE)


def test_the_image_of_a_scene_with_control_points_is_moved_to_the_grid_of_its_mask(random_bundle, tmp_path):
    """A dark square of the image is where its control points say, to two pixels."""
    from rasterio.control import GroundControlPoint

    height, width, turn = 240, 200, np.radians(12)
    rows, cols = np.mgrid[:height, :width]
    dark = (abs(rows - 90) < 20) & (abs(cols - 140) < 20)
    db = np.where(dark, -22.0, -9.0) + np.random.default_rng(1).normal(0, 1.2, (height, width))
    to_degrees = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)

    def place(row: float, col: float) -> tuple[float, float]:
        return (
            500_000.0 + 10 * (col * np.cos(turn) - row * np.sin(turn)),
            4_983_000.0 - 10 * (col * np.sin(turn) + row * np.cos(turn)),
        )

    points = [
        GroundControlPoint(row, col, *to_degrees.transform(*place(row, col)), 0.0)
        for row in np.linspace(0, height, 6)
        for col in np.linspace(0, width, 6)
    ]
    path = tmp_path / NOW
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": height, "width": width}
    with rasterio.open(path, "w", **profile, crs="EPSG:4326", gcps=points) as target:
        target.write((10 ** ((db + 50) / 20)).round().astype(np.uint16), 1)
        target.descriptions = ("VV",)
    out = tmp_path / "out"
    record = map_scene([path], out, random_bundle, random_bundle.reference("checkpoint"), backscatter=True, **TILE)
    with rasterio.open(out / record.files["backscatter"]) as source, rasterio.open(out / record.files["mask"]) as mask:
        assert (source.shape, source.transform, source.crs) == (mask.shape, mask.transform, mask.crs)
        vv, seen = source.read(1, masked=True) * STEP_DB, mask.read(1) != 255
        found_rows, found_cols = np.nonzero((vv < -16.0).filled(False))
        x, y = source.transform @ (found_cols.mean() + 0.5, found_rows.mean() + 0.5)
    assert (seen & ~np.ma.getmaskarray(vv)).sum() > 0.98 * seen.sum()
    assert np.hypot(*np.subtract((x, y), place(90.5, 140.5))) < 20.0
    np.testing.assert_allclose(as_steps(encode_db(np.float32([-9.004]))), [-900])
