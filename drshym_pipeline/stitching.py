"""From tile probabilities back to one seamless scene, a band of rows at a time.

The grid's blend weights are separable and sum to one over the tiles of a pixel (see `tiling`), so stitching is a
weighted sum of tiles into a buffer one tile high. No file is opened here: any array with the tile as its first axis
will do, and the caller writes the rows where it likes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.probability import decode
from drshym_pipeline.errors import InputError
from drshym_pipeline.tiling import TileGrid


class TileArray(Protocol):
    """What `stitch_rows` needs of an array: its shape and slices along the tile axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes, the tile axis first."""

    def __getitem__(self, key: slice, /) -> Any: ...


def _as_float(tiles: NDArray[Any]) -> NDArray[np.float32]:
    return decode(tiles) if tiles.dtype == np.uint16 else tiles.astype(np.float32)


def stitch_rows(tiles: TileArray, grid: TileGrid) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Blend overlapping tiles into the rows of the scene.

    Memory holds one row of tiles and a band of the scene one tile high, whatever the height of the scene. Where some
    of the tiles of a pixel do not observe it, the others are weighted up; a pixel that none observes stays NaN.

    Args:
        tiles: (tile, y, x) in the order of `grid`, each tile `grid.tile` square; uint16 in steps of 1e-4 with 65535
            for not observed, or float with NaN for not observed. Values past the end of the scene are ignored.
        grid: The grid the tiles were cut by.

    Yields:
        The first row of a band and the band: (rows, width) float32, NaN where not observed. Bands follow one another
        without gap or overlap, from row 0 to the last.

    Raises:
        InputError: The array does not belong to the grid.
    """
    side = grid.tile
    if tuple(tiles.shape) != (len(grid), side, side):
        raise InputError(
            "tiles",
            f"the array has shape {tuple(tiles.shape)}, the grid wants {(len(grid), side, side)}",
            "Predict the scene again with this grid",
        )
    columns = len(grid.col_starts)
    value = np.zeros((side, grid.width), np.float32)
    weight = np.zeros((side, grid.width), np.float32)
    for index, top in enumerate(grid.row_starts):
        band = np.asarray(tiles[index * columns : (index + 1) * columns])
        rows = min(side, grid.height - top)
        down = grid.row_weights[index, :rows, np.newaxis]
        for column, left in enumerate(grid.col_starts):
            cols = min(side, grid.width - left)
            tile = _as_float(band[column, :rows, :cols])
            blend = (down * grid.col_weights[column, :cols]).astype(np.float32)
            blend[np.isnan(tile)] = 0.0
            value[:rows, left : left + cols] += np.nan_to_num(tile, copy=False, nan=0.0) * blend
            weight[:rows, left : left + cols] += blend
        following = grid.row_starts[index + 1] if index + 1 < len(grid.row_starts) else grid.height
        final = following - top
        with np.errstate(invalid="ignore"):
            # 0 / 0 is exactly the pixels that no tile observed.
            yield top, value[:final] / weight[:final]
        for buffer in (value, weight):
            buffer[: side - final] = buffer[final:].copy()
            buffer[side - final :] = 0.0
