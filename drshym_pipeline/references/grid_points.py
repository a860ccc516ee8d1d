"""Points of a map grid in degrees, to compare the places of two grids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import MapGrid
from drshym_pipeline.sar.georeference import to_degrees


def points_in_degrees(grid: MapGrid, along: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes of points of a grid.

    Args:
        grid: The grid.
        along: (n,) places along each axis, from 0 (the first edge) to 1 (the last edge).

    Returns:
        Two (n * n,) arrays, in degrees on WGS84; row by row.
    """
    places: Any = np.stack(np.meshgrid(along * grid.width, along * grid.height)).reshape(2, -1)
    lons, lats = to_degrees(grid.crs).transform(*(grid.affine @ places))
    return np.asarray(lons), np.asarray(lats)
