"""Which scenes a store holds and the state of each: only this module reads and writes these small files.

Below `scenes/<scene>/` of a store:

    sources.json          which files make up the scene, and the request to map it
    current.json          the newest finished map
    runs/<run>.json       which artefacts one run works on
    staged.json           the artefacts that were made last, for a run that begins in the middle of the chain
    <version>/            one version of the scene, see `scene_folder`

and `failures/<scene>.json` beside `scenes/` for the reason why the last request failed. A run reads its own note only:
another run of the same scene cannot exchange the version it works on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Record, describe_validation, now
from drshym_pipeline.scene_folder import EARLIER_TILES, MapFolder, PredictionFolder, SceneFolder, TilesFolder
from drshym_pipeline.storage import read_json, remove_abandoned, write_json

RecordT = TypeVar("RecordT", bound=Record)


class SceneSources(Record):
    """Which files of the watched folder make up a scene, VV first, and the request to map them.

    `run_key` names the request; `at` says when it was made. Release 0.1.0 wrote no time.
    """

    files: tuple[str, ...]
    run_key: str | None = None
    at: datetime | None = None


class CurrentMap(Record):
    """The newest finished map of a scene: its versions, and the request that was answered by it.

    Release 0.1.0 wrote the version of the scene alone.
    """

    version: str
    map: str = ""
    request: str | None = None


class WorkNote(Record):
    """The artefacts that one run works on, by their names within the folder of the scene's version.

    `request` is the request that the run answers. A name is None before the run's stage has made the artefact.
    `no_reference` is why the run planned no reference for its map, empty if it planned one. A finished map that it
    found may have been made for another reason.
    """

    version: str
    request: str | None = None
    tiles: str | None = None
    prediction: str | None = None
    drawing: str | None = None
    map: str | None = None
    no_reference: str = ""


class RunFailure(Record):
    """Why a run has failed: which step of which run, of which job, and the scene if it has one."""

    reason: str
    at: datetime
    step: str = ""
    run_id: str = ""
    job: str = ""
    partition: str | None = None


@dataclass(frozen=True)
class SceneStatus:
    """The state of a scene.

    Args:
        scene: Its name.
        state: `mapped`; `waiting` for its map, or for that of its newest files; `failed`: the last request ended
            without a map. A waiting or failed scene may have an earlier map.
        map: The newest finished map.
        reason: Why it failed, or since when it waits.
    """

    scene: str
    state: Literal["mapped", "waiting", "failed"]
    map: MapFolder | None
    reason: str = ""


def _validated(path: Path, model: type[RecordT], values: Any, remedy: str) -> RecordT:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(path, describe_validation(error), remedy) from error


def _read(path: Path, model: type[RecordT]) -> RecordT | None:
    remedy = "Restore the file, or map the scene again"
    return _validated(path, model, read_json(path, remedy=remedy), remedy) if path.is_file() else None


def _failure(path: Path) -> RunFailure:
    remedy = "Delete the file; it only says why a run has failed"
    values = read_json(path, remedy=remedy)
    if isinstance(values, dict):
        values = {name: values[name] for name in RunFailure.model_fields if values.get(name) is not None}
    return _validated(path, RunFailure, values, remedy)


def _request_number(request: str | None) -> int:
    """Return how many times a scene was requested: the second part of a run key."""
    parts = (request or "").split(":")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


class SceneStore:
    """The scenes of a store.

    Args:
        root: The store's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "scenes"

    def names(self) -> list[str]:
        """Return the names of all scenes that were requested or mapped."""
        found = {path.parent.name for name in ("sources", "current") for path in self.folder.glob(f"*/{name}.json")}
        return sorted(found)

    def versions(self, scene: str = "*") -> list[SceneFolder]:
        """Return every staged version of a scene, or of every scene."""
        return [SceneFolder(path.parent.resolve()) for path in sorted(self.folder.glob(f"{scene}/*/scene_meta.json"))]

    def remove_abandoned(self, scene: str) -> list[Path]:
        """Delete what killed processes have left half written among the small files of a scene, and return it."""
        return [*remove_abandoned(self.folder / scene), *remove_abandoned(self.folder / scene / "runs")]

    # --- requests ----------------------------------------------------------------------------------------------------

    def write_sources(self, scene: str, values: dict[str, Any]) -> None:
        """Note which files make up a scene and that it is requested now.

        Args:
            scene: Name of the scene.
            values: The fields of `SceneSources`, without the time.
        """
        sources = SceneSources.model_validate({**values, "at": now()})
        write_json(self.folder / scene / "sources.json", sources.model_dump(mode="json", exclude_none=True))

    def sources(self, scene: str) -> SceneSources | None:
        """Return the files and the newest request of a scene; None when it never came through the watched folder."""
        return _read(self.folder / scene / "sources.json", SceneSources)

    def write_failure(self, name: str, failure: RunFailure) -> None:
        """Keep why a run has failed.

        Args:
            name: The scene; for a run without a scene its job or stage.
            failure: The reason.
        """
        write_json(self.root / "failures" / f"{name}.json", failure.model_dump(mode="json"))

    def clear_failure(self, name: str) -> None:
        """Forget a failure: the scene has been mapped since."""
        (self.root / "failures" / f"{name}.json").unlink(missing_ok=True)

    def failure(self, scene: str) -> RunFailure | None:
        """Return why the last request failed, or None.

        Raises:
            InputError: The file is damaged.
        """
        path = self.root / "failures" / f"{scene}.json"
        return _failure(path) if path.is_file() else None

    def other_failures(self) -> dict[str, RunFailure]:
        """Return the failures of runs without a scene, such as a training, by the name of their job or stage.

        Raises:
            InputError: A file is damaged.
        """
        known = set(self.names())
        paths = {path.stem: path for path in sorted((self.root / "failures").glob("*.json"))}
        return {name: _failure(path) for name, path in paths.items() if name not in known}

    # --- the artefacts of a run --------------------------------------------------------------------------------------

    def _note_path(self, scene: str, run: str) -> Path:
        return self.folder / scene / "runs" / f"{run}.json"

    def write_note(self, scene: str, run: str, note: WorkNote) -> None:
        """Note what a run works on; a later run that begins in the middle of the chain begins with it."""
        values = note.model_dump(mode="json", exclude_none=True)
        write_json(self._note_path(scene, run), values)
        write_json(self.folder / scene / "staged.json", values)

    def note(self, scene: str, run: str) -> WorkNote:
        """Return what a run works on; at its first stage, what was made last.

        Raises:
            InputError: The scene has not been staged.
        """
        note = _read(self._note_path(scene, run), WorkNote)
        if note is not None:
            return note
        note = _read(self.folder / scene / "staged.json", WorkNote)
        if note is None:
            raise InputError(scene, "the scene has not been staged", "Materialise raw_scenes for it first")
        if note.tiles is None and (self.folder / scene / note.version / "tiles.json").is_file():
            note = note.model_copy(update={"tiles": EARLIER_TILES})
        # From now on the run keeps to these, whatever other runs make.
        write_json(self._note_path(scene, run), note.model_dump(mode="json", exclude_none=True))
        return note

    def runs(self, scene: str) -> dict[str, Path]:
        """Return the notes of a scene by the name of their run."""
        return {path.stem: path for path in sorted((self.folder / scene / "runs").glob("*.json"))}

    def staged(self, scene: str, run: str) -> SceneFolder:
        """Return the version of a scene that a run works on.

        Raises:
            InputError: The scene has not been staged.
        """
        return self._version(scene, self.note(scene, run).version)

    def _version(self, scene: str, version: str) -> SceneFolder:
        return SceneFolder((self.folder / scene / version).resolve())

    def tiles(self, scene: str, run: str) -> TilesFolder:
        """Return the tile grid that a run works on.

        Raises:
            InputError: The scene has not been tiled.
        """
        return self._tiles(scene, self.note(scene, run))

    def _tiles(self, scene: str, note: WorkNote) -> TilesFolder:
        if note.tiles is None:
            raise InputError(scene, "the scene has not been tiled", "Materialise tiles for it first")
        return self._version(scene, note.version).tiles(note.tiles)

    def prediction(self, scene: str, run: str) -> PredictionFolder:
        """Return the prediction that a run works on.

        Raises:
            InputError: The scene has not been predicted.
        """
        note = self.note(scene, run)
        if note.prediction is None:
            raise InputError(scene, "the scene has not been predicted", "Materialise tile_probabilities for it first")
        return self._tiles(scene, note).prediction(note.prediction)

    def newest_prediction(self, scene: str) -> PredictionFolder | None:
        """Return the prediction that a run which begins at the map would use; None if there is none.

        Unlike `prediction` this notes nothing.
        """
        note = _read(self.folder / scene / "staged.json", WorkNote)
        if note is None or note.tiles is None or note.prediction is None:
            return None
        return self._tiles(scene, note).prediction(note.prediction)

    def map(self, scene: str, run: str) -> MapFolder:
        """Return the map that a run works on, finished or not.

        Raises:
            InputError: The map has not been drawn.
        """
        note = self.note(scene, run)
        folder = self._version(scene, note.version)
        if note.map is not None:
            return folder.map(note.map)
        if note.drawing is None:
            raise InputError(scene, "the map has not been drawn", "Materialise stitched_scenes for it first")
        return folder.drawing(note.drawing)

    # --- finished maps -----------------------------------------------------------------------------------------------

    def set_current(self, scene: str, finished: MapFolder, request: str | None) -> bool:
        """Make a finished map the newest one of its scene.

        A run that answers an older request, and was overtaken, changes nothing.

        Returns:
            Whether the map is the newest one now.
        """
        pointer = self._current(scene)
        if pointer is not None and _request_number(request) < _request_number(pointer.request):
            return False
        values = CurrentMap(version=finished.scene.directory.name, map=finished.version, request=request)
        write_json(self.current_path(scene), values.model_dump(mode="json", exclude_none=True))
        return True

    def current_path(self, scene: str) -> Path:
        """Return the file that names the newest map of a scene, whether it exists or not."""
        return self.folder / scene / "current.json"

    def _current(self, scene: str) -> CurrentMap | None:
        return _read(self.current_path(scene), CurrentMap)

    def current(self, scene: str) -> MapFolder | None:
        """Return the newest finished map of a scene, or None."""
        pointer = self._current(scene)
        if pointer is None:
            return None
        return self._version(scene, pointer.version).map(pointer.map)

    def finished_maps(self, scene: str) -> list[MapFolder]:
        """Return all finished maps of a scene, of all its versions, the oldest first."""
        found = [item for folder in self.versions(scene) for item in folder.finished_maps()]
        return sorted(found, key=lambda item: item.written_at)

    # --- the state of a scene -------------------------------------------------------------------------------------

    def status(self, scene: str) -> SceneStatus:
        """Return the state of a scene."""
        sources, pointer, failure = self.sources(scene), self._current(scene), self.failure(scene)
        newest = self.current(scene)
        requested = sources.at if sources else None
        answered = pointer is not None and (
            sources is None or pointer.request is None or pointer.request == sources.run_key
        )
        if answered:
            return SceneStatus(scene, "mapped", newest)
        if failure is not None and (requested is None or failure.at >= requested):
            return SceneStatus(scene, "failed", newest, failure.reason)
        since = f"requested {requested:%Y-%m-%d %H:%M} UTC" if requested else "requested"
        return SceneStatus(scene, "waiting", newest, since)
