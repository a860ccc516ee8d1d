"""Runs whose process is gone: a machine that was restarted or killed leaves them "started" in Dagster for ever.

Dagster's default run launcher cannot ask whether a run's process is alive, so run monitoring never finds out; and where
one run of a kind goes at a time, one such run keeps all later ones waiting. This is asked once, before the services
start. Runs that hang in a living process are ended by their longest run time, which the jobs set.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.events import EngineEventData, JobFailureData, RunFailureReason

GONE = "its process ended without a word (was the machine restarted?)"
UNFINISHED = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
# A living daemon writes a heartbeat every 30 s. Dagster itself calls one healthy for half an hour after its last, which
# would leave the queue jammed after every quick restart.
QUIET_SECONDS = 45.0
_CLOCK_SLACK_SECONDS = 60.0


def fail_orphaned_runs(instance: DagsterInstance, *, quiet_seconds: float = QUIET_SECONDS) -> list[str]:
    """Report every unfinished run whose process is gone as failed, unless a daemon of the instance is alive.

    For an instance whose runs all have their processes on this host. Where there is such a run and a daemon was alive a
    moment ago, the answer takes until its next heartbeat, or until it has been silent for `quiet_seconds`.

    Args:
        instance: The instance, before its services are started.
        quiet_seconds: A daemon silent for longer is dead.

    Returns:
        The ids of the runs that were reported.
    """
    if not _orphans(instance) or _daemon_is_alive(instance, quiet_seconds):
        return []
    orphans = _orphans(instance)  # looked up again: some may have ended while we listened
    for run in orphans:
        instance.report_run_failed(run, GONE, JobFailureData(None, RunFailureReason.UNEXPECTED_TERMINATION))
    return [run.run_id for run in orphans]


def _orphans(instance: DagsterInstance) -> list[DagsterRun]:
    return [run for run in instance.get_runs(RunsFilter(statuses=UNFINISHED)) if not _has_process(instance, run)]


def _daemon_is_alive(instance: DagsterInstance, quiet_seconds: float) -> bool:
    """Listen for a heartbeat until one comes, or until the last is older than `quiet_seconds`."""
    last = _last_heartbeat(instance)
    while time.time() - (newest := _last_heartbeat(instance)) < quiet_seconds:
        if newest > last:
            return True
        time.sleep(0.5)
    return False


def _last_heartbeat(instance: DagsterInstance) -> float:
    return max((beat.timestamp for beat in instance.get_daemon_heartbeats().values()), default=0.0)


def _has_process(instance: DagsterInstance, run: DagsterRun) -> bool:
    return any(_is_running(pid, moment) for pid, moment in _processes(instance, run.run_id))


def _processes(instance: DagsterInstance, run_id: str) -> Iterator[tuple[int, float]]:
    """The processes a run said it is carried out by, with the times it said so."""
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
        data = entry.dagster_event.event_specific_data if entry.dagster_event else None
        pid = data.metadata.get("pid") if isinstance(data, EngineEventData) else None
        if pid is not None:
            yield int(str(pid.value)), entry.timestamp


def _is_running(pid: int, moment: float) -> bool:
    """Whether a process lives that already did at `moment`: numbers of processes are given out again."""
    try:
        # The command, in parentheses, may hold spaces: what follows its end begins with the state.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    state, ticks = fields[0], int(fields[19])  # fields 3 and 22 of proc(5)
    started = _boot_time() + ticks / os.sysconf("SC_CLK_TCK")
    return state not in "ZX" and started <= moment + _CLOCK_SLACK_SECONDS


def _boot_time() -> float:
    lines = Path("/proc/stat").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("btime")).split()[1])
