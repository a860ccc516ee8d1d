"""`scene_reports`: the page about one map, and the record that finishes it."""

from collections.abc import Iterator

from dagster import AssetExecutionContext, AssetMaterialization, MaterializeResult, asset

from assets.partitions import ONE_RUN, scenes
from assets.scene_runs import run_scenes
from assets.scene_steps import STEPS_VERSION
from resources.bucket import SceneBucket
from resources.engine import InferenceEngine
from resources.run_limits import MAPPING_POOL
from resources.store import ArtefactStore


@asset(
    partitions_def=scenes,
    deps=["stitched_scenes"],
    group_name="inference",
    pool=MAPPING_POOL,
    code_version=STEPS_VERSION,
    kinds={"html"},
    backfill_policy=ONE_RUN,
    output_required=False,
    description="The report page of the map and its MapRecord; with it the scene's map is finished.",
)
def scene_reports(
    context: AssetExecutionContext, bucket: SceneBucket, store: ArtefactStore, engine: InferenceEngine
) -> Iterator[MaterializeResult | AssetMaterialization]:
    """Write a scene's report; its map is finished with it."""
    yield from run_scenes(context, bucket, store, engine, "scene_reports")
