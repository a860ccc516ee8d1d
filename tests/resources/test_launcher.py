"""The launcher checks whether the process of a run is alive, and run monitoring ends and retries the run."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, job, op
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from resources.dagster_internals import (
    GRPC_INFO_TAG,
    RUN_FAILURE_REASON_TAG,
    WILL_RETRY_TAG,
    CheckRunHealthResult,
    EngineEventData,
    WorkerStatus,
)
from resources.launcher import GONE, LocalRunLauncher, is_alive

RETRIES = {"enabled": True, "max_retries": 3, "retry_on_asset_or_op_failure": False}


@op
def nothing() -> None: ...


@job
def some_job() -> None:
    nothing()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    overrides = {
        "run_launcher": {"module": "resources.launcher", "class": "LocalRunLauncher"},
        "run_monitoring": {"enabled": True},
        "run_retries": RETRIES,
    }
    with DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        yield instance


@pytest.fixture
def ended() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def started(instance: DagsterInstance, pid: int | None = None, tags: dict[str, str] | None = None) -> DagsterRun:
    """A run that has started, in the process `pid`."""
    run = instance.create_run_for_job(some_job, status=DagsterRunStatus.STARTED, tags=tags)
    if pid is not None:
        instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    return run


def health(instance: DagsterInstance, run: DagsterRun) -> CheckRunHealthResult:
    launcher = instance.run_launcher
    assert isinstance(launcher, LocalRunLauncher)
    assert launcher.supports_check_run_worker_health
    return launcher.check_run_worker_health(run)


def monitored(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    """A run after a check by run monitoring."""
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    monitor_started_run(instance, None, record, logging.getLogger())  # type: ignore[arg-type]
    after = instance.get_run_by_id(run.run_id)
    assert after is not None
    return after


def test_a_run_whose_process_is_gone_fails_with_the_reason_and_is_tried_again(instance: DagsterInstance, ended: int):
    run = started(instance, ended)
    assert health(instance, run).status == WorkerStatus.FAILED
    after = monitored(instance, run)
    assert after.status == DagsterRunStatus.FAILURE
    assert after.tags[WILL_RETRY_TAG] == "true"
    assert RUN_FAILURE_REASON_TAG not in after.tags
    assert any(GONE in entry.message for entry in instance.all_logs(run.run_id))


def test_a_run_that_was_tried_often_enough_is_given_up(instance: DagsterInstance, ended: int):
    root = started(instance, ended)
    for number in range(1, RETRIES["max_retries"] + 1):
        tags = {"dagster/root_run_id": root.run_id, "dagster/parent_run_id": root.run_id}
        retry = instance.create_run_for_job(
            some_job, status=DagsterRunStatus.STARTED, tags=tags, root_run_id=root.run_id, parent_run_id=root.run_id
        )
        instance.report_engine_event("Started process for run", retry, EngineEventData.in_process(ended))
        expected = "true" if number < RETRIES["max_retries"] else "false"
        assert monitored(instance, retry).tags[WILL_RETRY_TAG] == expected, number


def test_a_run_with_a_living_process_is_left_alone(instance: DagsterInstance):
    run = started(instance, os.getpid())
    assert health(instance, run).status == WorkerStatus.RUNNING
    assert monitored(instance, run).status == DagsterRunStatus.STARTED


def test_a_killed_process_that_its_parent_has_not_collected_is_gone():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    assert is_alive(process.pid, time.time())
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, but still in the table of processes
    assert not is_alive(process.pid, time.time())
    process.wait()


def test_an_id_given_to_another_process_since_is_no_sign_of_life():
    assert is_alive(os.getpid(), time.time())
    assert not is_alive(os.getpid(), time.time() - 10 * 86400)


def test_a_run_that_has_named_no_process_is_given_a_minute(instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch):
    run = started(instance)
    instance.add_run_tags(run.run_id, {"some": "tag"})
    assert health(instance, run).status == WorkerStatus.FAILED, "it never reported its start"
    other = instance.create_run_for_job(some_job, status=DagsterRunStatus.STARTING)
    from dagster import DagsterEvent, DagsterEventType

    event = DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name="some_job")
    instance.report_dagster_event(event, other.run_id)
    assert health(instance, other).status == WorkerStatus.RUNNING
    later = time.time() + 61
    monkeypatch.setattr("resources.launcher.time.time", lambda: later)
    assert health(instance, other).status == WorkerStatus.FAILED


@pytest.mark.parametrize(("host", "expected"), [("localhost", "FAILED"), ("worker-7", "RUNNING")])
def test_process_ids_of_another_machine_say_nothing(instance: DagsterInstance, ended: int, host: str, expected: str):
    run = started(instance, ended, {GRPC_INFO_TAG: json.dumps({"host": host, "port": 4000})})
    assert health(instance, run).status.value == expected
