"""How far a whole turn around the earth is on a grid whose columns are lines of equal longitude.

On such a grid a place has several coordinates: x, and x with one turn more or less. A map that crosses the antimeridian
may use either. Degrees are the usual case; web Mercator and other cylindrical projections are the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import pyproj
from numpy.typing import NDArray

_LONGITUDES: Final = np.arange(-175.0, 176.0, 10.0)
_STEP: Final = 1.0  # degrees
_LATITUDE: Final = 50.0
_TOLERANCE: Final = 1e-6  # of a step


@dataclass(frozen=True)
class Turn:
    """The longitudes of a grid.

    Args:
        width: One turn, in the unit of x.
        zero: The longitude where x is 0, in degrees.
    """

    width: float
    zero: float

    def degrees(self, x: float) -> float:
        """Return the longitude of an x, which may be beyond 180 degrees."""
        return x / self.width * 360.0 + self.zero


@lru_cache(maxsize=64)
def turn_of(crs: str) -> Turn | None:
    """Return the turn of a reference system; None where x does not follow from the longitude alone."""
    system = pyproj.CRS.from_user_input(crs)
    if system.is_geographic:
        start = system.prime_meridian
        zero = 0.0 if start is None else math.degrees(start.longitude * float(start.unit_conversion_factor))
        return Turn(2.0 * math.pi / system.axis_info[0].unit_conversion_factor, zero)
    # Without a change of datum, which would add a little that depends on the latitude.
    projection = pyproj.Proj(system)
    equator, north = (_steps(projection, latitude) for latitude in (0.0, _LATITUDE))
    step = float(np.median(equator))
    if not math.isfinite(step) or step <= 0.0:
        return None
    different = ~(np.abs(np.stack([equator, north]) / step - 1.0) < _TOLERANCE)
    if different.sum(axis=1).max() > 1:  # one of the steps may be across the edge of the projection
        return None
    width = step * 360.0 / _STEP
    x, _ = projection(_LONGITUDES[0], 0.0)
    return Turn(width, float(_LONGITUDES[0] - x / width * 360.0))


def _steps(projection: pyproj.Proj, latitude: float) -> NDArray[np.float64]:
    """Return by how much x grows for one step of the longitude, at several longitudes."""
    latitudes = np.full(len(_LONGITUDES), latitude)
    first, second = (np.asarray(projection(_LONGITUDES + more, latitudes)[0]) for more in (0.0, _STEP))
    with np.errstate(invalid="ignore"):  # infinite where the projection has no such place
        found: NDArray[np.float64] = second - first
    return found
