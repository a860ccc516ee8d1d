"""Where the terrain says that nothing can be said about water: steep and high ground, layover and radar shadow.

Slope and height above the nearest drainage come from tiles (`ancillary`), layover and shadow from the map that a
product brings for its own acquisition. A pixel is excluded for any reason that is known; where no reason is known and
at least one layer has no value, the exclusion is not known, and the pixel stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray

from drshym_pipeline.ancillary.blocks import blocks
from drshym_pipeline.ancillary.layers import DRAINAGE, ELEVATION
from drshym_pipeline.ancillary.layover import LayoverMap
from drshym_pipeline.ancillary.slope import slope_degrees
from drshym_pipeline.ancillary.tile_files import TileWindow
from drshym_pipeline.ancillary.tile_store import TileStore
from drshym_pipeline.ancillary.warping import LayerReader
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import MapGrid, TerrainLayer, TerrainLimits
from drshym_pipeline.states import EXCLUSION_REASONS, EXCLUSION_UNKNOWN, NO_EXCLUSION

STAGE: Final = "exclusion"
_BLOCK: Final = 512
# Raised when the same tiles and limits would give other pixels.
_RULE: Final = 1


@dataclass(frozen=True)
class TerrainExclusion:
    """What the terrain excludes, on the grid of a map.

    Args:
        raster: One band of uint8: the sum of the values of `states.EXCLUSION_REASONS`, 0 for none, 255 not known.
        limits: The limits of slope and height; steeper or higher ground is excluded.
        layers: Where the terrain comes from.
        identity: What changes its pixels, as plain values of JSON; the version of a map that uses it follows from them.
        warnings: What a reader of the map must know about it, as sentences.
    """

    raster: Path
    limits: TerrainLimits
    layers: tuple[TerrainLayer, ...]
    identity: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


def heights(window: TileWindow) -> NDArray[np.float32]:
    """Return heights above the nearest drainage as they are stored, in metres."""
    return window.numbers()


def _readers(folder: TileStore) -> dict[str, LayerReader]:
    return {
        "slope": LayerReader(folder, ELEVATION, slope_degrees),
        "hand": LayerReader(folder, DRAINAGE, heights),
    }


def exclusion_identity(
    grid: MapGrid, folder: TileStore, sources: Sequence[Path], limits: TerrainLimits
) -> Mapping[str, Any]:
    """Return what decides the exclusion of a map, without reading a pixel; the arguments are those of its making.

    Returns:
        Plain values of JSON; empty when no layer is known.
    """
    layers = {name: found for name, reader in _readers(folder).items() if (found := reader.identity(grid))}
    layover, _ = LayoverMap.beside(sources)
    if layover is not None:
        layers["layover_shadow"] = {"tiles": [layover.sha256]}
    return {"rule": _RULE, "limits": limits.model_dump(mode="json"), **layers} if layers else {}


def terrain_exclusion(
    grid: MapGrid,
    folder: TileStore,
    sources: Sequence[Path],
    *,
    raster: Path,
    limits: TerrainLimits | None = None,
    progress: Progress = silent,
) -> tuple[TerrainExclusion | None, tuple[str, ...]]:
    """Find out what the terrain excludes from a map.

    Args:
        grid: The grid of the map.
        folder: The tiles of elevation and of height above drainage.
        sources: The files of the scene, as the user gave them; a map of layover and shadow may be beside them.
        raster: The file of the result.
        limits: The limits of slope and height; steeper or higher ground is excluded. The defaults when None.
        progress: Called after every block, with rows of the grid.

    Returns:
        The exclusion, None when no layer is known; and what a reader of a map without it must know.
    """
    limits = limits or TerrainLimits()
    least = {"slope": limits.slope_deg, "hand": limits.hand_m}
    readers = {name: (reader, least[name]) for name, reader in _readers(folder).items() if reader.is_there(grid)}
    layover, notes = LayoverMap.beside(sources)
    if not readers and layover is None:
        text = f"No terrain was used: no elevation tile for this scene is in {folder.root}."
        return None, (text, *notes)
    with ExitStack() as stack:
        target = stack.enter_context(_new_raster(raster, grid))
        progress(STAGE, 0, grid.height)
        layover_known = False
        for block in blocks(grid):
            shape = block.window.height, block.window.width
            bits, unknown = np.zeros(shape, np.uint8), np.zeros(shape, bool)
            for name, (reader, limit) in readers.items():
                values = reader.read(block)
                bits[values >= np.float32(limit)] |= EXCLUSION_REASONS[name]
                unknown |= ~np.isfinite(values)
            if layover is not None:
                reasons = layover.read(block)
                known = reasons != EXCLUSION_UNKNOWN
                layover_known |= bool(known.any())
                bits[known] |= reasons[known]
                unknown |= ~known
            bits[unknown & (bits == NO_EXCLUSION)] = EXCLUSION_UNKNOWN
            rows, cols = block.window.rows, block.window.cols
            target.write(bits, 1, window=((rows.start, rows.stop), (cols.start, cols.stop)))
            progress(STAGE, rows.stop, grid.height)
    layers = [
        TerrainLayer(
            name=reader.layer.name,
            title=reader.layer.title,
            tiles=reader.tiles(),
            missing=reader.missing,
            sea=reader.sea,
        )
        for reader, _ in readers.values()
    ]
    warnings = [warning for reader, _ in readers.values() for warning in reader.warnings()]
    if "slope" not in readers:
        warnings.append(f"Slopes were not used: no elevation tile for this scene is in {folder.root}.")
    if layover is not None:
        layers.append(layover.record(known=layover_known))
        warnings += layover.warnings(known=layover_known)
    identity = exclusion_identity(grid, folder, sources, limits)
    return TerrainExclusion(raster, limits, tuple(layers), identity, (*warnings, *notes)), ()


def _new_raster(path: Path, grid: MapGrid) -> Any:
    return rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, nodata=EXCLUSION_UNKNOWN, height=grid.height,
        width=grid.width, crs=grid.crs, transform=grid.affine, tiled=True, blockxsize=_BLOCK, blockysize=_BLOCK,
        BIGTIFF="IF_SAFER",
    )  # fmt: skip
