"""The run launcher of one machine: Dagster's default one, which also sees that the process of a run is gone.

A killed process, a restarted machine or a killed daemon leaves a run "started" in Dagster for ever. Run monitoring asks
the launcher about every started run; the answer FAILED ends it, and Dagster's run retries start it again. The same road
serves runs that are found interrupted when the services start. Runs that hang in a living process are ended by their
longest run time (`run_limits`).

It looks at process ids, so it is right only where the code server runs on the same machine (and in the same container)
as the daemon. Elsewhere use the launcher of the cluster.
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
    processes_of,
)

GONE = "the process of the run is gone; it was killed, or the machine was restarted"
# A process older than the event in which the run named it is the run's own; the two clocks may differ a little.
CLOCK_SLACK_SECONDS = 60.0
# A run that is executed outside the services names its process a moment after it has started.
SILENT_SECONDS = 60.0
_HERE = {"localhost", "127.0.0.1", "::1"}


def is_alive(pid: int, moment: float) -> bool:
    """Whether a process runs that already ran at a moment: ids of processes are given out again.

    Args:
        pid: Its id.
        moment: Seconds since 1970.
    """
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= moment + CLOCK_SLACK_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def is_here(run: DagsterRun) -> bool:
    """Whether the code server that carries out a run is on this machine."""
    noted = run.tags.get(GRPC_INFO_TAG)
    return noted is None or json.loads(noted).get("host", "localhost") in _HERE


class LocalRunLauncher(DefaultRunLauncher):
    """Starts runs in processes of this machine and knows whether they still live."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring may ask."""
        return True

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a run, and note that a retry of it goes through all its steps.

        The stages find for themselves what is there already. Dagster's default, to go on after the last step that it
        saw succeed, would mix steps of two releases when a run is interrupted by an upgrade.
        """
        run = context.dagster_run
        if RETRY_STRATEGY_TAG not in run.tags:
            self._instance.add_run_tags(run.run_id, {RETRY_STRATEGY_TAG: "ALL_STEPS"})
        super().launch_run(context)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a started run is alive."""
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
