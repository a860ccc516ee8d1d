"""A flooded area is one polygon however many strips it crosses."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.io import MemoryFile
from rasterio.transform import from_origin
from scipy import ndimage

from drshym_pipeline.products import vectors
from drshym_pipeline.products.vectors import flood_polygons, write_flood_polygons
from tests.examples import examples


def polygons_of(mask: np.ndarray, strip_rows: int) -> list[shapely.Polygon]:
    with MemoryFile() as memory:
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": mask.shape[0], "width": mask.shape[1]}
        with memory.open(**profile, transform=from_origin(0, 0, 1, 1)) as target:
            target.write(mask, 1)
        with memory.open() as source:
            return [polygon for strip in flood_polygons(source, strip_rows) for polygon in strip]


@examples(120)
@given(
    seed=st.integers(0, 2**31), height=st.integers(1, 30), width=st.integers(1, 14), rows=st.integers(1, 12),
    share=st.floats(0.1, 0.95),
)  # fmt: skip
def test_polygons_do_not_depend_on_the_strips(seed, height, width, rows, share):
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    found, whole = polygons_of(mask, rows), polygons_of(mask, height)
    _, regions = ndimage.label(mask)
    assert len(found) == len(whole) == regions
    for ours, theirs in zip(sorted(found, key=shapely.to_wkt), sorted(whole, key=shapely.to_wkt), strict=True):
        del theirs
        assert ours.is_valid
        assert any(ours.equals(other) for other in whole)
    assert sum(polygon.area for polygon in found) == mask.sum()


def test_a_seam_leaves_no_point_behind():
    mask = np.zeros((40, 10), np.uint8)
    mask[3:37, 2:8] = 1
    (polygon,) = polygons_of(mask, 7)
    assert len(polygon.exterior.coords) == 5


def test_an_area_that_touches_another_at_a_corner_of_the_seam_stays_apart():
    mask = np.zeros((4, 4), np.uint8)
    mask[:2, :2] = 1
    mask[2:, 2:] = 1
    assert len(polygons_of(mask, 2)) == len(polygons_of(mask, 4)) == 2


def test_an_area_with_a_hole_across_seams_keeps_it():
    mask = np.ones((30, 12), np.uint8)
    mask[6:24, 4:8] = 0
    (polygon,) = polygons_of(mask, 5)
    assert len(polygon.interiors) == 1
    assert polygon.area == mask.sum()


@examples(40)
@given(seed=st.integers(0, 2**31), corners=st.integers(5, 120))
def test_an_area_with_too_many_corners_to_wait_is_cut_at_the_seams_and_loses_nothing(seed, corners):
    mask = (np.random.default_rng(seed).random((60, 20)) < 0.8).astype(np.uint8)
    mask[:, 0] = 1
    whole = polygons_of(mask, 60)
    with patch.object(vectors, "MOST_CORNERS", corners):
        cut = polygons_of(mask, 10)
    assert len(cut) >= len(whole)
    assert sum(polygon.area for polygon in cut) == mask.sum()
    assert shapely.union_all(cut).equals(shapely.union_all(whole))
    assert all(polygon.is_valid for polygon in cut)


def test_the_file_is_one_collection_whatever_the_number_of_strips(tmp_path: Path):
    rng = np.random.default_rng(3)
    mask = ndimage.gaussian_filter(rng.normal(size=(2500, 60)), 3)
    values = (mask > 0.1).astype(np.uint8)
    path = tmp_path / "mask.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": 2500, "width": 60, "crs": "EPSG:32631"}
    with rasterio.open(path, "w", **profile, transform=from_origin(500_000, 5_000_000, 10, 10)) as target:
        target.write(values, 1)
    count = write_flood_polygons(
        path, "EPSG:32631", tmp_path / "flood.geojson", {"scene": 'a "name"', "threshold": 0.4}
    )
    document = json.loads((tmp_path / "flood.geojson").read_text("utf-8"))
    assert document["type"] == "FeatureCollection"
    assert len(document["features"]) == count == ndimage.label(values)[1]
    assert sum(feature["properties"]["pixels"] for feature in document["features"]) == values.sum()
    assert document["features"][0]["properties"]["scene"] == 'a "name"'
    for feature in document["features"]:
        ring = shapely.geometry.shape(feature["geometry"]).exterior
        assert ring.is_ccw
