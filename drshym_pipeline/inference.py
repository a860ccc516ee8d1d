"""From a scene to calibrated probabilities, tile by tile, into one Zarr array.

Pixels are read through a `SceneReader`, the network comes out of a `ModelBundle`; nothing here knows file formats of
scenes or how a network is built. Memory holds one row of tiles at a time, which is also one shard of the array, so
every shard is written once. Blending the tiles is `stitching`'s task.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.probability import (
    NOT_OBSERVED,
    PROBABILITY_SCALE,
    PROBABILITY_STEPS,
    encode,
    probability,
)
from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode, Calibration, ModelReference, Record
from drshym_pipeline.storage import atomic_directory
from drshym_pipeline.tiling import TileGrid

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.sar.scene import SceneReader

STAGE = "tile_probabilities"
Precision = Literal["fp32", "bf16"]
PrecisionOption = Literal["auto", "fp32", "bf16"]
PredictTiles = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(N, C, H, W) network input to (N, H, W) logits."""


class PredictionSummary(Record):
    """What one prediction did. `minimum`, `maximum` and `mean` are over observed tile pixels, None without any."""

    tiles: int
    predicted: int
    skipped: int
    mode: BandMode
    reference: ModelReference
    calibration: Calibration
    minimum: float | None
    maximum: float | None
    mean: float | None
    observed_fraction: float
    device: str
    precision: Precision
    tile: int
    overlap: int
    reused: bool = False


def check_prediction_options(batch_size: int, precision: str) -> None:
    """Refuse a batch size or a precision that cannot be used.

    Raises:
        InputError: One of them is out of range.
    """
    if batch_size < 1:
        raise InputError("batch-size", f"must be at least 1, got {batch_size}", "Choose a batch size such as 4")
    if precision not in get_args(PrecisionOption):
        raise InputError("precision", f"'{precision}' is not known", "Use auto, fp32 or bf16")


def calibrated(logits: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float32]:
    """Probabilities sigmoid(logit / T + bias) of raw logits, same shape, in [0, 1].

    Raises:
        DrShymError: A logit is not finite, which only a broken network or a numerical fault produces.
    """
    if not np.isfinite(logits).all():
        raise DrShymError("The network returned values that are not finite; the map was stopped. Use another model.")
    return probability(logits, calibration)


class _Statistics:
    """Running extremes and mean of stored probabilities; integers, so that no order of addition matters."""

    def __init__(self) -> None:
        self.low, self.high, self.total, self.count = NOT_OBSERVED, 0, 0, 0

    def add(self, stored: NDArray[np.uint16]) -> None:
        values = stored[stored != NOT_OBSERVED]
        if values.size:
            self.low, self.high = min(self.low, int(values.min())), max(self.high, int(values.max()))
            self.total += int(values.sum(dtype=np.int64))
            self.count += values.size

    def of(self, value: float) -> float | None:
        return value / PROBABILITY_STEPS if self.count else None


def _row_of_tiles(
    *,
    reader: SceneReader,
    grid: TileGrid,
    row: int,
    mode: BandMode,
    batch_size: int,
    predict: PredictTiles,
    prepare: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    calibration: Calibration,
) -> tuple[NDArray[np.uint16], int]:
    """Predict one row of tiles: (columns, tile, tile) as stored, and how many tiles went through the network."""
    columns = len(grid.col_starts)
    # All windows of a grid have one size, so a scene smaller than a tile needs no padding on its way to the network.
    stored = np.full((columns, grid.tile, grid.tile), NOT_OBSERVED, np.uint16)
    waiting: list[tuple[int, Any, NDArray[np.float32]]] = []
    predicted = 0

    def flush() -> None:
        probabilities = calibrated(predict(np.stack([inputs for _, _, inputs in waiting])), calibration)
        for (column, observed, _), values in zip(waiting, probabilities, strict=True):
            height, width = observed.shape
            stored[column, :height, :width] = encode(np.where(observed, values, np.float32(np.nan)))
        waiting.clear()

    for column in range(columns):
        pixels = reader.read(grid.window(row * columns + column))
        observed = np.isfinite(pixels).all(axis=0)
        if not observed.any():
            continue
        waiting.append((column, observed, prepare(pixels[:1] if mode == "vv" else pixels)))
        predicted += 1
        if len(waiting) == batch_size:
            flush()
    if waiting:
        flush()
    return stored, predicted


def predict_scene(
    reader: SceneReader,
    grid: TileGrid,
    bundle: ModelBundle,
    mode: BandMode,
    out: Path,
    *,
    reference: ModelReference,
    batch_size: int = 4,
    device: str = "auto",
    precision: PrecisionOption = "auto",
    attributes: dict[str, Any] | None = None,
    progress: Progress = silent,
) -> PredictionSummary:
    """Write the calibrated probabilities of every tile of a scene.

    The array is (tile, y, x) uint16 in steps of 1e-4, 65535 where not observed, in the order of the grid; tiles that
    reach past the end of the scene are not observed there. Tiles without an observed pixel never reach the network. The
    same scene, bundle, precision and machine give the same bytes.

    Args:
        reader: The open scene; its tiles are (bands, h, w) float32 dB, NaN where not observed.
        grid: The tiles to predict.
        bundle: The model with its calibration.
        mode: The bands to use; `vv` ignores VH.
        out: The Zarr directory, written whole or not at all.
        reference: Which model this is, kept in the array's attributes.
        batch_size: Tiles a forward pass.
        device: `cpu`, `cuda` or `auto`.
        precision: `fp32`, `bf16` or `auto`.
        attributes: More attributes to keep with the array.
        progress: Told after every row of tiles.

    Raises:
        InputError: An option is out of range or the bundle has no calibration for the mode.
        DrShymError: The network gave values that are not finite.
    """
    check_prediction_options(batch_size, precision)
    if mode not in bundle.calibration:
        raise InputError(f"model {bundle.name}", f"has no calibration for {mode} scenes", "Use another checkpoint")
    import zarr

    from drshym_pipeline.model.inputs import network_input
    from drshym_pipeline.model.predict import best_device, predict_logits, resolve_precision

    device = best_device() if device == "auto" else device
    chosen = resolve_precision(precision, device)
    calibration = bundle.calibration[mode]
    network = bundle.build(device)
    rows, columns = grid.shape
    statistics = _Statistics()
    predicted = 0
    with atomic_directory(out) as temporary:
        array = zarr.create_array(
            store=str(temporary),
            shape=(len(grid), grid.tile, grid.tile),
            shards=(columns, grid.tile, grid.tile),
            chunks=(1, grid.tile, grid.tile),
            dtype="uint16",
            fill_value=NOT_OBSERVED,
            dimension_names=("tile", "y", "x"),
        )
        progress(STAGE, 0, len(grid))
        for row in range(rows):
            stored, count = _row_of_tiles(
                reader=reader,
                grid=grid,
                row=row,
                mode=mode,
                batch_size=batch_size,
                predict=lambda inputs: predict_logits(network, inputs, device=device, precision=chosen),
                prepare=lambda pixels: network_input(pixels, bundle.network.bands),
                calibration=calibration,
            )
            array[row * columns : (row + 1) * columns] = stored
            statistics.add(stored)
            predicted += count
            progress(STAGE, (row + 1) * columns, len(grid))
        summary = PredictionSummary(
            tiles=len(grid),
            predicted=predicted,
            skipped=len(grid) - predicted,
            mode=mode,
            reference=reference,
            calibration=calibration,
            minimum=statistics.of(statistics.low),
            maximum=statistics.of(statistics.high),
            mean=statistics.of(statistics.total / max(statistics.count, 1)),
            observed_fraction=statistics.count / math.prod(array.shape),
            device=device,
            precision=chosen,
            tile=grid.tile,
            overlap=grid.overlap,
        )
        array.attrs.update(
            {
                "scale_factor": PROBABILITY_SCALE,
                "not_observed": NOT_OBSERVED,
                "scene_shape": [grid.height, grid.width],
                "prediction": summary.model_dump(mode="json"),
                **(attributes or {}),
            }
        )
    return summary
