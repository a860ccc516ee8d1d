"""Whether two files have the same pixel grid, so that their pixels can be read side by side."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray

from drshym_pipeline.sar.georeference import Grid

# Programs write the same grid with other last digits. An offset of 1/1000 of a pixel cannot be seen in any product.
TOLERANCE_PIXELS = 1e-3
_ROUNDING = 1e-6  # of a pixel: the arithmetic of the comparison itself


def same_grid(first: Grid, second: Grid) -> bool:
    """Return whether all pixels of two grids are at the same places, to 1/1000 of a pixel.

    The CRS is compared by its meaning: the corners, the middle of the sides and the centre must coincide on the ground,
    however the CRS is written. Control points must agree as well.
    """
    if (first.height, first.width, first.georeference) != (second.height, second.width, second.georeference):
        return False
    places = np.array(
        list(product((0.0, first.width / 2.0, first.width), (0.0, first.height / 2.0, first.height))), np.float64
    )
    return _offset(first, second, places) <= TOLERANCE_PIXELS + _ROUNDING and _same_points(first, second)


def _offset(first: Grid, second: Grid, places: NDArray[np.float64]) -> float:
    """Return how far pixels of the second grid are from those of the first, in pixels of the first.

    Args:
        first: One grid.
        second: Another grid.
        places: (n, 2) columns and rows.
    """
    xs, ys = _applied(second.transform, *places.T)
    if first.crs != second.crs:
        xs, ys = pyproj.Transformer.from_crs(second.crs, first.crs, always_xy=True).transform(xs, ys)
    if not np.isfinite([xs, ys]).all():
        return float("inf")
    cols, rows = _applied(~first.transform, xs, ys)
    return float(np.abs(np.stack([cols, rows], axis=1) - places).max())


def _applied(
    transform: Affine, xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return transform.a * xs + transform.b * ys + transform.c, transform.d * xs + transform.e * ys + transform.f


def _same_points(first: Grid, second: Grid) -> bool:
    """Return whether two grids have the same control points, to 1/1000 of the pixel that a degree is divided into."""
    if len(first.points) != len(second.points):
        return False
    if not first.points:
        return True
    values = [
        np.array([(point.row, point.col, point.longitude, point.latitude) for point in grid.points])
        for grid in (first, second)
    ]
    pixel_degrees = min(first.pixel_spacing) / 111_320.0  # the grid of control points is in metres of UTM
    limits = np.array([1.0, 1.0, pixel_degrees, pixel_degrees]) * TOLERANCE_PIXELS
    return bool((np.abs(values[0] - values[1]) <= limits).all())
