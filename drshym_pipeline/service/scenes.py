"""The maps that the service shows: its own, and those of a store of the lineage, which are only read.

Below the service's folder:

    scenes/<id>/source.json       whose map it is: the name of the scene and the identity of its files
    scenes/<id>/current.json      which of the following folders is the current map
    scenes/<id>/<job id>/         the products of one job

Maps of the lineage have ids that begin with `lineage.`. Files of a map are optional: older releases had fewer of them.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drshym_pipeline.errors import InputError, one_line
from drshym_pipeline.sar.scene_names import is_scene_id, scene_id
from drshym_pipeline.scene_folder import product_name
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.service.served_scene import (
    JOB_ID,
    LINEAGE_PREFIX,
    CurrentJob,
    Found,
    SceneSource,
    ServedScene,
    read_from_store,
    read_note,
    read_own,
)
from drshym_pipeline.storage import remove_abandoned, write_json

__all__ = ["SceneCatalogue", "ServedScene", "subfolders"]

SOURCE_FILE: Final = "source.json"
CURRENT_FILE: Final = "current.json"
_DIGITS: Final = 8
_DELETED_PREFIX: Final = ".deleted-"
_log = logging.getLogger(__name__)

# Size, time and number of each file that was read or looked for.
_Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class _Known:
    """A map, with the state of its files when it was read. While that is the same, nothing is read again."""

    scene: ServedScene
    files: tuple[Path, ...]
    signature: _Signature


class SceneCatalogue:
    """The maps of one service. Its methods may be called from several threads.

    Args:
        root: The folder of the service.
        store: The store of a lineage whose maps are shown too; None if there is none.
    """

    def __init__(self, root: Path, store: Path | None) -> None:
        self.folder = root.absolute() / "scenes"
        self._store = None if store is None else SceneStore(store.absolute())
        self._known: dict[str, _Known] = {}
        self._faults: dict[str, str] = {}
        self._lock = threading.RLock()

    # --- maps that are being made ------------------------------------------------------------------------------------

    def new_folder(self, scene_name: str, identity: str, job_id: str) -> tuple[str, Path]:
        """Make the folder for the products of a job, and return it with the id of its scene.

        Scenes with the same identity have the same id. Of several scenes with one name, the first has the name as its
        id; the others have a part of their identity behind it.

        Args:
            scene_name: The name of the scene. One that cannot be in a path is changed.
            identity: SHA-256 of the addresses or the bytes of its files, as lower-case hex.
            job_id: A name for the folder that no other job has: letters, digits, `_` and `-`.
        """
        if not re.fullmatch(JOB_ID, job_id):
            raise ValueError(f"{job_id!r} cannot be the name of a folder")
        with self._lock:
            scene = next(name for name in _candidates(scene_name, identity) if self._is_free(name, identity))
            source = self.folder / scene / SOURCE_FILE
            if not source.is_file():
                source.parent.mkdir(parents=True, exist_ok=True)
                values = SceneSource(scene_name=scene_name, identity=identity)
                write_json(source, values.model_dump(mode="json"))
            folder = source.parent / job_id
            folder.mkdir()
            return scene, folder

    def _is_free(self, scene: str, identity: str) -> bool:
        """Return whether an id is not used, or by the same scene; an id whose note is damaged is used."""
        try:
            source = read_note(self.folder / scene / SOURCE_FILE, SceneSource)
        except InputError:
            return False
        return source is None or source.identity == identity

    def publish(self, scene_id: str, job_id: str) -> ServedScene:
        """Make the products of a job the current map of its scene, in one step.

        Raises:
            InputError: The folder of the job has no map, or its record is damaged.
        """
        folder = self.folder / scene_id / job_id
        records = sorted(path.name for path in folder.glob(f"*{product_name('', 'record')}"))
        if len(records) != 1:
            raise InputError(folder, f"contains {len(records)} records of maps instead of one", "Map the scene again")
        pointer = CurrentJob(job=job_id, record=records[0])
        scene, _ = read_own(scene_id, folder.parent, pointer)
        with self._lock:
            write_json(folder.parent / CURRENT_FILE, pointer.model_dump(mode="json"))
        return scene

    # --- finished maps -----------------------------------------------------------------------------------------------

    def scenes(self) -> list[ServedScene]:
        """Return all maps, the newest first. Only what has changed since the last call is read.

        A scene that cannot be read is left out; the reason is logged once.
        """
        ids = [folder.name for folder in subfolders(self.folder) if not folder.name.startswith(LINEAGE_PREFIX)]
        if self._store is not None:
            ids += [f"{LINEAGE_PREFIX}{folder.name}" for folder in subfolders(self._store.folder)]
        with self._lock:
            found = [scene for scene in map(self._find, filter(is_scene_id, ids)) if scene is not None]
            for gone in (self._known.keys() | self._faults.keys()) - set(ids):
                self._forget(gone)
        # A record may have a time without a zone, which cannot be compared with one that has a zone.
        return sorted(found, key=lambda scene: (-scene.record.created_at.timestamp(), scene.id))

    def get(self, id: str) -> ServedScene | None:
        """Return the current map of one scene, None if there is none."""
        if not is_scene_id(id):
            return None
        with self._lock:
            return self._find(id)

    def _find(self, id: str) -> ServedScene | None:
        name = id.removeprefix(LINEAGE_PREFIX)
        if name == id:
            return self._looked_up(id, self.folder / id / CURRENT_FILE, self._own)
        store = self._store
        return (
            None
            if store is None
            else self._looked_up(id, store.current_path(name), lambda _: read_from_store(store, name))
        )

    def _looked_up(self, id: str, pointer: Path, read: Callable[[str], Found]) -> ServedScene | None:
        """Return a map from memory, or read it if its files have changed; None if it cannot be read."""
        if not pointer.is_file():
            self._forget(id)
            return None
        known = self._known.get(id)
        if known is not None and known.signature == _signature(known.files):
            return known.scene
        before = _signature([pointer])
        try:
            scene, files = read(id)
        # A folder may be deleted while it is read, and a damaged file must not hide the other scenes.
        except (InputError, OSError) as error:
            self._known.pop(id, None)
            if self._faults.get(id) != str(error):
                self._faults[id] = str(error)
                _log.warning("The map of %s is not shown: %s", id, one_line(error))
            return None
        self._faults.pop(id, None)
        self._known[id] = _Known(scene, (pointer, *files), (*before, *_signature(files)))
        return scene

    def _forget(self, id: str) -> None:
        self._known.pop(id, None)
        self._faults.pop(id, None)

    def _own(self, id: str) -> Found:
        pointer = read_note(self.folder / id / CURRENT_FILE, CurrentJob)
        if pointer is None:
            raise InputError(self.folder / id, "has no current map", "Map the scene again")
        return read_own(id, self.folder / id, pointer)

    # --- deletion ----------------------------------------------------------------------------------------------------

    def current_job(self, id: str) -> str | None:
        """Return the name of the folder with the current map of one of the service's scenes; None without one."""
        try:
            pointer = read_note(self.folder / id / CURRENT_FILE, CurrentJob)
        except InputError:  # a damaged note names no map
            return None
        return None if pointer is None else pointer.job

    def remove(self, id: str, active: Collection[Path] = ()) -> bool:
        """Delete all maps of one of the service's scenes. Maps of the lineage are never deleted.

        Files that are being read are readable to their end, because the system deletes an open file when it is closed.

        Args:
            id: The scene.
            active: The folders of jobs that have not ended; they are kept, and so is the scene's id.

        Returns:
            Whether there was such a scene.
        """
        folder = self.folder / id
        if not is_scene_id(id) or id.startswith(LINEAGE_PREFIX) or not folder.is_dir() or folder.is_symlink():
            return False
        for job in subfolders(folder):
            if job not in active:
                self.remove_folder(id, job.name)
        return True

    def remove_folder(self, id: str, job_id: str) -> None:
        """Delete the folder of one job; with the last one, its scene.

        Args:
            id: The scene.
            job_id: The name of the folder.
        """
        with self._lock:
            if self.current_job(id) == job_id:
                (self.folder / id / CURRENT_FILE).unlink(missing_ok=True)
                self._forget(id)
            aside = [self._set_aside(self.folder / id / job_id)] if (self.folder / id / job_id).is_dir() else []
            if (self.folder / id).is_dir() and not subfolders(self.folder / id):
                aside.append(self._set_aside(self.folder / id))
        # Other threads do not wait for this.
        for folder in aside:
            shutil.rmtree(folder, ignore_errors=True)

    def remove_empty(self, active: Collection[Path] = ()) -> list[str]:
        """Delete the folders of scenes without a folder of a job: they would keep an id that nobody uses.

        Args:
            active: The folders of jobs that have not ended; their scenes are kept.

        Returns:
            The ids that are free again.
        """
        in_use = {folder.parent for folder in active}
        removed = []
        for scene in subfolders(self.folder):
            with self._lock:
                if scene in in_use or subfolders(scene) or not scene.is_dir():
                    continue
                aside = self._set_aside(scene)
                self._forget(scene.name)
            shutil.rmtree(aside, ignore_errors=True)
            removed.append(scene.name)
        return removed

    def _set_aside(self, folder: Path) -> Path:
        """Rename a folder, so that no reader finds it any more. That is also possible when the disk is full."""
        aside = self.folder / f"{_DELETED_PREFIX}{uuid.uuid4().hex}"
        folder.replace(aside)
        return aside

    def remove_leftovers(self) -> None:
        """Delete what killed processes have left half written or half deleted."""
        for path in self.folder.glob(f"{_DELETED_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)
        for folder in (self.folder, *subfolders(self.folder)):
            remove_abandoned(folder)


def _candidates(scene_name: str, identity: str) -> Iterator[str]:
    """Yield ids for a scene, the best one first."""
    name = scene_name if is_scene_id(scene_name) else scene_id([scene_name])
    if name.lower().startswith(LINEAGE_PREFIX):
        name = f"scene-{name}"
    # The longest name that `is_scene_id` allows has no room for the digits.
    short = name.encode()[:120].decode("utf-8", "ignore")
    yield name
    yield from (f"{short}-{identity[:digits]}" for digits in range(_DIGITS, len(identity) + 1))


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones and links; none if it does not exist."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def _signature(files: Collection[Path]) -> _Signature:
    """Return what changes when a file is replaced, deleted or made."""
    found = []
    for path in files:
        try:
            status = path.stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)
