"""A map grid in blocks, and where each block is in degrees.

Longitudes of a block count on from those of its middle, so the antimeridian is an ordinary place: they may be beyond
-180 or 180. A block is small enough that the tiles of every layer can be read for it at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from drshym_pipeline.ancillary.layers import Cell
from drshym_pipeline.records import MapGrid
from drshym_pipeline.sar.georeference import to_degrees
from drshym_pipeline.tiling import Window

_SIDE: Final = 1024
_SMALLEST: Final = 64
_POINTS: Final = 33  # along each side of a block
_TURN: Final = 360.0
# The finest layer (WorldCover, 1/12000 degree) has at most so many pixels below a block, unless it is very small.
_MOST_PIXELS: Final = 1 << 26
_FINEST: Final = 12_000


@dataclass(frozen=True)
class Block:
    """A part of a map grid.

    Args:
        grid: The grid.
        window: The rows and columns.
        longitudes: (n,) degrees of points all over the block, continuous.
        latitudes: (n,) degrees of the same points.
    """

    grid: MapGrid
    window: Window
    longitudes: NDArray[np.float64]
    latitudes: NDArray[np.float64]

    @property
    def affine(self) -> Affine:
        """From (column, row) within the block to (x, y)."""
        return self.grid.affine @ Affine.translation(self.window.col, self.window.row)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees around all pixels."""
        return (
            float(self.longitudes.min()),
            float(self.latitudes.min()),
            float(self.longitudes.max()),
            float(self.latitudes.max()),
        )

    def cells(self, side: int) -> Iterator[tuple[Cell, int, bool]]:
        """Yield the squares of a layer that the block may touch.

        Args:
            side: The side of a square in degrees.

        Yields:
            The square, the whole turns of the Earth from its longitudes to those of the block in degrees, and whether
            one of the block's points is in it.
        """
        west, south, east, north = (math.floor(value / side) for value in self.bounds)
        columns, rows = np.floor(self.longitudes / side), np.floor(self.latitudes / side)
        touched = set(zip(columns.astype(int).tolist(), rows.astype(int).tolist(), strict=True))
        for row in range(south, north + 1):
            for column in range(west, east + 1):
                degrees = column * side
                normal = (degrees + 180) % 360 - 180
                yield Cell(normal, row * side), degrees - normal, (column, row) in touched


@lru_cache(maxsize=1)  # several layers of one map are read one after the other
def blocks(grid: MapGrid) -> tuple[Block, ...]:
    """Return the blocks of a map grid, from the top and from the left."""
    return tuple(_blocks(grid))


def _blocks(grid: MapGrid) -> Iterator[Block]:
    for row in range(0, grid.height, _SIDE):
        for col in range(0, grid.width, _SIDE):
            window = Window(row, col, min(_SIDE, grid.height - row), min(_SIDE, grid.width - col))
            yield from _divided(grid, window)


def _divided(grid: MapGrid, window: Window) -> Iterator[Block]:
    block = _located(grid, window)
    west, south, east, north = block.bounds
    if (east - west) * (north - south) * _FINEST**2 <= _MOST_PIXELS or max(window.height, window.width) <= _SMALLEST:
        yield block
        return
    rows, cols = max(1, window.height // 2), max(1, window.width // 2)
    for row in range(window.row, window.row + window.height, rows):
        for col in range(window.col, window.col + window.width, cols):
            bottom, right = window.row + window.height, window.col + window.width
            yield from _divided(grid, Window(row, col, min(rows, bottom - row), min(cols, right - col)))


def _located(grid: MapGrid, window: Window) -> Block:
    along = np.linspace(0.0, 1.0, _POINTS)
    rows, cols = window.row + along * window.height, window.col + along * window.width
    places: Any = np.stack(np.meshgrid(cols, rows)).reshape(2, -1)
    longitudes, latitudes = (np.asarray(values) for values in to_degrees(grid.crs).transform(*(grid.affine @ places)))
    middle = longitudes[len(longitudes) // 2]
    half = _TURN / 2
    return Block(grid, window, middle + (longitudes - middle + half) % _TURN - half, latitudes)
