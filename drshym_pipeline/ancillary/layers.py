"""The layers that are published in tiles on a grid of whole degrees: names, corners, coverage and where they lie.

JRC Global Surface Water (Pekel et al. 2016, doi:10.1038/nature20584) names a tile by its north-west corner, the other
layers by the south-west one. The folders are those of the official buckets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final


@dataclass(frozen=True)
class Cell:
    """The square of a tile.

    Args:
        west: Degrees, a multiple of the layer's side in [-180, 180).
        south: Degrees, likewise.
    """

    west: int
    south: int


@dataclass(frozen=True)
class Layer:
    """A layer in tiles of EPSG:4326.

    Args:
        name: A short name for records.
        title: The name for readers.
        side: The side of a tile in degrees.
        south: Degrees; there are no tiles south of it.
        north: Degrees; there are no tiles north of it.
        place: Returns the path of a tile in the official bucket, with the bucket's name.
        fill: The value of a pixel without a value, also if the file does not declare it; None if every value counts.
    """

    name: str
    title: str
    side: int
    south: int
    north: int
    place: Callable[[Cell], PurePosixPath]
    fill: int | None = None

    def covers(self, cell: Cell) -> bool:
        """Return whether a tile of this square can exist."""
        return self.south <= cell.south and cell.south + self.side <= self.north


def _corner(value: int, positive: str, negative: str, digits: int) -> str:
    return f"{positive if value >= 0 else negative}{abs(value):0{digits}d}"


def _surface_water(name: str) -> Callable[[Cell], PurePosixPath]:
    def place(cell: Cell) -> PurePosixPath:
        north = cell.south + 10
        west = f"{abs(cell.west)}{'W' if cell.west < 0 else 'E'}"
        corner = f"{west}_{abs(north)}{'S' if north < 0 else 'N'}"
        return PurePosixPath("global-surface-water/downloads2021", name, f"{name}_{corner}v1_4_2021.tif")

    return place


def _land_cover(cell: Cell) -> PurePosixPath:
    corner = _corner(cell.south, "N", "S", 2) + _corner(cell.west, "E", "W", 3)
    return PurePosixPath("esa-worldcover/v200/2021/map", f"ESA_WorldCover_10m_2021_v200_{corner}_Map.tif")


def elevation_name(cell: Cell) -> str:
    """Return the name of a tile of the elevation model, as in the list of tiles of its bucket."""
    corner = f"{_corner(cell.south, 'N', 'S', 2)}_00_{_corner(cell.west, 'E', 'W', 3)}_00"
    return f"Copernicus_DSM_COG_10_{corner}_DEM"


def _elevation(cell: Cell) -> PurePosixPath:
    name = elevation_name(cell)
    return PurePosixPath("copernicus-dem-30m", name, f"{name}.tif")


def _drainage(cell: Cell) -> PurePosixPath:
    return PurePosixPath("glo-30-hand/v1/2021", f"{elevation_name(cell).removesuffix('DEM')}HAND.tif")


OCCURRENCE: Final = Layer(
    "jrc_occurrence",
    "JRC Global Surface Water occurrence 1984-2021",
    10,
    -60,
    80,
    _surface_water("occurrence"),
    255,
)
SEASONALITY: Final = Layer(
    "jrc_seasonality",
    "JRC Global Surface Water seasonality 2021",
    10,
    -60,
    80,
    _surface_water("seasonality"),
    255,
)
LAND_COVER: Final = Layer("worldcover", "ESA WorldCover 2021", 3, -60, 84, _land_cover, 0)
ELEVATION: Final = Layer("elevation", "Copernicus DEM GLO-30", 1, -90, 90, _elevation)
DRAINAGE: Final = Layer("hand", "height above nearest drainage of GLO-30", 1, -90, 90, _drainage)
# The list of all tiles of the elevation model, in its bucket: a square that is not on it is open sea.
ELEVATION_LIST: Final = PurePosixPath("copernicus-dem-30m/tileList.txt")
