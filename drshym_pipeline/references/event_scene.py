"""The open scene of a map, as the sources of the probability of water before need it.

A reference is written on the map grid of the scene, row by row, and counted where the scene is observed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling

from drshym_pipeline.observation import observed_rows
from drshym_pipeline.probabilities import NOT_OBSERVED, StoredProbabilities
from drshym_pipeline.records import MapGrid
from drshym_pipeline.references.reference import new_reference_raster
from drshym_pipeline.reprojection import moved, new_image_raster, turns
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.stitching import stitch_rows

_SAME_PIXEL = 1e-3  # pixels; GDAL approximates the place of a pixel with a larger error

RowValues = Callable[[range], NDArray[np.uint16]]


@dataclass(frozen=True)
class EventScene:
    """A scene that is being mapped.

    Args:
        reader: The open scene.
        tiles: Its open tile probabilities.
        threshold: The probability from which a pixel is water.
        work: An existing folder for files that are needed only while its reference is made.
    """

    reader: BackscatterReader
    tiles: StoredProbabilities
    threshold: float
    work: Path


@dataclass(frozen=True)
class WrittenReference:
    """Pixels of a probability of water before on the map grid of a scene.

    Args:
        known: The number of pixels that have a value.
        compared: The number of these pixels that the scene observes.
        of_views: The numbers of observed pixels for which each source has a value.
    """

    known: int
    compared: int
    of_views: tuple[int, ...]


def values_on(source: Any, grid: MapGrid) -> RowValues:
    """Return a function that gives the values of an open raster of probabilities on rows of a map grid.

    They are (rows, width) in steps of 1e-4, interpolated, 65535 where the raster has no value. Products of one track
    are often on one grid and differ only in their extents. Their pixels are then read as they are, which gives the same
    values.
    """
    offset = whole_offset(source, grid)

    def values(rows: range) -> NDArray[np.uint16]:
        if offset is not None:
            return _copied(source, grid, rows, *offset)
        stored: NDArray[np.uint16] = moved(source, grid, rows, Resampling.bilinear)[0]
        return stored

    return values


def whole_offset(source: Any, grid: MapGrid) -> tuple[int, int] | None:
    """Return the row and column of an open raster where a map grid begins, which may be outside it.

    None if its pixels are not those of the grid, or if their longitudes differ by a turn.
    """
    if turns(source, grid) != (0.0,):
        return None
    if source.crs is None or source.crs != CRS.from_user_input(grid.crs):
        return None
    a, b, col, d, e, row = (~source.transform @ grid.affine)[:6]
    offset = round(row), round(col)
    # The error of the position in any corner of the grid, in pixels.
    errors = (
        (abs(a - 1) + abs(d)) * grid.width + (abs(e - 1) + abs(b)) * grid.height,
        abs(row - offset[0]),
        abs(col - offset[1]),
    )
    return offset if max(errors) <= _SAME_PIXEL else None


def _copied(source: Any, grid: MapGrid, rows: range, first_row: int, first_col: int) -> NDArray[np.uint16]:
    """Return rows of a map grid from a raster whose pixels are those of the grid."""
    out = np.full((len(rows), grid.width), NOT_OBSERVED, np.uint16)
    top, left = first_row + rows.start, first_col
    row_from, row_to = max(top, 0), min(top + len(rows), source.height)
    col_from, col_to = max(left, 0), min(left + grid.width, source.width)
    if row_from < row_to and col_from < col_to:
        values = source.read(1, window=((row_from, row_to), (col_from, col_to)))
        out[row_from - top : row_to - top, col_from - left : col_to - left] = values
    return out


def write_reference(
    now: BackscatterReader,
    views: Sequence[RowValues],
    raster: Path,
    work: Path,
    combine: Callable[[Sequence[NDArray[np.uint16]]], NDArray[np.uint16]] | None = None,
) -> WrittenReference:
    """Write a probability of water before on the map grid of a scene.

    Args:
        now: The open scene.
        views: Functions, at least one. Each is called with rows of the grid, and returns (rows, width) in steps of
            1e-4, 65535 where the probability is not known.
        raster: The file of the result.
        work: An existing folder for a file that is needed only here.
        combine: Makes one array of those of all views, which it may change; None takes the first.
    """
    known = compared = 0
    of_views = [0] * len(views)
    grid = now.meta.map_grid
    with new_reference_raster(raster, grid) as target:
        for rows, observed in observed_rows(now, work):
            parts = [view(rows) for view in views]
            for place, part in enumerate(parts):
                of_views[place] += int(np.count_nonzero((part != NOT_OBSERVED) & observed))
            stored = parts[0] if combine is None else combine(parts)
            has_value = stored != NOT_OBSERVED
            known += int(np.count_nonzero(has_value))
            compared += int(np.count_nonzero(has_value & observed))
            target.write(stored, 1, window=((rows.start, rows.stop), (0, grid.width)))
    return WrittenReference(known, compared, tuple(of_views))


def write_own_probability(now: EventScene, image: Path) -> None:
    """Write the probability of water of a scene to a raster in the geometry of its image."""
    with new_image_raster(image, now.reader.meta, 1, NOT_OBSERVED) as target:
        for row, stored in stitch_rows(now.tiles, now.tiles.grid):
            target.write(stored, 1, window=((row, row + len(stored)), (0, now.reader.meta.width)))
