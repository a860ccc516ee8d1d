"""`stitched_scenes`: one seamless map of the scene: mask, probability, polygons, overlay, caption."""

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
    deps=["tile_probabilities", "flood_model"],
    group_name="inference",
    pool=MAPPING_POOL,
    code_version=STEPS_VERSION,
    kinds={"geotiff", "geojson"},
    backfill_policy=ONE_RUN,
    output_required=False,
    description="Flood mask and probability as COGs on the scene's own grid, polygons in WGS84, overlay and caption.",
)
def stitched_scenes(
    context: AssetExecutionContext, bucket: SceneBucket, store: ArtefactStore, engine: InferenceEngine
) -> Iterator[MaterializeResult | AssetMaterialization]:
    """Blend the tiles of a scene and write its products."""
    yield from run_scenes(context, bucket, store, engine, "stitched_scenes")
