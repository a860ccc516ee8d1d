"""`scene_reports`: the page about one map, and the record that finishes it."""

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, MetadataValue, asset

from assets.metadata import file_link, picture_file
from assets.partitions import scenes
from assets.running import permanent_input_errors, run_progress
from drshym_pipeline.mapping import report
from drshym_pipeline.storage import sha256_file, to_uri
from resources.store import ArtefactStore


@asset(
    partitions_def=scenes,
    deps=["stitched_scenes"],
    group_name="inference",
    code_version="1",
    kinds={"html"},
    description="The report page of the map and its MapRecord; with it the scene's map is finished.",
)
def scene_reports(context: AssetExecutionContext, store: ArtefactStore) -> MaterializeResult:
    """Write the report and make this version the scene's current map."""
    partition = context.partition_key
    folder = store.staged(partition)
    with permanent_input_errors():
        record = report(folder, progress=run_progress(context, store))
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
