"""What happens after a run: its failure is kept with its reason, its tile probabilities are deleted in time."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import build_run_status_sensor_context

from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.storage import read_json, write_json
from sensors.failures import failed_runs, failure_reason
from sensors.retention import is_expired
from tests.lineage import Lineage


def test_the_reason_of_a_failed_run_is_kept_beside_the_scenes(tmp_path: Path):
    lineage = Lineage(tmp_path)
    (lineage.inbox / "bad.tif").write_bytes(b"")
    result = lineage.map_all()["bad"]
    event = next(event for event in result.all_events if event.is_failure)
    context = build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_instance=lineage.instance,
        dagster_run=lineage.instance.get_run_by_id(result.run_id),
        dagster_event=event,
        partition_key="bad",
    ).for_run_failure()
    failed_runs(context, store=lineage.store)
    kept = read_json(lineage.store.path / "failures" / "bad.json")
    assert kept["run_id"] == result.run_id
    assert kept["step"] == "raw_scenes"
    assert "bad.tif" in kept["reason"]
    assert "\n" not in kept["reason"]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (
            [("tiles", "a.tif: cut. Copy it again.\nStack trace"), ("later", "x")],
            ("tiles", "a.tif: cut. Copy it again."),
        ),
        ([("tiles", "\n")], ("tiles", "no reason given")),
    ],
)
def test_a_reason_is_one_line_of_the_step_that_failed_first(messages: list[tuple[str, str]], expected: tuple[str, str]):
    assert failure_reason(messages) == expected


def test_a_run_that_died_outside_its_steps_says_so():
    assert "log" in failure_reason([])[1]


def test_old_notes_of_progress_are_deleted_and_recent_ones_stay(tmp_path: Path):
    lineage = Lineage(tmp_path, {"keep_probabilities_days": 0.0})
    now = datetime.now(UTC)
    for run, days in (("old", 8), ("recent", 6)):
        path = lineage.store.progress_path(run)
        write_json(path, {"stage": "train"})
        moment = (now - timedelta(days=days)).timestamp()
        os.utime(path, (moment, moment))
    lineage.tick("old_probabilities")
    assert not lineage.store.progress_path("old").exists()
    assert lineage.store.progress_path("recent").is_file()


def test_tile_probabilities_are_deleted_in_time_and_the_map_stays(tmp_path: Path, random_bundle: ModelBundle):
    lineage = Lineage(tmp_path, {"keep_probabilities_days": 3.0, "tile": 128, "overlap": 16})
    lineage.serve(random_bundle)
    lineage.drop(write_scene(tmp_path / "simulated", "S1_old", simulate_scene(6, 100, 100)))
    assert lineage.map_all()["S1_old"].success
    folder = lineage.store.current("S1_old")
    assert folder is not None
    moment = datetime.now(UTC)
    assert not is_expired(folder, moment, timedelta(days=3))
    lineage.tick("old_probabilities")
    assert folder.probabilities.is_dir()
    past = (moment - timedelta(days=4)).timestamp()
    os.utime(folder.manifest, (past, past))
    lineage.tick("old_probabilities")
    assert not folder.probabilities.exists()
    assert folder.is_complete()
    assert folder.product("mask").is_file()
