"""The sensor that sees a reviewer's decision: the alias `champion` set in MLflow puts that version into service."""

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from drshym_pipeline.model.service_record import in_service_record
from resources.registry import ModelRegistry
from resources.store import ArtefactStore
from sensors.jobs import put_in_service


@sensor(
    job=put_in_service,
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Puts the version with MLflow's alias champion into service, once a reviewer has set it.",
)
def reviewed_models(
    context: SensorEvaluationContext, registry: ModelRegistry, store: ArtefactStore
) -> RunRequest | SkipReason:
    """Ask for `flood_model` when the champion is another model than the one in service."""
    champion = registry.champion()
    if champion is None:
        return SkipReason("no version has the alias champion")
    served = in_service_record(store.path)
    count, _, last = (context.cursor or "0|").partition("|")
    if served is not None and served.reference.sha256 == champion.sha256:
        context.update_cursor(f"{count}|")
        return SkipReason(f"version {champion.version} is in service")
    # One request a decision: a champion that was refused must not be asked for every minute. The number keeps run keys
    # apart when a reviewer goes back to an earlier champion.
    decision = (
        f"version {champion.version} instead of {served.reference.sha256[:12] if served else 'the shipped model'}"
    )
    if decision == last:
        return SkipReason(f"{decision}: already requested, see its run")
    number = int(count) + 1
    context.update_cursor(f"{number}|{decision}")
    return RunRequest(run_key=f"{number}: {decision}")
