"""Calibrated probabilities: how they come from logits, how they are stored, and how the threshold is applied.

Probabilities are stored as whole steps of 1e-4, and every decision is made on the stored integers: the mask can be
derived from the probability file alone, and a score counts exactly the pixels that a map would show. Temperature and
threshold are found in `assessment`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError, one_line
from drshym_pipeline.records import Calibration
from drshym_pipeline.tiling import TileGrid

PROBABILITY_STEPS: Final = 10_000
PROBABILITY_SCALE: Final = 1e-4
NOT_OBSERVED: Final = 65_535
_PREDICT_AGAIN: Final = "Predict the scene again (materialise tile_probabilities)"


def probability(logits: NDArray[np.floating[Any]], calibration: Calibration) -> NDArray[np.float32]:
    """Return the calibrated probability of water, sigmoid(logit / T + bias), float32 in [0, 1]; NaN stays NaN."""
    values = np.asarray(logits, dtype=np.float32) / np.float32(-calibration.T)
    values = np.asarray(values - np.float32(calibration.bias), dtype=np.float32)
    with np.errstate(over="ignore"):
        # exp(-x) of a very negative logit is infinite, and 1 / infinity is the 0 it should be.
        water: NDArray[np.float32] = np.float32(1.0) / (np.float32(1.0) + np.exp(values))
    return water


def encode(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
    """Return probabilities in [0, 1], NaN where not observed, as uint16 in steps of 1e-4, 65535 where not observed."""
    steps = np.rint(probabilities * PROBABILITY_STEPS)
    steps[np.isnan(steps)] = NOT_OBSERVED
    stored: NDArray[np.uint16] = steps.astype(np.uint16)
    return stored


def decode(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the opposite of `encode`: float32 in [0, 1], NaN where not observed."""
    values = stored.astype(np.float32) / np.float32(PROBABILITY_STEPS)
    values[stored == NOT_OBSERVED] = np.nan
    return values


def threshold_steps(threshold: float) -> int:
    """Return the smallest stored probability that counts as water, in steps of 1e-4."""
    # Rounding first: 0.45 * 10000 is 4500.000000000001 in binary.
    return math.ceil(round(threshold * PROBABILITY_STEPS, 6))


def is_water(stored: NDArray[np.uint16], threshold: float) -> NDArray[np.bool_]:
    """Return True where a stored probability is not below the threshold; never where it is not observed."""
    water: NDArray[np.bool_] = (stored >= threshold_steps(threshold)) & (stored != NOT_OBSERVED)
    return water


class TileProbabilities(Protocol):
    """The probabilities of all tiles of a scene, (tile, y, x) uint16 as stored, wherever they are kept."""

    @property
    def grid(self) -> TileGrid:
        """The grid of the tiles."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Tiles, rows and columns."""

    def __getitem__(self, key: slice, /) -> NDArray[np.uint16]: ...


class StoredProbabilities:
    """The tile probabilities of a scene on disk; a part that is missing or damaged is an error, never "not observed".

    Args:
        path: The Zarr folder.
        array: The open array.
        grid: The grid of the tiles.
    """

    def __init__(self, path: Path, array: Any, grid: TileGrid) -> None:
        self._path, self._array = path, array
        self._grid = grid

    @property
    def grid(self) -> TileGrid:
        """The grid of the tiles."""
        return self._grid

    @property
    def shape(self) -> tuple[int, ...]:
        """Tiles, rows and columns."""
        shape: tuple[int, ...] = self._array.shape
        return shape

    def __getitem__(self, key: slice) -> NDArray[np.uint16]:
        """Return some tiles as stored: (tile, y, x) uint16 in steps of 1e-4, 65535 where not observed.

        Raises:
            InputError: The tiles cannot be read, or their shard is missing.
        """
        try:
            values: NDArray[np.uint16] = np.asarray(self._array[key])
        except (ValueError, RuntimeError, OSError) as error:
            raise InputError(self._path, f"cannot be read ({one_line(error)})", _PREDICT_AGAIN) from error
        # Looked at after reading: a shard that is deleted while it is read comes as "not observed" too.
        self.check(key)
        return values

    def check(self, key: slice) -> None:
        """Look whether the shards of some tiles are there.

        Raises:
            InputError: One is not.
        """
        first, stop, _ = key.indices(self.shape[0])
        columns = self._array.shards[0]
        for row in range(first // columns, -(-stop // columns)):
            if not (self._path / "c" / str(row) / "0" / "0").is_file():
                raise InputError(self._path, f"the probabilities of tile row {row + 1} are missing", _PREDICT_AGAIN)


def open_probabilities(path: Path, grid: TileGrid) -> StoredProbabilities:
    """Open the tile probabilities that `predict_scene` wrote.

    Args:
        path: The Zarr folder.
        grid: The grid they were predicted on.

    Raises:
        InputError: They are not there, belong to another grid, or a part of them is missing.
    """
    import zarr
    from zarr.storage import LocalStore

    try:
        # A path given as text is read as a chain of stores where it contains `::`.
        array = zarr.open_array(store=LocalStore(path, read_only=True), mode="r")
    except (FileNotFoundError, ValueError, KeyError, OSError) as error:
        raise InputError(path, "the tile probabilities are not there or damaged", _PREDICT_AGAIN) from error
    if tuple(array.shape) != (len(grid), grid.tile, grid.tile) or array.shards is None:
        raise InputError(path, f"the tile probabilities {tuple(array.shape)} are of another grid", _PREDICT_AGAIN)
    stored = StoredProbabilities(path, array, grid)
    stored.check(slice(None))
    return stored
