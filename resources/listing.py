"""What lies in a folder of scenes, as plain values; knows nothing of Dagster.

A listing is complete or it is an error: a folder that cannot be read must never look like an empty one, or every scene
in it would seem to be gone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from drshym_pipeline.storage import TEMPORARY_PREFIX

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


def list_scenes(root: Path) -> tuple[SourceFile, ...]:
    """All scene files below `root`, sorted by key.

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
            try:
                facts = path.stat()
            except FileNotFoundError:  # taken away between the listing and this call: not there is a fact, not a fault
                continue
            key = path.relative_to(root).as_posix()
            found.append(SourceFile(key=key, size=facts.st_size, etag=f"{facts.st_mtime_ns:x}"))
    return tuple(sorted(found))
