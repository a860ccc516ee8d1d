"""Make a flood map of a Sentinel-1 GeoTIFF in one call, as the command and the Python interface do it.

`map_scene` uses the same functions as the stages of the lineage graph (`stages`), without the tile records, and keeps
only the products. The modules that are called do the steps. The scene is opened once and passed to every step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drshym_pipeline.inference import check_prediction_options
from drshym_pipeline.map_threshold import at_threshold, check_threshold
from drshym_pipeline.prediction import PredictionPlan, plan_prediction
from drshym_pipeline.probabilities import open_probabilities
from drshym_pipeline.products.publish import check_free, publish
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import (
    MapRecord,
    ModelReference,
    PrecisionOption,
    SceneMeta,
    TerrainLimits,
    Units,
    check_min_area,
)
from drshym_pipeline.sar.codes import BACKSCATTER_FILE
from drshym_pipeline.storage import (
    output_directory,
    temporary_directory,
)
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE, TileGrid
from drshym_pipeline.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from drshym_pipeline.ancillary.tile_store import TileStore
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.references.exclusion import TerrainExclusion
    from drshym_pipeline.references.reference import ReferenceWater
    from drshym_pipeline.sar.backscatter import BackscatterReader
    from drshym_pipeline.sar.sidecar import SceneSidecar

__all__ = ["KnownScene", "map_scene"]


@dataclass(frozen=True)
class KnownScene:
    """What the caller knows about a scene and its files do not say.

    Args:
        source_uris: Where the files came from, one text for each; their own addresses when empty.
        acquired_at: When the scene was acquired, in UTC; as the names of the files say when None.
    """

    source_uris: tuple[str, ...] = ()
    acquired_at: datetime | None = None


def map_scene(
    sources: Sequence[Path],
    out: Path,
    bundle: ModelBundle,
    reference: ModelReference,
    *,
    pre: Sequence[Path] = (),
    ancillary: str | os.PathLike[str] | None = None,
    limits: TerrainLimits | None = None,
    scene_id: str | None = None,
    units: Units | None = None,
    bands: Sequence[int] = (),
    denoise: bool = True,
    tile: int = DEFAULT_TILE,
    overlap: int = DEFAULT_OVERLAP,
    batch_size: int | None = None,
    device: str = "auto",
    precision: PrecisionOption = "auto",
    any_spacing: bool = False,
    min_area_ha: float = 0.0,
    threshold: float | None = None,
    known: KnownScene = KnownScene(),
    pre_known: KnownScene = KnownScene(),
    overwrite: bool = False,
    backscatter: bool = False,
    most_pixels: int | None = None,
    progress: Progress = silent,
) -> MapRecord:
    """Map one scene: all steps in a work folder, then move the products to `out`.

    Args:
        sources: One file with VV and perhaps VH, one file per polarisation, one SAFE folder, or one zip of it.
        out: Where the products go. When anything fails, nothing of this scene is left in it.
        bundle: The model.
        reference: Name, version and hash of the model.
        pre: The files of a scene from before the event, as in `sources`. With it flood is separated from water that was
            there before. Its units and bands are those of its side-car, or recognised.
        ancillary: A folder of tiles of long-term water maps and elevation, or the address of a bucket with them. With
            it flood is separated from water that they show, where no scene from before is known, and steep and high
            ground is excluded.
        limits: The limits of slope and height; steeper or higher ground is excluded. The default limits when None.
        scene_id: The scene's name; taken from the file names by default.
        units: Unit of the pixel values; recognised by default.
        bands: Numbers of the bands to read, VV first; found from their names by default.
        denoise: Subtract the thermal noise from digital numbers, if the product has the tables for it. False in the
            side-car has precedence.
        tile: Tile side in pixels.
        overlap: Overlap of neighbouring tiles.
        batch_size: Tiles per forward pass on a GPU; chosen for the machine when None.
        device: `cpu`, `cuda` or `auto`.
        precision: `fp32`, `bf16` or `auto`.
        any_spacing: Map pixels of more than 60 m too.
        min_area_ha: Water areas below this size become dry, in hectares; a multiple of 0.1, 0 to keep all areas.
        threshold: The probability from which a pixel is water, in (0, 1); that of the model when None. With another
            one, the interval of the area is the whole observed area.
        known: What is known about the scene beside its files.
        pre_known: The same about the scene from before the event.
        overwrite: Replace products of another scene that have the same names.
        backscatter: Write the backscatter on the grid of the map too, and with `pre` that of the scene from before. The
            other products do not depend on it.
        most_pixels: A scene with more pixels of one band is refused; None without a limit.
        progress: Called by every stage.

    Raises:
        InputError: The scene or an option cannot be used, the scene from before the event cannot be the reference, or
            `ancillary` is neither a folder nor an address of tiles.
        UnavailableError: The bucket of the tiles cannot be read now.
    """
    from drshym_pipeline.ancillary.places import open_tiles
    from drshym_pipeline.products.backscatter_rasters import BackscatterFiles
    from drshym_pipeline.products.draw import draw_map
    from drshym_pipeline.products.report import map_version, write_report
    from drshym_pipeline.references.pre_event import as_pre_event, map_pre_event
    from drshym_pipeline.references.reference import combined
    from drshym_pipeline.sar.backscatter import BackscatterReader

    check_prediction_options(batch_size, precision)
    min_area_ha, threshold = check_min_area(min_area_ha), check_threshold(threshold)
    TileGrid(1, 1, tile, overlap)  # refuses a bad tile or overlap before the scene is read
    layers = None if ancillary is None else open_tiles(ancillary)
    clock = _Clock()
    with output_directory(out), temporary_directory(out) as work:
        probabilities, products = work / "probabilities.zarr", work / "products"

        def described(files: Sequence[Path], folder: Path, **options: Any) -> tuple[SceneMeta, PredictionPlan]:
            meta, note = _describe(
                files, folder, denoise=denoise, most_pixels=most_pixels, progress=progress, **options
            )
            plan = plan_prediction(
                meta,
                TileGrid(meta.height, meta.width, tile, overlap),
                bundle,
                reference,
                batch_size=batch_size,
                device=device,
                precision=precision,
                any_spacing=any_spacing or bool(note.any_spacing),
            )
            return meta, plan

        meta, plan = described(sources, work, scene_id=scene_id, units=units, bands=bands, known=known)
        if not overwrite:
            check_free(out, meta, backscatter=backscatter)
        clock.note("stage")
        backscatter_files = BackscatterFiles(meta, products, wanted=backscatter)
        references: list[ReferenceWater] = []
        exclusion: TerrainExclusion | None = None
        notes: tuple[str, ...] = ()
        with BackscatterReader(meta, work) as reader:
            if pre:
                # Its backscatter and tiles are as large as those of the scene, and not needed any more afterwards.
                with temporary_directory(work) as folder:
                    raster = work / "pre_event.tif"
                    with as_pre_event():
                        before, before_plan = described(pre, folder, known=pre_known)
                        references.append(
                            map_pre_event(reader, before, before_plan, folder, raster=raster, progress=progress)
                        )
                    backscatter_files.add("backscatter_before", before, folder)
                clock.note("pre_event")
            if layers is not None:
                found, exclusion, notes = _long_term(reader, layers, sources, work, limits=limits, progress=progress)
                references += [] if found is None else [found]
                clock.note("ancillary")
            reference_water = combined(references, meta.map_grid, work / "reference.tif") if references else None
            prediction = at_threshold(plan.carry_out(reader, probabilities, progress), threshold)
            clock.note("predict")
            tiles = open_probabilities(probabilities, plan.grid)
            drawn = draw_map(
                reader,
                tiles,
                prediction,
                products,
                progress,
                min_area_ha=min_area_ha,
                reference=reference_water,
                exclusion=exclusion,
                notes=notes,
            )
        backscatter_files.add("backscatter", meta, work)
        clock.note("stitch")
        version = map_version(
            meta,
            plan.key,
            prediction.summary,
            min_area_ha=min_area_ha,
            reference=reference_water,
            exclusion=None if exclusion is None else exclusion.identity,
        )
        timed = drawn.model_copy(update={"seconds": clock.seconds, "files": drawn.files | backscatter_files.names})
        record = write_report(meta, timed, version, products, progress)
        publish(products, meta.scene_id, out)
        return record


def _long_term(
    reader: BackscatterReader,
    tiles: TileStore,
    sources: Sequence[Path],
    work: Path,
    *,
    limits: TerrainLimits | None,
    progress: Progress,
) -> tuple[ReferenceWater | None, TerrainExclusion | None, tuple[str, ...]]:
    """Read the long-term layers of a scene.

    Returns:
        The probability of water before, what the terrain excludes, and what a reader of the map must know about both.
    """
    from drshym_pipeline.references.exclusion import terrain_exclusion
    from drshym_pipeline.references.reference_layers import long_term_reference

    # Both read other files and write other rasters, so they are made side by side.
    with WorkerThreads(1, "terrain") as pool:
        terrain = pool.submit(
            terrain_exclusion,
            reader.meta.map_grid,
            tiles,
            sources,
            raster=work / "exclusion.tif",
            limits=limits,
        )
        found, notes = long_term_reference(reader, tiles, work, raster=work / "layers.tif", progress=progress)
        exclusion, more = terrain.result()
    return found, exclusion, (*notes, *more)


def _describe(
    sources: Sequence[Path],
    folder: Path,
    *,
    denoise: bool,
    most_pixels: int | None,
    progress: Progress,
    known: KnownScene,
    scene_id: str | None = None,
    units: Units | None = None,
    bands: Sequence[int] = (),
) -> tuple[SceneMeta, SceneSidecar]:
    """Read a scene with the options of its side-car, and store its backscatter in a folder.

    Returns:
        The description of the scene and its side-car.
    """
    from drshym_pipeline.sar.ingest import describe_scene
    from drshym_pipeline.sar.pixel_limit import check_pixels
    from drshym_pipeline.sar.sidecar import sidecar_of
    from drshym_pipeline.sar.source_files import open_sources

    note = sidecar_of(sources)
    with open_sources(sources, folder) as opened:
        if most_pixels is not None:
            check_pixels(sources[0], opened.files, most_pixels)
        meta = describe_scene(
            opened.files,
            scene_id=scene_id or opened.name,
            units=units or note.units,
            bands=bands or note.bands,
            denoise=denoise and note.denoise is not False,
            source_uris=known.source_uris or opened.uris,
            backscatter=folder / BACKSCATTER_FILE,
            progress=progress,
        )
    return meta if known.acquired_at is None else meta.model_copy(update={"acquired_at": known.acquired_at}), note


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def note(self, stage: str) -> None:
        """Note the time since the last note as that of a stage."""
        now = time.perf_counter()
        self.seconds[stage], self._last = round(now - self._last, 3), now
