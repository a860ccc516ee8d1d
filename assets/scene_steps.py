"""What each inference asset does with one scene; the assets themselves only call this.

In a run of one scene each step is a step of Dagster; a run of many scenes takes one scene after the other through them
(`scene_runs`). Both call the same functions. `scene_stages` says which step and which checks belong to which asset.
"""

from dataclasses import dataclass
from typing import Any

from dagster import DataVersion, MaterializeResult, MetadataValue

from assets.metadata import file_link, picture, picture_file, table
from assets.pictures import DB_RANGE, ground_cell, probability_histogram, quicklook, tile_means, valid_share
from assets.reference_metadata import reference_metadata
from assets.scene_references import ScenesBeside
from assets.scene_sources import remove_from_bucket, source_files
from drshym_pipeline.progress import Progress
from drshym_pipeline.records import PolygonCounts, no_area_text
from drshym_pipeline.scene_folder import OPTIONAL_KINDS
from drshym_pipeline.scene_store import WorkNote
from drshym_pipeline.stages import predict, report, stage, stitch, write_tiles
from drshym_pipeline.storage import sha256_file, sha256_files
from resources.bucket import SceneBucket
from resources.engine import InferenceEngine
from resources.sidecars import kept_sidecar
from resources.store import ArtefactStore


@dataclass(frozen=True)
class SceneTools:
    """What a step receives: no object of Dagster, so that a step may run in any thread.

    `run` names the run; an interrupted run and its retries have the same name.
    """

    bucket: SceneBucket
    store: ArtefactStore
    engine: InferenceEngine
    progress: Progress
    run: str

    def note(self, partition: str, **values: str | None) -> None:
        """Note what this run has made of a scene."""
        scenes = self.store.scenes
        scenes.write_note(partition, self.run, scenes.note(partition, self.run).model_copy(update=values))


def stage_raw_scene(tools: SceneTools, partition: str) -> MaterializeResult[Any]:
    """Stage one scene; a bad file fails this scene alone and leaves nothing behind."""
    scenes = tools.store.scenes
    scenes.remove_abandoned(partition)
    request = scenes.sources(partition)
    note = kept_sidecar(tools.store.path, partition)
    folder = stage(
        source_files(tools.bucket, tools.store, partition),
        scenes.folder,
        scene_id=partition,
        units=note.units,
        bands=note.bands,
        denoise=note.denoise is not False,
        copy=tools.bucket.keep_sources == "store",
        progress=tools.progress,
    )
    meta = folder.meta()
    look = quicklook(folder)
    scenes.write_note(
        partition, tools.run, WorkNote(version=folder.directory.name, request=request.run_key if request else None)
    )
    statistics = [{"band": band, **values.model_dump()} for band, values in meta.statistics.items()]
    return MaterializeResult(
        data_version=DataVersion(meta.sha256),
        metadata={
            "VV backscatter": picture(look, f"VV of {partition}", *DB_RANGE, cell=ground_cell(folder)),
            "statistics (dB)": table(statistics),
            "size": f"{meta.height} x {meta.width} pixels of {meta.pixel_spacing[0]:g} x {meta.pixel_spacing[1]:g}",
            "crs": meta.crs,
            "bounds": list(meta.bounds),
            "units": f"{meta.units} ({meta.units_evidence})",
            "observed": round(meta.observed_fraction, 4),
            "acquired at": meta.acquired_at.isoformat() if meta.acquired_at else "not known",
            "warnings": "; ".join(meta.warnings) or "none",
            "version": meta.version,
            "source": ", ".join(meta.source_uris),
            "files": file_link(folder.directory),
        },
    )


def divide_scene(tools: SceneTools, partition: str) -> MaterializeResult[Any]:
    """Write `tiles.jsonl` and the same as a Parquet table."""
    folder, engine = tools.store.scenes.staged(partition, tools.run), tools.engine
    tiles = write_tiles(folder, tile=engine.tile, overlap=engine.overlap, progress=tools.progress)
    tools.note(partition, tiles=tiles.name, prediction=None, drawing=None, map=None)
    summary = tiles.summary()
    return MaterializeResult(
        data_version=DataVersion(sha256_file(tiles.jsonl)),
        metadata={
            "observed share by tile": picture(valid_share(tiles), f"tiles of {partition}", cell=ground_cell(folder)),
            "tiles": summary.count,
            "dagster/row_count": summary.count,
            "rows and columns": f"{summary.rows} x {summary.cols}",
            "tiles with an observed pixel": summary.valid_tiles,
            "mean observed share": round(summary.mean_valid_fraction, 4),
            "tile and overlap": f"{summary.tile} and {summary.overlap} pixels",
            "records": file_link(tiles.jsonl),
            "table": file_link(tiles.parquet),
        },
    )


def predict_tiles(tools: SceneTools, partition: str) -> MaterializeResult[Any]:
    """Predict all tiles with the model in service, unless that was done already."""
    tiles, engine = tools.store.scenes.tiles(partition, tools.run), tools.engine
    bundle, reference = engine.load()
    predicted = predict(
        tiles,
        bundle,
        reference,
        batch_size=engine.batch_size,
        device=engine.device,
        precision=engine.precision,
        any_spacing=bool(kept_sidecar(tools.store.path, partition).any_spacing),
        progress=tools.progress,
    )
    tools.note(partition, prediction=predicted.name, drawing=None, map=None)
    summary = predicted.read().summary
    means = tile_means(predicted)
    alt, cell = f"probabilities of {partition}", ground_cell(tiles.scene)
    # The shards alone: the attributes beside them say how long it took.
    shards = [path for path in (predicted.path / "c").rglob("*") if path.is_file()]
    return MaterializeResult(
        data_version=DataVersion(sha256_files(shards, predicted.path)),
        metadata={
            **({} if means is None else {"mean probability by tile": picture(means, alt, cell=cell)}),
            "distribution": table(probability_histogram(predicted)),
            "tiles predicted": summary.predicted,
            "tiles skipped, nothing observed": summary.skipped,
            "mean probability": summary.mean if summary.mean is not None else "nothing observed",
            "model": f"{reference.name} {reference.version} ({reference.source})",
            "model sha256": reference.sha256,
            "calibration": summary.calibration.text(),
            **({} if summary.novelty is None else {"unlike the training chips": summary.novelty.text()}),
            "bands": summary.mode,
            "device and precision": f"{summary.device}, {summary.precision}",
            "taken from an earlier run": predicted.reused,
            "array": file_link(predicted.path),
        },
    )


def _left_out(counts: PolygonCounts | None) -> dict[str, str]:
    """Return what the vector file leaves out; nothing for a map of an earlier version, which does not record it."""
    if counts is None:
        return {}
    return {f"areas of fewer than {counts.fewest_pixels} pixels, in the mask only": f"{counts.omitted:,}"}


def stitch_tiles(tools: SceneTools, partition: str) -> MaterializeResult[Any]:
    """Blend the tiles and write the products. The model that made them is named in the probabilities."""
    predicted = tools.store.scenes.prediction(partition, tools.run)
    scenes, engine = tools.store.scenes, tools.engine
    model = predicted.read().summary.reference.sha256
    plan = ScenesBeside.of(scenes).plan(partition, predicted.scene.meta(), model, engine.references)
    drawn = stitch(predicted, run=tools.run, min_area_ha=engine.min_area_ha, reference=plan, progress=tools.progress)
    if drawn.is_complete():
        tools.note(partition, map=drawn.version, drawing=None, no_reference=plan.reason)
    else:
        tools.note(partition, drawing=drawn.directory.name, map=None, no_reference=plan.reason)
    summary = drawn.stitched()
    kinds = ("mask", "proba", *(kind for kind in OPTIONAL_KINDS if kind in summary.files))
    products = [drawn.product(kind) for kind in kinds]
    return MaterializeResult(
        data_version=DataVersion(sha256_files(products, drawn.products)),
        metadata={
            "overlay": picture_file(drawn.product("thumbnail"), f"flood map of {partition}"),
            "flooded area": summary.flooded.text() if summary.flooded else no_area_text(summary.exclusion),
            "caption": summary.caption,
            "observed area (counted), km2": round(summary.observed_km2, 4),
            "observed": round(summary.observed_fraction, 4),
            "pixels": table([summary.pixels]),
            "by VV backscatter": table([row.model_dump() for row in summary.slices]),
            "polygons": summary.polygons,
            **_left_out(summary.polygon_counts),
            **({} if summary.minimum_area is None else {"minimum area": summary.minimum_area.text()}),
            "threshold": summary.calibration.threshold,
            "model": f"{summary.reference.name} {summary.reference.version} ({summary.reference.source})",
            **reference_metadata(summary, predicted.scene.meta(), plan.reason),
            "warnings": "; ".join(summary.warnings) or "none",
            "map version": drawn.version,
            # scene_reports moves them to this folder.
            "products": file_link(drawn.scene.map(drawn.version).products),
        },
    )


def report_scene(tools: SceneTools, partition: str) -> MaterializeResult[Any]:
    """Write the report, finish the map and make it the scene's newest one."""
    scenes = tools.store.scenes
    finished = report(scenes.map(partition, tools.run), progress=tools.progress)
    tools.note(partition, map=finished.version, drawing=None)
    record = finished.record()
    newest = scenes.set_current(partition, finished, scenes.note(partition, tools.run).request)
    scenes.clear_failure(partition)
    if tools.bucket.keep_sources == "store":
        remove_from_bucket(tools.bucket, tools.store, partition, finished)
    return MaterializeResult(
        data_version=DataVersion(sha256_file(finished.product("record"))),
        metadata={
            "thumbnail": picture_file(finished.product("thumbnail"), f"flood map of {partition}"),
            "summary": record.caption,
            "flooded area": record.flooded.text() if record.flooded else no_area_text(record.exclusion),
            "map version": finished.version,
            "newest map of the scene": newest,
            "seconds by stage": MetadataValue.json(record.seconds),
            "model": f"{record.model.name} {record.model.version}, sha256 {record.model.sha256[:12]}",
            "report": file_link(finished.product("report")),
            "record": file_link(finished.product("record")),
        },
    )
