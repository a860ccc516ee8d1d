"""What a simulated scene is on, as tiles of the global layers under their official names.

The permanent water becomes JRC occurrence and seasonality and class 80 of WorldCover, the ground becomes the elevation.
A tile has its official size; outside the scene it has no value. A tile that is in the folder already is completed, so
several scenes can share one.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from drshym_pipeline.ancillary.blocks import blocks
from drshym_pipeline.ancillary.layers import ELEVATION, LAND_COVER, OCCURRENCE, SEASONALITY, Cell, Layer
from drshym_pipeline.datasets.simulator.scene import SimulatedScene
from drshym_pipeline.records import MapGrid
from drshym_pipeline.storage import atomic_path

_BLOCK: Final = 512
_MONTHS: Final = 12
_MARGIN: Final = 2  # pixels around the scene
_NO_HEIGHT: Final = -32_767.0


@dataclass(frozen=True)
class _Source:
    """What is written into the tiles of a layer.

    Args:
        layer: The layer.
        values: (h, w) on the grid of the scene.
        average: Whether the pixels of a tile have the mean of the scene, or the value of one of its pixels.
        dtype: The type of the tile.
        nodata: The value without a value.
        per_degree: Pixels of the tile in a degree.
    """

    layer: Layer
    values: NDArray[np.float32]
    average: bool
    dtype: str
    nodata: float
    per_degree: int


def _sources(scene: SimulatedScene) -> Iterator[_Source]:
    permanent = scene.permanent_water.astype(np.float32)
    yield _Source(OCCURRENCE, permanent * 100, True, "uint8", 255, 4000)
    yield _Source(SEASONALITY, permanent * _MONTHS, True, "uint8", 255, 4000)
    yield _Source(LAND_COVER, scene.landcover.astype(np.float32), False, "uint8", 0, 12_000)
    yield _Source(ELEVATION, scene.dem, True, "float32", _NO_HEIGHT, 3600)


def write_ancillary_tiles(folder: Path, scene: SimulatedScene) -> list[Path]:
    """Write the tiles of all layers that a scene is on.

    Args:
        folder: Where the tiles go, flat; created when missing.
        scene: The scene, on a grid that does not cross the antimeridian.

    Returns:
        The tiles.
    """
    height, width = scene.label.shape
    a, b, c, d, e, f = scene.transform[:6]
    grid = MapGrid(crs=scene.crs, transform=(a, b, c, d, e, f), height=height, width=width)
    bounds = np.array([block.bounds for block in blocks(grid)])
    box = (*bounds[:, :2].min(axis=0).tolist(), *bounds[:, 2:].max(axis=0).tolist())
    return [
        path
        for source in _sources(scene)
        for cell in _cells(box, source.layer)
        if (path := _write(folder, source, cell, box, scene)) is not None
    ]


def _cells(box: tuple[float, ...], layer: Layer) -> Iterator[Cell]:
    west, south, east, north = (math.floor(value / layer.side) for value in box)
    for row in range(south, north + 1):
        for column in range(west, east + 1):
            yield Cell(column * layer.side, row * layer.side)


def _write(folder: Path, source: _Source, cell: Cell, box: tuple[float, ...], scene: SimulatedScene) -> Path | None:
    """Write the part of a scene that is in a tile, into a new tile or one that is there; None if no part is."""
    import rasterio
    from rasterio.warp import Resampling, reproject

    step, pixels = 1 / source.per_degree, source.layer.side * source.per_degree
    whole = Affine(step, 0.0, cell.west, 0.0, -step, cell.south + source.layer.side)
    west, south, east, north = box
    (left, top), (right, bottom) = ~whole @ (west, north), ~whole @ (east, south)
    cols = slice(max(0, math.floor(left) - _MARGIN), min(pixels, math.ceil(right) + _MARGIN))
    rows = slice(max(0, math.floor(top) - _MARGIN), min(pixels, math.ceil(bottom) + _MARGIN))
    found = np.full((rows.stop - rows.start, cols.stop - cols.start), np.nan, np.float32)
    reproject(
        source.values,
        found,
        src_transform=scene.transform,
        src_crs=scene.crs,
        dst_transform=whole @ Affine.translation(cols.start, rows.start),
        dst_crs="EPSG:4326",
        dst_nodata=np.nan,
        resampling=Resampling.average if source.average else Resampling.nearest,
    )
    known = np.isfinite(found)
    if not known.any():
        return None
    path = folder / source.layer.place(cell).name
    place = ((rows.start, rows.stop), (cols.start, cols.stop))
    with atomic_path(path) as temporary:
        if path.is_file():
            shutil.copyfile(path, temporary)
        else:
            _write_empty(temporary, source, whole, pixels)
        with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(temporary, "r+") as target:
            values = target.read(1, window=place)
            values[known] = np.rint(found[known]) if source.dtype == "uint8" else found[known]
            target.write(values, 1, window=place)
    return path


def _write_empty(path: Path, source: _Source, transform: Affine, pixels: int) -> None:
    """Write a tile without a value; every block is stored, because sparse files are refused."""
    import rasterio

    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": source.dtype,
        "count": 1,
        "height": pixels,
        "width": pixels,
        "crs": "EPSG:4326",
        "transform": transform,
        "nodata": source.nodata,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "compress": "deflate",
    }
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(path, "w", **profile) as target:
        for row in range(0, pixels, _BLOCK):
            rows = min(_BLOCK, pixels - row)
            target.write(
                np.full((rows, pixels), source.nodata, source.dtype), 1, window=((row, row + rows), (0, pixels))
            )
