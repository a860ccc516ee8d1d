"""The true area of every pixel of a grid, on the WGS84 ellipsoid.

The area changes along a row too: in UTM by 0.5 % between the central meridian and a place 300 km away. It is a smooth
function of row and column, so it is measured at a few nodes only. A row is divided into blocks of columns in which the
area is practically constant, so a sum over a scene is a count per block. All areas of a map come from here: those of
the map, of its polygons and of what is left out of them add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray

from drshym_pipeline.sar.georeference import to_degrees

_ROW_NODES, _COLUMN_NODES = 65, 33
_BLOCK_CHANGE = 5e-5  # largest relative change of the area across one block of columns
_M2_PER_KM2 = 1e6


@lru_cache(maxsize=1)
def _to_metres() -> pyproj.Transformer:
    """Return the transformer from longitude, latitude and height to x, y and z from the centre of the Earth."""
    return pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)


def _measure(crs: str, transform: Affine, rows: NDArray[np.float64], cols: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of pixels in km2, (rows, columns).

    The corners are placed in space, and the area is half the cross product of the diagonals: so neither the
    antimeridian nor a pole needs a rule of its own. The Earth is curved too little to matter inside a pixel.

    Args:
        crs: `EPSG:n` or WKT.
        transform: Affine transform from (column, row) to (x, y).
        rows: The rows of the upper left corners.
        cols: The columns of the upper left corners.
    """
    row, col = np.meshgrid(rows, cols, indexing="ij")
    corners = np.array([[col, col + 1, col + 1, col], [row, row, row + 1, row + 1]])
    xs, ys = transform @ corners.reshape(2, -1)
    longitude, latitude = to_degrees(crs).transform(xs, ys)
    space = np.stack(_to_metres().transform(longitude, latitude, np.zeros_like(longitude)), axis=-1)
    upper_left, upper_right, lower_right, lower_left = space.reshape(4, *row.shape, 3)
    diagonals = np.cross(lower_right - upper_left, lower_left - upper_right)
    area: NDArray[np.float64] = np.linalg.norm(diagonals, axis=-1) / 2 / _M2_PER_KM2
    return area


@dataclass(frozen=True)
class PixelAreas:
    """The area of the pixels of a grid, exact to 1e-4 of itself.

    Args:
        nodes: (n,) rising rows at which the area is known; between them it is interpolated.
        table: (n, blocks) area of a pixel in km2 at these rows, in each block of columns.
        block: The columns of a block; the last one may be narrower.
        width: The columns of the grid.
    """

    nodes: NDArray[np.float64]
    table: NDArray[np.float64]
    block: int
    width: int

    @classmethod
    def measure(cls, crs: str, transform: Affine, height: int, width: int) -> Self:
        """Measure the pixels of a grid.

        Args:
            crs: `EPSG:n` or WKT.
            transform: Affine transform from (column, row) to (x, y).
            height: Rows of the grid.
            width: Columns of the grid.
        """
        nodes = np.linspace(0, height - 1, min(height, _ROW_NODES))
        cols = np.linspace(0, width - 1, min(width, _COLUMN_NODES))
        measured = _measure(crs, transform, nodes, cols)
        block = _block_width(measured, cols, width)
        starts = np.arange(0, width, block)
        middles = (starts + np.minimum(starts + block, width) - 1) / 2
        table = np.stack([np.interp(middles, cols, row) for row in measured])
        return cls(nodes, table, block, width)

    def rows(self, row: int, count: int) -> NDArray[np.float64]:
        """Return the area of a pixel in km2, (count, blocks), for `count` rows from `row` on."""
        if len(self.nodes) == 1:
            return np.repeat(self.table, count, axis=0)
        here = np.arange(row, row + count)
        after = np.clip(np.searchsorted(self.nodes, here), 1, len(self.nodes) - 1)
        low, high = self.nodes[after - 1], self.nodes[after]
        share = ((here - low) / (high - low))[:, np.newaxis]
        between: NDArray[np.float64] = self.table[after - 1] * (1.0 - share) + self.table[after] * share
        return between

    def total(self, row: int, chosen: NDArray[np.bool_]) -> float:
        """Return the area of chosen pixels in km2.

        Args:
            row: The first row.
            chosen: (rows, width) bool.
        """
        starts = range(0, self.width, self.block)
        counts = np.stack([np.count_nonzero(chosen[:, col : col + self.block], axis=1) for col in starts], axis=1)
        return float((self.rows(row, len(chosen)) * counts).sum())

    def of_places(self, row: int, count: int, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the area of single pixels in km2, (n,).

        Args:
            row: The first of some rows.
            count: The number of these rows.
            places: (n,) positions of the pixels in these rows, counted along the rows from 0.
        """
        rows, cols = np.divmod(places, self.width)
        area: NDArray[np.float64] = self.rows(row, count)[rows, cols // self.block]
        return area


def _block_width(measured: NDArray[np.float64], cols: NDArray[np.float64], width: int) -> int:
    """Return the columns of a block, across which the area changes by `_BLOCK_CHANGE` at most."""
    if len(cols) == 1:
        return width
    change = float(np.abs(np.diff(np.log(measured), axis=1) / np.diff(cols)).max())
    return width if change * width <= _BLOCK_CHANGE else max(1, int(_BLOCK_CHANGE / change))
