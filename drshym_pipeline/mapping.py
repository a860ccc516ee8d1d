"""The one road from a Sentinel-1 GeoTIFF to a flood map, in stages.

Each stage takes a `SceneFolder`, does one step of the lineage and leaves its files there atomically, so that a stage
can be repeated after a kill and the next one finds only whole files. The lineage graph calls the stages one by one, the
command calls `map_scene`, which chains the same ones. How a step is done is decided in the rooms it calls. rasterio,
torch and zarr are imported when a stage runs, because the graph loads this module to draw itself.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.errors import InputError
from drshym_pipeline.inference import PrecisionOption, PredictionSummary, check_prediction_options, predict_scene
from drshym_pipeline.products.folder import PRODUCTS_FOLDER, STITCHED_FILE, SceneFolder, TilesSummary
from drshym_pipeline.products.names import PRODUCT_KINDS, product_name
from drshym_pipeline.products.publish import check_free, finish, publish
from drshym_pipeline.products.summary import StitchSummary
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import MapRecord, ModelReference, Units
from drshym_pipeline.storage import (
    TEMPORARY_PREFIX,
    atomic_directory,
    output_directory,
    scratch_directory,
    write_json,
    write_text,
)
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE, TileGrid

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

__all__ = [
    "SceneFolder",
    "StitchSummary",
    "TilesSummary",
    "discard_probabilities",
    "map_scene",
    "predict",
    "report",
    "stage",
    "stitch",
    "write_tiles",
]

REPORT_STAGE = "scene_reports"


def _keep_seconds(folder: SceneFolder, stage_name: str, start: float) -> None:
    elapsed = round(time.perf_counter() - start, 3)
    write_json(folder.seconds_path, {**folder.seconds(), stage_name: elapsed})


def stage(
    sources: Sequence[Path],
    root: Path,
    *,
    scene_id: str | None = None,
    units: Units | None = None,
    copy: bool = True,
    progress: Progress = silent,
) -> SceneFolder:
    """Check and describe a scene.

    Args:
        sources: One file with VV and perhaps VH, or one file a polarisation.
        root: The scene's folder becomes `root/<scene_id>/<version>`.
        scene_id: The scene's name; taken from the file names by default.
        units: What the values are, where it cannot be told.
        copy: Keep a copy of the sources in the folder. Without it the pixels are read where they are.
        progress: Told as the pixels are read.

    Raises:
        InputError: The scene cannot be used; nothing is left behind.
    """
    from drshym_pipeline.sar.codes import BACKSCATTER_FILE
    from drshym_pipeline.sar.scene import describe_scene, stage_scene

    start = time.perf_counter()
    if copy:
        _, directory = stage_scene(sources, root, scene_id=scene_id, units=units, progress=progress)
        folder = SceneFolder(directory.absolute())
    else:
        with scratch_directory(root) as scratch:
            backscatter = scratch / BACKSCATTER_FILE
            meta = describe_scene(sources, scene_id=scene_id, units=units, backscatter=backscatter, progress=progress)
            folder = SceneFolder((root / meta.scene_id / meta.version).absolute())
            folder.directory.mkdir(parents=True, exist_ok=True)
            backscatter.replace(folder.backscatter)
        write_text(folder.meta_path, meta.model_dump_json(indent=2) + "\n")
    _keep_seconds(folder, "stage", start)
    return folder


def write_tiles(
    folder: SceneFolder,
    *,
    tile: int = DEFAULT_TILE,
    overlap: int = DEFAULT_OVERLAP,
    progress: Progress = silent,
) -> TilesSummary:
    """Lay the tile grid over a staged scene and write one record a tile.

    Args:
        folder: A staged scene.
        tile: Tile side in pixels.
        overlap: Overlap of neighbours in pixels, smaller than the tile.
        progress: Told after every tile.

    Raises:
        InputError: Tile and overlap do not fit.
    """
    from drshym_pipeline.products.tiles import write_tile_records
    from drshym_pipeline.sar.scene import make_backscatter

    start = time.perf_counter()
    meta = folder.meta()
    make_backscatter(meta, folder.directory, progress=progress)
    grid = TileGrid(meta.height, meta.width, tile, overlap)
    fractions = write_tile_records(folder, grid, progress)
    rows, cols = grid.shape
    summary = TilesSummary(
        tile=tile,
        overlap=overlap,
        rows=rows,
        cols=cols,
        count=len(grid),
        valid_tiles=sum(fraction > 0 for fraction in fractions),
        mean_valid_fraction=sum(fractions) / len(fractions),
        seconds=round(time.perf_counter() - start, 3),
    )
    write_json(folder.tiles_summary, summary.model_dump(mode="json"))
    _keep_seconds(folder, "tiles", start)
    return summary


def predict(
    folder: SceneFolder,
    bundle: ModelBundle,
    reference: ModelReference,
    *,
    batch_size: int | None = None,
    device: str = "auto",
    precision: PrecisionOption = "auto",
    progress: Progress = silent,
) -> PredictionSummary:
    """Predict the tiles of a scene; a prediction by the same model and arithmetic that is there already is kept.

    The model's reference, calibration and area errors stay with the probabilities: the later stages need no model, and
    a change of the model in service between two stages cannot mix two of them in one map.

    Args:
        folder: A tiled scene.
        bundle: The model.
        reference: Which model that is.
        batch_size: Tiles a forward pass on a GPU; chosen for the machine when None.
        device: `cpu`, `cuda` or `auto`.
        precision: `fp32`, `bf16` or `auto`.
        progress: Told after every row of tiles.

    Raises:
        InputError: An option is out of range.
    """
    from drshym_pipeline.model.compute import best_device, resolve_precision
    from drshym_pipeline.sar.backscatter import BackscatterReader
    from drshym_pipeline.sar.scene import make_backscatter

    start = time.perf_counter()
    meta, grid = folder.meta(), folder.grid()
    check_prediction_options(batch_size, precision)
    device = best_device() if device == "auto" else device
    chosen = resolve_precision(precision, device)
    mode = bundle.serving_mode(meta.mode)
    there = _prediction_there(folder)
    if there is not None:
        wanted = (reference, bundle.calibration[mode], mode, device, chosen, grid.tile, grid.overlap)
        found = (
            there.reference, there.calibration, there.mode, there.device, there.precision, there.tile, there.overlap
        )  # fmt: skip
        if wanted == found:
            return there.model_copy(update={"reused": True})
    area_errors = bundle.area_errors.get(mode, AreaErrorModel())
    make_backscatter(meta, folder.directory, progress=progress)
    with BackscatterReader(meta, folder.directory) as reader:
        summary = predict_scene(
            reader,
            grid,
            bundle,
            mode,
            folder.probabilities,
            reference=reference,
            batch_size=batch_size,
            device=device,
            precision=chosen,
            attributes={"area_errors": area_errors.model_dump(mode="json")},
            progress=progress,
        )
    _keep_seconds(folder, "predict", start)
    return summary


def _prediction_there(folder: SceneFolder) -> PredictionSummary | None:
    """The prediction in a folder, None when there is none or it cannot be read and has to be made again."""
    if not folder.probabilities.is_dir():
        return None
    try:
        return folder.prediction().summary
    except InputError:
        return None


def stitch(folder: SceneFolder, *, progress: Progress = silent) -> StitchSummary:
    """Blend the tiles into the map: mask, probability, polygons, pictures and caption.

    A finished map of the scene stays whole and in its place until `report` has the new one finished.

    Args:
        folder: A predicted scene.
        progress: Told in rows of the scene.

    Raises:
        InputError: A stage before has not run.
    """
    from drshym_pipeline.products.draw import draw_map
    from drshym_pipeline.sar.scene import make_backscatter

    start = time.perf_counter()
    make_backscatter(folder.meta(), folder.directory, progress=progress)
    with atomic_directory(folder.following) as drawn:
        summary = draw_map(folder, drawn / PRODUCTS_FOLDER, progress)
        write_text(drawn / STITCHED_FILE, summary.model_dump_json(indent=2) + "\n")
    _keep_seconds(folder, "stitch", start)
    return summary


def report(folder: SceneFolder, *, progress: Progress = silent) -> MapRecord:
    """Write the report page and the map record, put the map in place and, last, write the manifest.

    Args:
        folder: A stitched scene.
        progress: Told at the start and the end.

    Raises:
        InputError: A stage before has not run.
    """
    from drshym_pipeline.products.report import map_record, write_page

    start = time.perf_counter()
    progress(REPORT_STAGE, 0, 1)
    meta, summary = folder.meta(), folder.stitched()
    names = {kind: product_name(meta.scene_id, kind) for kind in PRODUCT_KINDS}
    record = map_record(meta, summary.model_copy(update={"files": names}), folder.seconds())
    write_page(record, summary.slices, folder.product("overlay"), folder.product("report"))
    write_text(folder.product("record"), record.model_dump_json(indent=2) + "\n")
    finish(folder, record)
    _keep_seconds(folder, "report", start)
    progress(REPORT_STAGE, 1, 1)
    return record


def discard_probabilities(folder: SceneFolder) -> bool:
    """Delete the tile probabilities and the backscatter of a scene; the map stays. Returns whether there were any."""
    there = folder.probabilities.is_dir()
    folder.backscatter.unlink(missing_ok=True)
    shutil.rmtree(folder.probabilities, ignore_errors=True)
    return there


def map_scene(
    sources: Sequence[Path],
    out: Path,
    bundle: ModelBundle,
    reference: ModelReference,
    *,
    scene_id: str | None = None,
    units: Units | None = None,
    tile: int = DEFAULT_TILE,
    overlap: int = DEFAULT_OVERLAP,
    batch_size: int | None = None,
    device: str = "auto",
    precision: PrecisionOption = "auto",
    overwrite: bool = False,
    progress: Progress = silent,
) -> MapRecord:
    """Map one scene: every stage in a work folder, then the products into `out`.

    Args:
        sources: One file with VV and perhaps VH, or one file a polarisation.
        out: Where the products go. When anything fails, nothing of this scene is left in it.
        bundle: The model.
        reference: Which model that is.
        scene_id: The scene's name; taken from the file names by default.
        units: What the values are, where it cannot be told.
        tile: Tile side in pixels.
        overlap: Overlap of neighbouring tiles.
        batch_size: Tiles a forward pass on a GPU; chosen for the machine when None.
        device: `cpu`, `cuda` or `auto`.
        precision: `fp32`, `bf16` or `auto`.
        overwrite: Replace products of another scene that have the same names.
        progress: Told by every stage.

    Raises:
        InputError: The scene or an option cannot be used.
    """
    check_prediction_options(batch_size, precision)
    TileGrid(1, 1, tile, overlap)  # refuses a bad tile or overlap before the scene is read
    with output_directory(out), tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=out) as work:
        folder = stage(sources, Path(work), scene_id=scene_id, units=units, copy=False, progress=progress)
        if not overwrite:
            check_free(out, folder.meta())
        write_tiles(folder, tile=tile, overlap=overlap, progress=progress)
        predict(folder, bundle, reference, batch_size=batch_size, device=device, precision=precision, progress=progress)
        stitch(folder, progress=progress)
        record = report(folder, progress=progress)
        publish(folder, out)
        return record
