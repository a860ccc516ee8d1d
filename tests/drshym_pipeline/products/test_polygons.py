"""The polygons of a map, checked with other programs than those that wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from pyproj import Geod
from rasterio.transform import from_origin
from scipy import ndimage

from drshym_pipeline.products import vectors
from drshym_pipeline.products.antimeridian import cut_at_antimeridian
from drshym_pipeline.products.vectors import write_flood_polygons
from drshym_pipeline.sar.pixel_area import PixelAreas


def write_raster(path: Path, values: np.ndarray, crs: str, transform) -> Path:
    height, width = values.shape
    profile = {
        "driver": "GTiff", "dtype": values.dtype, "count": 1, "height": height, "width": width, "crs": crs,
        "transform": transform, "nodata": np.iinfo(values.dtype).max,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(values, 1)
    return path


PROPERTIES = {"state": "flooded", "scene": "S1_x", "model_sha256": "a" * 64, "threshold": 0.45}


def write_polygons(folder: Path, mask: np.ndarray, crs: str, transform, *, stored=None, **options) -> tuple[dict, Any]:
    """Return the GeoJSON of a mask and the counts of the writer."""
    stored = np.full(mask.shape, 8000, np.uint16) if stored is None else stored
    areas = PixelAreas.measure(crs, transform, *mask.shape)
    counts = write_flood_polygons(
        write_raster(folder / "m.tif", mask, crs, transform), write_raster(folder / "p.tif", stored, crs, transform),
        folder / "f.geojson", crs=crs, areas=areas,
        **{"properties": PROPERTIES, "about": {"scene": "S1_x"}, **options},
    )  # fmt: skip
    return json.loads((folder / "f.geojson").read_text()), counts


def test_polygons_are_wgs84_and_have_area_probability_and_source(tmp_path):
    mask = np.zeros((60, 80), np.uint8)
    mask[10:30, 10:50] = 1
    mask[15:20, 20:30] = 0
    mask[40:50, 60:70] = 1
    mask[:5] = 255
    stored = np.full(mask.shape, 1000, np.uint16)
    stored[10:30, 10:50] = 9000
    stored[40:50, 60:65] = 5000
    stored[40:50, 65:70] = 6000
    collection, counts = write_polygons(
        tmp_path, mask, "EPSG:32644", from_origin(500_000, 2_000_000, 10, 10), stored=stored
    )
    assert counts.count == 2
    assert collection["type"] == "FeatureCollection"
    assert "crs" not in collection, "RFC 7946 knows WGS84 only"
    features = sorted(collection["features"], key=lambda feature: feature["properties"]["pixels"])
    # 100 pixels, and a hole of 50 pixels in 800.
    assert [feature["properties"]["pixels"] for feature in features] == [100, 750]
    assert [feature["properties"]["mean_probability"] for feature in features] == [0.55, 0.9]
    for feature in features:
        polygon = shapely.geometry.shape(feature["geometry"])
        assert polygon.exterior.is_ccw
        west, south, east, north = polygon.bounds
        assert 80.9 < west < east < 81.1
        assert 18.0 < south < north < 18.2
        # The area is that of the polygon on the ellipsoid: about 0.08 % more than in UTM, whose scale is 0.9996 here.
        area, _ = Geod(ellps="WGS84").geometry_area_perimeter(polygon)
        properties = feature["properties"]
        assert properties["area_km2"] == pytest.approx(area / 1e6, rel=1e-4)
        assert properties["area_km2"] > properties["pixels"] * 1e-4 * 1.0005
        assert {name: properties[name] for name in PROPERTIES} == PROPERTIES


def test_polygons_and_left_out_areas_add_up_to_the_area_of_the_mask(tmp_path):
    rng = np.random.default_rng(42)
    mask = (rng.random((150, 200)) < 0.4).astype(np.uint8)
    transform = from_origin(-1, 60, 8.98e-5, 8.98e-5)
    collection, counts = write_polygons(tmp_path, mask, "EPSG:4326", transform)
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    pixels = [feature["properties"]["pixels"] for feature in collection["features"]]
    assert sorted(pixels) == sorted(sizes[sizes >= 5])
    assert 2 * (sizes < 5).sum() > count, "most areas of this mask are speckles, otherwise it proves nothing"
    total = PixelAreas.measure("EPSG:4326", transform, *mask.shape).total(0, mask == 1)
    assert counts.km2 + counts.omitted_km2 == pytest.approx(total, rel=1e-12)
    assert sum(feature["properties"]["area_km2"] for feature in collection["features"]) == pytest.approx(
        counts.km2, abs=5e-7 * len(pixels)
    )
    metadata = collection["metadata"]
    assert metadata["scene"] == "S1_x"
    assert metadata["polygons"] == len(pixels)
    assert metadata["left_out"]["areas"] == counts.omitted == int((sizes < 5).sum())
    assert metadata["left_out"]["pixels"] == counts.omitted_pixels == int(sizes[sizes < 5].sum())
    assert metadata["polygons_km2"] + metadata["left_out"]["km2"] == pytest.approx(total, abs=2e-6)


def test_the_vector_file_is_read_by_gdal_with_typed_columns(tmp_path):
    mask = np.zeros((20, 20), np.uint8)
    mask[5:15, 5:15] = 1
    properties = {"state": "flooded", "acquired_at": "2021-01-11T05:30:00+00:00", "caveat": "A caveat."}
    write_polygons(tmp_path, mask, "EPSG:32644", from_origin(500_000, 2_000_000, 10, 10), properties=properties)
    info = pyogrio.read_info(tmp_path / "f.geojson")
    types = dict(zip(info["fields"], info["dtypes"], strict=True))
    assert types["acquired_at"].startswith("datetime64")
    assert (types["area_km2"], types["mean_probability"], types["pixels"]) == ("float64", "float64", "int32")
    assert types["state"] == types["caveat"] == "object"
    assert (info["features"], info["geometry_type"]) == (1, "Polygon")


# Each mask is full: 10 rows and 400 columns that cross the antimeridian.
ACROSS = {
    "UTM zone 1": ("EPSG:32601", from_origin(300_000, 6_600_000, 100, 100)),
    "degrees beyond 180": ("EPSG:4326", from_origin(179.9, -17, 1e-3, 1e-3)),
    "degrees below -180": ("EPSG:4326", from_origin(-180.1, -17, 1e-3, 1e-3)),
    "another datum beyond 180": ("EPSG:4269", from_origin(179.9, 52, 1e-3, 1e-3)),
    "web Mercator": ("EPSG:3857", from_origin(20_027_508, -2_000_000, 100, 100)),
    "polar stereographic": ("EPSG:3995", from_origin(-20_000, 2_500_000, 100, 100)),
}


@pytest.mark.parametrize(("crs", "transform"), ACROSS.values(), ids=ACROSS)
def test_polygons_across_the_antimeridian_are_cut(tmp_path, crs, transform):
    collection, counts = write_polygons(tmp_path, np.ones((10, 400), np.uint8), crs, transform)
    assert counts.count == 1
    feature = collection["features"][0]
    geometry = shapely.geometry.shape(feature["geometry"])
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert len(geometry.geoms) == 2
    assert geometry.is_valid
    for part in geometry.geoms:
        west, _, east, _ = part.bounds
        assert -180 <= west < east <= 180
        assert east - west < 10, "no part may cross all longitudes"
        assert part.exterior.is_ccw
    assert {abs(end) for part in geometry.geoms for end in part.bounds[::2]} >= {180.0}
    assert feature["properties"]["pixels"] == 4000
    # The parts together cover the pixels. Their edges are straight in degrees, the pixels' edges in the CRS.
    area = sum(abs(Geod(ellps="WGS84").geometry_area_perimeter(part)[0]) for part in geometry.geoms)
    assert feature["properties"]["area_km2"] == pytest.approx(area / 1e6, rel=0.01)


@pytest.mark.parametrize("left", [190.0, 359.9, -190.0, 10.0])
def test_longitudes_are_between_minus_180_and_180(tmp_path, left):
    mask = np.zeros((30, 60), np.uint8)
    mask[5:15, 5:15] = 1
    mask[8:12, 8:12] = 0
    mask[20:25, 40:50] = 1
    collection, counts = write_polygons(tmp_path, mask, "EPSG:4326", from_origin(left, 10, 1e-3, 1e-3))
    assert counts.count == 2
    west = (left + 180) % 360 - 180
    for feature in collection["features"]:
        polygon = shapely.geometry.shape(feature["geometry"])
        assert polygon.geom_type == "Polygon"
        assert west < polygon.bounds[0] < polygon.bounds[2] < west + 0.06
        assert polygon.exterior.is_ccw
        assert polygon.area == pytest.approx(feature["properties"]["pixels"] * 1e-6, rel=1e-6)


def test_a_polygon_around_a_pole_is_one_valid_polygon_that_covers_it():
    # A ring of ten degrees around the north pole, as positions from a polar projection: the longitude jumps once.
    longitude = np.array([*np.arange(5, 360, 10), 5]) % 360
    ring = np.column_stack([np.where(longitude > 180, longitude - 360, longitude), np.full(longitude.size, 80.0)])
    (found,) = cut_at_antimeridian(np.array([shapely.Polygon(ring)], object), 7)
    assert found.is_valid
    assert found.area == pytest.approx(360 * 10)
    assert found.bounds == (-180, 80, 180, 90)


def test_a_hole_across_the_antimeridian_stays_a_hole():
    outer = [(178, -5), (-178, -5), (-178, 5), (178, 5)]
    hole = [(179, -1), (179, 1), (-179, 1), (-179, -1)]
    (found,) = cut_at_antimeridian(np.array([shapely.Polygon(outer, [hole])], object), 7)
    assert found.is_valid
    assert found.area == pytest.approx(4 * 10 - 2 * 2)
    assert not found.contains(shapely.Point(179.5, 0))
    assert found.contains(shapely.Point(178.5, 0))


@pytest.mark.parametrize("left", [300_000, 500_000], ids=["across the antimeridian", "elsewhere"])
def test_all_polygons_have_coordinates_of_the_same_precision(tmp_path, monkeypatch, left):
    monkeypatch.setattr(vectors, "_DIGITS", 3)
    collection, _ = write_polygons(
        tmp_path, np.ones((10, 400), np.uint8), "EPSG:32601", from_origin(left, 6_600_000, 100, 100)
    )
    points = shapely.get_coordinates(shapely.geometry.shape(collection["features"][0]["geometry"]))
    np.testing.assert_allclose(points, points.round(3), atol=1e-9)


def test_a_dry_map_has_an_empty_collection(tmp_path):
    collection, counts = write_polygons(
        tmp_path, np.zeros((10, 10), np.uint8), "EPSG:4326", from_origin(1, 50, 1e-4, 1e-4)
    )
    assert counts.count == counts.omitted == 0
    assert collection["features"] == []
    assert collection["metadata"]["left_out"]["areas"] == 0
