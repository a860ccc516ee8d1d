"""Real tiles: WorldCover as it is published, and JRC seasonality and an elevation model below a real scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import Resampling, reproject

from drshym_pipeline import map_scene
from drshym_pipeline.ancillary.layers import ELEVATION, LAND_COVER, SEASONALITY, Cell, Layer

SIDE = 256
BLOCK = 512


@pytest.fixture(scope="module")
def land_cover(real_data) -> Path:
    path = real_data / "ancillary" / LAND_COVER.place(Cell(6, 0)).name
    assert path.is_file()
    return path


def water_window(path: Path) -> tuple[np.ndarray, Affine]:
    """Return a part of the tile in which inland water and land are about equally frequent, and its transform."""
    with rasterio.open(path) as source:
        for row in range(0, source.height, BLOCK):
            strip = source.read(1, window=((row, min(row + SIDE, source.height)), (0, source.width)))
            if len(strip) < SIDE:
                break
            parts = strip[:, : source.width // SIDE * SIDE].reshape(SIDE, -1, SIDE)
            shares = (parts == 80).mean(axis=(0, 2))
            land = (parts >= 10).mean(axis=(0, 2)) > 0.99
            good = np.flatnonzero(land & (shares > 0.2) & (shares < 0.8))
            if good.size:
                col = int(good[0]) * SIDE
                return parts[:, good[0]], source.transform @ Affine.translation(col, row)
    raise AssertionError("the tile has no place with water and land")


def test_a_scene_on_the_published_worldcover_tile_has_its_water_as_water_before(tmp_path, land_cover):
    cover, transform = water_window(land_cover)
    rng = np.random.default_rng(42)
    water = cover == 80
    bands = [
        np.where(water, dark, bright) + rng.normal(0, 1.2, cover.shape) for dark, bright in ((-21, -9), (-27, -15))
    ]
    scene = tmp_path / "S1_20210111_T1.tif"
    with rasterio.open(
        scene, "w", driver="GTiff", dtype="float32", count=2, height=SIDE, width=SIDE, crs="EPSG:4326",
        transform=transform, nodata=float("nan"),
    ) as target:  # fmt: skip
        target.write(np.stack(bands).astype(np.float32))
        target.descriptions = ("VV", "VH")
    record = map_scene(scene, tmp_path / "out", ancillary=land_cover.parent)
    with rasterio.open(tmp_path / "out" / record.files["mask"]) as source:
        mask = source.read(1)
    with rasterio.open(tmp_path / "out" / record.files["reference"]) as source:
        reference = source.read(1)
    np.testing.assert_array_equal(reference == 9_000, water)
    assert (mask[water] == 2).mean() > 0.8
    assert not (mask[water] == 1).any(), "water of WorldCover was called flood"
    (layer,) = [layer for layer in record.separation.layers if layer.tiles]
    assert layer.name == "worldcover" and layer.known_pixels == mask.size
    assert len(record.separation.layers[0].missing) == 1, "the JRC tiles are not there, and this is said"


def tile_of(folder: Path, layer: Layer, cell: Cell, source: Path, per_degree: int, dtype: str, nodata: float) -> None:
    """Write a raster of a scene into a tile of official size."""
    step, pixels = 1 / per_degree, layer.side * per_degree
    transform = Affine(step, 0.0, cell.west, 0.0, -step, cell.south + layer.side)
    folder.mkdir(exist_ok=True)
    with rasterio.open(source) as raster:
        west, south, east, north = rasterio.warp.transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)
        (left, top), (right, bottom) = ~transform @ (west, north), ~transform @ (east, south)
        col, row = int(left) - 2, int(top) - 2
        values = np.full((int(bottom) - row + 3, int(right) - col + 3), nodata, dtype)
        reproject(
            rasterio.band(raster, 1), values, dst_transform=transform @ Affine.translation(col, row),
            dst_crs="EPSG:4326", dst_nodata=nodata, init_dest_nodata=True, resampling=Resampling.nearest,
        )  # fmt: skip
    with rasterio.open(
        folder / layer.place(cell).name, "w", driver="GTiff", dtype=dtype, count=1, height=pixels, width=pixels,
        crs="EPSG:4326", transform=transform, nodata=nodata, tiled=True, blockxsize=BLOCK, blockysize=BLOCK,
        compress="deflate",
    ) as target:  # fmt: skip
        for first in range(0, pixels, BLOCK):
            rows = min(BLOCK, pixels - first)
            target.write(np.full((rows, pixels), nodata, dtype), 1, window=((first, first + rows), (0, pixels)))
    with rasterio.open(folder / layer.place(cell).name, "r+") as target:
        target.write(values, 1, window=((row, row + values.shape[0]), (col, col + values.shape[1])))


def test_a_real_scene_with_jrc_seasonality_and_a_real_elevation_model(tmp_path, real_data):
    data = real_data / "stac_overflow"
    tile_of(tmp_path / "anc", SEASONALITY, Cell(0, 0), data / "ayt12_jrc_seasonality.tif", 4000, "uint8", 255)
    tile_of(tmp_path / "anc", ELEVATION, Cell(5, 8), data / "ayt12_nasadem.tif", 3600, "float32", -32_768)
    record = map_scene(
        (data / "ayt12_vv.tif", data / "ayt12_vh.tif"), tmp_path / "out", ancillary=tmp_path / "anc", scene_id="ayt12"
    )
    found = {}
    for kind in ("mask", "proba", "reference", "exclusion"):
        with rasterio.open(tmp_path / "out" / record.files[kind]) as source:
            found[kind] = source.read(1)
    with rasterio.open(data / "ayt12_jrc_seasonality.tif") as source:
        months = source.read(1)
    observed = found["mask"] != 255
    assert (found["reference"] != 65_535).mean() > 0.99 and (found["exclusion"] != 255).mean() > 0.95
    # Interpolation between 30 m pixels changes shores only.
    assert np.median(np.abs(found["reference"] / 10_000 - months / 12)[months > 0]) < 0.1
    assert record.exclusion.pixels < 1e-3 * observed.sum(), "this ground is nearly flat"
    assert record.separation.layers[1].known_pixels > 0.99 * observed.sum()
    # No place has water in more than five months of a year, so only water of low probability is not called flood.
    assert months.max() == 5 and record.pixels["permanent"] < 0.05 * record.pixels["flooded"]
