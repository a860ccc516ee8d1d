"""Which maps were made by another model than the one now in service."""

from dataclasses import dataclass

from dagster import AssetCheckEvaluation, AssetCheckSeverity, AssetExecutionContext, AssetKey

from drshym_pipeline.records import ModelReference
from drshym_pipeline.scene_folder import MapFolder
from resources.store import ArtefactStore


@dataclass(frozen=True)
class MapModel:
    """The model that made a map, and the model in service."""

    used: ModelReference
    served: ModelReference

    @property
    def is_current(self) -> bool:
        """True when both are the same model."""
        return self.used.sha256 == self.served.sha256

    @property
    def figures(self) -> dict[str, str]:
        """Both models in words, for the result of a check."""
        return {
            "map": f"{self.used.name} {self.used.version}",
            "in service": f"{self.served.name} {self.served.version}",
        }


def served_reference(store: ArtefactStore) -> ModelReference:
    """Return the model in service: the recorded one, else the shipped one."""
    from drshym_pipeline.model.bundle import shipped_bundle
    from drshym_pipeline.model.service_record import in_service_record

    record = in_service_record(store.path)
    return record.reference if record else shipped_bundle().reference("shipped")


def model_of_map(store: ArtefactStore, found: MapFolder) -> MapModel:
    """Return the model that made a map beside the model in service."""
    return MapModel(found.stitched().reference, served_reference(store))


def report_staleness(context: AssetExecutionContext, store: ArtefactStore) -> int:
    """Evaluate `model_is_current` for every finished map, and count those made by another model.

    A check runs with its asset. With this function the check of older maps fails too when the model changes.
    """
    outdated = 0
    for partition in store.scenes.names():
        newest = store.scenes.current(partition)
        if newest is None or not newest.stitched_path.is_file():
            continue
        found = model_of_map(store, newest)
        outdated += not found.is_current
        # As an event of this run: Dagster keeps only one evaluation per partition that belongs to no run.
        context.log_event(
            AssetCheckEvaluation(
                asset_key=AssetKey("stitched_scenes"),
                check_name="model_is_current",
                passed=found.is_current,
                severity=AssetCheckSeverity.WARN,
                metadata=found.figures,
                partition=partition,
                blocking=False,
            )
        )
    return outdated
