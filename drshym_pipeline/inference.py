"""Compute the calibrated probabilities of a staged scene, tile by tile, and write them into one Zarr array.

Backscatter is read through a `BackscatterReader`, and the network is that of a `ModelBundle`. This module knows neither
file formats of scenes nor how a network is built. One of several threads reads, computes and encodes a tile, and
another one writes the tiles that are ready. Memory holds one row of tiles at a time. A row is also one shard of the
array, so every shard is written once. Blending the tiles is `stitching`'s task.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.novelty import NO_FIGURES, RESAMPLED, TileScores
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.card_figures import card_iou
from drshym_pipeline.model.resampling import Resampling, resampling_between
from drshym_pipeline.probabilities import NOT_OBSERVED, PROBABILITY_SCALE, PROBABILITY_STEPS
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import (
    BandMode,
    ModelReference,
    PixelSpacing,
    PrecisionOption,
    PredictionSummary,
    ProbabilityOverview,
    SceneNovelty,
)
from drshym_pipeline.storage import atomic_directory
from drshym_pipeline.tile_work import TileWork
from drshym_pipeline.tiling import TileGrid
from drshym_pipeline.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.sar.backscatter import BackscatterReader

STAGE = "tile_probabilities"
_CLASSES = 10  # of probability, in the overview
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def check_prediction_options(batch_size: int | None, precision: str) -> None:
    """Refuse a batch size or a precision that cannot be used.

    Raises:
        InputError: One of them is out of range.
    """
    if batch_size is not None and batch_size < 1:
        raise InputError("batch-size", f"must be at least 1, got {batch_size}", "Choose a batch size such as 4")
    if precision not in get_args(PrecisionOption):
        raise InputError("precision", f"'{precision}' is not known", "Use auto, fp32 or bf16")


class _Statistics:
    """Pixels by stored probability. All figures follow from these counts, so that no order of addition matters."""

    def __init__(self) -> None:
        self._pixels = np.zeros(PROBABILITY_STEPS + 1, np.int64)
        self._tile_means: list[float | None] = []

    def add(self, tile: NDArray[np.uint16]) -> None:
        """Count one tile, the tiles in the order of the grid."""
        pixels = np.bincount(tile.ravel(), minlength=NOT_OBSERVED + 1)[: PROBABILITY_STEPS + 1]
        self._pixels += pixels
        self._tile_means.append(_mean(pixels))

    @property
    def count(self) -> int:
        """Observed pixels."""
        return int(self._pixels.sum())

    @property
    def mean(self) -> float | None:
        """Of the observed pixels; None without any. So for the extremes."""
        return _mean(self._pixels)

    @property
    def minimum(self) -> float | None:
        return int(np.flatnonzero(self._pixels)[0]) / PROBABILITY_STEPS if self.count else None

    @property
    def maximum(self) -> float | None:
        return int(np.flatnonzero(self._pixels)[-1]) / PROBABILITY_STEPS if self.count else None

    def overview(self) -> ProbabilityOverview:
        """The means of the tiles and the pixels by class of probability."""
        classes = np.minimum(np.arange(PROBABILITY_STEPS + 1) * _CLASSES // PROBABILITY_STEPS, _CLASSES - 1)
        histogram = np.bincount(classes, weights=self._pixels, minlength=_CLASSES)
        return ProbabilityOverview(
            tile_means=tuple(None if mean is None else round(mean, 4) for mean in self._tile_means),
            histogram=tuple(int(count) for count in histogram),
        )


def _mean(pixels: NDArray[np.int64]) -> float | None:
    count = int(pixels.sum())
    total = int(pixels @ np.arange(len(pixels)))
    return total / count / PROBABILITY_STEPS if count else None


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[ItemT], ResultT], items: Iterable[ItemT], ahead: int
) -> Iterator[ResultT]:
    """Yield the results of `work` on items, computed in threads, in the order of the items.

    Args:
        pool: The threads.
        work: What to do with an item; its exception is raised where its result would come.
        items: The items.
        ahead: How many items may be worked on or wait at a time: memory is bounded by their results.
    """
    waiting: deque[Future[ResultT]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _results(work: TileWork, pool: ThreadPoolExecutor, workers: int, batch: int) -> Iterator[NDArray[np.uint16] | None]:
    """Yield all tiles in the order of the grid; None where nothing is observed."""
    indices = range(len(work.grid))
    if batch == 1:
        yield from in_order(pool, work.whole, indices, 2 * workers)
        return
    prepared = in_order(pool, work.prepare, indices, 2 * batch)
    while group := list(islice(prepared, batch)):
        seen = [tile for tile in group if tile is not None]
        logits = work.network.logits(np.stack([inputs for _, inputs in seen])) if seen else np.empty(0)
        found = iter(work.store(observed, values) for (observed, _), values in zip(seen, logits, strict=True))
        yield from (None if tile is None else next(found) for tile in group)


class _Shards:
    """Writes the rows of tiles, each once and whole; the threads compute the next tiles at the same time."""

    def __init__(self, array: Any, grid: TileGrid) -> None:
        self._array, self._grid = array, grid
        self.statistics = _Statistics()

    def take(self, results: Iterator[NDArray[np.uint16] | None], progress: Progress) -> int:
        """Write all tiles; returns how many went through the network."""
        rows, columns = self._grid.shape
        tiles = np.empty((columns, self._grid.tile, self._grid.tile), np.uint16)
        predicted = 0
        for row in range(rows):
            for place, stored in enumerate(islice(results, columns)):
                tiles[place] = NOT_OBSERVED if stored is None else stored
                predicted += stored is not None
            self._array[row * columns : (row + 1) * columns] = tiles
            for tile in tiles:
                self.statistics.add(tile)
            progress(STAGE, (row + 1) * columns, len(self._grid))
        return predicted


def _no_score(*, resampled: bool) -> SceneNovelty:
    return SceneNovelty(reason=RESAMPLED if resampled else NO_FIGURES)


def predict_scene(
    reader: BackscatterReader,
    grid: TileGrid,
    bundle: ModelBundle,
    mode: BandMode,
    out: Path,
    *,
    reference: ModelReference,
    pixels: PixelSpacing | None = None,
    batch_size: int | None = None,
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
        reader: The open scene.
        grid: The tiles to predict.
        bundle: The model with its calibration.
        mode: The bands to use; `vv` ignores VH.
        out: The Zarr directory, written whole or not at all.
        reference: Which model this is, kept in the array's attributes.
        pixels: The size of the pixels, if they are resampled for the network; None for pixels of about 10 m.
        batch_size: Tiles per forward pass on a GPU; chosen for the machine when None. A CPU takes one tile at a time
            in each of its threads.
        device: `cpu`, `cuda` or `auto`.
        precision: `fp32`, `bf16` or `auto`.
        attributes: More attributes to keep with the array.
        progress: Called after every row of tiles.

    Raises:
        InputError: An option is out of range or the bundle has no calibration for the mode.
        DrShymError: The network gave values that are not finite.
    """
    check_prediction_options(batch_size, precision)
    if mode not in bundle.calibration:
        raise InputError(f"model {bundle.name}", f"has no calibration for {mode} scenes", "Use another checkpoint")
    import zarr
    from zarr.codecs import BloscCodec
    from zarr.storage import LocalStore

    from drshym_pipeline.model.compute import best_device, resolve_precision, tile_network, tiles_side_by_side

    device = best_device() if device == "auto" else device
    chosen = resolve_precision(precision, device)
    start = time.perf_counter()
    network = tile_network(bundle, device, chosen)
    resampling = Resampling() if pixels is None else resampling_between(pixels)
    known = bundle.novelty.get(mode)
    is_scored = known is not None and known.is_for(mode) and not resampling.is_needed
    scores = TileScores(known, len(grid)) if known is not None and is_scored else None
    work = TileWork(reader, grid, mode, bundle.network.bands, network, bundle.calibration[mode], resampling, scores)
    # Resampled tiles are computed in pieces, one after the other, on every device.
    batch = 1 if resampling.is_needed else network.batch_of(batch_size)
    with (
        atomic_directory(out) as temporary,
        tiles_side_by_side(device, len(grid)) as workers,
        WorkerThreads(workers, "tiles") as pool,
    ):
        array = zarr.create_array(
            store=LocalStore(temporary),
            shape=(len(grid), grid.tile, grid.tile),
            shards=(len(grid.col_starts), grid.tile, grid.tile),
            chunks=(1, grid.tile, grid.tile),
            dtype="uint16",
            # Smaller than Zarr's own choice on probabilities, and three times as fast.
            compressors=BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"),
            fill_value=NOT_OBSERVED,
            # Zarr would not write a shard in which nothing is observed, and reads a missing shard as one of those. Here
            # every shard is written, so that a missing one is known to be lost (`open_probabilities`).
            config={"write_empty_chunks": True},
            dimension_names=("tile", "y", "x"),
        )
        progress(STAGE, 0, len(grid))
        shards = _Shards(array, grid)
        predicted = shards.take(_results(work, pool, workers, batch), progress)
        statistics = shards.statistics
        summary = PredictionSummary(
            tiles=len(grid),
            predicted=predicted,
            skipped=len(grid) - predicted,
            mode=mode,
            reference=reference,
            calibration=bundle.calibration[mode],
            minimum=statistics.minimum,
            maximum=statistics.maximum,
            mean=statistics.mean,
            observed_fraction=statistics.count / math.prod(array.shape),
            device=device,
            precision=chosen,
            tile=grid.tile,
            overlap=grid.overlap,
            seconds=round(time.perf_counter() - start, 3),
            card=card_iou(bundle.card),
            pixels=pixels,
            novelty=_no_score(resampled=resampling.is_needed) if scores is None else scores.summary(),
        )
        overview = statistics.overview()
        if scores is not None:
            overview = overview.model_copy(update={"tile_novelty": scores.scores})
        array.attrs.update(
            {
                "scale_factor": PROBABILITY_SCALE,
                "not_observed": NOT_OBSERVED,
                "scene_shape": [grid.height, grid.width],
                "prediction": summary.model_dump(mode="json"),
                "overview": overview.model_dump(mode="json"),
                **(attributes or {}),
            }
        )
    return summary
