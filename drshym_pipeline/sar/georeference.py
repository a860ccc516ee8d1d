"""Where pixels lie: the CRS kept to the letter, the area of a pixel, grids for scenes with control points only.

Geometry only: no backscatter is interpreted here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from drshym_pipeline.errors import InputError

_GEOD = pyproj.Geod(ellps="WGS84")
_NO_GEOREFERENCE = "Georeference it first (RTC products and terrain-corrected GRD have a CRS)"


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixel grid of a scene: CRS as text, affine (a, b, c, d, e, f) of rasterio, size in pixels."""

    crs: str
    transform: tuple[float, float, float, float, float, float]
    height: int
    width: int
    georeference: Literal["transform", "gcps"]

    @property
    def pixel_spacing(self) -> tuple[float, float]:
        """Length of a pixel's sides (x, y) in units of the CRS, both positive."""
        a, b, _, d, e, _ = self.transform
        return math.hypot(a, d), math.hypot(b, e)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) around all pixels, in units of the CRS."""
        xs, ys = map_position(
            self.transform, np.array([0, self.width, 0, self.width]), np.array([0, 0, self.height, self.height])
        )
        return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


def map_position(
    transform: tuple[float, ...] | Affine, cols: NDArray[Any], rows: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Map coordinates (x, y) of pixel positions, (n,) columns and rows; whole numbers are upper left corners."""
    a, b, c, d, e, f = tuple(transform)[:6]
    return a * cols + b * rows + c, d * cols + e * rows + f


def crs_text(crs: CRS) -> str:
    """`EPSG:n` when that code means exactly this CRS, else its WKT."""
    authority = crs.to_authority()
    if authority is not None and authority[0] == "EPSG":
        text = f"EPSG:{authority[1]}"
        if CRS.from_user_input(text) == crs:
            return text
    return str(crs.to_wkt())


def utm_epsg(longitude: float, latitude: float) -> str:
    """The UTM zone of a place on WGS84, such as `EPSG:32630`."""
    zone = min(max(int((longitude + 180.0) // 6.0) + 1, 1), 60)
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"


def find_grid(dataset: Any, path: Path) -> Grid:
    """The grid a dataset is read on.

    A dataset with a CRS and a transform is read as it is. One with ground control points only (raw GRD) is read on a
    UTM grid with square pixels of about the source's spacing.

    Args:
        dataset: rasterio's reader.
        path: The file to name in an error.

    Raises:
        InputError: There is neither, or the transform is not usable.
    """
    points, points_crs = dataset.gcps
    if dataset.crs is not None and not dataset.transform.is_identity:
        transform = dataset.transform
        if transform.is_degenerate or not all(math.isfinite(value) for value in tuple(transform)[:6]):
            raise InputError(path, "its transform is not invertible", _NO_GEOREFERENCE)
        return Grid(crs_text(dataset.crs), _six(transform), dataset.height, dataset.width, "transform")
    if len(points) < 3:
        missing = "no transform" if dataset.crs is not None else "no CRS"
        raise InputError(path, f"{missing} and no ground control points (GCPs)", _NO_GEOREFERENCE)
    if points_crs is None:
        raise InputError(path, "its ground control points have no CRS", _NO_GEOREFERENCE)
    middle = points[len(points) // 2]
    to_degrees = pyproj.Transformer.from_crs(pyproj.CRS.from_wkt(points_crs.to_wkt()), "EPSG:4326", always_xy=True)
    longitude, latitude = to_degrees.transform(middle.x, middle.y)
    target = utm_epsg(longitude, latitude)
    try:
        with _warp(dataset, target) as view:
            return Grid(target, _six(view.transform), view.height, view.width, "gcps")
    except (RasterioError, CPLE_BaseError, ValueError) as error:
        raise InputError(path, "its ground control points do not make a map", _NO_GEOREFERENCE) from error


def _six(transform: Affine) -> tuple[float, float, float, float, float, float]:
    a, b, c, d, e, f = (float(value) for value in tuple(transform)[:6])
    return a, b, c, d, e, f


def fill_value(dtype: str, nodata: float | None) -> float:
    """What stands for "not observed" where a warp leaves the source: the tag, else NaN for floats, 0 for integers."""
    if nodata is not None:
        return nodata
    return float("nan") if dtype.startswith("float") else 0.0


def _warp(dataset: Any, crs: str) -> WarpedVRT:
    fill = fill_value(dataset.dtypes[0], dataset.nodata)
    # Given a transform of its own, the view would pass the control points over; left alone it makes the same grid from
    # the same points every time: square pixels that keep the length of the scene's diagonal.
    return WarpedVRT(
        dataset, src_crs=dataset.gcps[1], crs=crs, resampling=Resampling.nearest, src_nodata=fill, nodata=fill
    )


@contextmanager
def warped(dataset: Any, grid: Grid, path: Path) -> Iterator[WarpedVRT]:
    """A view of a dataset with control points on a map grid, nearest neighbour, read window by window.

    Args:
        dataset: rasterio's reader with GCPs.
        grid: The grid of the view, as `find_grid` made it.
        path: The file to name in an error.

    Raises:
        InputError: The control points make another grid, so this is not the file the grid was made for.
    """
    with _warp(dataset, grid.crs) as view:
        if (view.height, view.width, _six(view.transform)) != (grid.height, grid.width, grid.transform):
            raise InputError(path, "its control points make another grid than before", "Stage the scene again")
        yield view


@lru_cache(maxsize=32)
def _to_degrees(crs: str) -> pyproj.Transformer | None:
    projected = pyproj.CRS.from_user_input(crs)
    return None if projected.is_geographic else pyproj.Transformer.from_crs(projected, "EPSG:4326", always_xy=True)


def pixel_area_km2(crs: str, transform: tuple[float, ...] | Affine, height: int, width: int) -> NDArray[np.float64]:
    """The true area of a pixel on the WGS84 ellipsoid, by row.

    The quadrilateral of the pixel in the middle column of each row is measured on the ellipsoid (Karney's method in
    pyproj). Over a scene of a few degrees the area changes along a row by far less than from row to row in degrees,
    and by less than 0.1 % in UTM.

    Args:
        crs: `EPSG:n` or WKT.
        transform: Affine of rasterio, at least (a, b, c, d, e, f).
        height: Rows of the scene.
        width: Columns of the scene.

    Returns:
        (height,) float64 km2 of one pixel.
    """
    # Rows far apart are enough: the area is smooth in latitude, and a scene has tens of thousands of rows.
    rows = np.unique(np.linspace(0, height - 1, min(height, 129)).round().astype(np.int64))
    col = (width - 1) / 2.0
    to_degrees = _to_degrees(crs)
    areas = np.empty(rows.size)
    for index, row in enumerate(rows):
        xs, ys = map_position(transform, col + np.array([0, 1, 1, 0]), row + np.array([0, 0, 1, 1]))
        if to_degrees is not None:
            xs, ys = to_degrees.transform(xs, ys)
        areas[index] = abs(_GEOD.polygon_area_perimeter(xs, ys)[0]) / 1e6
    return np.interp(np.arange(height), rows, areas)
