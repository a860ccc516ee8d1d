"""Runs whose process is gone are found after a restart; living ones, and those of a living daemon, are left alone."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, job, op
from dagster._core.events import EngineEventData
from dagster._daemon.types import DaemonHeartbeat

from deploy.orphans import GONE, fail_orphaned_runs


@op
def nothing() -> None: ...


@job
def some_job() -> None:
    nothing()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def unfinished(instance: DagsterInstance, status: DagsterRunStatus, pid: int | None = None) -> str:
    run = instance.create_run_for_job(some_job, status=status)
    if pid is not None:
        instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    return run.run_id


def beat(instance: DagsterInstance, age: float, daemon: str = "SENSOR") -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age, daemon, "daemon", None))


def status(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.parametrize("before", [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING])
def test_a_run_whose_process_is_gone_is_failed_with_the_reason(
    instance: DagsterInstance, ended: int, before: DagsterRunStatus
):
    run_id = unfinished(instance, before, ended)
    beat(instance, age=3600)
    assert fail_orphaned_runs(instance) == [run_id]
    assert status(instance, run_id) == DagsterRunStatus.FAILURE
    assert GONE in [entry.message for entry in instance.all_logs(run_id) if entry.dagster_event]
    assert fail_orphaned_runs(instance) == []


def test_a_run_that_never_had_a_process_is_failed(instance: DagsterInstance):
    run_id = unfinished(instance, DagsterRunStatus.STARTING)
    assert fail_orphaned_runs(instance) == [run_id]


def test_a_run_with_a_living_process_is_left_alone(instance: DagsterInstance):
    run_id = unfinished(instance, DagsterRunStatus.STARTED, os.getpid())
    assert fail_orphaned_runs(instance) == []
    assert status(instance, run_id) == DagsterRunStatus.STARTED


def test_a_number_given_to_another_process_since_is_no_sign_of_life(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    yesterday = time.time() - 86400
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: yesterday)
        run_id = unfinished(instance, DagsterRunStatus.STARTED, os.getpid())
    assert fail_orphaned_runs(instance) == [run_id]


@pytest.mark.parametrize("other", [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE])
def test_waiting_and_finished_runs_are_left_alone(instance: DagsterInstance, other: DagsterRunStatus):
    run_id = unfinished(instance, other)
    assert fail_orphaned_runs(instance) == []
    assert status(instance, run_id) == other


def test_nothing_is_touched_while_a_daemon_is_alive(instance: DagsterInstance, ended: int):
    run_id = unfinished(instance, DagsterRunStatus.STARTED, ended)
    beat(instance, age=5)
    beating = threading.Timer(0.7, beat, (instance, 0))
    beating.start()
    assert fail_orphaned_runs(instance) == []
    beating.join()
    assert status(instance, run_id) == DagsterRunStatus.STARTED


def test_a_daemon_that_fell_silent_a_moment_ago_is_waited_for_and_then_dead(instance: DagsterInstance, ended: int):
    run_id = unfinished(instance, DagsterRunStatus.STARTED, ended)
    beat(instance, age=1)
    assert fail_orphaned_runs(instance, quiet_seconds=2) == [run_id]
