"""Which maps were made by the model now in service."""

from dagster import AssetCheckEvaluation, AssetCheckSeverity, AssetExecutionContext, AssetKey

from drshym_pipeline.mapping import MapFolder
from drshym_pipeline.records import ModelReference
from resources.store import ArtefactStore


def served_reference(store: ArtefactStore) -> ModelReference:
    """The model in service: the recorded one, else the shipped one."""
    from drshym_pipeline.model.bundle import shipped_bundle
    from drshym_pipeline.model.service_record import in_service_record

    record = in_service_record(store.path)
    return record.reference if record else shipped_bundle().reference("shipped")


def currency(store: ArtefactStore, found: MapFolder) -> tuple[bool, str, str]:
    """Whether a map is current, the model that made it and the model in service."""
    used = found.stitched().reference
    served = served_reference(store)
    return used.sha256 == served.sha256, f"{used.name} {used.version}", f"{served.name} {served.version}"


def report_currency(context: AssetExecutionContext, store: ArtefactStore) -> int:
    """Evaluate `model_is_current` for every finished map, and count those made by another model.

    A check runs with its asset; this is how the check of maps made long ago turns red when the model changes.
    """
    outdated = 0
    for partition in store.scenes.names():
        newest = store.scenes.current(partition)
        if newest is None or not newest.stitched_path.is_file():
            continue
        passed, used, served = currency(store, newest)
        outdated += not passed
        # As an event of this run: Dagster keeps only one evaluation a partition that belongs to no run.
        context.log_event(
            AssetCheckEvaluation(
                asset_key=AssetKey("stitched_scenes"),
                check_name="model_is_current",
                passed=passed,
                severity=AssetCheckSeverity.WARN,
                metadata={"map": used, "in service": served},
                partition=partition,
                blocking=False,
            )
        )
    return outdated
