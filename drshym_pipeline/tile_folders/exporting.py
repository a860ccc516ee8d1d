"""The map of a scene from the probabilities of its tiles: the same files as `mapping.map_scene` makes.

The tiles are read where they are, and the backscatter comes from the chips. No model is loaded: the record of the
prediction has what the map says about it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.map_threshold import at_threshold, check_threshold
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.products.chips import META_SUFFIX, SCENE_VERSION_TAG
from drshym_pipeline.products.draw import draw_map
from drshym_pipeline.products.publish import check_free, publish
from drshym_pipeline.products.report import map_version, write_report
from drshym_pipeline.products.tiles import tile_id
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import MapRecord, TiledScene, check_min_area, counted
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.completeness import check_blocks
from drshym_pipeline.sar.safe_open import open_scene_file
from drshym_pipeline.storage import output_directory, temporary_directory
from drshym_pipeline.tile_folders.assembling import write_backscatter
from drshym_pipeline.tile_folders.listing import (
    TiledFolder,
    check_window,
    chips_by_scene,
    folder_tiles,
    grid_of,
    read_tiled_scene,
    tiled_scenes,
)
from drshym_pipeline.tile_folders.predicting import (
    KEY_TAG,
    PREDICTION_SUFFIX,
    PROBABILITY_SUFFIX,
    TilesPrediction,
    read_prediction,
)
from drshym_pipeline.tiling import TileGrid

_PREDICT = "Predict its tiles with `drshym predict-folder --in CHIPS --out TILES`"
_ALL_AGAIN = "Predict all tiles of the scene again with `drshym predict-folder`"
_MODEL_TAG = "DRSHYM_MODEL_SHA256"


@dataclass(frozen=True)
class TilesToExport:
    """One scene to export.

    Args:
        meta_path: The record of the scene, beside its chips.
        scene: What it says.
        folder: The folder of the predicted tiles.
        place: Where the products go, below the folder of the results.
    """

    meta_path: Path
    scene: TiledScene
    folder: Path
    place: Path


class TileFiles:
    """The predicted tiles of a scene as one array (tile, y, x) uint16; a tile that cannot be read is an error.

    Args:
        files: The GeoTIFF of each tile, by its number.
        grid: The grid of the scene.
    """

    def __init__(self, files: Mapping[int, Path], grid: TileGrid) -> None:
        self._files, self._grid = files, grid

    @property
    def grid(self) -> TileGrid:
        """The grid of the tiles."""
        return self._grid

    @property
    def shape(self) -> tuple[int, ...]:
        """Tiles, rows and columns."""
        return len(self.grid), self.grid.tile, self.grid.tile

    def __getitem__(self, key: slice) -> NDArray[np.uint16]:
        """Return some tiles, not observed past the end of the scene.

        Raises:
            InputError: A tile is damaged.
        """
        indices = range(*key.indices(len(self._grid)))
        values = np.full((len(indices), self.grid.tile, self.grid.tile), NOT_OBSERVED, np.uint16)
        for tile, index in zip(values, indices, strict=True):
            window = self.grid.window(index)
            with open_scene_file(self._files[index]) as dataset:
                tile[: window.height, : window.width] = dataset.read(1)
        return values


def scenes_to_export(tiles: Path, scene_meta: Path) -> list[TilesToExport]:
    """Return the scenes that are to be exported.

    Args:
        tiles: The folder of the predicted tiles, with subfolders as `predict-folder` leaves them.
        scene_meta: The record of a scene beside its chips, or a folder with such records in it or its subfolders.

    Raises:
        InputError: One of them does not exist, no scene is named, or the tiles of a scene are not there.
    """
    if not tiles.is_dir():
        raise InputError(tiles, "is not a folder", "Give the folder of the predicted tiles")
    if not scene_meta.is_dir():
        return [_to_export(tiles, scene_meta, read_tiled_scene(scene_meta), Path())]
    folders = sorted({path.parent for path in scene_meta.rglob(f"*{META_SUFFIX}")})
    found = [
        _to_export(tiles, path, scene, folder.relative_to(scene_meta))
        for folder in folders
        for path, scene in tiled_scenes(folder).items()
    ]
    if not found:
        raise InputError(
            scene_meta, f"holds no record of a tiled scene (<scene>{META_SUFFIX})", "Give the folder of `drshym tile`"
        )
    return found


def _to_export(tiles: Path, meta_path: Path, scene: TiledScene, place: Path) -> TilesToExport:
    name = f"{scene.scene_id}{PREDICTION_SUFFIX}"
    for folder in dict.fromkeys((tiles / place, tiles)):
        if (folder / name).is_file():
            return TilesToExport(meta_path, scene, folder, place)
    raise InputError(
        tiles / place / name, "the file does not exist: the scene is not predicted, or not to its end", _PREDICT
    )


def export_scene(
    scene: TilesToExport,
    out: Path,
    *,
    min_area_ha: float = 0.0,
    threshold: float | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> MapRecord:
    """Make the map of a scene from its predicted tiles.

    Args:
        scene: The scene and its tiles.
        out: Where the products go. When anything fails, nothing of this scene is left in it.
        min_area_ha: Water areas below this size become dry, in hectares; a multiple of 0.1, 0 to keep all areas.
        threshold: The probability from which a pixel is water, in (0, 1); that of the model when None.
        overwrite: Replace products of another scene that have the same names.
        progress: Called by every stage.

    Raises:
        InputError: A tile or a chip is missing, there twice, damaged, or of another scene, model or grid.
    """
    start = time.perf_counter()
    min_area_ha, threshold = check_min_area(min_area_ha), check_threshold(threshold)
    meta, grid = scene.scene.scene(), grid_of(scene.scene)
    made = read_prediction(scene.folder / f"{meta.scene_id}{PREDICTION_SUFFIX}")
    files = tile_files(scene, made)
    prediction, chips = at_threshold(made.prediction, threshold), _chips(scene)
    if not overwrite:
        check_free(out, meta)
    with output_directory(out), temporary_directory(out) as work:
        write_backscatter(chips, work, progress)
        assembled = time.perf_counter()
        with BackscatterReader(meta, work) as reader:
            drawn = draw_map(
                reader, TileFiles(files, grid), prediction, work / "products", progress, min_area_ha=min_area_ha
            )
        seconds = {
            "assemble": round(assembled - start, 3),
            "predict": prediction.summary.seconds or 0.0,
            "stitch": round(time.perf_counter() - assembled, 3),
        }
        version = map_version(meta, made.key, prediction.summary, min_area_ha=min_area_ha)
        timed = drawn.model_copy(update={"seconds": seconds})
        record = write_report(meta, timed, version, work / "products", progress)
        publish(work / "products", meta.scene_id, out)
    return record


def tile_files(scene: TilesToExport, made: TilesPrediction) -> dict[int, Path]:
    """Return the GeoTIFF of each tile of a scene, checked.

    Raises:
        InputError: A tile is missing, there twice, damaged, or of another scene, model or grid.
    """
    meta = scene.scene
    if made.scene_version != meta.version:
        raise InputError(
            scene.folder,
            f"its tiles are of another version of the scene ({made.scene_version}) than {scene.meta_path.name} "
            f"({meta.version})",
            _ALL_AGAIN,
        )
    if (made.tile, made.overlap) != (meta.grid.tile, meta.grid.overlap):
        raise InputError(
            scene.folder,
            f"its tiles have another grid (tiles of {made.tile} pixels, overlap {made.overlap}) than "
            f"{scene.meta_path.name} ({meta.grid.tile}, {meta.grid.overlap})",
            _ALL_AGAIN,
        )
    files = _by_number(scene)
    missing = [index for index in range(meta.grid.count) if index not in files]
    if missing:
        raise InputError(
            scene.folder / f"{tile_id(meta.scene_id, missing[0])}{PROBABILITY_SUFFIX}",
            f"the tile is missing, {counted(len(missing), 'tile')} of {meta.grid.count} in all",
            _ALL_AGAIN,
        )
    for index, path in files.items():
        _check_tile(path, index, scene, made)
    return files


def _by_number(scene: TilesToExport) -> dict[int, Path]:
    """Return the tiles of a scene in the folder; tiles of other scenes are left out."""
    numbers = {tile_id(scene.scene.scene_id, index): index for index in range(scene.scene.grid.count)}
    files: dict[int, Path] = {}
    for tile in folder_tiles(scene.folder):
        if tile.record.provenance.model is None or (index := numbers.get(tile.record.image_id)) is None:
            continue  # a chip, or a tile of another scene
        first = files.setdefault(index, tile.path)
        if first != tile.path:
            raise InputError(
                tile.path,
                f"holds tile {tile.record.image_id} a second time (also {first.name})",
                "Remove one of them",
            )
        check_window(tile, scene.scene, index)
    return files


def _check_tile(path: Path, index: int, scene: TilesToExport, made: TilesPrediction) -> None:
    window, meta, reference = grid_of(scene.scene).window(index), scene.scene, made.prediction.summary.reference
    with open_scene_file(path) as dataset:
        check_blocks(dataset, path)
        tags: dict[str, str] = dataset.tags()
        shape: Any = (dataset.count, dataset.height, dataset.width, dataset.dtypes[0])
    if tags.get(SCENE_VERSION_TAG) != meta.version:
        raise InputError(
            path, f"is of another scene than {scene.meta_path.name}, or of another version of it", _ALL_AGAIN
        )
    if tags.get(_MODEL_TAG) != reference.sha256:
        other = f"{tags.get('DRSHYM_MODEL')} {tags.get('DRSHYM_MODEL_VERSION')}"
        raise InputError(
            path, f"was made by another model ({other}) than the prediction ({reference.label})", _ALL_AGAIN
        )
    if tags.get(KEY_TAG) != made.key:
        raise InputError(path, "was predicted with other options than the other tiles of the scene", _ALL_AGAIN)
    if shape != (1, window.height, window.width, "uint16"):
        raise InputError(path, "does not have the pixels of its record", _ALL_AGAIN)


def _chips(scene: TilesToExport) -> TiledFolder:
    """Return the chips beside the record of the scene, which the picture and the areas need.

    Raises:
        InputError: One is missing.
    """
    folder = scene.meta_path.parent
    numbers = {tile_id(scene.scene.scene_id, index) for index in range(scene.scene.grid.count)}
    tiles = [
        tile
        for tile in folder_tiles(folder)
        if tile.record.image_id in numbers and tile.record.provenance.model is None
    ]
    found = chips_by_scene(tiles, {scene.meta_path: scene.scene})
    chips = found[0] if found else TiledFolder(scene.meta_path, scene.scene, {})
    if chips.missing:
        raise InputError(
            folder / f"{chips.missing[0]}.tif",
            f"the chip is missing, {counted(len(chips.missing), 'chip')} of {len(chips.grid)} in all; the backscatter "
            "of the map comes from the chips beside the record of the scene",
            "Give --scene-meta in the folder that `drshym tile` wrote",
        )
    return chips
