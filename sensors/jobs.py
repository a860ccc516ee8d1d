"""The jobs: which assets run together. All steps of a job run in one process.

The steps of one scene, or of one training, share what they load (weights, data sets). With one process per step, a chip
would need more time for imports than for its map. `resources.run_limits` says how many runs execute at the same time,
and for how long.
"""

from dagster import AssetSelection, define_asset_job, in_process_executor

from resources.run_limits import (
    ARCHIVE,
    LONGEST_REVIEW,
    LONGEST_TAG,
    LONGEST_TRAINING,
    MAPPING_TAG,
    TRAINING_TAG,
)

train_model = define_asset_job(
    "train_model",
    selection=AssetSelection.groups("training"),
    executor_def=in_process_executor,
    description="Data, training, calibration, evaluation, registration, promotion.",
    tags={TRAINING_TAG: "true", LONGEST_TAG: str(LONGEST_TRAINING)},
)

map_scene = define_asset_job(
    "map_scene",
    selection=AssetSelection.groups("inference"),
    executor_def=in_process_executor,
    description="One scene from its GeoTIFF to its flood map and report page.",
    # The run queue sets the longest run time, because it depends on whether the run maps one scene or many.
    tags={MAPPING_TAG: ARCHIVE},
)

renew_maps = define_asset_job(
    "renew_maps",
    selection=AssetSelection.assets("stitched_scenes", "scene_reports"),
    executor_def=in_process_executor,
    description="The map of one scene again, from its stored probabilities, with the reference of today.",
    tags={MAPPING_TAG: ARCHIVE},
)

put_in_service = define_asset_job(
    "put_in_service",
    selection=AssetSelection.assets("flood_model"),
    executor_def=in_process_executor,
    description="Puts the version with MLflow's alias champion in service, after a review.",
    tags={LONGEST_TAG: str(LONGEST_REVIEW)},
)
