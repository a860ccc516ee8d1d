"""The document that `drshym status --json` prints: the state of the store."""

from __future__ import annotations

from drshym_pipeline.commands.document_base import SceneFailed
from drshym_pipeline.commands.documents import (
    ModelUsed,
    OtherFailure,
    SceneInStore,
    StatusDocument,
    StoredMap,
    map_state,
)
from drshym_pipeline.commands.exit_codes import ExitCode
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.choice import choose_model
from drshym_pipeline.scene_folder import MapFolder
from drshym_pipeline.scene_store import SceneStore


def status_document(store: SceneStore, scene: str | None) -> StatusDocument:
    """Return the state of a store.

    Args:
        store: The scenes.
        scene: The only scene to describe, with all its maps; by default every scene with its newest map.

    Raises:
        InputError: The model in service cannot be loaded, or a record is damaged.
    """
    served = choose_model()
    sha256 = served.reference.sha256
    names = store.names() if scene is None else [scene]
    others = () if scene is not None else tuple(store.other_failures().items())
    return StatusDocument(
        exit_code=ExitCode.DONE,
        store=str(store.root.absolute()),
        model=ModelUsed.of(served),
        scenes=tuple(_scene(store, name, sha256, every_map=scene is not None) for name in names),
        other_failures=tuple(OtherFailure(name=name, at=item.at, reason=item.reason) for name, item in others),
    )


def refused_document(store: SceneStore, error: InputError) -> StatusDocument:
    """Return the document for an input that cannot be used."""
    failure = SceneFailed(file=error.subject, problem=error.problem, remedy=error.remedy, kind="input")
    return StatusDocument(exit_code=ExitCode.INPUT, store=str(store.root.absolute()), failures=(failure,))


def _scene(store: SceneStore, name: str, served_sha256: str, *, every_map: bool) -> SceneInStore:
    item, sources = store.status(name), store.sources(name)
    newest = item.map if item.map is not None and item.map.manifest.is_file() else None
    found = list(reversed(store.finished_maps(name))) if every_map else [newest] if newest is not None else []
    return SceneInStore(
        scene=name,
        state=item.state,
        reason=item.reason,
        files=sources.files if sources is not None else (),
        maps=tuple(_map(each, newest=each == newest, served_sha256=served_sha256) for each in found),
    )


def _map(found: MapFolder, *, newest: bool, served_sha256: str) -> StoredMap:
    record = found.record()
    return StoredMap(
        version=found.version,
        scene_version=found.scene.directory.name,
        newest=newest,
        outdated=record.model.sha256 != served_sha256,
        state=map_state(record),
        folder=str(found.products.absolute()),
        record=record,
    )
