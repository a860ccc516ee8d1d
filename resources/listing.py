"""What lies in a folder of scenes, as plain values; knows nothing of Dagster.

A listing is complete or it is an error: a folder that cannot be read must never look like an empty one, or every scene
in it would seem to be gone.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drshym_pipeline.sar.sidecar import is_sidecar
from drshym_pipeline.storage import TEMPORARY_PREFIX

_log = logging.getLogger(__name__)

SCENE_SUFFIXES = (".tif", ".tiff")
_IN_PROGRESS = (".part", ".tmp", "~")
# What comes with a scene and is read with it, or is one of the many files of a product's folder: nobody expects a map
# of these.
_COMPANIONS = ("calibration-", "noise-")
_PRODUCT_FOLDER = ".safe"


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """One file of the watched folder.

    Args:
        key: Path below the folder, with forward slashes.
        size: Bytes.
        etag: Changes whenever the file is written: the modification time in nanoseconds for a local file.
    """

    key: str
    size: int
    etag: str

    @property
    def fingerprint(self) -> str:
        """Etag and size: two files with the same key and fingerprint are the same upload."""
        return f"{self.etag}-{self.size}"


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "~", TEMPORARY_PREFIX)) or name.endswith("~")


def is_scene_name(name: str) -> bool:
    """Whether a file name is that of a finished GeoTIFF: uploads in progress and hidden files are left alone."""
    return not _is_hidden(name) and name.lower().endswith(SCENE_SUFFIXES)


def is_worth_naming(key: str) -> bool:
    """Whether a file that is no scene and no side-car may have been meant as one, so that its user must hear of it."""
    *folders, name = key.split("/")
    if _is_hidden(name) or name.lower().endswith(_IN_PROGRESS):
        return False
    if name.lower().startswith(_COMPANIONS) and name.lower().endswith(".xml"):
        return False
    return not any(folder.lower().endswith(_PRODUCT_FOLDER) for folder in folders)


def _raise(error: OSError) -> None:
    raise error


def leads_out(path: Path, root: Path) -> bool:
    """Whether a file's bytes lie outside the folder `root`, by a link in its path; a link to nothing does as well."""
    try:
        return not path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # links that lead in a circle are the second
        return True


def _ignore(key: str) -> None:
    del key


def list_scenes(
    root: Path, note: Callable[[str], None] = _log.warning, ignored: Callable[[str], None] = _ignore
) -> tuple[SourceFile, ...]:
    """All scene files and side-cars below `root`, sorted by key.

    A link that leads out of the folder is left out: whoever may copy into it must not choose what else is read.

    Args:
        root: The folder.
        note: Called with one line for every link that is left out.
        ignored: Called with the key of every other file that may have been meant as a scene.

    Raises:
        OSError: The folder, or a folder in it, cannot be read.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: the watched folder is not there")
    found: list[SourceFile] = []
    for folder, subfolders, names in os.walk(root, onerror=_raise):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "~")))
        for name in sorted(names):
            path = Path(folder, name)
            key = path.relative_to(root).as_posix()
            if not is_scene_name(name) and (_is_hidden(name) or not is_sidecar(name)):
                if is_worth_naming(key):
                    ignored(key)
                continue
            if path.is_symlink() and leads_out(path, root):
                note(f"{path}: a link that leads out of the watched folder or to nothing is left alone; copy the scene")
                continue
            try:
                facts = path.stat()
            except FileNotFoundError:  # taken away between the listing and this call: not there is a fact, not a fault
                continue
            found.append(SourceFile(key=key, size=facts.st_size, etag=f"{facts.st_mtime_ns:x}"))
    return tuple(sorted(found))
