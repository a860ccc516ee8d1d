"""The calibrated probability of every tile of a folder, as GeoTIFFs with their records.

The scene is put together from its chips and predicted as a scene in one piece is: resampled pixels need ground around
a tile, which its neighbours hold. `<scene>_prediction.json` is written last: it lists the tiles and says how they were
made.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pydantic import ValidationError
from rasterio.crs import CRS

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.resampling import resampling_between
from drshym_pipeline.prediction import PredictionPlan, plan_prediction
from drshym_pipeline.probabilities import NOT_OBSERVED, PROBABILITY_SCALE, StoredProbabilities, open_probabilities
from drshym_pipeline.products.chips import SCENE_VERSION_TAG
from drshym_pipeline.products.file_lists import check_content, listed_tile, with_content_hash
from drshym_pipeline.products.rasters import provenance_tags
from drshym_pipeline.products.tiles import tile_id, tile_record
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import (
    SCHEMA_VERSION,
    DrShymRecord,
    ListedTile,
    ModelReference,
    PlainName,
    PrecisionOption,
    Record,
    SceneMeta,
    Sha256,
    describe_validation,
)
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.scene_folder import Prediction
from drshym_pipeline.storage import (
    fsync_directory,
    fsync_tree,
    output_directory,
    read_json,
    temporary_directory,
    write_text,
)
from drshym_pipeline.tile_folders.assembling import write_backscatter
from drshym_pipeline.tile_folders.listing import PREDICT_AGAIN, PROBABILITY_ENDING, TiledFolder
from drshym_pipeline.tiling import TileGrid, Window

WRITE_STAGE: Final = "write_tiles"
PREDICTION_SUFFIX: Final = "_prediction.json"
PROBABILITY_SUFFIX: Final = f"{PROBABILITY_ENDING}.tif"
KEY_TAG: Final = "DRSHYM_PREDICTION"
PROBABILITY_STEP: Final = "probability:uint16x1e-4"


class TilesPrediction(Record):
    """How the tiles of a scene were predicted, and the list of them; the file beside the tiles that is written last.

    `key` covers everything that can change the probabilities. `present` is the number of tiles that were there, of
    `count` tiles of the grid. `scene_meta_sha256` is the `content_sha256` of the record of the scene, which lists the
    chips. `content_sha256` is that of the other fields, as JSON with sorted keys and without spaces.
    """

    schema_version: str = SCHEMA_VERSION
    scene_id: PlainName
    scene_version: str
    scene_meta_sha256: Sha256
    source_sha256: str
    key: str
    tile: int
    overlap: int
    present: int
    count: int
    prediction: Prediction
    tiles: tuple[ListedTile, ...]
    content_sha256: Sha256 = ""  # until it is computed; a file without it is refused


def predict_tiles(
    chips: TiledFolder,
    out: Path,
    bundle: ModelBundle,
    reference: ModelReference,
    *,
    batch_size: int | None = None,
    device: str = "auto",
    precision: PrecisionOption = "auto",
    any_spacing: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> TilesPrediction:
    """Write `<tile>_proba.tif` and `<tile>_proba.json` for every chip of a scene.

    Args:
        chips: The chips. Some may be missing: the others are predicted all the same, except where pixels are resampled.
        out: The folder of the tiles. When anything fails, it is as before.
        bundle: The model.
        reference: Name, version and hash of the model.
        batch_size: Tiles per forward pass on a GPU; chosen for the machine when None.
        device: `cpu`, `cuda` or `auto`.
        precision: `fp32`, `bf16` or `auto`.
        any_spacing: Predict pixels of more than 60 m too.
        overwrite: Replace tiles of another scene that have the same names.
        progress: Called by every step.

    Raises:
        InputError: A chip or an option cannot be used, or a tile is missing that the others need.
    """
    meta, grid = chips.scene.scene(), chips.grid
    plan = plan_prediction(
        meta,
        grid,
        bundle,
        reference,
        batch_size=batch_size,
        device=device,
        precision=precision,
        any_spacing=any_spacing or chips.scene.any_spacing,
    )
    _check_complete(chips, plan)
    if not overwrite:
        _check_free(out, meta)
    with output_directory(out), temporary_directory(out) as work:
        write_backscatter(chips, work, progress)
        with BackscatterReader(meta, work) as reader:
            prediction = plan.carry_out(reader, work / "probabilities.zarr", progress)
        tiles = open_probabilities(work / "probabilities.zarr", grid)
        folder = work / "tiles"
        folder.mkdir()
        listed: list[ListedTile] = []
        for done, index in enumerate(sorted(chips.chips), 1):
            listed.append(_write_tile(folder, tiles, meta, index, prediction=prediction, key=plan.key))
            progress(WRITE_STAGE, done, len(chips.chips))
        made = with_content_hash(
            TilesPrediction(
                scene_id=meta.scene_id,
                scene_version=meta.version,
                scene_meta_sha256=chips.scene.content_sha256,
                source_sha256=meta.sha256,
                key=plan.key,
                tile=grid.tile,
                overlap=grid.overlap,
                present=len(chips.chips),
                count=len(grid),
                prediction=prediction,
                tiles=tuple(listed),
            )
        )
        _publish(folder, out, made)
    return made


def read_prediction(path: Path) -> TilesPrediction:
    """Read the record of predicted tiles.

    Raises:
        InputError: It is missing, not such a record, or was changed after it was written.
    """
    value = read_json(path, remedy=PREDICT_AGAIN)
    try:
        made = TilesPrediction.model_validate(value)
    except ValidationError as error:
        problem = f"is not the record of predicted tiles ({describe_validation(error)})"
        raise InputError(path, problem, PREDICT_AGAIN) from error
    check_content(path, value, PREDICT_AGAIN)
    return made


def predicted_record(
    meta: SceneMeta, index: int, grid: TileGrid, valid_fraction: float, prediction: Prediction
) -> DrShymRecord:
    """Return the exchange record of a predicted tile: that of its chip, with model, calibration and threshold.

    Args:
        meta: The scene.
        index: The number of the tile.
        grid: The grid of tiles.
        valid_fraction: The observed share of the tile's pixels, 0 to 1.
        prediction: How it was predicted.
    """
    summary, record = prediction.summary, tile_record(meta, index, grid.window(index), grid, valid_fraction)
    provenance = record.provenance.model_copy(
        update={
            "processing": (*record.provenance.processing, PROBABILITY_STEP),
            "model": summary.reference.label,
            "calibration": summary.calibration.text(),
            "threshold": summary.calibration.threshold,
        }
    )
    return record.model_copy(update={"provenance": provenance})


def _check_complete(chips: TiledFolder, plan: PredictionPlan) -> None:
    """Refuse missing tiles where the others need their ground."""
    if not chips.missing or plan.pixels is None or resampling_between(plan.pixels).merge == (1, 1):
        return
    raise InputError(
        chips.meta_path,
        f"the tile {chips.missing[0]} is missing ({len(chips.missing)} of {len(chips.grid)}); the pixels are merged "
        "for the network, so a tile needs the ground around it",
        "Copy all tiles of the scene into the folder",
    )


def _check_free(out: Path, meta: SceneMeta) -> None:
    """Refuse to replace the tiles of another scene of the same name."""
    path = out / f"{meta.scene_id}{PREDICTION_SUFFIX}"
    if not path.is_file():
        return
    remedy = "Choose another --out, or replace it with --overwrite"
    value = read_json(path, remedy=remedy)
    # Only whose tiles they are counts: a record that was changed or damaged is replaced by predicting again.
    if not isinstance(value, dict) or value.get("source_sha256") != meta.sha256:
        raise InputError(path, "the file already exists and is not of this scene", remedy)


def _write_tile(
    folder: Path, tiles: StoredProbabilities, meta: SceneMeta, index: int, *, prediction: Prediction, key: str
) -> ListedTile:
    window = tiles.grid.window(index)
    values = tiles[index : index + 1][0, : window.height, : window.width]
    path = folder / f"{tile_id(meta.scene_id, index)}{PROBABILITY_SUFFIX}"
    tags = {**provenance_tags(meta, prediction.summary), SCENE_VERSION_TAG: meta.version, KEY_TAG: key}
    _write_raster(path, values, meta, window, tags)
    record = predicted_record(meta, index, tiles.grid, float((values != NOT_OBSERVED).mean()), prediction)
    path.with_suffix(".json").write_text(record.to_json() + "\n", "utf-8")
    return listed_tile(record.image_id, window, path)


def _write_raster(
    path: Path, values: NDArray[np.uint16], meta: SceneMeta, window: Window, tags: dict[str, str]
) -> None:
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": "uint16",
        "count": 1,
        "height": window.height,
        "width": window.width,
        "crs": CRS.from_user_input(meta.crs),
        "transform": meta.affine @ Affine.translation(window.col, window.row),
        "nodata": NOT_OBSERVED,
        "compress": "deflate",
        "predictor": 2,
    }
    with rasterio.open(path, "w", **profile) as target:
        target.write(values, 1)
        target.scales = (PROBABILITY_SCALE,)
        target.set_band_description(1, "calibrated probability of open water")
        target.update_tags(**tags)


def _publish(folder: Path, out: Path, made: TilesPrediction) -> None:
    """Move the tiles to their folder. The record is removed first and written last: without it they are unfinished.

    Tiles of an earlier prediction of the scene that has other tiles are deleted.
    """
    fsync_tree(folder)
    record = out / f"{made.scene_id}{PREDICTION_SUFFIX}"
    record.unlink(missing_ok=True)
    new = {path.name for path in folder.iterdir()}
    earlier = re.compile(re.escape(made.scene_id) + r"_tile_\d{5,}_proba\.(?:tif|json)")
    for path in out.iterdir():
        if earlier.fullmatch(path.name) and path.name not in new:
            path.unlink()
    for path in sorted(folder.iterdir()):
        path.replace(out / path.name)
    fsync_directory(out)
    write_text(record, made.model_dump_json(indent=2) + "\n")
