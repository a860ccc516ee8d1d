"""The sensor that puts a version in service after a reviewer has set the alias `champion` on it in MLflow."""

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
    description="Puts the version with MLflow's alias champion in service, after a reviewer has set the alias.",
)
def reviewed_models(
    context: SensorEvaluationContext, registry: ModelRegistry, store: ArtefactStore
) -> RunRequest | SkipReason:
    """Request `flood_model` if the champion is not the model in service."""
    champion = registry.champion()
    if champion is None:
        return SkipReason("no version has the alias champion")
    served = in_service_record(store.path)
    count, _, last = (context.cursor or "0|").partition("|")
    if served is not None and served.reference.sha256 == champion.sha256:
        context.update_cursor(f"{count}|")
        return SkipReason(f"version {champion.version} is in service")
    # One request per decision: a champion that was refused must not be requested every minute. The number makes run
    # keys different when a reviewer goes back to an earlier champion.
    decision = (
        f"version {champion.version} instead of {served.reference.sha256[:12] if served else 'the shipped model'}"
    )
    if decision == last:
        return SkipReason(f"{decision}: already requested, see its run")
    number = int(count) + 1
    context.update_cursor(f"{number}|{decision}")
    return RunRequest(run_key=f"{number}: {decision}")
