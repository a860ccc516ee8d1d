"""The tile grid: which windows cover a scene, and how overlapping tiles are blended.

This module contains only integer arithmetic on rows and columns; it reads no pixels. A grid is the product of one list
of row starts and one list of column starts. So blend weights are separable: a tile's weight at (row, column) is the
product of two 1-D weights, and the 1-D weights of an axis sum to one for every pixel. Stitching is then a weighted sum
(see `stitching`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError

DEFAULT_TILE = 512
DEFAULT_OVERLAP = 64
# The memory of a map grows with the square of the tile, so a larger one could end the process.
LARGEST_TILE = 4096


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels: first row and column, height and width, all in pixels."""

    row: int
    col: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """The rows of the window in the scene."""
        return slice(self.row, self.row + self.height)

    @property
    def cols(self) -> slice:
        """The columns of the window in the scene."""
        return slice(self.col, self.col + self.width)


def axis_starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Return the first pixel of each tile along one axis.

    Tiles advance by `tile - overlap`. The last one is moved back so that it ends on the scene's last pixel, so its
    overlap may be larger. An axis shorter than a tile has one tile that starts at 0 and extends beyond the end.

    Args:
        length: Length of the scene along the axis, in pixels.
        tile: Length of a tile.
        overlap: Overlap of neighbours.
    """
    if length <= tile:
        return (0,)
    step = tile - overlap
    starts = list(range(0, length - tile, step))
    starts.append(length - tile)
    return tuple(starts)


def axis_weights(length: int, tile: int, overlap: int) -> NDArray[np.float64]:
    """Return the blend weights along one axis.

    A raised cosine rises over the first `overlap` pixels of a tile and falls over its last `overlap` pixels, except at
    the two ends of the scene, where a tile has no neighbour. The weights of each pixel are then divided by their sum.

    Returns:
        (tiles, tile) float64. For every pixel of the scene, the weights of the tiles that contain it sum to one. Pixels
        of a tile beyond the end of the scene have weight zero.
    """
    starts = axis_starts(length, tile, overlap)
    # Half-pixel offsets keep the ramp above zero, so the sum below never vanishes.
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(overlap) + 0.5) / max(overlap, 1))
    weights = np.ones((len(starts), tile))
    for index in range(len(starts)):
        if index > 0:
            weights[index, :overlap] *= ramp
        if index < len(starts) - 1:
            weights[index, tile - overlap :] *= ramp[::-1]
    total = np.zeros(max(length, tile))
    for index, start in enumerate(starts):
        total[start : start + tile] += weights[index]
    for index, start in enumerate(starts):
        weights[index] /= total[start : start + tile]
    weights[-1, max(0, length - starts[-1]) :] = 0.0
    return weights


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of pixels along one axis that all belong to the same tiles.

    Args:
        start: First pixel, in the scene.
        stop: One past the last.
        tiles: Indices of the tiles that contain the range, in order; their blend weights there sum to one.
    """

    start: int
    stop: int
    tiles: tuple[int, ...]


def axis_segments(length: int, tile: int, overlap: int) -> tuple[Segment, ...]:
    """Cut an axis where tiles begin and end. Most pixels belong to only one tile and need no blending.

    Args:
        length: Length of the scene along the axis, in pixels.
        tile: Length of a tile.
        overlap: Overlap of neighbours.

    Returns:
        Segments in order, without gaps, from pixel 0 to the last pixel.
    """
    starts = axis_starts(length, tile, overlap)
    edges = sorted({0, length, *starts, *(start + tile for start in starts)})
    edges = [edge for edge in edges if edge <= length]
    return tuple(
        Segment(first, last, tuple(i for i, start in enumerate(starts) if start <= first and last <= start + tile))
        for first, last in pairwise(edges)
    )


@dataclass(frozen=True)
class TileGrid:
    """All tiles of a scene, in row-major order.

    Args:
        height: Scene height in pixels.
        width: Scene width in pixels.
        tile: Tile side in pixels, at most `LARGEST_TILE`.
        overlap: Overlap of neighbouring tiles in pixels, smaller than the tile.

    Raises:
        InputError: The tile or the overlap is out of range, or the scene is empty.
    """

    height: int
    width: int
    tile: int = DEFAULT_TILE
    overlap: int = DEFAULT_OVERLAP

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise InputError("scene", f"has no pixels ({self.height} x {self.width})", "Check the source file")
        if not 1 <= self.tile <= LARGEST_TILE:
            raise InputError(
                "tile", f"must be from 1 to {LARGEST_TILE} pixels, got {self.tile}", "Choose a tile size such as 512"
            )
        if self.overlap < 0:
            raise InputError("overlap", f"must not be negative, got {self.overlap}", "Choose an overlap such as 64")
        if self.overlap >= self.tile:
            raise InputError(
                "overlap",
                f"must be smaller than the tile, got overlap {self.overlap} and tile {self.tile}",
                "Choose an overlap such as an eighth of the tile",
            )

    @cached_property
    def row_starts(self) -> tuple[int, ...]:
        """First row of each row of tiles."""
        return axis_starts(self.height, self.tile, self.overlap)

    @cached_property
    def col_starts(self) -> tuple[int, ...]:
        """First column of each column of tiles."""
        return axis_starts(self.width, self.tile, self.overlap)

    @cached_property
    def row_weights(self) -> NDArray[np.float64]:
        """Blend weights down the scene: (rows of tiles, tile)."""
        return axis_weights(self.height, self.tile, self.overlap)

    @cached_property
    def col_weights(self) -> NDArray[np.float64]:
        """Blend weights across the scene: (columns of tiles, tile)."""
        return axis_weights(self.width, self.tile, self.overlap)

    @cached_property
    def row_segments(self) -> tuple[Segment, ...]:
        """Ranges of rows that belong to the same rows of tiles."""
        return axis_segments(self.height, self.tile, self.overlap)

    @cached_property
    def col_segments(self) -> tuple[Segment, ...]:
        """Ranges of columns that belong to the same columns of tiles."""
        return axis_segments(self.width, self.tile, self.overlap)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return len(self.row_starts), len(self.col_starts)

    def __len__(self) -> int:
        return len(self.row_starts) * len(self.col_starts)

    def window(self, index: int) -> Window:
        """Return the window of one tile, cut at the end of the scene if the scene is smaller than a tile."""
        if not 0 <= index < len(self):
            raise IndexError(f"tile {index} of {len(self)}")
        row, col = divmod(index, len(self.col_starts))
        return Window(
            self.row_starts[row], self.col_starts[col], min(self.tile, self.height), min(self.tile, self.width)
        )

    def __iter__(self) -> Iterator[Window]:
        return (self.window(index) for index in range(len(self)))
