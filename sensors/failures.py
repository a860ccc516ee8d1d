"""What is done when a run fails: its reason is kept beside the scenes and stands in the log in one line.

A scene that cannot be mapped is not tried again by itself: the same file gives the same answer. A corrected file has
another run key and is picked up as a changed one.
"""

from collections.abc import Sequence

from dagster import DefaultSensorStatus, RunFailureSensorContext, run_failure_sensor

from drshym_pipeline.records import now
from resources.store import ArtefactStore
from sensors.jobs import map_scene, put_in_service, train_model


def failure_reason(messages: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """The step that failed first and its reason in one line.

    Args:
        messages: (step, message) of every failed step, in order; empty when the run died outside its steps.
    """
    if not messages:
        return "", "the run ended without a message from its steps: see its log"
    step, text = messages[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Dagster puts the class of the exception first; what a user can act on follows it.
    return step, lines[0].removeprefix("dagster._core.definitions.events.Failure: ") if lines else "no reason given"


@run_failure_sensor(
    name="failed_runs",
    monitored_jobs=[map_scene, train_model, put_in_service],
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Keeps the reason of every failed run in the store, in failures/.",
)
def failed_runs(context: RunFailureSensorContext, store: ArtefactStore) -> None:
    """Write `failures/<partition>.json`, or `failures/<job>.json` for a run without a scene."""
    messages = []
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        error = data.error.cause if data.error and data.error.cause else data.error
        described = data.user_failure_data.description if data.user_failure_data else None
        messages.append((event.step_key or "", described or (error.message if error else "")))
    step, reason = failure_reason(messages)
    run = context.dagster_run
    name = context.partition_key or run.job_name
    value = {"run_id": run.run_id, "job": run.job_name, "step": step, "reason": reason, "at": now().isoformat()}
    store.write_failure(name, value | {"partition": context.partition_key})
    context.log.error("%s: %s", name, reason)
