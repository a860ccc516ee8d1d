"""What each inference asset does with one scene, and what is checked of it; the assets themselves only carry this out.

A run of one scene goes through these steps as Dagster's own, a run of many goes through them scene by scene
(`scene_runs`): both take the same road.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dagster import DataVersion, MaterializeResult, MetadataValue

from assets.agreement import grid_faults, map_faults, probability_faults, scene_faults
from assets.metadata import file_link, picture, picture_file, table
from assets.pictures import DB_RANGE, probability_overview, quicklook, valid_share
from drshym_pipeline.mapping import SceneFolder, predict, report, stage, stitch, write_tiles
from drshym_pipeline.progress import Progress
from drshym_pipeline.storage import sha256_file, sha256_files, to_uri
from resources.bucket import SceneBucket
from resources.engine import InferenceEngine
from resources.store import ArtefactStore


@dataclass(frozen=True)
class SceneTools:
    """What a step is handed: nothing of Dagster's, so that a step may run in any thread."""

    bucket: SceneBucket
    store: ArtefactStore
    engine: InferenceEngine
    progress: Progress


def stage_scene(tools: SceneTools, partition: str) -> MaterializeResult:
    """Stage one scene; a bad file fails this scene alone and leaves nothing behind."""
    store = tools.store
    sources = [tools.bucket.local_path(key) for key in store.sources(partition)]
    folder = stage(sources, store.scenes, scene_id=partition, progress=tools.progress)
    meta = folder.meta()
    look = quicklook(folder)
    store.set_staged(folder, partition)
    statistics = [{"band": band, **values.model_dump()} for band, values in meta.statistics.items()]
    return MaterializeResult(
        data_version=DataVersion(meta.sha256),
        metadata={
            "VV backscatter": picture(look, f"VV of {partition}", *DB_RANGE),
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


def lay_tiles(tools: SceneTools, partition: str) -> MaterializeResult:
    """Write `tiles.jsonl` and the same as a Parquet table."""
    folder, engine = tools.store.staged(partition), tools.engine
    summary = write_tiles(folder, tile=engine.tile, overlap=engine.overlap, progress=tools.progress)
    return MaterializeResult(
        data_version=DataVersion(sha256_file(folder.tiles_jsonl)),
        metadata={
            "observed share by tile": picture(valid_share(folder), f"tiles of {partition}"),
            "tiles": summary.count,
            "rows and columns": f"{summary.rows} x {summary.cols}",
            "tiles with an observed pixel": summary.valid_tiles,
            "mean observed share": round(summary.mean_valid_fraction, 4),
            "tile and overlap": f"{summary.tile} and {summary.overlap} pixels",
            "records": file_link(folder.tiles_jsonl),
            "table": file_link(folder.tiles_parquet),
        },
    )


def predict_tiles(tools: SceneTools, partition: str) -> MaterializeResult:
    """Predict all tiles with the model in service, unless that was done already."""
    folder, engine = tools.store.staged(partition), tools.engine
    bundle, reference = engine.load()
    summary = predict(
        folder,
        bundle,
        reference,
        batch_size=engine.batch_size,
        device=engine.device,
        precision=engine.precision,
        progress=tools.progress,
    )
    means, histogram = probability_overview(folder)
    files = [path for path in folder.probabilities.rglob("*") if path.is_file()]
    return MaterializeResult(
        data_version=DataVersion(sha256_files(files, folder.probabilities)),
        metadata={
            "mean probability by tile": picture(means, f"probabilities of {partition}"),
            "distribution": table(histogram),
            "tiles predicted": summary.predicted,
            "tiles skipped, nothing observed": summary.skipped,
            "mean probability": summary.mean if summary.mean is not None else "nothing observed",
            "model": f"{reference.name} {reference.version} ({reference.source})",
            "model sha256": reference.sha256,
            "calibration": summary.calibration.text(),
            "bands": summary.mode,
            "device and precision": f"{summary.device}, {summary.precision}",
            "taken from an earlier run": summary.reused,
            "array": file_link(folder.probabilities),
        },
    )


def stitch_tiles(tools: SceneTools, partition: str) -> MaterializeResult:
    """Blend the tiles and write the products. Which model made them is read from the probabilities themselves."""
    folder = tools.store.staged(partition)
    summary = stitch(folder, progress=tools.progress)
    products = [folder.product("mask"), folder.product("proba")]
    return MaterializeResult(
        data_version=DataVersion(sha256_files(products, folder.directory)),
        metadata={
            "overlay": picture_file(folder.product("thumbnail"), f"flood map of {partition}"),
            "flooded area": summary.flooded.text() if summary.flooded else "nothing observed",
            "caption": summary.caption,
            "observed area (counted), km2": round(summary.observed_km2, 4),
            "observed": round(summary.observed_fraction, 4),
            "pixels": table([summary.pixels]),
            "by VV backscatter": table([row.model_dump() for row in summary.slices]),
            "polygons": summary.polygons,
            "threshold": summary.calibration.threshold,
            "model": f"{summary.reference.name} {summary.reference.version} ({summary.reference.source})",
            "warnings": "; ".join(summary.warnings) or "none",
            "products": file_link(folder.products),
        },
    )


def report_scene(tools: SceneTools, partition: str) -> MaterializeResult:
    """Write the report and make this version the scene's current map."""
    store = tools.store
    folder = store.staged(partition)
    record = report(folder, progress=tools.progress)
    store.set_current(folder, partition)
    store.clear_failure(partition)
    confidence = f"{record.mean_confidence:.3f}" if record.mean_confidence is not None else "nothing observed"
    return MaterializeResult(
        data_version=DataVersion(sha256_file(folder.product("record"))),
        metadata={
            "thumbnail": picture_file(folder.product("thumbnail"), f"flood map of {partition}"),
            "summary": record.caption,
            "flooded area": record.flooded.text() if record.flooded else "nothing observed",
            "mean confidence": confidence,
            "seconds by stage": MetadataValue.json(record.seconds),
            "model": f"{record.model.name} {record.model.version}, sha256 {record.model.sha256[:12]}",
            "report": MetadataValue.url(to_uri(folder.product("report"))),
            "record": file_link(folder.product("record")),
        },
    )


STEPS_VERSION = "2"
"""Code version of the inference assets: raised when the same scene and model would give other products."""

Step = Callable[[SceneTools, str], MaterializeResult]
Faults = Callable[[SceneFolder], list[str]]

# In the order of the lineage.
STEPS: Mapping[str, Step] = {
    "raw_scenes": stage_scene,
    "tiles": lay_tiles,
    "tile_probabilities": predict_tiles,
    "stitched_scenes": stitch_tiles,
    "scene_reports": report_scene,
}
# By asset: the name of its blocking check and what it finds.
BLOCKING: Mapping[str, tuple[str, Faults]] = {
    "raw_scenes": ("scene_is_readable_and_georeferenced", scene_faults),
    "tiles": ("tiles_cover_the_scene", grid_faults),
    "tile_probabilities": ("probabilities_fit_the_scene", probability_faults),
    "stitched_scenes": ("mask_agrees_with_probability", map_faults),
}
