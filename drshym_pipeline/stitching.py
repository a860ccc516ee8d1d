"""From tile probabilities back to one seamless scene, one band of rows at a time.

The grid's blend weights are separable and sum to one over the tiles of a pixel (see `tiling`), so stitching is a
weighted sum of tiles. Most pixels are in one tile only: they are copied as they are stored, and only the overlaps are
computed in floating point. No file is opened here: any array with the tile as its first axis can be stitched, and the
caller writes the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.tiling import Segment, TileGrid

_TILES_AT_ONCE = 16
_BAND_PIXELS = 1 << 20  # a wide scene comes in lower bands, so that all of them take the same memory
_BAND_ROWS = 128


class TileArray(Protocol):
    """What `stitch_rows` needs of an array: its shape and slices along the tile axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes, the tile axis first."""

    def __getitem__(self, key: slice, /) -> Any: ...


def _observed(values: NDArray[Any]) -> NDArray[np.bool_]:
    seen: NDArray[np.bool_] = values != NOT_OBSERVED if values.dtype == np.uint16 else ~np.isnan(values)
    return seen


def _blend(parts: list[tuple[NDArray[Any], NDArray[np.float32]]]) -> NDArray[Any]:
    """Return the weighted mean of several views of the same pixels, over those that observe a pixel.

    Args:
        parts: Values (rows, cols) and their weights, same shape.

    Returns:
        (rows, cols) of the values' own type, rounded where that is an integer.
    """
    value = np.zeros(parts[0][1].shape, np.float32)
    total = np.zeros_like(value)
    for values, weights in parts:
        seen = _observed(values)
        counted = np.where(seen, weights, np.float32(0.0))
        value += np.where(seen, values, 0).astype(np.float32) * counted
        total += counted
    stored = parts[0][0].dtype == np.uint16
    with np.errstate(invalid="ignore"):
        # 0 / 0 is exactly the pixels that no tile observed.
        value /= total
    if not stored:
        return value
    return np.where(total > 0, np.rint(np.nan_to_num(value, copy=False)), NOT_OBSERVED).astype(np.uint16)


class _Rows:
    """The rows of tiles that are needed at a time, by their number."""

    def __init__(self, tiles: TileArray, grid: TileGrid) -> None:
        self._tiles, self._grid = tiles, grid
        # What is still needed of them, and the row of the scene it begins at.
        self._held: dict[int, tuple[int, list[NDArray[Any]]]] = {}

    def load(self, index: int) -> None:
        columns = len(self._grid.col_starts)
        end = (index + 1) * columns
        held: list[NDArray[Any]] = []
        # Some at a time: the tiles of a wide scene in one array are more than the allocator gives back.
        for first in range(index * columns, end, _TILES_AT_ONCE):
            tiles = np.asarray(self._tiles[first : min(first + _TILES_AT_ONCE, end)])
            held.extend(tiles if tiles.dtype == np.uint16 else tiles.astype(np.float32))
        self._held[index] = self._grid.row_starts[index], held

    def drop_above(self, row: int) -> None:
        """Drop the rows above a row of the scene: of most tiles only the overlap remains."""
        kept = {}
        for index, (top, tiles) in self._held.items():
            if top + len(tiles[0]) > row:
                # A slice would keep the whole tiles in memory.
                kept[index] = (row, [tile[row - top :].copy() for tile in tiles]) if top < row else (top, tiles)
        self._held = kept

    def piece(self, index: int, column: int, down: Segment, along: Segment) -> NDArray[Any]:
        """The part of a rectangle that one tile covers."""
        left = self._grid.col_starts[column]
        top, tiles = self._held[index]
        return tiles[column][down.start - top : down.stop - top, along.start - left : along.stop - left]

    def weights(self, index: int, column: int, down: Segment, along: Segment) -> NDArray[np.float32]:
        """The tile's blend weights there."""
        grid = self._grid
        top, left = grid.row_starts[index], grid.col_starts[column]
        rows = grid.row_weights[index, down.start - top : down.stop - top, np.newaxis]
        return (rows * grid.col_weights[column, along.start - left : along.stop - left]).astype(np.float32)

    def rectangle(self, down: Segment, along: Segment) -> NDArray[Any]:
        """A rectangle of the scene, blended where several tiles hold it."""
        owners = [(index, column) for index in down.tiles for column in along.tiles]
        if len(owners) == 1:
            return self.piece(*owners[0], down, along)
        return _blend([(self.piece(*owner, down, along), self.weights(*owner, down, along)) for owner in owners])


def band_rows(width: int) -> int:
    """Rows of a map that are worked on together: fewer where it is wider."""
    return max(1, min(_BAND_ROWS, _BAND_PIXELS // width))


def stitch_rows(tiles: TileArray, grid: TileGrid) -> Iterator[tuple[int, NDArray[Any]]]:
    """Blend overlapping tiles into the rows of the scene.

    Memory holds the rows of tiles that overlap and a band of the scene, whatever the height of the scene. Where some
    of the tiles of a pixel do not observe it, the others get more weight; a pixel that none observes stays not
    observed.

    Args:
        tiles: (tile, y, x) in the order of `grid`, each tile `grid.tile` square; uint16 in steps of 1e-4 with 65535
            for not observed, or float with NaN for not observed. Values past the end of the scene are ignored.
        grid: The grid the tiles were cut by.

    Yields:
        The first row of a band and the band (rows, width), at most 128 rows: uint16 as stored for stored tiles, float32
        with NaN for float ones. Bands follow one another without gap or overlap, from row 0 to the last.

    Raises:
        InputError: The array does not belong to the grid.
    """
    side = grid.tile
    if tuple(tiles.shape) != (len(grid), side, side):
        raise InputError(
            "tiles",
            f"the array has shape {tuple(tiles.shape)}, the grid needs {(len(grid), side, side)}",
            "Predict the scene again with this grid",
        )
    most = band_rows(grid.width)
    rows = _Rows(tiles, grid)
    loaded = 0
    for segment in grid.row_segments:
        while loaded <= segment.tiles[-1]:
            rows.load(loaded)
            loaded += 1
        for start in range(segment.start, segment.stop, most):
            down = Segment(start, min(start + most, segment.stop), segment.tiles)
            pieces = [rows.rectangle(down, along) for along in grid.col_segments]
            yield start, np.concatenate(pieces, axis=1)
        rows.drop_above(segment.stop)
