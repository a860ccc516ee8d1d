"""Move rasters of an image to a map grid, in strips of rows, so that memory does not grow with the image.

An image is on its own grid, or has only control points. What is moved, and how it is interpolated, is decided by the
callers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject

from drshym_pipeline.records import MapGrid, SceneMeta
from drshym_pipeline.sar.ground_control import gdal_points

_STRIP_PIXELS = 1 << 23  # moved together; with smaller strips, parts of the image are read more often
_BLOCK = 512
_WARP_MEGABYTES = 64
_THREADS = 2
_TOLERANCE = 0.125  # pixels; the largest error when GDAL approximates the transformation between computed pixels
_TURNS = (0.0, -360.0, 360.0)  # degrees


def new_image_raster(path: Path, meta: SceneMeta, count: int, nodata: int) -> Any:
    """Open a new raster of uint16 in the geometry of an image, to be moved later.

    Args:
        path: The file.
        meta: The scene, with its grid or its control points.
        count: The number of bands.
        nodata: The value of pixels without a value, in all bands.
    """
    if meta.product_grid is None:
        place = {"crs": meta.crs, "transform": meta.affine}
    else:
        place = {"crs": meta.map_grid.crs, "gcps": gdal_points(meta.control_points, meta.map_grid.crs)}
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="uint16",
        count=count,
        height=meta.height,
        width=meta.width,
        nodata=nodata,
        tiled=True,
        blockxsize=_BLOCK,
        blockysize=_BLOCK,
        interleave="band",
        BIGTIFF="IF_SAFER",
        **place,
    )


def strips(grid: MapGrid) -> Iterator[range]:
    """Yield the rows of a map grid that are moved together, from the first to the last."""
    most = max(1, _STRIP_PIXELS // grid.width)
    return (range(row, min(row + most, grid.height)) for row in range(0, grid.height, most))


def moved(source: Any, grid: MapGrid, rows: range, resampling: Resampling) -> NDArray[np.uint16]:
    """Return all bands of an image's raster on some rows of a map grid, also where their longitudes differ by a turn.

    Args:
        source: A raster as `new_image_raster` makes it, open for reading.
        grid: The map grid.
        rows: Some of its rows.
        resampling: How values are interpolated.

    Returns:
        (bands, rows, width); the raster's nodata value outside the image.
    """
    first, *others = turns(source, grid)
    out = _moved(source, grid, rows, resampling, first)
    for turn in others:
        other = _moved(source, grid, rows, resampling, turn)
        np.copyto(out, other, where=out == int(source.nodata))
    return out


def turns(source: Any, grid: MapGrid) -> tuple[float, ...]:
    """Return the degrees to add to the longitudes of a map grid, so that they are those of a raster of the same place.

    Longitudes of 180 and of -180 are one place, and those of a raster or a grid may continue beyond both. So they can
    differ by a whole turn, or by two different numbers of turns in the two parts of a grid.

    Args:
        source: An open raster.
        grid: The map grid.

    Returns:
        At least one number; (0.0,) where the grid or the raster is not in degrees.
    """
    if source.crs is None or not (source.crs.is_geographic and CRS.from_user_input(grid.crs).is_geographic):
        return (0.0,)
    left, right = _longitudes(source.transform, source.height, source.width)
    grid_left, grid_right = _longitudes(grid.affine, grid.height, grid.width)
    meeting = (turn for turn in _TURNS if grid_left + turn < right and grid_right + turn > left)
    return tuple(meeting) or (0.0,)


def _longitudes(affine: Affine, height: int, width: int) -> tuple[float, float]:
    """Return the lowest and the highest longitude of the corners of a grid in degrees."""
    xs = [(affine @ corner)[0] for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    return min(xs), max(xs)


def _moved(source: Any, grid: MapGrid, rows: range, resampling: Resampling, turn: float) -> NDArray[np.uint16]:
    """Return all bands of a raster on some rows of a map grid, to whose x values `turn` is added."""
    nodata = int(source.nodata)
    points, points_crs = source.gcps
    out = np.full((source.count, len(rows), grid.width), nodata, np.uint16)
    reproject(
        rasterio.band(source, list(source.indexes)),
        out,
        src_crs=points_crs if points else source.crs,
        src_nodata=nodata,
        dst_transform=Affine.translation(turn, 0) @ grid.affine @ Affine.translation(0, rows.start),
        dst_crs=grid.crs,
        dst_nodata=nodata,
        resampling=resampling,
        num_threads=_THREADS,
        tolerance=_TOLERANCE,
        warp_mem_limit=_WARP_MEGABYTES,
        **({"SRC_METHOD": "GCP_TPS"} if points else {}),
    )
    return out
