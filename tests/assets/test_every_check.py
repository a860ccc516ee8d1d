"""Every check has a test in which it passes, and a test in which it fails on files that are really broken."""

import re
from pathlib import Path

import pytest

from definitions import build_defs
from tests.damage import BLOCKING_SCENE_CHECKS

HERE = Path(__file__).parent
SCENES, TRAINING = "test_scene_checks.py", "training/test_training_checks.py"
# By check: the file, the test in which it passes, the test in which it fails.
TESTED = {
    **{
        check: (
            SCENES,
            "test_on_good_files_every_check_passes_and_the_scene_is_mapped",
            "test_a_blocking_check_fails_on_broken_files_and_nothing_follows",
        )
        for _, check in BLOCKING_SCENE_CHECKS
    },
    "scene_is_like_the_training_chips": (
        SCENES,
        "test_on_good_files_every_check_passes_and_the_scene_is_mapped",
        "test_a_scene_unlike_the_training_chips_is_reported_and_stops_nothing",
    ),
    "model_is_current": (
        SCENES,
        "test_on_good_files_every_check_passes_and_the_scene_is_mapped",
        "test_a_map_by_another_model_is_reported_and_stops_nothing",
    ),
    "reference_is_known": (
        "../sensors/test_changed_references.py",
        "test_a_flood_that_arrives_first_is_made_again_when_the_earlier_scenes_are_there",
        "test_a_scene_without_any_reference_is_reported_with_the_reason",
    ),
    "log_loss_does_not_rise": (
        TRAINING,
        "test_on_a_good_training_the_blocking_checks_pass_and_a_model_is_in_service",
        "test_a_rising_log_loss_fails_the_check_and_nothing_is_judged",
    ),
    "calibration_error_does_not_rise": (
        TRAINING,
        "test_a_calibration_error_that_does_not_rise_passes",
        "test_a_rising_calibration_error_is_a_warning_that_stops_nothing",
    ),
    "candidate_is_not_broken": (
        TRAINING,
        "test_on_a_good_training_the_blocking_checks_pass_and_a_model_is_in_service",
        "test_a_candidate_below_the_floors_fails_the_check_and_is_not_put_in_service",
    ),
}


def test_every_check_is_seen_to_pass_and_to_fail():
    keys = build_defs().get_repository_def().asset_graph.asset_check_keys
    assert {key.name for key in keys} == set(TESTED)


@pytest.mark.parametrize("check", sorted(TESTED))
def test_the_tests_that_are_named_are_there(check: str):
    file, *tests = TESTED[check]
    defined = set(re.findall(r"^def (test_\w+)", (HERE / file).read_text("utf-8"), re.MULTILINE))
    assert set(tests) <= defined
    assert len(set(tests)) == 2
