"""The jobs: which assets run together. All of a job's steps run in one process.

One scene's chain and one training share what they load (weights, data sets), and a process a step would spend more time
on imports than on a chip.
"""

from dagster import AssetSelection, define_asset_job, in_process_executor

# dagster.yaml lets one run with each value of these tags go at a time: two networks at once on a few cores are slower
# than one after the other, but no training may keep a map waiting, no archive a new scene, and none of them a review.
TRAINING_TAG = "drshym/training"
MAPPING_TAG = "drshym/mapping"
ARCHIVE, NEW_SCENE = "archive", "new scene"

# Run monitoring ends a run after this many seconds, so that one that hangs does not hold its place for ever: far more
# than the largest scene or recipe needs on a laptop.
LONGEST_TAG = "dagster/max_runtime"
LONGEST_TRAINING = 24 * 3600
LONGEST_MAPPING = 48 * 3600  # of an archive in one run; a full scene takes minutes
LONGEST_REVIEW = 3600

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
    tags={MAPPING_TAG: ARCHIVE, LONGEST_TAG: str(LONGEST_MAPPING)},
)

put_in_service = define_asset_job(
    "put_in_service",
    selection=AssetSelection.assets("flood_model"),
    executor_def=in_process_executor,
    description="After a review in MLflow: the version with the alias champion goes into service.",
    tags={LONGEST_TAG: str(LONGEST_REVIEW)},
)
