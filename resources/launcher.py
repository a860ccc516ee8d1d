"""The run launcher of one machine: Dagster's default launcher, which also notices that the process of a run has ended.

After a killed process, a restarted machine or a killed daemon a run stays "started" in Dagster without end. Run
monitoring asks the launcher about every started run. The answer FAILED ends the run, and Dagster's run retries start it
again. Runs that are found interrupted when the services start are handled in the same way. A run that hangs while its
process still runs is ended by its longest run time (`run_limits`).

The launcher compares process ids. Its answer is right only where the code server runs on the same machine (and in the
same container) as the daemon. Elsewhere use the launcher of the cluster.
"""

import json
import time

import psutil
from dagster import DagsterRun, DefaultRunLauncher

from resources.dagster_internals import (
    GRPC_INFO_TAG,
    RETRY_STRATEGY_TAG,
    CheckRunHealthResult,
    LaunchRunContext,
    WorkerStatus,
    add_run_tags,
    processes_of,
)

GONE = "the process of the run is gone; it was killed, or the machine was restarted"
# A process that started before the event with its id is the process of the run; the two clocks may differ a little.
CLOCK_SLACK_SECONDS = 60.0
# A run that is executed outside the services reports its process id a moment after it has started.
SILENT_SECONDS = 60.0
_HERE = {"localhost", "127.0.0.1", "::1"}


def is_alive(pid: int, moment: float) -> bool:
    """Return whether a process runs now and already ran at a moment; a later process may have the same id.

    Args:
        pid: Id of the process.
        moment: The moment, in seconds since 1970.
    """
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= moment + CLOCK_SLACK_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def is_here(run: DagsterRun) -> bool:
    """Return whether the code server that executes a run is on this machine."""
    server = run.tags.get(GRPC_INFO_TAG)
    return server is None or json.loads(server).get("host", "localhost") in _HERE


class LocalRunLauncher(DefaultRunLauncher):
    """Starts runs in processes of this machine and checks whether they still run."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Return true: run monitoring may ask this launcher about a run."""
        return True

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a run, and mark it so that a retry repeats all its steps.

        Each stage finds the results that exist already. Dagster's default continues after the last step that succeeded.
        It would mix steps of two releases when an upgrade interrupts a run.
        """
        run = context.dagster_run
        if RETRY_STRATEGY_TAG not in run.tags:
            add_run_tags(self._instance, run.run_id, {RETRY_STRATEGY_TAG: "ALL_STEPS"})
        super().launch_run(context)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Return whether the process of a started run still runs."""
        if not is_here(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its code server is on another machine")
        processes = list(processes_of(self._instance, run.run_id))
        if any(is_alive(pid, moment) for pid, moment in processes):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        record = self._instance.get_run_record_by_id(run.run_id)
        started = record.start_time if record and record.start_time else 0.0
        if not processes and time.time() - started < SILENT_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the run has not named its process yet")
        return CheckRunHealthResult(WorkerStatus.FAILED, GONE)
