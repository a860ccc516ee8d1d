"""The exchange records of a scene's tiles, as lines of JSON and as a table.

Tiles are windows, not copies: the pixels are read here only to compute the observed share of each tile.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import DrShymRecord, PixelWindow, SceneMeta, TileProvenance
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.georeference import bounds_of
from drshym_pipeline.scene_folder import TilesFolder
from drshym_pipeline.storage import atomic_path, write_text
from drshym_pipeline.tiling import TileGrid, Window

STAGE = "tiles"


def tile_id(scene_id: str, index: int) -> str:
    """Return the name of a tile, such as `S1_scene_tile_00042`; its files begin with it."""
    return f"{scene_id}_tile_{index:05d}"


def tile_record(meta: SceneMeta, index: int, window: Window, grid: TileGrid, valid_fraction: float) -> DrShymRecord:
    """Return the exchange record of one tile.

    Args:
        meta: The scene.
        index: The tile's number in the grid.
        window: The rows and columns of the tile.
        grid: The grid of tiles.
        valid_fraction: The observed share of the tile's pixels, 0 to 1.
    """
    steps = (*meta.processing, "normalize:0-1", f"tile:{grid.tile}x{grid.tile}", f"overlap:{grid.overlap}")
    return DrShymRecord(
        image_id=tile_id(meta.scene_id, index),
        modality=meta.modality,
        crs=meta.crs,
        pixel_spacing=meta.pixel_spacing,
        tile_size=(window.height, window.width),
        bounds=bounds_of(meta.affine, window),
        provenance=TileProvenance(source_uri=meta.source_uris[0], processing=tuple(dict.fromkeys(steps))),
        schema_version="0.1",
        window=PixelWindow(row=window.row, col=window.col, height=window.height, width=window.width),
        valid_fraction=valid_fraction,
    )


def write_tile_records(
    reader: BackscatterReader, grid: TileGrid, tiles: TilesFolder, progress: Progress = silent
) -> list[float]:
    """Write `tiles.jsonl` and `tiles.parquet`; nested fields are dotted columns of the table.

    Args:
        reader: The open scene.
        grid: The grid of tiles.
        tiles: The folder to write to.
        progress: Called after every tile.

    Returns:
        The observed share of each tile.
    """
    records: list[DrShymRecord] = []
    fractions: list[float] = []
    progress(STAGE, 0, len(grid))
    for index, window in enumerate(grid):
        observed = int(np.count_nonzero(reader.read(window, 1)))
        fractions.append(observed / (window.height * window.width))
        records.append(tile_record(reader.meta, index, window, grid, fractions[-1]))
        progress(STAGE, index + 1, len(grid))
    write_text(tiles.jsonl, "".join(record.to_json() + "\n" for record in records))
    table = pd.json_normalize([record.model_dump(mode="json", exclude_none=True) for record in records])
    with atomic_path(tiles.parquet) as temporary:
        table.to_parquet(temporary, index=False)
    return fractions
