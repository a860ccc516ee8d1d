"""Put a model in service: the shipped checkpoint at first, later the registered version that was chosen.

A version's bundle is fetched and verified before the record that scenes are mapped by names it.
"""

from typing import Any, Literal

from assets.staleness import served_reference
from assets.training.promotion import shipped_alias
from assets.training.sealed_bundle import score_rows
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import SHIPPED
from resources.registry import CHAMPION, ModelRegistry
from resources.store import ArtefactStore


def introduce_shipped(store: ArtefactStore, registry: ModelRegistry) -> str | None:
    """Register the shipped checkpoint: as the champion of an empty registry, else as a candidate; once.

    As the champion it is a registered version like any other: it has its card, it is replaced by the same rules, and a
    reviewer can return to it.

    Returns:
        What was done, in words for the log; None when there was nothing to do.
    """
    from drshym_pipeline.model.bundle import ModelBundle, shipped_path
    from drshym_pipeline.model.model_card import DATASET_CARD_FILE, MODEL_CARD_FILE, summary

    folder = shipped_path()
    bundle = ModelBundle.load(folder)
    known, champion = registry.find_shipped(bundle.sha256), registry.champion()
    alias = shipped_alias(
        known=known is not None,
        considered=known is not None and known.considered,
        empty=all(found == known for found in registry.versions()),
        champion_source=champion.source if champion else None,
        served_source=served_reference(store).source,
    )
    if alias is None:
        return None
    version = registry.register_shipped(
        folder,
        sha256=bundle.sha256,
        card=summary(bundle.card),
        files=[file for name in (MODEL_CARD_FILE, DATASET_CARD_FILE) if (file := folder / name).is_file()],
        tags={"name": bundle.name, "bundle_version": bundle.version},
    )
    registry.set_alias(alias, version.version)
    registry.mark_considered(version.version)
    label = bundle.reference(SHIPPED).label
    what = f"the checkpoint of the package, {label}, is version {version.version} with the alias {alias}"
    return what if alias == CHAMPION else f"{what}: to put it in service, a reviewer sets the alias {CHAMPION} on it"


def put_in_service(store: ArtefactStore, registry: ModelRegistry, version: str, reason: str) -> None:
    """Put a version in service, unless it is already.

    Raises:
        InputError: What the registry holds is not the bundle that was registered.
    """
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.model.service_record import in_service_record, write_in_service

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
    source: Literal["shipped", "registry"] = SHIPPED if registered.source == SHIPPED else "registry"
    write_in_service(store.path, folder, bundle.reference(source), reason)


def served_card(store: ArtefactStore) -> dict[str, list[dict[str, Any]]]:
    """Return calibration and scores of the model in service, as rows of tables."""
    from drshym_pipeline.model.service_record import model_in_service

    bundle, _ = model_in_service(store.path)
    calibration = [
        {"bands": mode, "T": item.T, "bias": item.bias, "threshold": item.threshold}
        for mode, item in bundle.calibration.items()
    ]
    return {"calibration": calibration, "scores": score_rows(bundle.card.scores)}
