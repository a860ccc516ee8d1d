"""The tags by which dagster.yaml limits how many runs execute at the same time, and the longest time of a run.

An asset names its pool (`pool=`). The queue gives every run, however it was started, the tags for the pools of its
assets, and the limits in dagster.yaml count these tags. Two networks that run at the same time on a few cores are
slower than one after the other. But a map must not wait for a training, a new scene must not wait for an archive, and a
review must not wait at all, so `flood_model` has no pool.
"""

from collections.abc import Collection, Mapping

from resources.dagster_internals import MAX_RUNTIME_SECONDS_TAG, PARTITION_NAME_TAG

TRAINING_POOL = "training"
MAPPING_POOL = "mapping"

TRAINING_TAG = "drshym/training"
MAPPING_TAG = "drshym/mapping"
ARCHIVE, NEW_SCENE = "archive", "new scene"

# Run monitoring ends a run after this many seconds, so that a run that hangs does not block the limits permanently.
# The times are much longer than the largest scene or recipe needs on a laptop.
LONGEST_TAG = MAX_RUNTIME_SECONDS_TAG
LONGEST_TRAINING = 24 * 3600
LONGEST_ARCHIVE = 48 * 3600  # many scenes in one run
LONGEST_SCENE = 12 * 3600  # one scene of unknown size; a full scene takes minutes
LONGEST_REVIEW = 3600


def limit_tags(pools: Collection[str], tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags for the limits that a run does not have yet.

    A run started from the lineage page belongs to no job and has none of these tags. If it maps scenes, it counts as an
    archive; only runs requested by the sensor count as a new scene.

    Args:
        pools: Pools of the run's assets.
        tags: Tags that the run has already; they are not changed.
    """
    wanted: dict[str, str] = {}
    longest = 0
    if TRAINING_POOL in pools:
        wanted[TRAINING_TAG] = "true"
        longest = LONGEST_TRAINING
    if MAPPING_POOL in pools:
        wanted[MAPPING_TAG] = ARCHIVE
        longest = max(longest, LONGEST_SCENE if PARTITION_NAME_TAG in tags else LONGEST_ARCHIVE)
    if longest:
        wanted[LONGEST_TAG] = str(longest)
    return {name: value for name, value in wanted.items() if name not in tags}
