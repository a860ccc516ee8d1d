"""The position of pixels: the CRS exactly as given, grids for scenes with control points only.

Only geometry: no backscatter is read here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from pyproj.enums import TransformDirection
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import ControlPoint, counted
from drshym_pipeline.tiling import Window

_FEWEST_POINTS = 4
_POLE = 84.0  # degrees; UTM ends there, and Sentinel-1 sees no land beyond
_SMALLEST_PIXEL = 1e-6  # m2
_SQUARE = 0.01  # relative difference of the sides
_NO_MAP = "its ground control points do not make a map"
_GEOD = pyproj.Geod(ellps="WGS84")
NO_GEOREFERENCE = "Georeference it first (RTC products and terrain-corrected GRD have a CRS)"
_OTHER_CRS: Final = "Georeference it again in a CRS of the Earth, such as EPSG:4326 or its UTM zone"
_RIGHT_CRS: Final = (
    "Give it the CRS of its coordinates (rio edit-info --crs EPSG:n FILE), or georeference it again if its transform "
    "is wrong"
)
# The smallest range sample of Sentinel-1 is 1.5 m: smaller pixels on the ground are a mistake in the transform.
_FINEST_M: Final = 0.5
_PLACES_PER_SIDE: Final = 9
_RIGHT_ANGLE, _TURN, _ROUNDING = 90.0, 360.0, 1e-6  # degrees
_MOST_SHIFT: Final = 0.5  # pixels
_NEARBY: Final = 1e-3  # degrees
_TURN_TOLERANCE: Final = 1e-6  # of a turn


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixel grid of a scene: CRS as text, transform from (column, row) to (x, y), size in pixels.

    With control points the transform is only a fit to the points.
    """

    crs: str
    transform: Affine
    height: int
    width: int
    georeference: Literal["transform", "gcps"]
    points: tuple[ControlPoint, ...] = ()

    @property
    def pixel_spacing(self) -> tuple[float, float]:
        """Return the length of a pixel's sides (x, y) in units of the CRS, both positive."""
        a, b, _, d, e, _ = self.transform[:6]
        return math.hypot(a, d), math.hypot(b, e)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Return (left, bottom, right, top) around all pixels, in units of the CRS."""
        return bounds_of(self.transform, Window(0, 0, self.height, self.width))


def bounds_of(transform: Affine, window: Window) -> tuple[float, float, float, float]:
    """Return (left, bottom, right, top) around a window of pixels, in units of the CRS.

    The functions of rasterio for this (`array_bounds`, `windows.bounds`) return the sides in the wrong order for a
    grid with south at the top, or are wrong for a rotated one.

    Args:
        transform: Affine transform from (column, row) to (x, y).
        window: The pixels.
    """
    rows, cols = (window.row, window.row + window.height), (window.col, window.col + window.width)
    xs, ys = zip(*(transform @ (col, row) for row in rows for col in cols), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def crs_text(crs: CRS) -> str:
    """Return `EPSG:n` when that code means exactly this CRS, else its WKT."""
    authority = crs.to_authority()
    if authority is not None and authority[0] == "EPSG":
        text = f"EPSG:{authority[1]}"
        if CRS.from_user_input(text) == crs:
            return text
    return str(crs.to_wkt())


def control_points(dataset: Any, path: Path) -> tuple[ControlPoint, ...]:
    """Return the ground control points of a dataset, in degrees on WGS84.

    Raises:
        InputError: There are fewer than four points, they have no CRS of the Earth, or their positions are not
            possible.
    """
    points, crs = dataset.gcps
    if len(points) < _FEWEST_POINTS:
        missing = "no transform" if dataset.crs is not None else "no CRS"
        found = f"only {counted(len(points), 'ground control point')}" if points else "no ground control points"
        raise InputError(path, f"{missing} and {found} (GCPs; {_FEWEST_POINTS} are needed)", NO_GEOREFERENCE)
    if crs is None:
        raise InputError(path, "its ground control points have no CRS", NO_GEOREFERENCE)
    text = crs_text(crs)
    _earth_crs(text, path)
    xs, ys = to_degrees(text).transform([point.x for point in points], [point.y for point in points])
    if not np.isfinite([xs, ys]).all() or float(np.abs(ys).max()) > _POLE:
        raise InputError(path, _NO_MAP, NO_GEOREFERENCE)
    return tuple(
        ControlPoint(row=float(point.row), col=float(point.col), longitude=within_turn(float(x)), latitude=float(y))
        for point, x, y in zip(points, xs, ys, strict=True)
    )


def within_turn(longitude: float) -> float:
    """Return a longitude in degrees as the same longitude in [-180, 180]."""
    half = _TURN / 2
    return longitude if abs(longitude) <= half else (longitude + half) % _TURN - half


def projected(points: Sequence[ControlPoint], crs: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return control points as (n, 2) rows and columns, and (n, 2) x and y in a CRS."""
    to_map = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    xs, ys = to_map.transform([point.longitude for point in points], [point.latitude for point in points])
    return np.array([(point.row, point.col) for point in points]), np.stack([xs, ys], axis=1)


def affine_fit(points: Sequence[ControlPoint], crs: str, path: Path) -> Affine:
    """Return the transform from (column, row) to (x, y) of `crs` that fits control points best (least squares).

    The fit of GDAL (`rasterio.transform.from_gcps`) differs in the last digits, and the result is stored with a scene.

    Raises:
        InputError: All points are on one line or at one position.
    """
    places, positions = projected(points, crs)
    design = np.column_stack([places[:, 1], places[:, 0], np.ones(len(places))])
    if not np.isfinite(positions).all() or np.linalg.matrix_rank(design) < design.shape[1]:
        raise InputError(path, _NO_MAP, NO_GEOREFERENCE)
    (a, d), (b, e), (c, f) = np.linalg.lstsq(design, positions, rcond=None)[0]
    transform = Affine(float(a), float(b), float(c), float(d), float(e), float(f))
    if abs(transform.determinant) < _SMALLEST_PIXEL:
        raise InputError(path, _NO_MAP, NO_GEOREFERENCE)
    return transform


def utm_epsg(longitude: float, latitude: float) -> str:
    """Return the UTM zone of a place on WGS84, such as `EPSG:32630`."""
    zone = min(max(int((longitude + 180.0) // 6.0) + 1, 1), 60)
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"


def find_grid(dataset: Any, path: Path) -> Grid:
    """Return the pixel grid of a dataset.

    A dataset with a CRS and a transform keeps them. A dataset with ground control points only (raw GRD) gets an affine
    fit in its UTM zone, which says only roughly where it is; `ground_control` makes the grid of its products.

    Args:
        dataset: The open reader of rasterio.
        path: The file to name in an error.

    Raises:
        InputError: There is neither a transform nor enough control points, the transform cannot be used, it does not
            lead to places on Earth, or its pixels are smaller than those of any product.
    """
    if dataset.crs is not None and not dataset.transform.is_identity:
        transform = dataset.transform
        if transform.is_degenerate or not all(map(math.isfinite, transform)):
            raise InputError(path, "its transform is not invertible", NO_GEOREFERENCE)
        grid = Grid(crs_text(dataset.crs), transform, dataset.height, dataset.width, "transform")
        _check_places(grid, path)
        _check_pixel_size(grid, path)
        return grid
    points = control_points(dataset, path)
    crs = utm_epsg(*_middle(points))
    return Grid(crs, affine_fit(points, crs, path), dataset.height, dataset.width, "gcps", points)


def _earth_crs(text: str, path: Path) -> pyproj.CRS:
    """Return a CRS whose coordinates lead to longitude and latitude on WGS84.

    Args:
        text: `EPSG:n` or WKT.
        path: The file to name in an error.

    Raises:
        InputError: It is local, vertical or geocentric, of another planet, or PROJ does not know it.
    """
    name = "unknown"
    try:
        crs = pyproj.CRS.from_user_input(text)
        name = crs.name
        is_vertical = crs.is_vertical and not crs.is_compound
        kinds = {"local": crs.is_engineering, "geocentric": crs.is_geocentric, "vertical": is_vertical}
        kind = next((kind for kind, found in kinds.items() if found), None)
        if kind is None:
            to_degrees(text)
            return crs
        problem = f"its CRS ({name}) is {kind}, so its pixels have no longitude and latitude"
    except ProjError:
        problem = f"its CRS ({name}) cannot be converted to longitude and latitude on Earth"
    raise InputError(path, problem, _OTHER_CRS)


def _check_places(grid: Grid, path: Path) -> None:
    """Refuse a grid that has a pixel without a place on Earth.

    Coordinates outside the domain of a projection have no longitude and latitude, or PROJ returns those of another
    place: then the way back does not lead to the same coordinates.

    Args:
        grid: The grid, with a transform.
        path: The file to name in an error.

    Raises:
        InputError: The CRS does not lead to places on Earth, or the coordinates are outside its domain.
    """
    crs = _earth_crs(grid.crs, path)
    rows, cols = (np.linspace(0, size, _PLACES_PER_SIDE) for size in (grid.height, grid.width))
    corners = np.array([values.ravel() for values in np.meshgrid(cols, rows)])
    positions = np.array(grid.transform @ corners)
    longitude, latitude = to_degrees(grid.crs).transform(*positions)
    there = np.isfinite(longitude) & np.isfinite(latitude) & (np.abs(latitude) <= _RIGHT_ANGLE + _ROUNDING)
    if crs.is_geographic:
        # PROJ returns any number of degrees as it is.
        there &= (np.abs(longitude) <= _TURN + _ROUNDING) & (np.ptp(longitude) <= _TURN + _ROUNDING)
    elif there.all():
        there &= _leads_back(grid, positions, np.array([longitude, latitude]))
    if not there.all():
        left, bottom, right, top = grid.bounds
        raise InputError(
            path,
            f"its coordinates (x {left:.10g} to {right:.10g}, y {bottom:.10g} to {top:.10g}) are outside its CRS "
            f"({crs.name})",
            _RIGHT_CRS,
        )


def _check_pixel_size(grid: Grid, path: Path) -> None:
    """Refuse a transform in degrees with a CRS in metres: its pixels are a fraction of a millimetre on the ground.

    Raises:
        InputError: A side of a pixel is shorter than 0.5 m.
    """
    across, down = pixel_size_m(grid.crs, grid.transform, grid.height, grid.width)
    if min(across, down) < _FINEST_M:
        raise InputError(
            path,
            f"its pixels are {across:.2g} x {down:.2g} m on the ground, smaller than those of any Sentinel-1 product: "
            "its transform is in another unit than its CRS",
            _RIGHT_CRS,
        )


def _leads_back(grid: Grid, positions: NDArray[np.float64], degrees: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for which positions the way to longitude and latitude and back leads to the same place, (n,).

    A scene across the antimeridian may continue beyond the edge of a map of the world, as in EPSG:3857. Positions there
    come back one turn of the Earth away in x.

    Args:
        grid: The grid, in a projection.
        positions: (2, n) x and y.
        degrees: (2, n) longitude and latitude of the same places.
    """
    longitude, latitude = degrees

    def back_from(longitude: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array(to_degrees(grid.crs).transform(longitude, latitude, direction=TransformDirection.INVERSE))

    back, beside = back_from(longitude), back_from(longitude - np.copysign(_NEARBY, longitude))
    shift, most = np.abs(back - positions), _MOST_SHIFT * max(grid.pixel_spacing)
    turn = float(np.median(np.abs(back - beside)[0])) * _TURN / _NEARBY
    is_turned = np.abs(shift[0] - turn) <= _TURN_TOLERANCE * turn
    found: NDArray[np.bool_] = ((shift[0] <= most) | is_turned) & (shift[1] <= most)
    return found


def _middle(points: Sequence[ControlPoint]) -> tuple[float, float]:
    """Return longitude and latitude of the point nearest the middle of the image, for any order of the points."""
    places = np.array([(point.row, point.col) for point in points])
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    point = points[int(np.hypot(*(places - middle).T).argmin())]
    return point.longitude, point.latitude


def is_square_in_degrees(crs: str, transform: Affine) -> bool:
    """Return whether a pixel has sides of equal length in degrees, as in products on a grid of longitude and latitude.

    Args:
        crs: `EPSG:n` or WKT.
        transform: Affine transform from (column, row) to (x, y).
    """
    a, b, _, d, e, _ = transform[:6]
    return pyproj.CRS(crs).is_geographic and math.isclose(math.hypot(a, d), math.hypot(b, e), rel_tol=_SQUARE)


@lru_cache(maxsize=32)
def to_degrees(crs: str) -> pyproj.Transformer:
    """Return the transformer from (x, y) of a CRS to (longitude, latitude) on WGS84; it is made once per CRS."""
    return pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def pixel_size_m(crs: str, transform: Affine, height: int, width: int) -> tuple[float, float]:
    """Return the sides (x, y) of the pixel in the middle of a grid, in metres on the WGS84 ellipsoid.

    Args:
        crs: `EPSG:n` or WKT.
        transform: Affine transform from (column, row) to (x, y).
        height: Rows of the grid.
        width: Columns of the grid.
    """
    col, row = width / 2.0, height / 2.0
    xs, ys = transform @ np.array([[col - 0.5, col + 0.5, col, col], [row, row, row - 0.5, row + 0.5]])
    longitude, latitude = to_degrees(crs).transform(xs, ys)
    _, _, lengths = _GEOD.inv(longitude[::2], latitude[::2], longitude[1::2], latitude[1::2])
    return float(lengths[0]), float(lengths[1])
