"""`raw_scenes`: a scene taken over from the watched folder, read once from end to end, and described.

What makes a scene acceptable is decided by `drshym_pipeline.sar`; when it is taken, by the sensor.
"""

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, asset

from assets.metadata import file_link, picture, table
from assets.partitions import scenes
from assets.pictures import DB_RANGE, quicklook
from assets.running import permanent_input_errors, run_progress
from drshym_pipeline.mapping import stage
from resources.bucket import SceneBucket
from resources.store import ArtefactStore


@asset(
    partitions_def=scenes,
    group_name="inference",
    code_version="1",
    kinds={"geotiff"},
    description="The scene staged, validated and described: grid, CRS, units, bands, nodata, acquisition, sha256.",
)
def raw_scenes(context: AssetExecutionContext, bucket: SceneBucket, store: ArtefactStore) -> MaterializeResult:
    """Stage one scene; a bad file fails this scene alone and leaves nothing behind."""
    partition = context.partition_key
    with permanent_input_errors():
        sources = [bucket.local_path(key) for key in store.sources(partition)]
        folder = stage(sources, store.scenes, scene_id=partition, progress=run_progress(context, store))
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
