"""Real Sentinel-1 chips, and damaged files that are meant to crash readers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.transform import GCPTransformer

from drshym_pipeline.errors import InputError
from drshym_pipeline.products.bands import Band
from drshym_pipeline.products.geocode import geocoded
from drshym_pipeline.sar.georeference import control_points
from drshym_pipeline.sar.ground_control import gdal_points
from drshym_pipeline.sar.safe_open import open_raster, open_scene_file
from drshym_pipeline.sar.scene import SceneReader, describe_scene, stage_scene
from drshym_pipeline.states import mask_of
from drshym_pipeline.tiling import Window
from tests.look_alikes import backscatter_db
from tests.units import from_db

pytestmark = pytest.mark.real
S1HAND = "sen1floods11/v1.1/data/flood_events/HandLabeled/S1Hand"
OBSERVED_CHIPS = 7


def observed_chips(real_data) -> list[Path]:
    """Return the chips that have measurements; a loop over an empty list would test nothing."""
    found = sorted(path for path in (real_data / S1HAND).glob("*.tif") if not path.name.startswith("Paraguay"))
    assert len(found) == OBSERVED_CHIPS
    return found


def test_a_chip_in_degrees_is_read_as_it_is(real_data, tmp_path):
    path = real_data / S1HAND / "Spain_7370579_S1Hand.tif"
    meta, directory = stage_scene([path], tmp_path)
    with rasterio.open(path) as source:
        assert meta.transform == tuple(source.transform)[:6]
        assert (meta.crs, meta.shape) == ("EPSG:4326", source.shape)
        expected = source.read()
    assert (meta.units, meta.mode, meta.observed_fraction, meta.warnings) == ("db", "vv_vh", 1.0, ())
    assert meta.statistics["VV"].p50 == pytest.approx(-10.5, abs=0.1)
    with SceneReader(meta, directory) as reader:
        np.testing.assert_array_equal(reader.read(Window(100, 200, 64, 32)), expected[:, 100:164, 200:232])


def test_a_chip_with_only_nan_is_accepted_with_a_warning(real_data):
    meta = describe_scene([real_data / S1HAND / "Paraguay_34417_S1Hand.tif"])
    assert (meta.observed_fraction, meta.statistics, meta.units) == (0.0, {}, "db")
    assert any("not observed anywhere" in warning for warning in meta.warnings)


@pytest.mark.parametrize(
    ("chip", "crs", "observed"),
    [
        ("awc00", "EPSG:32720", 0.7325),
        ("jja10", "EPSG:32721", 1.0),
        ("pxs10", "EPSG:32646", 1.0),
        ("qxb32", "EPSG:32644", 1.0),
    ],
)
def test_a_pair_in_utm_with_zero_as_nodata_is_described(real_data, chip, crs, observed):
    folder = real_data / "stac_overflow"
    meta = describe_scene([folder / f"{chip}_vh.tif", folder / f"{chip}_vv.tif"])
    assert (meta.scene_id, meta.crs, meta.units, meta.mode) == (chip, crs, "db", "vv_vh")
    assert meta.observed_fraction == pytest.approx(observed, abs=1e-4)
    assert meta.bands[0].path.endswith("_vv.tif")
    assert meta.warnings == ()
    with SceneReader(meta, Path()) as reader:
        db = reader.read(Window(0, 0, *meta.shape))
    assert not (db == 0).any()
    assert np.isfinite(db[0]).mean() == pytest.approx(meta.observed_fraction)


def test_rtc_chips_in_double_precision_are_described(real_data):
    files = sorted((real_data / "terramind" / "S1RTC").glob("*.tif"))
    assert len(files) == 5
    for path in files:
        meta = describe_scene([path])
        assert (meta.units, meta.dtype, meta.observed_fraction, meta.warnings) == ("db", "float64", 1.0, ())


def test_real_backscatter_in_linear_power_is_always_recognised(real_data, tmp_path):
    for path in observed_chips(real_data):
        with rasterio.open(path) as source:
            profile, db = source.profile, source.read()
        power = tmp_path / path.name.replace("_S1Hand", "")
        with rasterio.open(power, "w", **profile) as target:
            target.write(from_db(db, "power").astype(np.float32))
        assert describe_scene([power]).units == "power", path.name


def test_swapped_bands_of_real_chips_are_noticed(real_data, tmp_path):
    for path in observed_chips(real_data):
        with rasterio.open(path) as source:
            profile, db = source.profile, source.read()
        swapped = tmp_path / path.name
        with rasterio.open(swapped, "w", **profile) as target:
            target.write(db[::-1])
        meta = describe_scene([swapped])
        assert [band.band for band in meta.bands] == [2, 1], path.name


def test_a_single_look_complex_product_is_refused_with_an_alternative(real_data):
    with pytest.raises(InputError, match=r"complex.*SLC.*GRD or RTC"):
        describe_scene([real_data / "ancillary" / "sentinel1a_slc_gcps.tif"])


def test_a_label_and_a_land_cover_are_refused_by_name_and_by_their_values(real_data, tmp_path):
    folder = real_data / "sen1floods11/v1.1/data/flood_events/HandLabeled/LabelHand"
    for path in (folder / "Spain_7370579_LabelHand.tif", real_data / "stac_overflow" / "ayt12_jrc_seasonality.tif"):
        with pytest.raises(InputError, match="its name says that it is not backscatter"):
            describe_scene([path])
        renamed = tmp_path / f"S1_{path.stem[:5]}_VV.tif"
        shutil.copyfile(path, renamed)
        with pytest.raises(InputError, match=r"like an index|negative whole numbers|8-bit values"):
            describe_scene([renamed])


def test_hostile_files_are_refused_or_read(real_data):
    files = sorted((real_data / "hostile_tiffs").iterdir())
    assert len(files) == 147
    before = {path: path.stat().st_mtime_ns for path in files}
    read = 0
    for path in files:
        try:
            with open_raster(path) as dataset:
                dataset.read()
            read += 1
        except InputError as error:
            assert "\n" not in str(error) and path.name in str(error)
        # No file has a georeference, a CRS and backscatter, so no file may be accepted as a scene.
        with pytest.raises(InputError):
            describe_scene([path], units="db")
    assert read == 9
    assert {path: path.stat().st_mtime_ns for path in sorted((real_data / "hostile_tiffs").iterdir())} == before


def test_the_control_points_of_a_real_product_give_the_right_place_on_the_map(real_data, tmp_path):
    """The pixels of that file are complex, so its 210 points are used with a simulated image."""
    with rasterio.open(real_data / "ancillary" / "sentinel1a_slc_gcps.tif") as product:
        points, crs = product.gcps
        shape = product.shape
    assert len(points) == 210
    dn = from_db(backscatter_db(*shape)[:1].astype(np.float32), "dn").round().astype(np.uint16)
    path = tmp_path / "image.tif"
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": shape[0], "width": shape[1]}
    with rasterio.open(path, "w", **profile, crs=crs, gcps=points) as target:
        target.write(dn)
    meta = describe_scene([path])
    assert (meta.georeference, len(meta.control_points), meta.shape) == ("gcps", 210, shape)
    place = meta.map_grid
    left, bottom, right, top = meta.bounds
    to_map = Transformer.from_crs(crs, place.crs, always_xy=True)
    for point in points:
        x, y = to_map.transform(point.x, point.y)
        assert left - 1 <= x <= right + 1
        assert bottom - 1 <= y <= top + 1
    # The spline passes through every point: a patch around a point is around the same point on the map.
    point = points[115]
    stored = np.full(shape, 1000, np.uint16)
    row, col = int(point.row), int(point.col)
    stored[row - 4 : row + 4, col - 4 : col + 4] = 9000
    band = Band(0, stored, mask_of(stored, 0.5), np.ones(shape, np.uint16))
    mask = np.concatenate([part.mask for part in geocoded([band], meta, tmp_path)])
    rows, cols = np.nonzero(mask == 1)
    x, y = to_map.transform(point.x, point.y)
    assert place.transform[2] + (cols.mean() + 0.5) * place.transform[0] == pytest.approx(x, abs=3 * place.transform[0])
    assert place.transform[5] + (rows.mean() + 0.5) * place.transform[4] == pytest.approx(y, abs=3 * place.transform[0])


def test_the_spline_is_accurate_at_a_real_point_that_was_left_out(real_data):
    path = real_data / "ancillary" / "sentinel1a_slc_gcps.tif"
    with open_scene_file(path) as product:
        points = control_points(product, path)
    given = gdal_points(points, "EPSG:32618")

    def missed(*, tps: bool) -> float:
        """Return the root mean square error in metres over all points, each left out in turn."""
        misses = []
        for index, point in enumerate(given):
            with GCPTransformer(given[:index] + given[index + 1 :], tps=tps) as transformer:
                (x,), (y,) = transformer.xy([point.row], [point.col], offset="ul")
            misses.append(np.hypot(x - point.x, y - point.y))
        return float(np.sqrt(np.mean(np.square(misses))))

    assert missed(tps=True) == pytest.approx(35, abs=1)
    assert missed(tps=False) == pytest.approx(451, abs=5)
