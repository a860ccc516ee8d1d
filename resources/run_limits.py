"""Which runs share a place on the machine, and how long a run may take. dagster.yaml sets the number of places.

An asset names the pool of what it needs (`pool=`). The queue gives every run, however it was started, the tags that
follow from the pools of its assets: the limits in dagster.yaml count these tags. Two networks beside each other on a
few cores are slower than one after the other, but a training must not keep a map waiting, an archive must not keep a
new scene waiting, and nothing must keep a review waiting: `flood_model` has no pool.
"""

from collections.abc import Collection, Mapping

from resources.dagster_internals import MAX_RUNTIME_SECONDS_TAG, PARTITION_NAME_TAG

TRAINING_POOL = "training"
MAPPING_POOL = "mapping"

TRAINING_TAG = "drshym/training"
MAPPING_TAG = "drshym/mapping"
ARCHIVE, NEW_SCENE = "archive", "new scene"

# Run monitoring ends a run after this many seconds, so that one that hangs does not hold its place for ever: far more
# than the largest scene or recipe needs on a laptop.
LONGEST_TAG = MAX_RUNTIME_SECONDS_TAG
LONGEST_TRAINING = 24 * 3600
LONGEST_ARCHIVE = 48 * 3600  # many scenes in one run
LONGEST_SCENE = 12 * 3600  # one scene of unknown size; a full scene takes minutes
LONGEST_REVIEW = 3600


def limit_tags(pools: Collection[str], tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that a run lacks for the limits to see it.

    A run started from the lineage page belongs to no job and has no tags of ours. One that maps scenes takes the place
    of an archive: only the sensor asks for the place of a new scene.

    Args:
        pools: Of the run's assets.
        tags: That the run has already; they are kept as they are.
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
