"""Where a grid is on a web map: whether one can show it, its extent in degrees, and the numbers of its tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyproj

from drshym_pipeline.records import MapGrid, MapRecord
from drshym_pipeline.sar.georeference import pixel_size_m, to_degrees
from drshym_pipeline.service.map_tiles.errors import NoWebMapError, TileAddressError

WEB_MERCATOR: Final = "EPSG:3857"
TILE_PIXELS: Final = 256
HIGHEST_ZOOM: Final = 24  # 1 cm
_HALF_WORLD_M: Final = math.pi * 6_378_137.0  # the sphere of EPSG:3857
_HIGHEST_LATITUDE: Final = math.degrees(math.atan(math.sinh(math.pi)))
_POINTS: Final = 33  # on each side of a grid, for its extent
_MARGIN: Final = 0.01  # of the extent, because the outline is curved between the points
_POLAR: Final = "Polar Stereographic"


@dataclass(frozen=True)
class WebMap:
    """The place of a grid on a web map.

    Args:
        west: Degrees, from -180 to below 180.
        south: Degrees.
        east: Degrees, more than 180 where the grid crosses the antimeridian.
        north: Degrees.
        lowest_zoom: The whole grid is about as large as one tile there.
        highest_zoom: A pixel of a tile is not larger than one of the grid there.
    """

    west: float
    south: float
    east: float
    north: float
    lowest_zoom: int
    highest_zoom: int

    def touches(self, z: int, x: int, y: int) -> bool:
        """Return whether a tile may show a part of the grid."""
        across, down = (self.east - self.west) * _MARGIN, (self.north - self.south) * _MARGIN
        left, right = (column / (1 << z) * 360.0 - 180.0 for column in (x, x + 1))
        top, bottom = (_latitude(row / (1 << z)) for row in (y, y + 1))
        if bottom > self.north + down or top < self.south - down:
            return False
        return any(
            left <= self.east + turn + across and right >= self.west + turn - across for turn in (-360.0, 0.0, 360.0)
        )

    @property
    def tilejson_bounds(self) -> list[float]:
        """West, south, east and north without a wrap at the antimeridian, as TileJSON 3.0 asks for them."""
        west, east = (-180.0, 180.0) if self.east > 180.0 else (self.west, self.east)
        return [west, self.south, east, self.north]


def grid_of(record: MapRecord) -> MapGrid:
    """Return the grid of a map."""
    height, width = record.shape
    return MapGrid(crs=record.crs, transform=record.transform, height=height, width=width)


def web_map(record: MapRecord) -> bool:
    """Return whether a web map can show a map.

    It cannot if the map is beyond 85 degrees of latitude, where the web map ends, or on a polar stereographic grid: it
    would be turned and stretched, and around the pole it has no shape at all. Such maps are shown in their own grid.
    """
    return _place(record) is not None


def place_of(record: MapRecord) -> WebMap:
    """Return the place of a map on a web map.

    Raises:
        NoWebMapError: A web map cannot show it.
    """
    place = _place(record)
    if place is None:
        raise NoWebMapError(
            record.scene_id, f"a web map cannot show its grid ({record.crs})", "Use its pictures in its own grid"
        )
    return place


def degree_bounds(record: MapRecord) -> tuple[float, float, float, float] | None:
    """Return west, south, east and north of a map in degrees; east is above 180 where it crosses the antimeridian.

    None for a map that a web map cannot show.
    """
    place = _place(record)
    return None if place is None else (place.west, place.south, place.east, place.north)


def check_tile(z: int, x: int, y: int) -> None:
    """Check the numbers of a tile.

    Raises:
        TileAddressError: There is no tile with these numbers.
    """
    address = f"tile {z}/{x}/{y}"
    if not 0 <= z <= HIGHEST_ZOOM:
        raise TileAddressError(address, f"there is no zoom {z}", f"Choose a zoom from 0 to {HIGHEST_ZOOM}")
    if not (0 <= x < 1 << z and 0 <= y < 1 << z):
        raise TileAddressError(
            address, f"there is no such tile at zoom {z}", f"Choose column and row from 0 to {(1 << z) - 1}"
        )


def tile_grid(z: int, x: int, y: int) -> MapGrid:
    """Return the grid of a tile of the web map."""
    size = 2.0 * _HALF_WORLD_M / (1 << z)
    pixel = size / TILE_PIXELS
    transform = (pixel, 0.0, x * size - _HALF_WORLD_M, 0.0, -pixel, _HALF_WORLD_M - y * size)
    return MapGrid(crs=WEB_MERCATOR, transform=transform, height=TILE_PIXELS, width=TILE_PIXELS)


def degrees_east(x: float) -> float:
    """Return the longitude of an x of the web map."""
    return x / _HALF_WORLD_M * 180.0


def _place(record: MapRecord) -> WebMap | None:
    return _place_of_grid(record.crs, record.transform, record.shape)


@lru_cache(maxsize=1024)
def _place_of_grid(
    crs: str, transform: tuple[float, float, float, float, float, float], shape: tuple[int, int]
) -> WebMap | None:
    grid = MapGrid(crs=crs, transform=transform, height=shape[0], width=shape[1])
    operation = pyproj.CRS.from_user_input(crs).coordinate_operation
    if operation is not None and _POLAR in operation.method_name:
        return None
    along = np.linspace(0.0, 1.0, _POINTS)
    points: Any = np.stack(np.meshgrid(along * grid.width, along * grid.height)).reshape(2, -1)
    lon, lat = (np.asarray(values) for values in to_degrees(crs).transform(*(grid.affine @ points)))
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()) or abs(lat).max() > _HIGHEST_LATITUDE:
        return None
    # Longitudes count from the middle of the grid, so that the antimeridian is an ordinary place.
    middle = float(lon[len(lon) // 2])
    lon = (lon - middle + 180.0) % 360.0 - 180.0 + middle
    west, south, north = float(lon.min()), float(lat.min()), float(lat.max())
    first = (west + 180.0) % 360.0 - 180.0
    east = float(lon.max()) + first - west
    stretch = 1.0 / math.cos(math.radians((south + north) / 2.0))  # of a metre on the web map
    pixel = min(pixel_size_m(crs, grid.affine, *shape)) * stretch
    extent = max((east - first) / 360.0, abs(_row(north) - _row(south)))
    world = 2.0 * _HALF_WORLD_M / TILE_PIXELS
    highest = min(max(math.ceil(math.log2(world / pixel)), 0), HIGHEST_ZOOM)
    lowest = min(max(math.floor(-math.log2(extent)), 0), highest)
    return WebMap(first, south, east, north, lowest, highest)


def _latitude(row: float) -> float:
    """Return the latitude of a part of the web map's height, 0 at its upper end and 1 at its lower end."""
    return math.degrees(math.atan(math.sinh(math.pi * (1.0 - 2.0 * row))))


def _row(latitude: float) -> float:
    """Return the part of the web map's height of a latitude, the opposite of `_latitude`."""
    return (1.0 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2.0
