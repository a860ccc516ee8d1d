"""`raw_scenes`: a scene taken over from the watched folder, read once from end to end, and described.

What makes a scene acceptable is decided by `drshym_pipeline.sar`; when it is taken, by the sensor.
"""

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
    group_name="inference",
    pool=MAPPING_POOL,
    code_version=STEPS_VERSION,
    kinds={"geotiff"},
    backfill_policy=ONE_RUN,
    output_required=False,
    description="The scene staged, validated and described: grid, CRS, units, bands, nodata, acquisition, sha256.",
)
def raw_scenes(
    context: AssetExecutionContext, bucket: SceneBucket, store: ArtefactStore, engine: InferenceEngine
) -> Iterator[MaterializeResult | AssetMaterialization]:
    """Stage scenes: a bad file fails its scene alone."""
    yield from run_scenes(context, bucket, store, engine, "raw_scenes")
