"""`tiles`: the windows that cover a scene, as records; pixels are read from the staged scene."""

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
    deps=["raw_scenes"],
    group_name="inference",
    pool=MAPPING_POOL,
    code_version=STEPS_VERSION,
    kinds={"parquet"},
    backfill_policy=ONE_RUN,
    output_required=False,
    description="The overlapping windows that cover every pixel of the scene, one DrShymRecord each.",
)
def tiles(
    context: AssetExecutionContext, bucket: SceneBucket, store: ArtefactStore, engine: InferenceEngine
) -> Iterator[MaterializeResult | AssetMaterialization]:
    """Write the records of a scene's tiles."""
    yield from run_scenes(context, bucket, store, engine, "tiles")
