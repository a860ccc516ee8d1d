"""What happens after a run fails: the reason is written, unless the run is retried."""

from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, build_run_status_sensor_context

from drshym_pipeline.storage import read_json
from resources.dagster_internals import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from sensors.failures import TERMINATED, failed_runs, failure_name, failure_reason, retry_follows, terminated_runs
from tests.lineage import Lineage


def test_the_reason_of_a_failed_run_is_written_into_the_store(tmp_path: Path):
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


def interrupted(instance: DagsterInstance, lineage: Lineage, **tags: str) -> DagsterRun:
    """A run of one scene that was reported as failed because its process has ended."""
    run = instance.create_run_for_job(
        lineage.repository.get_job("map_scene"), status=DagsterRunStatus.STARTED, tags={"dagster/partition": "S1_x"}
    )
    instance.report_run_failed(run, "Detected run worker status FAILED: 'the process is gone'.")
    instance.add_run_tags(run.run_id, tags)
    failed = instance.get_run_by_id(run.run_id)
    assert failed is not None
    return failed


def notice(lineage: Lineage, run: DagsterRun) -> None:
    """Run the failure sensor for a failed run."""
    record = lineage.instance.get_records_for_run(run.run_id, of_type=DagsterEventType.RUN_FAILURE).records[-1]
    event = record.event_log_entry.dagster_event
    assert event is not None
    context = build_run_status_sensor_context(
        sensor_name="failed_runs", dagster_instance=lineage.instance, dagster_run=run, dagster_event=event
    ).for_run_failure()
    failed_runs(context, store=lineage.store)


def test_an_interrupted_run_that_is_retried_leaves_no_failure(tmp_path: Path):
    lineage = Lineage(tmp_path)
    run = interrupted(lineage.instance, lineage, **{WILL_RETRY_TAG: "true", AUTO_RETRY_RUN_ID_TAG: "the next"})
    notice(lineage, run)
    assert not (lineage.store.path / "failures").exists()


def test_the_last_attempt_of_an_interrupted_scene_is_written_with_its_reason(tmp_path: Path):
    lineage = Lineage(tmp_path)
    run = interrupted(lineage.instance, lineage, **{WILL_RETRY_TAG: "false", "dagster/retry_number": "3"})
    notice(lineage, run)
    kept = read_json(lineage.store.path / "failures" / "S1_x.json")
    assert kept["partition"] == "S1_x"
    assert kept["reason"].startswith("the run was interrupted 4 times and is not retried; the last time: ")
    assert "the process is gone" in kept["reason"]


def test_a_retry_that_was_announced_and_then_cancelled_is_a_failure(tmp_path: Path):
    lineage = Lineage(tmp_path)
    run = interrupted(lineage.instance, lineage, **{WILL_RETRY_TAG: "true"})
    assert not retry_follows(lineage.instance, run.run_id, patience=0.3), "none was started in time"
    lineage.instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    assert not retry_follows(lineage.instance, run.run_id, patience=60)
    assert not retry_follows(lineage.instance, "no such run", patience=60)


@pytest.mark.parametrize(
    ("job", "partition", "step", "expected"),
    [
        ("map_scene", "S1_x", "tiles", "S1_x"),
        ("train_model", None, "trained_checkpoint", "train_model"),
        ("__ASSET_JOB", "S1_x", "tiles", "S1_x"),
        ("__ASSET_JOB", None, "trained_checkpoint", "trained_checkpoint"),
        ("__ASSET_JOB", None, "", "assets"),
    ],
)
def test_a_failure_is_written_under_a_name_that_a_reader_knows(
    job: str, partition: str | None, step: str, expected: str
):
    tags = {"dagster/partition": partition} if partition else {}
    assert failure_name(DagsterRun(job, tags=tags), step) == expected


def test_a_scene_whose_run_was_terminated_is_not_shown_as_waiting(tmp_path: Path):
    lineage = Lineage(tmp_path)
    lineage.store.scenes.write_sources("S1_x", {"files": ["S1_x.tif"], "run_key": "S1_x:1:e"})
    assert lineage.store.scenes.status("S1_x").state == "waiting"
    run = lineage.instance.create_run_for_job(
        lineage.repository.get_job("map_scene"), status=DagsterRunStatus.STARTED, tags={"dagster/partition": "S1_x"}
    )
    lineage.instance.report_run_canceled(run)
    record = lineage.instance.get_records_for_run(run.run_id, of_type=DagsterEventType.RUN_CANCELED).records[-1]
    event = record.event_log_entry.dagster_event
    assert event is not None
    context = build_run_status_sensor_context(
        sensor_name="terminated_runs", dagster_instance=lineage.instance, dagster_run=run, dagster_event=event
    )
    terminated_runs(context, store=lineage.store)
    found = lineage.store.scenes.status("S1_x")
    assert (found.state, found.reason) == ("failed", TERMINATED)
