"""`tile_probabilities`: calibrated probabilities of every tile, by the model in service."""

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
    deps=["tiles", "flood_model"],
    group_name="inference",
    pool=MAPPING_POOL,
    code_version=STEPS_VERSION,
    kinds={"zarr", "pytorch"},
    backfill_policy=ONE_RUN,
    output_required=False,
    description="Calibrated probability of water of every tile, one Zarr array a scene; deleted after some weeks.",
)
def tile_probabilities(
    context: AssetExecutionContext, bucket: SceneBucket, store: ArtefactStore, engine: InferenceEngine
) -> Iterator[MaterializeResult | AssetMaterialization]:
    """Predict a scene's tiles with the model in service."""
    yield from run_scenes(context, bucket, store, engine, "tile_probabilities")
