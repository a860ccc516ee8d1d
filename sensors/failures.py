"""The sensors for failed runs: they write the reason of a failure into the store and into the log, in one line.

A scene that cannot be mapped is not retried, because the same file gives the same result. A corrected file has another
run key and is mapped as a changed file. Dagster's run retries start an interrupted run again; its failure is written
only if no retry follows. A run that a user terminates is not retried. This is written too, because otherwise its scene
would be shown as waiting without end.
"""

import time
from collections.abc import Sequence

from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    Failure,
    RunFailureSensorContext,
    RunStatusSensorContext,
    run_failure_sensor,
    run_status_sensor,
)

from drshym_pipeline.records import now
from drshym_pipeline.scene_store import RunFailure
from resources.dagster_internals import (
    AUTO_RETRY_RUN_ID_TAG,
    PARTITION_NAME_TAG,
    RETRY_NUMBER_TAG,
    RUN_FAILURE_REASON_TAG,
    WILL_RETRY_TAG,
)
from resources.store import ArtefactStore

# Dagster writes the class of the exception first; the text that helps the user follows it.
_CLASS = f"{Failure.__module__}.{Failure.__qualname__}: "
_OF_A_STEP = "STEP_FAILURE"
# The daemon checks every five seconds for runs to retry.
RETRY_PATIENCE_SECONDS = 20.0


def failure_reason(messages: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return the step that failed first, and its reason in one line.

    Args:
        messages: (step, message) of every failed step, in order; at least one.
    """
    step, text = messages[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return step, lines[0].removeprefix(_CLASS) if lines else "no reason given"


def retry_follows(instance: DagsterInstance, run_id: str, patience: float = RETRY_PATIENCE_SECONDS) -> bool:
    """Return whether a failed run is retried.

    Dagster tags the run at the moment of the failure, but may then fail to start the retry (if its code server is not
    running). So this waits until the retry exists or is cancelled.

    Args:
        instance: The Dagster instance.
        run_id: Id of the failed run.
        patience: Seconds to wait for the retry, at most.
    """
    deadline = time.monotonic() + patience
    while (run := instance.get_run_by_id(run_id)) and run.tags.get(WILL_RETRY_TAG) == "true":
        if AUTO_RETRY_RUN_ID_TAG in run.tags:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return False


def interruption_reason(run: DagsterRun, message: str) -> str:
    """Return in one line why an interrupted run is not retried any more.

    Args:
        run: The failed run.
        message: Message of the event that ended it.
    """
    attempts = int(run.tags.get(RETRY_NUMBER_TAG, "0")) + 1
    times = "once" if attempts == 1 else f"{attempts} times"
    text = " ".join(message.split()) or "no reason given"
    return f"the run was interrupted {times} and is not retried; the last time: {text}"


def failure_name(run: DagsterRun, step: str) -> str:
    """Return the name of a failure: the scene, the job, or for a run of single assets the asset that failed."""
    partition = run.tags.get(PARTITION_NAME_TAG)
    if partition:
        return partition
    return (step or "assets") if run.job_name.startswith("__") else run.job_name


def failure_record(run: DagsterRun, step: str, reason: str) -> RunFailure:
    """Make the record of a failed run.

    Args:
        run: The run.
        step: The step that failed first; empty when no step did.
        reason: Why, in one line.
    """
    partition = run.tags.get(PARTITION_NAME_TAG)
    return RunFailure(reason=reason, at=now(), step=step, run_id=run.run_id, job=run.job_name, partition=partition)


@run_failure_sensor(
    name="failed_runs",
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Writes the reason of every failed run into the folder failures/ of the store.",
)
def failed_runs(context: RunFailureSensorContext, store: ArtefactStore) -> None:
    """Write `failures/<partition>.json`, or `failures/<job>.json` for a run without a scene.

    This includes runs that are started from the lineage page and belong to no job.
    """
    run = context.dagster_run
    if retry_follows(context.instance, run.run_id):
        context.log.info("run %s was interrupted and is retried", run.run_id)
        return
    messages = []
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        error = data.error.cause if data.error and data.error.cause else data.error
        described = data.user_failure_data.description if data.user_failure_data else None
        messages.append((event.step_key or "", described or (error.message if error else "")))
    step, reason = failure_reason(messages) if messages else ("", "")
    if not messages or run.tags.get(RUN_FAILURE_REASON_TAG, _OF_A_STEP) != _OF_A_STEP:
        reason = interruption_reason(run, context.failure_event.message or "")
    name = failure_name(run, step)
    store.scenes.write_failure(name, failure_record(run, step, reason))
    context.log.error("%s: %s", name, reason)


TERMINATED = "the run was terminated in Dagster and is not retried. Re-execute it, or copy the scene in again"


@run_status_sensor(
    run_status=DagsterRunStatus.CANCELED,
    name="terminated_runs",
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Writes into the folder failures/ of the store that the run of a scene was terminated.",
)
def terminated_runs(context: RunStatusSensorContext, store: ArtefactStore) -> None:
    """Write `failures/<partition>.json` for a scene whose run was terminated."""
    run = context.dagster_run
    partition = run.tags.get(PARTITION_NAME_TAG)
    if partition is None:
        return
    store.scenes.write_failure(partition, failure_record(run, "", TERMINATED))
