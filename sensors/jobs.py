"""The jobs: which assets run together. All of a job's steps run in one process.

One scene's chain and one training share what they load (weights, data sets), and a process a step would spend more time
on imports than on a chip. How many of them run at a time and for how long: `resources.run_limits`.
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
    # Its longest run time follows from whether it maps one scene or many: the run queue sets it.
    tags={MAPPING_TAG: ARCHIVE},
)

put_in_service = define_asset_job(
    "put_in_service",
    selection=AssetSelection.assets("flood_model"),
    executor_def=in_process_executor,
    description="After a review in MLflow: the version with the alias champion goes into service.",
    tags={LONGEST_TAG: str(LONGEST_REVIEW)},
)
