"""The probability of water before from long-term layers: JRC Global Surface Water and ESA WorldCover.

Occurrence is the share of the valid observations from 1984 to 2021 with water, and seasonality the months of 2021 with
water: both are read as the probability of water in a month. Class 80 of WorldCover is water for more than nine months
of 2021 and counts as 0.9, from which on OPERA DSWx-S1 calls reference water permanent; wetland and mangroves are not
decided by it, and every other class is 0. The highest of the three counts, so that a reservoir of the last years and a
river narrower than a JRC pixel are water before; docs/decisions.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray

from drshym_pipeline.ancillary.blocks import Block, blocks
from drshym_pipeline.ancillary.layers import LAND_COVER, OCCURRENCE, SEASONALITY
from drshym_pipeline.ancillary.tile_files import TileWindow
from drshym_pipeline.ancillary.tile_store import TileStore
from drshym_pipeline.ancillary.warping import LayerReader
from drshym_pipeline.observation import observed_rows
from drshym_pipeline.prefetch import Prefetched
from drshym_pipeline.probabilities import encode
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import MapGrid, ReferenceLayer, ReferenceSources
from drshym_pipeline.references.reference import ReferenceWater, new_reference_raster
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.worker_threads import WorkerThreads

STAGE: Final = "reference_layers"
PERMANENT_WATER: Final = 80  # class of WorldCover
_PERMANENT_PROBABILITY: Final = 0.9
# Not among them are herbaceous wetland (90) and mangroves (95): they are under water for a part of the year, but the
# class does not say for how long.
_LAND_CLASSES: Final = (10, 20, 30, 40, 50, 60, 70, 100)
_NO_CLASS: Final = 255
_PERCENT: Final = 100
_MONTHS: Final = 12
_AHEAD: Final = 1  # blocks read in advance
_THREADS: Final = 2
# Raised when the same tiles would give other probabilities.
_RULE: Final = 1


def of_occurrence(window: TileWindow) -> NDArray[np.float32]:
    """Return the probability of water of JRC occurrence, in percent; NaN where it is not known."""
    return _share(window.numbers(), _PERCENT)


def of_seasonality(window: TileWindow) -> NDArray[np.float32]:
    """Return the probability of water of JRC seasonality, in months of a year; NaN where it is not known."""
    return _share(window.numbers(), _MONTHS)


def _share(values: NDArray[np.float32], whole: int) -> NDArray[np.float32]:
    share: NDArray[np.float32] = np.where(values <= whole, values / np.float32(whole), np.float32(np.nan))
    return share


def classes(window: TileWindow) -> NDArray[np.uint8]:
    """Return the classes of WorldCover, 0 where there is none."""
    values = np.clip(window.values, 0, _NO_CLASS).astype(np.uint8)
    return np.where(np.isin(window.values, window.fills), np.uint8(0), values) if any(window.fills) else values


def of_land_cover(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probability of water of WorldCover's classes; NaN where the class does not decide it."""
    table = np.full(1 << 8, np.nan, np.float32)
    table[list(_LAND_CLASSES)] = 0.0
    table[PERMANENT_WATER] = _PERMANENT_PROBABILITY
    found: NDArray[np.float32] = table[values]
    return found


def _readers(folder: TileStore) -> tuple[LayerReader, ...]:
    return (
        LayerReader(folder, OCCURRENCE, of_occurrence),
        LayerReader(folder, SEASONALITY, of_seasonality),
        LayerReader(folder, LAND_COVER, classes, of_land_cover),
    )


def long_term_identity(folder: TileStore, grid: MapGrid) -> Mapping[str, Mapping[str, Any]]:
    """Return what decides the reference from the long-term layers, without reading a pixel.

    Args:
        folder: The tiles.
        grid: The grid of the map.

    Returns:
        Plain values of JSON, as `ReferenceWater.identity`; empty when there is no tile of the grid.
    """
    tiles = {reader.layer.name: found for reader in _readers(folder) if (found := reader.identity(grid))}
    return {"layers": {"rule": _RULE, **tiles}} if tiles else {}


def long_term_reference(
    now: BackscatterReader, folder: TileStore, work: Path, *, raster: Path, progress: Progress = silent
) -> tuple[ReferenceWater | None, tuple[str, ...]]:
    """Make the probability of water before from the long-term layers.

    Args:
        now: The open scene of the event.
        folder: The tiles.
        work: A folder for files that are needed only here.
        raster: The file of the result, on the map grid of the scene.
        progress: Called after every block, with rows of the grid.

    Returns:
        The reference, None when no pixel has a value; and what a reader of a map without this reference must know.
    """
    grid = now.meta.map_grid
    readers = _readers(folder)
    sources = work / "layers_of_pixels.tif"
    with (
        new_reference_raster(raster, grid) as target,
        _new_bits(sources, now) as bits,
        closing(iter(Prefetched(_values(readers, grid), _AHEAD))) as found,
    ):
        progress(STAGE, 0, grid.height)
        for block, values in found:
            place = (block.window.rows.indices(grid.height)[:2], block.window.cols.indices(grid.width)[:2])
            target.write(encode(np.fmax.reduce(values)), 1, window=place)
            bits.write(_bits_of(values), 1, window=place)
            progress(STAGE, _last_row(block), grid.height)
    known = _observed_counts(sources, now, work, len(readers))
    sources.unlink()
    warnings = _warnings(readers, folder)
    if not any(reader.has_tiles for reader in readers):
        return None, warnings
    layers = tuple(
        ReferenceLayer(
            name=reader.layer.name,
            title=reader.layer.title,
            tiles=reader.tiles(),
            missing=reader.missing,
            known_pixels=count,
        )
        for reader, count in zip(readers, known, strict=True)
    )
    return ReferenceWater(raster, ReferenceSources(layers=layers), long_term_identity(folder, grid), warnings), ()


def _values(readers: tuple[LayerReader, ...], grid: MapGrid) -> Iterator[tuple[Block, list[NDArray[np.float32]]]]:
    """Yield the blocks of a map grid with the values of every layer; the layers are read side by side."""
    with WorkerThreads(_THREADS, "layers") as pool:
        for block in blocks(grid):
            yield block, [pending.result() for pending in [pool.submit(reader.read, block) for reader in readers]]


def _last_row(block: Block) -> int:
    return block.window.row + block.window.height


def _new_bits(path: Path, now: BackscatterReader) -> Any:
    grid = now.meta.map_grid
    return rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, height=grid.height, width=grid.width, crs=grid.crs,
        transform=grid.affine, BIGTIFF="IF_SAFER",
    )  # fmt: skip


def _bits_of(values: list[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Return which layers know a pixel, one bit for each."""
    bits = np.zeros(values[0].shape, np.uint8)
    for place, layer in enumerate(values):
        bits |= np.isfinite(layer).astype(np.uint8) << np.uint8(place)
    return bits


def _observed_counts(sources: Path, now: BackscatterReader, work: Path, count: int) -> list[int]:
    """Return how many observed pixels each layer knows."""
    known = [0] * count
    with rasterio.open(sources) as source:
        for rows, observed in observed_rows(now, work):
            bits = source.read(1, window=((rows.start, rows.stop), (0, source.width)))[observed]
            for place in range(count):
                known[place] += int(np.count_nonzero(bits & (1 << place)))
    return known


def _warnings(readers: tuple[LayerReader, ...], folder: TileStore) -> tuple[str, ...]:
    if not any(reader.has_tiles or reader.faults for reader in readers):
        return (
            f"No long-term map of water was used: no tile of JRC Global Surface Water or ESA WorldCover in "
            f"{folder.root} has a value for this scene.",
        )
    return tuple(warning for reader in readers for warning in reader.warnings())
