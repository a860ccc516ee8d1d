"""The map of a scene from the probabilities of its tiles: the same files as `mapping.map_scene` makes.

The tiles are read where they are, and the backscatter comes from the chips. No model is loaded: the record of the
prediction has what the map says about it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from drshym_pipeline.errors import InputError
from drshym_pipeline.map_threshold import at_threshold, check_threshold
from drshym_pipeline.products.chips import META_SUFFIX
from drshym_pipeline.products.draw import draw_map
from drshym_pipeline.products.publish import check_free, publish
from drshym_pipeline.products.report import map_version, write_report
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import MapRecord, TiledScene, check_min_area, counted
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.storage import output_directory, temporary_directory
from drshym_pipeline.tile_folders.assembling import write_backscatter
from drshym_pipeline.tile_folders.listing import TiledFolder, checked_tile, read_tiled_scene, tiled_scenes
from drshym_pipeline.tile_folders.predicted import PredictedTiles, check_scene
from drshym_pipeline.tile_folders.predicting import PREDICTION_SUFFIX, read_prediction

_PREDICT = "Predict its tiles with `drshym predict-folder --in CHIPS --out TILES`"


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
        InputError: A file is missing, damaged, or was changed since it was written.
    """
    start = time.perf_counter()
    min_area_ha, threshold = check_min_area(min_area_ha), check_threshold(threshold)
    meta = scene.scene.scene()
    made = read_prediction(scene.folder / f"{meta.scene_id}{PREDICTION_SUFFIX}")
    check_scene(made, scene.folder, scene.meta_path, scene.scene)
    tiles = PredictedTiles(scene.folder, scene.scene, made)
    tiles.check()
    prediction, chips = at_threshold(made.prediction, threshold), _chips(scene)
    if not overwrite:
        check_free(out, meta)
    with output_directory(out), temporary_directory(out) as work:
        write_backscatter(chips, work, progress)
        assembled = time.perf_counter()
        with BackscatterReader(meta, work) as reader:
            drawn = draw_map(reader, tiles, prediction, work / "products", progress, min_area_ha=min_area_ha)
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


def _chips(scene: TilesToExport) -> TiledFolder:
    """Return the chips beside the record of the scene, which the picture and the areas need.

    Raises:
        InputError: One is missing, or its record is not the one that was written with it.
    """
    folder, meta = scene.meta_path.parent, scene.scene
    chips = {index: folder / f"{listed.image_id}.tif" for index, listed in enumerate(meta.chips)}
    missing = [path for path in chips.values() if not path.is_file()]
    if missing:
        raise InputError(
            missing[0],
            f"the chip is missing, {counted(len(missing), 'chip')} of {len(chips)} in all; the backscatter "
            "of the map comes from the chips beside the record of the scene",
            "Give --scene-meta in the folder that `drshym tile` wrote",
        )
    for index, path in chips.items():
        checked_tile(path, meta.chips[index], scene.meta_path.name)
    return TiledFolder(scene.meta_path, meta, chips)
