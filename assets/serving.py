"""Taking a registered version into service: fetch its bundle, verify it, and write the record scenes are mapped by."""

from typing import Any

from assets.fitted import score_rows
from drshym_pipeline.errors import InputError
from resources.registry import ModelRegistry
from resources.store import ArtefactStore


def put_in_service(store: ArtefactStore, registry: ModelRegistry, version: str, reason: str) -> None:
    """Put a version in service, unless it is already.

    Raises:
        InputError: What the registry holds is not the bundle that was registered.
    """
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.model.service_record import in_service_record, write_in_service
    from drshym_pipeline.records import ModelReference

    registered = next(found for found in registry.versions() if found.version == version)
    served = in_service_record(store.path)
    if served is not None and served.reference.sha256 == registered.sha256:
        return
    folder = store.path / "models" / registered.sha256
    if not folder.is_dir():
        registry.download_bundle(version, folder)
    bundle = ModelBundle.load(folder)
    if bundle.sha256 != registered.sha256:
        raise InputError(
            f"{registry.model_name} version {version}",
            f"holds model {bundle.sha256[:12]}, but {registered.sha256[:12] or 'none'} was registered",
            "Register the model again",
        )
    reference = ModelReference(name=bundle.name, version=bundle.version, sha256=bundle.sha256, source="registry")
    write_in_service(store.path, folder, reference, reason)


def served_card(store: ArtefactStore) -> dict[str, list[dict[str, Any]]]:
    """Calibration and scores of the model in service, as rows of tables."""
    from drshym_pipeline.model.service_record import model_in_service

    bundle, _ = model_in_service(store.path)
    calibration = [
        {"bands": mode, "T": item.T, "bias": item.bias, "threshold": item.threshold}
        for mode, item in bundle.calibration.items()
    ]
    return {"calibration": calibration, "scores": score_rows(bundle.card.scores)}
