"""The checks of the inference assets, one result a scene. What they compare is in `agreement`."""

import warnings

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, PreviewWarning, asset_check

from assets.agreement import grid_faults, map_faults, probability_faults, scene_faults
from assets.blocking_checks import blocking_check
from assets.currency import currency
from assets.partitions import scenes
from assets.running import run_name
from resources.store import ArtefactStore

# Dagster is pinned to one release, which has results by partition; its warning would stand in every log.
warnings.filterwarnings("ignore", "Specifying a partitions_def on an AssetCheckSpec", PreviewWarning)


def _result(faults: list[str], **figures: int | float | str) -> AssetCheckResult:
    """Passed when there is no fault; the first faults are told."""
    return AssetCheckResult(passed=not faults, description="; ".join(faults[:3]) or None, metadata=figures)


@blocking_check(asset="raw_scenes", partitions_def=scenes, description="The staged scene can be read and located.")
def scene_is_readable_and_georeferenced(context: AssetCheckExecutionContext, store: ArtefactStore) -> AssetCheckResult:
    """Open the staged copy, read its first and last rows and check its CRS and transform."""
    folder = store.scenes.staged(context.partition_key, run_name(context.run))
    return _result(scene_faults(folder), crs=folder.meta().crs)


@blocking_check(asset="tiles", partitions_def=scenes, description="Every pixel of the scene is in a tile.")
def tiles_cover_the_scene(context: AssetCheckExecutionContext, store: ArtefactStore) -> AssetCheckResult:
    """Read the tile records back and add their windows up."""
    tiles = store.scenes.tiles(context.partition_key, run_name(context.run))
    return _result(grid_faults(tiles), tiles=len(tiles.grid()))


@blocking_check(
    asset="tile_probabilities",
    partitions_def=scenes,
    description="Probabilities are in [0, 1], and there exactly where the scene is observed.",
)
def probabilities_fit_the_scene(context: AssetCheckExecutionContext, store: ArtefactStore) -> AssetCheckResult:
    """Compare every tile with the staged scene."""
    return _result(probability_faults(store.scenes.prediction(context.partition_key, run_name(context.run))))


@blocking_check(
    asset="stitched_scenes",
    partitions_def=scenes,
    description="The mask is the probability cut at the threshold, and both lie on exactly the source's grid.",
)
def mask_agrees_with_probability(context: AssetCheckExecutionContext, store: ArtefactStore) -> AssetCheckResult:
    """Read both rasters back and compare them with each other and with the scene."""
    return _result(map_faults(store.scenes.map(context.partition_key, run_name(context.run))))


@asset_check(
    asset="stitched_scenes", partitions_def=scenes, description="The map was made by the model now in service."
)
def model_is_current(context: AssetCheckExecutionContext, store: ArtefactStore) -> AssetCheckResult:
    """Compare the model of the map with the model in service; evaluated for all maps when the model changes."""
    passed, used, served = currency(store, store.scenes.map(context.partition_key, run_name(context.run)))
    return AssetCheckResult(
        passed=passed,
        severity=AssetCheckSeverity.WARN,
        description=None if passed else "Mapped by another model: materialise tile_probabilities and on again.",
        metadata={"map": used, "in service": served},
    )


scene_checks = [
    scene_is_readable_and_georeferenced,
    tiles_cover_the_scene,
    probabilities_fit_the_scene,
    mask_agrees_with_probability,
    model_is_current,
]
