"""The values and the state of one pixel of a map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import pyproj

from drshym_pipeline.probabilities import PROBABILITY_SCALE
from drshym_pipeline.products.backscatter_rasters import STEPS_PER_DB
from drshym_pipeline.products.exclusion_texts import reason_texts
from drshym_pipeline.records import MapGrid, MapRecord
from drshym_pipeline.sar.codes import CODES_PER_DB, LOWEST_DB
from drshym_pipeline.sar.georeference import to_degrees
from drshym_pipeline.service.map_tiles.errors import PointOutsideError
from drshym_pipeline.service.map_tiles.layers import LAYER_NAMES, LayerName, RasterFile, raster_of
from drshym_pipeline.service.map_tiles.scene import TileScene
from drshym_pipeline.service.map_tiles.state_texts import state_texts
from drshym_pipeline.service.map_tiles.turns import turn_of
from drshym_pipeline.service.map_tiles.web_map import grid_of
from drshym_pipeline.service.schemas import PointAnswer
from drshym_pipeline.states import EXCLUSION_REASONS, EXCLUSION_UNKNOWN, MASK_NOT_OBSERVED

_TURNS: Final = (0, -1, 1)
_STORED: Final = "stored "  # begins the names of values in the unit of the stored backscatter of a scene


@dataclass(frozen=True)
class PointPlace:
    """A pixel of a map, with the degrees of its centre; None where they are not known."""

    row: int
    column: int
    lon: float | None
    lat: float | None


def point_place(
    record: MapRecord, *, lon: float | None, lat: float | None, row: int | None, column: int | None
) -> PointPlace:
    """Return the pixel of a map at a position.

    Raises:
        PointOutsideError: It is outside the grid of the map, or is not given by degrees or by row and column.
    """
    grid = grid_of(record)
    if lon is not None and lat is not None and row is None and column is None:
        where = f"longitude {lon:g}, latitude {lat:g}"
        found = _pixel(grid, lon, lat)
    elif row is not None and column is not None and lon is None and lat is None:
        where = f"row {row}, column {column}"
        found = (row, column) if 0 <= row < grid.height and 0 <= column < grid.width else None
    else:
        raise PointOutsideError("point", "its position is not complete", "Give lon and lat, or row and column")
    if found is None:
        raise PointOutsideError(
            where,
            f"is outside the map of {record.scene_id}",
            f"Choose a point of the map, which has {grid.height} rows and {grid.width} columns",
        )
    x, y = grid.affine @ (found[1] + 0.5, found[0] + 0.5)
    longitude, latitude = to_degrees(grid.crs).transform(x, y)
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        return PointPlace(*found, None, None)
    return PointPlace(*found, (longitude + 180.0) % 360.0 - 180.0, latitude)


def point_pixels(scene: TileScene, place: PointPlace) -> dict[str, tuple[RasterFile, int, int]]:
    """Return which pixels of which rasters are read for a point, by the name of the layer."""
    pixels = {}
    for name in LAYER_NAMES:
        raster = raster_of(scene, name)
        if raster is None:
            continue
        if raster.grid is None or raster.grid == grid_of(scene.record):
            found: tuple[int, int] | None = (place.row, place.column)
        else:
            known = place.lon is not None and place.lat is not None
            found = _pixel(raster.grid, place.lon, place.lat) if known else None  # type: ignore[arg-type]
        if found is not None:
            pixels[name if raster.grid is None else _STORED + name] = (raster, *found)
    return pixels


def point_answer(record: MapRecord, place: PointPlace, values: Mapping[str, tuple[int | None, ...]]) -> PointAnswer:
    """Return the values of a pixel in their units, and its state in words.

    Args:
        record: The record of the map.
        place: The pixel.
        values: The stored values by the names of `point_pixels`, one per band.
    """
    mask = _first(values, "mask")
    mask = MASK_NOT_OBSERVED if mask is None else mask
    vv, vh = _decibels(values, "backscatter")
    vv_before, vh_before = _decibels(values, "backscatter_before")
    return PointAnswer(
        row=place.row,
        column=place.column,
        lon=place.lon,
        lat=place.lat,
        state=state_texts(record)[mask],
        mask=mask,
        probability=_probability(values, "proba"),
        reference=_probability(values, "reference"),
        flood_probability=_probability(values, "flood_proba"),
        exclusion=tuple(_reasons(record, _first(values, "exclusion"))),
        vv_db=vv,
        vh_db=vh,
        vv_before_db=vv_before,
        vh_before_db=vh_before,
    )


def _pixel(grid: MapGrid, lon: float, lat: float) -> tuple[int, int] | None:
    """Return row and column of the pixel at a position in degrees; None outside the grid."""
    if not (math.isfinite(lon) and math.isfinite(lat)):
        return None
    x, y = _from_degrees(grid.crs).transform(lon, lat)
    if not (math.isfinite(x) and math.isfinite(y)):
        return None
    turn = turn_of(grid.crs)
    for number in (0,) if turn is None else _TURNS:
        across = 0.0 if turn is None else number * turn.width
        column, row = (math.floor(value) for value in ~grid.affine @ (x + across, y))
        if 0 <= row < grid.height and 0 <= column < grid.width:
            return row, column
    return None


@lru_cache(maxsize=32)
def _from_degrees(crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _first(values: Mapping[str, tuple[int | None, ...]], name: str) -> int | None:
    return values[name][0] if name in values else None


def _probability(values: Mapping[str, tuple[int | None, ...]], name: LayerName) -> float | None:
    stored = _first(values, name)
    return None if stored is None else round(stored * PROBABILITY_SCALE, 4)


def _decibels(values: Mapping[str, tuple[int | None, ...]], name: LayerName) -> tuple[float | None, float | None]:
    """Return VV and VH in dB."""
    if _STORED + name in values:
        found = [None if code is None else LOWEST_DB + (code - 1) / CODES_PER_DB for code in values[_STORED + name]]
    else:
        found = [None if step is None else step / STEPS_PER_DB for step in values.get(name, ())]
    vv, vh, *_ = [None if db is None else round(db, 2) for db in found] + [None, None]
    return vv, vh


def _reasons(record: MapRecord, stored: int | None) -> list[str]:
    """Return why the terrain excludes a pixel."""
    if stored is None or stored == EXCLUSION_UNKNOWN or record.exclusion is None:
        return []
    words = reason_texts(record.exclusion)
    return [words[name] for name, value in EXCLUSION_REASONS.items() if stored & value]
