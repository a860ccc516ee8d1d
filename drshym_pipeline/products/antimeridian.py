"""Polygons in longitude and latitude as RFC 7946 asks for them: longitudes in -180 .. 180, cut at the antimeridian.

The input may have any longitudes: a grid in degrees that continues beyond 180 or is on 0 .. 360, or positions from a
projection, where longitudes jump at the antimeridian.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

Polygons = NDArray[np.object_]
_HALF_TURN: Final = 180.0
_TURN: Final = 360.0
_POLE: Final = 90.0
_CLOSED: Final = 1e-6  # degrees


def cut_at_antimeridian(polygons: Polygons, digits: int) -> Polygons:
    """Return polygons with longitudes in -180 .. 180; one that crosses the antimeridian becomes a multipolygon.

    Args:
        polygons: (n,) polygons in degrees, x is the longitude.
        digits: The decimals to which the points of cut polygons are rounded.

    Returns:
        (n,) polygons and multipolygons, outer rings counter-clockwise.
    """
    cut = polygons.copy()
    west, _, east, _ = shapely.bounds(polygons).T
    for index in np.flatnonzero((east - west > _HALF_TURN) | (east > _HALF_TURN) | (west < -_HALF_TURN)).tolist():
        cut[index] = _cut(_continuous(polygons[index]), digits)
    oriented: Polygons = shapely.orient_polygons(cut)
    return oriented


def _continuous(polygon: Any) -> Any:
    """Return a polygon without jumps of the longitude, which may then be outside -180 .. 180.

    A ring around a pole does not come back to its first longitude: it is closed along the pole.
    """
    outer, *holes = (_unwrapped(shapely.get_coordinates(ring)) for ring in shapely.get_rings(polygon))
    middle = (outer[:, 0].min() + outer[:, 0].max()) / 2
    for hole in holes:
        hole[:, 0] += _TURN * np.round((middle - hole[:, 0].mean()) / _TURN)
    return shapely.make_valid(shapely.Polygon(outer, holes))


def _unwrapped(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points of a ring, (n, 2), such that the longitude changes by less than half a turn at each step."""
    longitude = np.unwrap(ring[:, 0], period=_TURN)
    ring = np.column_stack([longitude, ring[:, 1]])
    if abs(longitude[-1] - longitude[0]) < _CLOSED:
        return ring
    pole = np.copysign(_POLE, ring[:, 1].mean())
    return np.concatenate([ring, [(longitude[-1], pole), (longitude[0], pole)], ring[:1]])


def _cut(geometry: Any, digits: int) -> Any:
    """Return a geometry whose parts beyond -180 .. 180 are moved there by whole turns, rounded to `digits` decimals."""
    west, _, east, _ = shapely.bounds(geometry)
    parts: list[Any] = []
    first, last = (int(np.floor((end + _HALF_TURN) / _TURN)) for end in (west, east))
    for turn in range(first, last + 1):
        left = turn * _TURN - _HALF_TURN
        inside = shapely.intersection(geometry, shapely.box(left, -_POLE, left + _TURN, _POLE))
        moved = shapely.transform(inside, lambda points, by=turn * _TURN: (points - [by, 0.0]).round(digits))
        parts += [part for part in shapely.get_parts(moved) if part.geom_type == "Polygon"]
    # The parts of a polygon around a pole touch where its ring begins.
    return shapely.union_all(parts)
