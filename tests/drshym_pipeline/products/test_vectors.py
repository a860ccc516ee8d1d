"""A flooded area is one polygon, for any number of strips that it crosses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
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

from drshym_pipeline.products import regions
from drshym_pipeline.products.regions import Regions, flood_regions
from drshym_pipeline.products.vectors import write_flood_polygons
from tests.examples import examples
from tests.map_samples import pixel_areas, uneven_areas


@contextmanager
def raster(values: np.ndarray) -> Iterator[rasterio.DatasetReader]:
    height, width = values.shape
    with MemoryFile() as memory:
        profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "height": height, "width": width}
        with memory.open(**profile, transform=from_origin(0, 0, 1, 1)) as target:
            target.write(values, 1)
        with memory.open() as source:
            yield source


def regions_of(
    mask: np.ndarray, strip_rows: int, *, stored: np.ndarray | None = None, fewest_pixels: int = 1
) -> list[Regions]:
    """Return the areas of a mask whose pixels get larger from row to row and along the rows."""
    areas, _ = uneven_areas(*mask.shape)
    stored = np.full(mask.shape, 7000, np.uint16) if stored is None else stored
    with raster(mask) as source, raster(stored) as probability:
        return list(flood_regions(source, probability, areas, fewest_pixels=fewest_pixels, strip_rows=strip_rows))


def polygons_of(mask: np.ndarray, strip_rows: int) -> list[shapely.Polygon]:
    return [polygon for found in regions_of(mask, strip_rows) for polygon in found.polygons]


def figures_by_outline(found: list[Regions]) -> dict[bytes, tuple[int, float, float]]:
    """Return pixels, area and mean of every flooded area, by its outline."""
    return {
        shapely.to_wkb(shapely.normalize(polygon)): figures
        for part in found
        for polygon, *figures in zip(part.polygons, part.pixels, part.km2, part.mean_steps, strict=True)
    }


@examples(120)
@given(
    seed=st.integers(0, 2**31), height=st.integers(1, 30), width=st.integers(1, 14), rows=st.integers(1, 12),
    share=st.floats(0.1, 0.95), fewest=st.integers(1, 6),
)  # fmt: skip
def test_figures_of_an_area_are_those_of_its_pixels_for_any_strips(seed, height, width, rows, share, fewest):
    rng = np.random.default_rng(seed)
    mask = (rng.random((height, width)) < share).astype(np.uint8)
    stored = rng.integers(0, 10_001, mask.shape).astype(np.uint16)
    found = regions_of(mask, rows, stored=stored, fewest_pixels=fewest)
    by_outline = figures_by_outline(found)
    labels, count = ndimage.label(mask)
    _, by_pixel = uneven_areas(height, width)
    expected = []
    omitted = [0, 0, 0.0]
    for number in range(1, count + 1):
        inside = labels == number
        pixels, area = int(inside.sum()), float(by_pixel[inside].sum())
        if pixels >= fewest:
            expected.append((pixels, area, float(stored[inside].mean())))
        else:
            omitted = [omitted[0] + 1, omitted[1] + pixels, omitted[2] + area]
    assert len(by_outline) == len(expected)
    for ours, theirs in zip(sorted(map(tuple, by_outline.values())), sorted(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    for outline, (pixels, *_) in by_outline.items():
        assert shapely.from_wkb(outline).area == pixels
    left_out = sum((part.omitted for part in found), regions.Omitted())
    assert (left_out.count, left_out.pixels) == tuple(omitted[:2])
    np.testing.assert_allclose(left_out.km2, omitted[2], rtol=1e-12)


def test_a_small_part_of_a_large_area_below_a_seam_is_not_left_out():
    mask = np.zeros((12, 12), np.uint8)
    mask[0:6, 2:8] = 1
    mask[6, 3] = 1  # the only pixel below the seam
    mask[9, 9] = 1  # alone
    (found,) = [part for part in regions_of(mask, 6, fewest_pixels=5) if len(part)]
    assert found.pixels.tolist() == [37]
    assert found.omitted == regions.Omitted(1, 1, 1.09 * (1 + 3 / 7))


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


def test_a_seam_leaves_no_point_in_the_outline():
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
def test_an_area_with_too_many_corners_is_cut_at_the_seams_and_stays_complete(seed, corners):
    mask = (np.random.default_rng(seed).random((60, 20)) < 0.8).astype(np.uint8)
    mask[:, 0] = 1
    whole = polygons_of(mask, 60)
    with patch.object(regions, "MOST_CORNERS", corners):
        cut = polygons_of(mask, 10)
    assert len(cut) >= len(whole)
    assert sum(polygon.area for polygon in cut) == mask.sum()
    assert shapely.union_all(cut).equals(shapely.union_all(whole))
    assert all(polygon.is_valid for polygon in cut)


def test_a_small_piece_of_an_area_that_is_cut_is_kept():
    mask = np.zeros((7, 40), np.uint8)
    mask[:6, ::2] = 1
    mask[2] = 1
    mask[6, 0] = 1
    with patch.object(regions, "MOST_CORNERS", 20):
        found = regions_of(mask, 6, fewest_pixels=5)
    assert sum(int(part.pixels.sum()) for part in found) == mask.sum()
    assert min(int(part.pixels.min()) for part in found if len(part)) == 1
    assert sum(part.omitted.count for part in found) == 0


def test_the_file_is_one_collection_for_any_number_of_strips(tmp_path: Path):
    rng = np.random.default_rng(3)
    mask = ndimage.gaussian_filter(rng.normal(size=(2500, 60)), 3)
    values = (mask > 0.1).astype(np.uint8)
    profile = {"driver": "GTiff", "count": 1, "height": 2500, "width": 60, "crs": "EPSG:32631"}
    for name, raster_values in (("mask", values), ("proba", np.full(values.shape, 8000, np.uint16))):
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", **profile, dtype=raster_values.dtype,
            transform=from_origin(500_000, 5_000_000, 10, 10),
        ) as target:  # fmt: skip
            target.write(raster_values, 1)
    counts = write_flood_polygons(
        tmp_path / "mask.tif", tmp_path / "proba.tif", tmp_path / "flood.geojson", crs="EPSG:32631",
        areas=pixel_areas(2500, 60), properties={"scene": 'a "name"', "threshold": 0.4}, about={},
        fewest_pixels=1,
    )  # fmt: skip
    document = json.loads((tmp_path / "flood.geojson").read_text("utf-8"))
    assert document["type"] == "FeatureCollection"
    assert len(document["features"]) == counts.count == ndimage.label(values)[1]
    assert sum(feature["properties"]["pixels"] for feature in document["features"]) == values.sum()
    assert document["features"][0]["properties"]["scene"] == 'a "name"'
    for feature in document["features"]:
        ring = shapely.geometry.shape(feature["geometry"]).exterior
        assert ring.is_ccw
