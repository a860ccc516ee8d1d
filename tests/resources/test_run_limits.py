"""Every run gets the tags that the limits count, however it was started."""

import pytest

from resources.run_limits import (
    ARCHIVE,
    LONGEST_ARCHIVE,
    LONGEST_SCENE,
    LONGEST_TAG,
    LONGEST_TRAINING,
    MAPPING_POOL,
    MAPPING_TAG,
    NEW_SCENE,
    TRAINING_POOL,
    TRAINING_TAG,
    limit_tags,
)

ONE_SCENE = {"dagster/partition": "S1_a"}


@pytest.mark.parametrize(
    ("pools", "tags", "expected"),
    [
        ([], {}, {}),
        ([TRAINING_POOL], {}, {TRAINING_TAG: "true", LONGEST_TAG: str(LONGEST_TRAINING)}),
        ([MAPPING_POOL], ONE_SCENE, {MAPPING_TAG: ARCHIVE, LONGEST_TAG: str(LONGEST_SCENE)}),
        ([MAPPING_POOL], {}, {MAPPING_TAG: ARCHIVE, LONGEST_TAG: str(LONGEST_ARCHIVE)}),
        (
            [MAPPING_POOL, TRAINING_POOL],
            {},
            {TRAINING_TAG: "true", MAPPING_TAG: ARCHIVE, LONGEST_TAG: str(LONGEST_ARCHIVE)},
        ),
        ([MAPPING_POOL], {**ONE_SCENE, MAPPING_TAG: NEW_SCENE, LONGEST_TAG: "1900"}, {}),
        ([MAPPING_POOL], {MAPPING_TAG: ARCHIVE}, {LONGEST_TAG: str(LONGEST_ARCHIVE)}),
    ],
)
def test_a_run_gets_the_tags_it_lacks(pools: list[str], tags: dict[str, str], expected: dict[str, str]):
    assert limit_tags(pools, tags) == expected
