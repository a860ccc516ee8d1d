"""Rasters of an image are moved to the right places of a map grid, also across the antimeridian and near a pole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.enums import Resampling

from drshym_pipeline import reprojection
from drshym_pipeline.records import MapGrid, SceneMeta
from drshym_pipeline.references.event_scene import values_on
from drshym_pipeline.references.pre_event import check_pre_event
from drshym_pipeline.reprojection import moved, new_image_raster, strips
from tests.map_samples import scene

UNKNOWN = 65_535
PER_DEGREE = 200_000  # values of a raster are latitudes in these steps


def around(crs: str, longitude: float, latitude: float, side: float, shape: tuple[int, int]) -> MapGrid:
    """Return a grid whose middle is at a place; `side` is that of a pixel in units of the CRS."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
    if crs == "EPSG:4326":
        x = longitude
    left, top = x - shape[1] / 2 * side, y + shape[0] / 2 * side
    return MapGrid(crs=crs, transform=(side, 0.0, left, 0.0, -side, top), height=shape[0], width=shape[1])


def meta_of(grid: MapGrid, letter: str) -> SceneMeta:
    """Return a scene on a grid; the letter tells it from another."""
    place = {"crs": grid.crs, "transform": grid.transform}
    return scene(grid.height, grid.width, **place, sha256=letter * 64, scene_id=f"S1_{letter}", acquired_at=None)


def latitudes(grid: MapGrid) -> np.ndarray:
    """Return the latitude of the middle of every pixel."""
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    x, y = grid.affine @ (cols.ravel(), rows.ravel())
    _, found = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return np.asarray(found).reshape(grid.shape)


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (("EPSG:32644", 80.0, 20.0, 10.0), ("EPSG:32644", 80.0, 20.0, 10.0)),
        (("EPSG:32644", 80.0, 20.0, 10.0), ("EPSG:32643", 80.0, 20.0, 15.0)),
        (("EPSG:32660", 180.0, 66.0, 10.0), ("EPSG:32601", -180.0, 66.0, 10.0)),
        (("EPSG:32660", 180.0, 66.0, 10.0), ("EPSG:4326", 180.0, 66.0, 1.2e-4)),
        (("EPSG:4326", 180.0, 66.0, 1.2e-4), ("EPSG:32601", -180.0, 66.0, 10.0)),
        (("EPSG:4326", 180.0, 66.0, 1.2e-4), ("EPSG:4326", -180.0, 66.0, 1.2e-4)),
        (("EPSG:4326", -180.0, 66.0, 1.2e-4), ("EPSG:4326", 180.0, 66.0, 1e-4)),
        (("EPSG:4326", -179.999, 66.0, 1.2e-4), ("EPSG:4258", 180.0, 66.0, 1e-4)),
        (("EPSG:32660", 180.0, 66.0, 10.0), ("EPSG:4326", -180.0, 66.0, 1.2e-4)),
        (("EPSG:4326", -180.0, 66.0, 1.2e-4), ("EPSG:32660", 180.0, 66.0, 10.0)),
        (("EPSG:3031", 0.0, -75.0, 20.0), ("EPSG:32731", 0.0, -75.0, 20.0)),
        (("EPSG:3031", 180.0, -80.0, 20.0), ("EPSG:3031", 180.0, -80.0, 10.0)),
    ],
)
def test_values_arrive_at_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now, before):
    monkeypatch.setattr(reprojection, "_STRIP_PIXELS", 7 * 120)
    target, source = around(*now, (90, 120)), around(*before, (260, 280))
    check_pre_event(meta_of(target, "a"), meta_of(source, "b"))
    lowest = latitudes(source).min()
    values = np.rint((latitudes(source) - lowest) * PER_DEGREE).astype(np.uint16)
    values[:, :40] = UNKNOWN
    path = tmp_path / "image.tif"
    with new_image_raster(path, meta_of(source, "b"), 1, UNKNOWN) as raster:
        raster.write(values, 1)
    with rasterio.open(path) as raster:
        parts = [moved(raster, target, rows, Resampling.bilinear)[0] for rows in strips(target)]
    assert len(parts) > 10
    found = np.concatenate(parts)
    known = found != UNKNOWN
    assert known.mean() > 0.6
    expected = (latitudes(target) - lowest) * PER_DEGREE
    # GDAL's approximation may be an eighth of a pixel off, and a pixel is about 18 to 36 steps high.
    pixel = abs(np.diff(latitudes(source)[:, 100]).mean()) * PER_DEGREE
    assert np.abs(found[known] - expected[known]).max() < 0.2 * pixel + 1


def test_a_grid_of_the_same_place_shifted_by_whole_pixels_has_the_same_values(tmp_path):
    rng = np.random.default_rng(42)
    source = around("EPSG:32644", 80.0, 20.0, 10.0, (60, 70))
    values = rng.integers(0, 10_001, source.shape).astype(np.uint16)
    values[rng.random(source.shape) < 0.2] = UNKNOWN
    path = tmp_path / "image.tif"
    with new_image_raster(path, meta_of(source, "b"), 1, UNKNOWN) as raster:
        raster.write(values, 1)
    place = source.affine @ Affine.translation(-9, 13)
    target = source.model_copy(update={"transform": tuple(place)[:6]})
    with rasterio.open(path) as raster:
        (found,) = moved(raster, target, range(60), Resampling.bilinear)
    expected = np.full(source.shape, UNKNOWN, np.uint16)
    expected[:-13, 9:] = values[13:, :-9]
    np.testing.assert_array_equal(found, expected)


def test_the_same_pixels_a_whole_turn_away_are_found(tmp_path):
    rng = np.random.default_rng(42)
    source = around("EPSG:4326", -180.0, 20.0, 2.0**-13, (60, 70))
    values = rng.integers(0, 10_001, source.shape).astype(np.uint16)
    path = tmp_path / "image.tif"
    with new_image_raster(path, meta_of(source, "b"), 1, UNKNOWN) as raster:
        raster.write(values, 1)
    target = around("EPSG:4326", 180.0, 20.0, 2.0**-13, (60, 70))
    with rasterio.open(path) as raster:
        found = values_on(raster, target)(range(60))
    np.testing.assert_array_equal(found, values)


def test_a_raster_of_the_whole_earth_is_found_on_both_sides_of_the_antimeridian(tmp_path):
    source = MapGrid(crs="EPSG:4326", transform=(1.0, 0.0, -180.0, 0.0, -1.0, 5.0), height=10, width=360)
    values = np.tile(np.arange(360, dtype=np.uint16), (10, 1))
    path = tmp_path / "earth.tif"
    with new_image_raster(path, meta_of(source, "b"), 1, UNKNOWN) as raster:
        raster.write(values, 1)
    for left in (170.0, -190.0):
        target = MapGrid(crs="EPSG:4326", transform=(1.0, 0.0, left, 0.0, -1.0, 2.0), height=4, width=20)
        expected = np.tile(np.array([*range(350, 360), *range(10)], np.uint16), (4, 1))
        with rasterio.open(path) as raster:
            (found,) = moved(raster, target, range(4), Resampling.nearest)
            np.testing.assert_array_equal(found, expected)
