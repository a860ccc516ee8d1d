"""Delete what a store no longer needs: probabilities, older maps, and the remains of interrupted work.

The newest map of a scene is never deleted, and neither is any file of a scene that a run works on. Predictions and
backscatter count from their last use, maps from the time they were finished.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import counted
from drshym_pipeline.scene_folder import MapFolder, SceneFolder
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.storage import delete_directory, remove_abandoned, temporary_directory

# A run writes its note again at every stage, so a drawing or a note of this age belongs to a run that has stopped.
LEFT_BEHIND = timedelta(days=7)


@dataclass
class Expired:
    """The deleted files and folders, by kind."""

    predictions: list[Path] = field(default_factory=list)
    maps: list[Path] = field(default_factory=list)
    versions: list[Path] = field(default_factory=list)
    leftovers: list[Path] = field(default_factory=list)

    def text(self) -> str:
        """Return the numbers of deleted items as one line of text."""
        return (
            f"deleted {counted(len(self.predictions), 'prediction')}, {counted(len(self.maps), 'older map')}, "
            f"{counted(len(self.versions), 'version')} of scenes without a map, "
            f"{counted(len(self.leftovers), 'leftover')} of interrupted work"
        )


def discard_prediction(path: Path, scene: SceneFolder, unused_since: float) -> bool:
    """Delete a prediction and, when it was the last one, the scene's backscatter. The maps stay.

    Args:
        path: The Zarr folder.
        scene: The scene of the prediction.
        unused_since: A time in seconds since 1970. A prediction that was used after it is kept.

    Returns:
        Whether the prediction was deleted.
    """
    with temporary_directory(path.parent) as holder:
        taken = holder / path.name
        path.replace(taken)
        # A run may have started to use the prediction after the caller's check (see `stages.predict`).
        if (taken / "zarr.json").stat().st_mtime > unused_since:
            taken.replace(path)
            return False
    if not scene.predictions():
        scene.backscatter.unlink(missing_ok=True)
    return True


def _older(path: Path, moment: datetime, keep: timedelta) -> bool:
    try:
        return moment.timestamp() - path.stat().st_mtime > keep.total_seconds()
    except FileNotFoundError:
        return False


def delete_expired(
    store: SceneStore,
    active_runs: Collection[str],
    moment: datetime,
    *,
    keep_predictions: timedelta,
    keep_maps: timedelta,
) -> Expired:
    """Delete everything that is older than its time limit and return what was deleted.

    Args:
        store: The store with the scenes.
        active_runs: The names of the runs that have not ended. A scene that one of them works on is not changed.
        moment: The current time.
        keep_predictions: How long tile probabilities are kept after their last use.
        keep_maps: How long a map is kept that is not the newest of its scene.
    """
    expired = Expired()
    for scene in store.names():
        notes = store.runs(scene)
        if set(notes) & set(active_runs):
            continue
        current = store.current(scene)
        for folder in store.versions(scene):
            expired.leftovers += folder.remove_abandoned()
            _predictions(folder, moment, keep_predictions, expired)
            _maps(folder, current, moment, keep_maps, expired)
            _drawings(folder, moment, expired)
            _version(folder, current, moment, keep_maps, expired)
        for path in notes.values():
            if _older(path, moment, LEFT_BEHIND):
                path.unlink(missing_ok=True)
                expired.leftovers.append(path)
        expired.leftovers += store.remove_abandoned(scene)
    expired.leftovers += remove_abandoned(store.folder)
    return expired


def _predictions(folder: SceneFolder, moment: datetime, keep: timedelta, expired: Expired) -> None:
    for path in folder.predictions():
        used = path / "zarr.json"
        if used.is_file() and _older(used, moment, keep):
            limit = moment.timestamp() - keep.total_seconds()
            if discard_prediction(path, folder, unused_since=limit):
                expired.predictions.append(path)
    if not folder.predictions() and _older(folder.backscatter, moment, keep):
        # The backscatter is made again from the source when it is needed.
        folder.backscatter.unlink(missing_ok=True)


def _maps(folder: SceneFolder, current: MapFolder | None, moment: datetime, keep: timedelta, expired: Expired) -> None:
    for found in folder.finished_maps():
        # A map of release 0.1.0 is in the same folder as the scene and is deleted with it.
        if found.version and found != current and _older(found.manifest, moment, keep):
            delete_directory(found.directory)
            expired.maps.append(found.directory)


def _drawings(folder: SceneFolder, moment: datetime, expired: Expired) -> None:
    for path in folder.drawings.glob("*"):
        if path.is_dir() and _older(path, moment, LEFT_BEHIND):
            shutil.rmtree(path, ignore_errors=True)
            expired.leftovers.append(path)


def _version(
    folder: SceneFolder, current: MapFolder | None, moment: datetime, keep: timedelta, expired: Expired
) -> None:
    """Delete a whole older version of a scene when it has no map any more."""
    if current is None or folder == current.scene or not _older(folder.meta_path, moment, keep):
        return
    kept = [found for found in folder.finished_maps() if found.version or not _older(found.manifest, moment, keep)]
    try:
        copied = any(not Path(path).is_absolute() for path in folder.meta().source_paths)
    except InputError:
        copied = False
    # The copy of the source in this folder may be the only one.
    if not kept and not copied and not folder.predictions():
        delete_directory(folder.directory)
        expired.versions.append(folder.directory)
