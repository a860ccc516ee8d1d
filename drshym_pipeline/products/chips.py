"""Tiles as files: GeoTIFF chips in dB, each with its exchange record, and the record of the scene, which lists them.

Other programs read them, and `tile_folders` makes the map of the scene from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from drshym_pipeline.errors import InputError
from drshym_pipeline.products.file_lists import listed_tile, with_content_hash
from drshym_pipeline.products.tiles import tile_record
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import DrShymRecord, ListedTile, SceneMeta, TiledScene, TileLayout, Units
from drshym_pipeline.sar.scene import SceneReader, describe_scene
from drshym_pipeline.sar.sidecar import sidecar_of
from drshym_pipeline.sar.source_files import open_sources
from drshym_pipeline.storage import atomic_directory, output_directory, write_text
from drshym_pipeline.tiling import TileGrid, Window

STAGE = "chips"
META_SUFFIX: Final = "_meta.json"
SCENE_VERSION_TAG: Final = "DRSHYM_SCENE_VERSION"


def _write_chip(path: Path, pixels: NDArray[np.float32], meta: SceneMeta, window: Window) -> None:
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(pixels),
        "height": window.height,
        "width": window.width,
        "crs": CRS.from_user_input(meta.crs),
        "transform": meta.affine @ Affine.translation(window.col, window.row),
        "nodata": float("nan"),
        "compress": "deflate",
        "predictor": 3,
    }
    with rasterio.open(path, "w", **profile) as chip:
        chip.write(pixels)
        chip.descriptions = ("VV", "VH")[: len(pixels)]
        chip.update_tags(**{"DRSHYM_SCENE": meta.scene_id, SCENE_VERSION_TAG: meta.version})


def write_chips(
    sources: Sequence[Path],
    out: Path,
    *,
    scene_id: str | None = None,
    units: Units | None = None,
    bands: Sequence[int] = (),
    denoise: bool = True,
    tile: int,
    overlap: int,
    progress: Progress = silent,
) -> TiledScene:
    """Cut a scene into chips. Its side-car counts as for a map.

    Args:
        sources: The scene's files, its SAFE folder, or a zip of it.
        out: The folder of the chips: `<image_id>.tif` (float32 dB, NaN not observed) and `<image_id>.json` for each,
            and `<scene>_meta.json`. It must be new or empty, and it appears complete or not at all.
        scene_id: The scene's name; taken from the file names by default.
        units: The units of the values; by default found from the values, the file's name and its tags.
        bands: The numbers of the bands to read, VV first; by default found from their names.
        denoise: Subtract the thermal noise from digital numbers, if the product has the tables for it.
        tile: The side of a tile in pixels.
        overlap: The overlap of neighbouring tiles in pixels.
        progress: Called after every chip.

    Returns:
        The record of the scene with the grid of its tiles.

    Raises:
        InputError: The scene or the grid cannot be used, or `out` is not empty or is not a folder.
    """
    if out.is_dir() and any(out.iterdir()):
        raise InputError(out, "the folder is not empty", "Choose a new folder")
    TileGrid(1, 1, tile, overlap)  # raises an error for a wrong tile or overlap before the scene is read
    note = sidecar_of(sources)
    with output_directory(out), open_sources(sources, out.absolute().parent) as opened:
        meta = describe_scene(
            opened.files,
            scene_id=scene_id or opened.name,
            units=units or note.units,
            bands=bands or note.bands,
            denoise=denoise and note.denoise is not False,
            source_uris=opened.uris,
            progress=progress,
        )
        grid = TileGrid(meta.height, meta.width, tile, overlap)
        chips: list[ListedTile] = []
        with atomic_directory(out) as temporary, SceneReader(meta, temporary) as reader:
            for index, window in enumerate(grid):
                pixels = reader.read(window)
                record: DrShymRecord = tile_record(meta, index, window, grid, float(np.isfinite(pixels[0]).mean()))
                path = temporary / f"{record.image_id}.tif"
                _write_chip(path, pixels, meta, window)
                write_text(path.with_suffix(".json"), record.to_json() + "\n")
                chips.append(listed_tile(record.image_id, window, path))
                progress(STAGE, index + 1, len(grid))
            tiled = with_content_hash(
                TiledScene(
                    **opened.recorded(meta).model_dump(),
                    grid=TileLayout(tile=tile, overlap=overlap, count=len(grid)),
                    any_spacing=bool(note.any_spacing),
                    chips=tuple(chips),
                )
            )
            write_text(temporary / f"{meta.scene_id}{META_SUFFIX}", tiled.model_dump_json(indent=2) + "\n")
    return tiled
