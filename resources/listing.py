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

from drshym_pipeline.storage import TEMPORARY_PREFIX

_log = logging.getLogger(__name__)

SCENE_SUFFIXES = (".tif", ".tiff")


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


def is_scene_name(name: str) -> bool:
    """Whether a file name is that of a finished GeoTIFF: uploads in progress and hidden files are left alone."""
    if name.startswith((".", "~", TEMPORARY_PREFIX)) or name.endswith("~"):
        return False
    return name.lower().endswith(SCENE_SUFFIXES)


def _raise(error: OSError) -> None:
    raise error


def leads_out(path: Path, root: Path) -> bool:
    """Whether a file's bytes lie outside the folder `root`, by a link in its path; a link to nothing does as well."""
    try:
        return not path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # links that lead in a circle are the second
        return True


def list_scenes(root: Path, note: Callable[[str], None] = _log.warning) -> tuple[SourceFile, ...]:
    """All scene files below `root`, sorted by key.

    A link that leads out of the folder is left out: whoever may copy into it must not choose what else is read.

    Args:
        root: The folder.
        note: Told in one line of every link that is left out.

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
            if not is_scene_name(name):
                continue
            if path.is_symlink() and leads_out(path, root):
                note(f"{path}: a link that leads out of the watched folder or to nothing is left alone; copy the scene")
                continue
            try:
                facts = path.stat()
            except FileNotFoundError:  # taken away between the listing and this call: not there is a fact, not a fault
                continue
            key = path.relative_to(root).as_posix()
            found.append(SourceFile(key=key, size=facts.st_size, etag=f"{facts.st_mtime_ns:x}"))
    return tuple(sorted(found))
