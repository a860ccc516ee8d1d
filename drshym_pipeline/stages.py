"""The stages from a Sentinel-1 GeoTIFF to a flood map, as the lineage graph calls them.

Each stage takes what the stage before returned, does one step and writes an artefact that is never changed afterwards:
the staged scene, the tiles, the probabilities, the drawn map, the finished map. A stage whose artefact is there already
returns it. So a stage can be repeated after a kill, and two runs of one scene never change what the other one works on.
The command does the same steps in one go (`mapping.map_scene`).

A stage opens the scene once and passes it to every step: `reader.meta` is its description, and `reader` reads
its backscatter. The modules that are called decide how a step is done. Of these, `products.draw`, `products.tiles` and
`products.report` never read the state of a scene from the disk. rasterio, torch and zarr are imported when a stage
runs, because Dagster loads this module to draw the graph.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drshym_pipeline.errors import InputError
from drshym_pipeline.prediction import plan_prediction
from drshym_pipeline.probabilities import open_probabilities
from drshym_pipeline.products.publish import finish
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import (
    ModelReference,
    PrecisionOption,
    TilesSummary,
    Units,
    check_min_area,
)
from drshym_pipeline.scene_folder import (
    STITCHED_FILE,
    MapFolder,
    PredictionFolder,
    SceneFolder,
    TilesFolder,
)
from drshym_pipeline.storage import (
    atomic_directory,
    temporary_directory,
    write_json,
    write_text,
)
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE, TileGrid

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.references.reference_plan import ReferencePlan

__all__ = [
    "predict",
    "report",
    "stage",
    "stitch",
    "write_tiles",
]

# Raised when the same scene and grid would give other files: tiles of an earlier number are made again.
TILES_FORMAT: Final = 1


def stage(
    sources: Sequence[Path],
    root: Path,
    *,
    scene_id: str | None = None,
    units: Units | None = None,
    bands: Sequence[int] = (),
    denoise: bool = True,
    copy: bool = True,
    progress: Progress = silent,
) -> SceneFolder:
    """Check and describe a scene.

    Args:
        sources: One file with VV and perhaps VH, one file per polarisation, one SAFE folder, or one zip of it.
        root: The scene's folder becomes `root/<scene_id>/<version>`.
        scene_id: The scene's name; taken from the file names by default.
        units: Unit of the pixel values; recognised by default.
        bands: Numbers of the bands to read, VV first; found from their names by default.
        denoise: Subtract the thermal noise from digital numbers, if the product has the tables for it.
        copy: Keep a copy of the sources in the folder. Without it the scene is described by the sources where they are.
        progress: Called as the pixels are read.

    Raises:
        InputError: The scene cannot be used; nothing is left behind.
    """
    from drshym_pipeline.sar.scene import stage_scene

    start = time.perf_counter()
    meta, directory = stage_scene(
        sources,
        root,
        scene_id=scene_id,
        units=units,
        bands=bands,
        denoise=denoise,
        copy=copy,
        progress=progress,
    )
    folder = SceneFolder.staged(directory.absolute(), meta)
    folder.remove_abandoned()
    write_json(folder.seconds_path, {"stage": round(time.perf_counter() - start, 3)})
    return folder


def write_tiles(
    folder: SceneFolder,
    *,
    tile: int = DEFAULT_TILE,
    overlap: int = DEFAULT_OVERLAP,
    progress: Progress = silent,
) -> TilesFolder:
    """Divide a staged scene into tiles and write one record per tile, unless that has been done.

    Args:
        folder: A staged scene.
        tile: Tile side in pixels.
        overlap: Overlap of neighbours in pixels, smaller than the tile.
        progress: Called after every tile.

    Raises:
        InputError: Tile and overlap do not fit.
    """
    from drshym_pipeline.products.tiles import write_tile_records
    from drshym_pipeline.sar.scene import open_backscatter

    start = time.perf_counter()
    meta = folder.meta()
    grid = TileGrid(meta.height, meta.width, tile, overlap)
    tiles = folder.tiles(folder.grid_name(tile, overlap))
    if _tiles_are_there(tiles):
        return tiles
    with (
        open_backscatter(meta, folder.directory, progress=progress) as reader,
        atomic_directory(tiles.directory) as temporary,
    ):
        fractions = write_tile_records(reader, grid, TilesFolder(folder, temporary), progress)
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
            format=TILES_FORMAT,
        )
        write_json(TilesFolder(folder, temporary).summary_path, summary.model_dump(mode="json"))
    return folder.tiles(tiles.name, summary)


def _tiles_are_there(tiles: TilesFolder) -> bool:
    try:
        summary = tiles.summary()
    except InputError:
        return False
    return summary.format == TILES_FORMAT and tiles.jsonl.is_file() and tiles.parquet.is_file()


def predict(
    tiles: TilesFolder,
    bundle: ModelBundle,
    reference: ModelReference,
    *,
    batch_size: int | None = None,
    device: str = "auto",
    precision: PrecisionOption = "auto",
    any_spacing: bool = False,
    progress: Progress = silent,
) -> PredictionFolder:
    """Predict the tiles of a scene, unless the same model has done so with the same arithmetic.

    The model's reference, calibration and area errors stay with the probabilities: the later stages need no model, and
    a change of the model in service between two stages cannot mix two of them in one map.

    Args:
        tiles: A tiled scene.
        bundle: The model.
        reference: Name, version and hash of the model.
        batch_size: Tiles per forward pass on a GPU; chosen for the machine when None.
        device: `cpu`, `cuda` or `auto`.
        precision: `fp32`, `bf16` or `auto`.
        any_spacing: Map pixels of more than 60 m too.
        progress: Called after every row of tiles.

    Raises:
        InputError: An option is out of range, or the pixels are larger than 60 m.
    """
    from drshym_pipeline.sar.scene import open_backscatter

    scene = tiles.scene
    plan = plan_prediction(
        scene.meta(),
        tiles.grid(),
        bundle,
        reference,
        batch_size=batch_size,
        device=device,
        precision=precision,
        any_spacing=any_spacing,
    )
    predicted = tiles.prediction(f"probabilities/{plan.key}.zarr")
    if _is_there(predicted):
        return tiles.prediction(predicted.name, predicted.read(), reused=True)
    with open_backscatter(scene.meta(), scene.directory, progress=progress) as reader:
        plan.carry_out(reader, predicted.path, progress)
    return tiles.prediction(predicted.name)


def _is_there(predicted: PredictionFolder) -> bool:
    """Whether a whole prediction is there; its time is set to now, so that retention counts from its last use.

    The time is set first. Retention takes the folder away under its name and looks at the time again before it deletes:
    either it sees the new time and puts the folder back, or the time cannot be set here any more.
    """
    try:
        os.utime(predicted.attributes_path)
        predicted.read()
        open_probabilities(predicted.path, predicted.tiles.grid())
    except (FileNotFoundError, InputError):
        return False
    return True


def stitch(
    predicted: PredictionFolder,
    *,
    run: str = "work",
    min_area_ha: float = 0.0,
    reference: ReferencePlan | None = None,
    progress: Progress = silent,
) -> MapFolder:
    """Blend the tiles into a map: mask, probability, polygons, pictures and caption; or return the finished map.

    Args:
        predicted: A predicted scene.
        run: Name of the run; two runs draw in different folders.
        min_area_ha: Water areas below this size become dry, in hectares; a multiple of 0.1, 0 to keep all areas.
        reference: What it is compared with, to separate flood from water that was there before, and what the terrain
            excludes.
        progress: Called with rows of the scene.

    Returns:
        The drawn map, which `report` finishes. When this very map has been finished before, that map.

    Raises:
        InputError: A stage before has not run, a part of the probabilities is missing, or the area is out of range.
    """
    from drshym_pipeline.products.draw import draw_map
    from drshym_pipeline.products.report import map_version
    from drshym_pipeline.references.event_scene import EventScene
    from drshym_pipeline.references.reference_plan import ReferencePlan
    from drshym_pipeline.sar.scene import open_backscatter

    start = time.perf_counter()
    min_area_ha = check_min_area(min_area_ha)
    scene, grid, prediction = predicted.scene, predicted.tiles.grid(), predicted.read()
    plan = ReferencePlan() if reference is None else reference
    version = map_version(
        scene.meta(),
        predicted.path.stem,
        prediction.summary,
        min_area_ha=min_area_ha,
        reference=plan,
        exclusion=plan.terrain_identity,
    )
    finished = scene.map(version)
    if finished.can_be_reused():
        return finished
    drawn = scene.drawing(f"{version}-{run}")
    with (
        open_backscatter(scene.meta(), scene.directory, progress=progress) as reader,
        atomic_directory(drawn.directory) as temporary,
    ):
        probabilities = open_probabilities(predicted.path, grid)
        with temporary_directory(temporary) as work:
            event = EventScene(reader, probabilities, prediction.summary.calibration.threshold, work)
            made = plan.make(event, work)
            exclusion, notes = (None, ()) if plan.terrain is None else plan.terrain.make(work / "exclusion.tif")
            summary = draw_map(
                reader,
                probabilities,
                prediction,
                temporary,
                progress,
                min_area_ha=min_area_ha,
                reference=made.water,
                exclusion=exclusion,
                reference_note=made.note,
                notes=(*made.warnings, *notes),
            )
        summary = summary.model_copy(update={"seconds": _seconds(predicted, time.perf_counter() - start)})
        write_text(temporary / STITCHED_FILE, summary.model_dump_json(indent=2) + "\n")
    return scene.drawing(f"{version}-{run}", summary)


def _seconds(predicted: PredictionFolder, stitch_seconds: float) -> dict[str, float]:
    """Seconds of the stages up to the drawing, as each stage noted them."""
    found = {
        **predicted.scene.seconds(),
        "tiles": predicted.tiles.summary().seconds,
        "predict": predicted.read().summary.seconds,
        "stitch": round(stitch_seconds, 3),
    }
    return {name: value for name, value in found.items() if value is not None}


def report(drawn: MapFolder, *, progress: Progress = silent) -> MapFolder:
    """Write the report page and the map record, and finish the map; or return it when it is finished.

    Args:
        drawn: What `stitch` returned.
        progress: Called at the start and the end.

    Raises:
        InputError: A stage before has not run.
    """
    from drshym_pipeline.products.report import write_report

    if drawn.directory.parent == drawn.scene.maps and drawn.is_complete():
        return drawn
    record = write_report(drawn.scene.meta(), drawn.stitched(), drawn.version, drawn.products, progress)
    return finish(drawn, record)
