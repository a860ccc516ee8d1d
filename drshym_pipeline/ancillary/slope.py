"""The slope of the ground from an elevation model, on the model's own grid of degrees.

The gradient is that of Horn (1981, doi:10.1109/PROC.1981.11918), with the true length of a pixel's sides on the WGS84
ellipsoid at its latitude.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from drshym_pipeline.ancillary.tile_files import TileWindow

_SEMI_MAJOR: Final = 6_378_137.0  # metres, WGS84
_ECCENTRICITY_2: Final = 6.694379990141e-3  # squared first eccentricity, WGS84
_SHORTEST: Final = 0.1  # metres; at the poles a pixel has no width


def slope_degrees(window: TileWindow) -> NDArray[np.float32]:
    """Return the slope of an elevation model.

    Args:
        window: Heights in metres.

    Returns:
        (rows, columns) float32 degrees, NaN where one of the nine heights is not known. In the first and last rows and
        columns the heights are continued in a straight line, so the gradient there is one-sided.
    """
    numbers = window.numbers()
    heights = _continued(numbers)
    east_m, south_m = pixel_sides(window.transform, len(window.values))
    left, right = (heights[:, start : heights.shape[1] - 2 + start] for start in (0, 2))
    along = _weighted_rows(right - left) / (8.0 * east_m[:, np.newaxis])
    above, below = heights[:-2], heights[2:]
    down = below - above
    across = (down[:, :-2] + 2.0 * down[:, 1:-1] + down[:, 2:]) / (8.0 * south_m[:, np.newaxis])
    slope = np.degrees(np.arctan(np.hypot(along, across)))
    slope[~np.isfinite(numbers)] = np.nan
    found: NDArray[np.float32] = slope.astype(np.float32)
    return found


def _weighted_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    weighted: NDArray[np.float64] = values[:-2] + 2.0 * values[1:-1] + values[2:]
    return weighted


def _continued(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return heights with one more pixel on each side, on a straight line through the last two."""
    padded = np.pad(values.astype(np.float64), 1, mode="edge")
    if len(values) > 1:
        padded[0], padded[-1] = 2 * padded[1] - padded[2], 2 * padded[-2] - padded[-3]
    if values.shape[1] > 1:
        padded[:, 0], padded[:, -1] = 2 * padded[:, 1] - padded[:, 2], 2 * padded[:, -2] - padded[:, -3]
    return padded


def pixel_sides(transform: Affine, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lengths of the sides of pixels on a grid of degrees, on the WGS84 ellipsoid.

    Args:
        transform: Affine transform from (column, row) to longitude and latitude, with north at the top.
        rows: The number of rows.

    Returns:
        (rows,) metres to the east and (rows,) metres to the south.
    """
    latitude = np.radians(transform.f + transform.e * (np.arange(rows) + 0.5))
    bent = 1.0 - _ECCENTRICITY_2 * np.sin(latitude) ** 2
    prime, meridian = _SEMI_MAJOR / np.sqrt(bent), _SEMI_MAJOR * (1.0 - _ECCENTRICITY_2) / bent**1.5
    east = np.radians(transform.a) * prime * np.cos(latitude)
    south = np.radians(-transform.e) * meridian
    return np.maximum(east, _SHORTEST), south
