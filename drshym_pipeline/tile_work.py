"""What is done with one tile of a scene, in any thread: from its backscatter to its probabilities as they are stored.

Pixels of about 10 m go to the network as they are. All others are resampled (`model.resampling`) piece by piece, so
that the network never computes more than about 576 x 576 pixels at a time, and the probabilities come back to the
scene's own pixels. `inference` runs the tiles in threads and writes the results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import DrShymError
from drshym_pipeline.model.inputs import fill_small_holes, network_input, network_input_of_codes
from drshym_pipeline.model.resampling import (
    Resampling,
    mean_of_parts,
    merge_pixels,
    repeat_pixels,
    split_pixels,
)
from drshym_pipeline.probabilities import NOT_OBSERVED, encode, probability
from drshym_pipeline.records import BandMode, Calibration
from drshym_pipeline.sar.codes import NOT_OBSERVED_CODE, decode_db
from drshym_pipeline.stitching import stitch_rows
from drshym_pipeline.tiling import TileGrid, Window

if TYPE_CHECKING:
    from drshym_pipeline.assessment.novelty import TileScores
    from drshym_pipeline.model.compute import TileNetwork
    from drshym_pipeline.sar.backscatter import BackscatterReader

_PIECE = 576  # network pixels; a third more than a tile of 512, which bounds the memory of a thread
_PIECE_OVERLAP = 64  # network pixels


def calibrated(logits: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float32]:
    """Return the probabilities sigmoid(logit / T + bias) of raw logits, same shape, in [0, 1].

    Raises:
        DrShymError: A logit is not finite, which only a broken network or a numerical fault produces.
    """
    if not np.isfinite(logits).all():
        raise DrShymError("The network returned values that are not finite; the map was stopped. Use another model.")
    return probability(logits, calibration)


def pieces(height: int, width: int, split: tuple[int, int]) -> TileGrid:
    """Return overlapping pieces of a tile that become at most about 576 x 576 pixels for the network.

    Args:
        height: Height of the tile.
        width: Width of the tile.
        split: Network pixels in a pixel of the tile, (down, along).
    """
    parts = max(split)
    overlap = -(-_PIECE_OVERLAP // parts)
    length, most = max(height, width), max(_PIECE // parts, overlap + 1)
    if length <= most:
        return TileGrid(height, width, length, min(overlap, length - 1))
    count = -(-(length - overlap) // (most - overlap))
    # Pieces of equal size: the last one would otherwise overlap the one before by more than is needed.
    return TileGrid(height, width, -(-(length + (count - 1) * overlap) // count), overlap)


@dataclass(frozen=True)
class TileWork:
    """What is done with one tile.

    Args:
        reader: The open scene.
        grid: The tiles.
        mode: The bands that are read.
        bands: The bands of the network.
        network: The prepared network.
        calibration: The calibration of the mode.
        resampling: How the pixels are changed for the network.
        novelty: Receives every tile that is not resampled; None when the model has no figures of its training chips.
    """

    reader: BackscatterReader
    grid: TileGrid
    mode: BandMode
    bands: BandMode
    network: TileNetwork
    calibration: Calibration
    resampling: Resampling
    novelty: TileScores | None = None

    def prepare(self, index: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]] | None:
        """Return where a tile is observed, and its network input; None without an observed pixel.

        Only for pixels that are not resampled.
        """
        codes = self._read(self.grid.window(index))
        observed = codes[0] != NOT_OBSERVED_CODE
        if self.novelty is not None:
            self.novelty.add(index, codes)
        return (observed, network_input_of_codes(fill_small_holes(codes), self.bands)) if observed.any() else None

    def store(self, observed: NDArray[np.bool_], logits: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Return the probabilities of a tile as they are stored."""
        return self._stored(observed, calibrated(logits, self.calibration))

    def whole(self, index: int) -> NDArray[np.uint16] | None:
        """Return the stored probabilities of a tile, (tile, tile) uint16; None without an observed pixel."""
        if self.resampling.is_needed:
            return self._resampled(self.grid.window(index))
        prepared = self.prepare(index)
        if prepared is None:
            return None
        observed, inputs = prepared
        return self.store(observed, self.network.logits(inputs[np.newaxis])[0])

    def _read(self, window: Window) -> NDArray[np.uint16]:
        return self.reader.read(window, 1 if self.mode == "vv" else None)

    def _stored(self, observed: NDArray[np.bool_], water: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Return (tile, tile) probabilities as they are stored, not observed past the end of the scene."""
        values = encode(water)
        if observed.all() and observed.shape == (self.grid.tile, self.grid.tile):
            return values
        stored = np.full((self.grid.tile, self.grid.tile), NOT_OBSERVED, np.uint16)
        height, width = observed.shape
        stored[:height, :width][observed] = values[observed]
        return stored

    def _resampled(self, window: Window) -> NDArray[np.uint16] | None:
        read = self.resampling.window_to_read(window, self.grid.height, self.grid.width)
        codes = self._read(read)
        top, left = window.row - read.row, window.col - read.col
        inner = slice(top, top + window.height), slice(left, left + window.width)
        observed = codes[0][inner] != NOT_OBSERVED_CODE
        if not observed.any():
            return None
        merged = merge_pixels(decode_db(fill_small_holes(codes)), self.resampling.merge)
        water = repeat_pixels(self._water(merged), self.resampling.merge)
        return self._stored(observed, water[inner])

    def _water(self, db: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the (h, w) probabilities of (bands, h, w) dB, computed on smaller pixels."""
        grid = pieces(db.shape[1], db.shape[2], self.resampling.split)
        parts = np.zeros((len(grid), grid.tile, grid.tile), np.float32)
        for part, window in zip(parts, grid, strict=True):
            part[: window.height, : window.width] = self._piece(db[:, window.rows, window.cols])
        return np.concatenate([rows for _, rows in stitch_rows(parts, grid)])

    def _piece(self, db: NDArray[np.float32]) -> NDArray[np.float32] | float:
        if np.isnan(db[0]).all():
            return 0.0
        inputs = network_input(split_pixels(db, self.resampling.split), self.bands)
        logits = self.network.logits(inputs[np.newaxis])[0]
        return mean_of_parts(calibrated(logits, self.calibration), self.resampling.split)
