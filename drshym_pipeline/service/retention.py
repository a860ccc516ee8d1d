"""Which maps and uploads of the service are deleted, and when.

`plan_deletions` decides, from a list of what is there; `sweep` makes the list and deletes. Maps of the lineage have a
retention of their own (`products/expiry.py`) and are not touched here.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from drshym_pipeline.errors import one_line
from drshym_pipeline.scene_folder import product_name
from drshym_pipeline.service.scenes import SceneCatalogue, subfolders
from drshym_pipeline.service.settings import ServiceSettings
from drshym_pipeline.storage import remove_abandoned

HOUR: Final = 3600.0
DAY: Final = 86400.0
# A folder is made shortly before its job is in the queue, and a map is finished shortly before it is the current one.
SETTLING_SECONDS: Final = 600.0

Reason = Literal["replaced", "unfinished", "age", "quota", "unused"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredMap:
    """The folder of one job below a scene.

    Args:
        scene_id: The scene.
        folder: The folder.
        bytes: The sum of the sizes of its files.
        changed_at: When a file was last added to it, in seconds since 1970.
        current: Whether it is the current map of its scene. If not, it was replaced, or its job has not finished it.
        finished: Whether it contains the record of a map.
    """

    scene_id: str
    folder: Path
    bytes: int
    changed_at: float
    current: bool
    finished: bool


@dataclass(frozen=True)
class StoredUpload:
    """The folder of one upload, and when a file was last added to it, in seconds since 1970."""

    folder: Path
    changed_at: float


@dataclass(frozen=True)
class Limits:
    """How much is kept for how long.

    Args:
        quota_bytes: The most bytes that all maps may have together.
        keep_seconds: The age from which a map is deleted.
        keep_upload_seconds: The age from which an upload is deleted that no job uses.
    """

    quota_bytes: int
    keep_seconds: float
    keep_upload_seconds: float

    @classmethod
    def of(cls, settings: ServiceSettings) -> Limits:
        """Return the limits in the settings of the service."""
        return cls(settings.quota_bytes, settings.keep_days * DAY, settings.keep_upload_hours * HOUR)


@dataclass(frozen=True)
class Deletion:
    """A folder that is deleted, and why: of a map if `scene_id` is given, otherwise of an upload."""

    folder: Path
    reason: Reason
    scene_id: str | None = None


def plan_deletions(
    maps: Collection[StoredMap],
    uploads: Iterable[StoredUpload],
    limits: Limits,
    moment: float,
    *,
    active: Collection[Path] = (),
    just_made: Collection[Path] = (),
) -> list[Deletion]:
    """Return what is to be deleted.

    Folders of jobs that have not ended are always kept. The current map of a scene is deleted because of its age, or
    because all maps together are larger than the quota; then the oldest maps are deleted first. The newest map of all,
    and those in `just_made`, are never deleted for the quota.

    Args:
        maps: What is in the folder of the scenes.
        uploads: What is in the folder of the uploads.
        limits: How much is kept for how long.
        moment: The current time, in seconds since 1970.
        active: The folders of maps and uploads of jobs that have not ended.
        just_made: The folders of maps that were finished by the job whose end is the reason for this call.
    """
    deletions: list[Deletion] = []
    kept: list[StoredMap] = []
    for found in maps:
        reason = None if found.folder in active else _map_reason(found, limits, moment, found.folder in just_made)
        if reason is None:
            kept.append(found)
        else:
            deletions.append(Deletion(found.folder, reason, found.scene_id))
    deletions += _beyond_quota(kept, limits.quota_bytes, {*active, *just_made})
    for upload in uploads:
        if upload.folder not in active and moment - upload.changed_at > limits.keep_upload_seconds:
            deletions.append(Deletion(upload.folder, "unused"))
    return deletions


def _map_reason(found: StoredMap, limits: Limits, moment: float, just_made: bool) -> Reason | None:
    """Return why a map is deleted with any quota, None if it is not."""
    age = moment - found.changed_at
    if found.current:
        return "age" if age > limits.keep_seconds and not just_made else None
    if just_made or age <= SETTLING_SECONDS:
        return None
    return "replaced" if found.finished else "unfinished"


def _beyond_quota(kept: Collection[StoredMap], quota_bytes: int, protected: Collection[Path]) -> list[Deletion]:
    """Return the oldest maps whose deletion makes the others small enough, as far as that is possible."""
    total = sum(found.bytes for found in kept)
    current = sorted((found for found in kept if found.current), key=lambda found: (found.changed_at, found.folder))
    deletions = []
    for found in current[:-1]:
        if total <= quota_bytes:
            break
        if found.folder not in protected:
            total -= found.bytes
            deletions.append(Deletion(found.folder, "quota", found.scene_id))
    return deletions


def sweep(
    catalogue: SceneCatalogue,
    uploads: Path,
    limits: Limits,
    *,
    active: Collection[Path] = (),
    just_made: Collection[Path] = (),
) -> list[Deletion]:
    """Delete what the limits do not allow, and return it.

    A folder that cannot be deleted is logged and does not stop the others. A file that is being read is readable to its
    end.

    Args:
        catalogue: The scenes of the service.
        uploads: The folder with one folder per upload.
        limits: How much is kept for how long.
        active: The folders of maps and uploads of jobs that have not ended. List them before this call: the folder of a
            job that begins at the same time is new, and is not deleted.
        just_made: The folders of maps that were finished by the job whose end is the reason for this call.
    """
    catalogue.remove_leftovers()
    remove_abandoned(uploads)
    there = stored_maps(catalogue), stored_uploads(uploads)
    plan = plan_deletions(*there, limits, time.time(), active=active, just_made=just_made)
    done = []
    for deletion in plan:
        try:
            if deletion.scene_id is None:
                shutil.rmtree(deletion.folder)
            else:
                catalogue.remove_folder(deletion.scene_id, deletion.folder.name)
        except FileNotFoundError:  # a user has deleted it in the meantime
            continue
        except OSError as error:
            _log.warning("%s cannot be deleted: %s", deletion.folder, one_line(error))
            continue
        done.append(deletion)
        _log.info("Deleted %s (%s)", deletion.folder, deletion.reason)
    for scene_id in catalogue.remove_empty(active):
        _log.info("The id %s is free again, because it has no map", scene_id)
    return done


def stored_maps(catalogue: SceneCatalogue) -> list[StoredMap]:
    """Return every folder of a job below the scenes of the service."""
    found = []
    for scene in subfolders(catalogue.folder):
        measured = [(folder, *_measured(folder)) for folder in subfolders(scene)]
        current = catalogue.current_job(scene.name)
        if current is None or not (scene / current).is_dir():  # lost: the newest map is not deleted because of that
            finished = [(changed_at, folder.name) for folder, _, changed_at, whole in measured if whole]
            current = max(finished)[1] if finished else None
        found += [
            StoredMap(scene.name, folder, size, changed_at, folder.name == current, whole)
            for folder, size, changed_at, whole in measured
        ]
    return found


def stored_uploads(uploads: Path) -> list[StoredUpload]:
    """Return every folder of an upload."""
    return [StoredUpload(folder, _measured(folder)[1]) for folder in subfolders(uploads)]


def _measured(folder: Path) -> tuple[int, float, bool]:
    """Return the size of all files in a folder, its latest change, and whether it has the record of a map."""
    size, changed_at, finished = 0, 0.0, False
    for place, _, names in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in names)):
            try:
                status = path.lstat()
            except FileNotFoundError:  # a temporary file of a job that runs
                continue
            changed_at = max(changed_at, status.st_mtime)
            size += status.st_size if path != Path(place) else 0
            finished = finished or (path.parent == folder and path.name.endswith(product_name("", "record")))
    return size, changed_at, finished
