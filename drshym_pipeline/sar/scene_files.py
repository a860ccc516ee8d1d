"""Which files are scenes, which files form a pair, and the name of a scene. Command and sensor use the same rules.

A scene is a file with the name of a GeoTIFF that is not a product of this program. Hidden files, hidden folders and
uploads in progress are ignored. `file_names` reads the names; no raster is opened here.

A list of files is complete, or there is an error. A folder that cannot be read must never look like an empty one,
because all scenes in it would seem to be deleted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from drshym_pipeline.sar.file_names import pair_key
from drshym_pipeline.sar.sidecar import is_sidecar
from drshym_pipeline.storage import TEMPORARY_PREFIX

_log = logging.getLogger(__name__)

SCENE_SUFFIXES: Final = (".tif", ".tiff")
_IN_PROGRESS: Final = (".part", ".tmp", "~")
# Files that are read together with a scene or are part of a product's folder. No user expects a map of these.
_COMPANIONS: Final = ("calibration-", "noise-")
_PRODUCT_FOLDER: Final = ".safe"
# Rasters that this program writes beside a map's record. They are no scenes, even when a folder contains its own maps.
MAP_RASTERS: Final = ("_mask", "_proba")
_LONGEST_NAME: Final = 120  # the names of the products begin with it and must fit any file system's 255 bytes

Role = Literal["whole", "VV", "VH"]
ROLES: Final[tuple[Role, ...]] = ("whole", "VV", "VH")


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """One file of a watched folder.

    Args:
        key: Path below the folder, with forward slashes.
        size: Bytes.
        etag: A text that changes whenever the file is written: the modification time in nanoseconds for a local file.
    """

    key: str
    size: int
    etag: str

    @property
    def fingerprint(self) -> str:
        """Return etag and size: two files with the same key and fingerprint are the same upload."""
        return f"{self.etag}-{self.size}"


@dataclass(frozen=True, slots=True)
class SceneGroup:
    """The files that make up one scene.

    Args:
        name: A name that is unique among the groups of one call.
        stem: The path that its files share: without polarisation, and without extension when it is not needed.
        files: The files by role: `whole` alone, or `VV` and `VH`.
    """

    name: str
    stem: str
    files: dict[Role, str] = field(default_factory=dict)

    @property
    def ordered(self) -> list[str]:
        """Return the files, VV first."""
        return [self.files[role] for role in ROLES if role in self.files]


# --- which files are scenes ------------------------------------------------------------------------------------------


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is ignored."""
    return name.startswith((".", "~", TEMPORARY_PREFIX)) or name.endswith("~")


def is_scene_name(name: str) -> bool:
    """Return whether a file name is that of a finished GeoTIFF: uploads in progress and hidden files are not."""
    return not is_hidden(name) and name.lower().endswith(SCENE_SUFFIXES)


def is_map_raster(path: Path) -> bool:
    """Return whether a raster is the mask or the probability of a map that this program wrote."""
    end = next((end for end in MAP_RASTERS if path.stem.endswith(end)), None)
    return end is not None and path.with_name(f"{path.stem.removesuffix(end)}_report.json").is_file()


def may_be_scene(key: str) -> bool:
    """Return whether the user may expect a map of a file that is not a scene, and so the user gets a message.

    Args:
        key: The file's path below the folder, with forward slashes.
    """
    *folders, name = key.split("/")
    if is_hidden(name) or name.lower().endswith(_IN_PROGRESS):
        return False
    if name.lower().startswith(_COMPANIONS) and name.lower().endswith(".xml"):
        return False
    return not any(folder.lower().endswith(_PRODUCT_FOLDER) for folder in folders)


def _raise(error: OSError) -> None:
    raise error


def files_below(root: Path) -> Iterator[Path]:
    """Yield every file of a folder and its subfolders, sorted by folder, without hidden files and folders.

    Links to folders are not followed.

    Raises:
        OSError: The folder, or a folder in it, cannot be read.
    """
    for folder, subfolders, names in os.walk(root, onerror=_raise):
        subfolders[:] = sorted(name for name in subfolders if not is_hidden(name))
        yield from (Path(folder, name) for name in sorted(names) if not is_hidden(name))


def scene_paths(folder: Path, results: Path) -> list[Path]:
    """List the scenes of a folder and its subfolders, in the order of their paths.

    Args:
        folder: The folder that is searched.
        results: The folder of the results; it is left out when it is inside `folder`.

    Raises:
        OSError: The folder, or a folder in it, cannot be read.
    """
    results_inside = results.is_relative_to(folder) and results != folder
    return sorted(
        path
        for path in files_below(folder)
        if is_scene_name(path.name)
        and path.is_file()
        and not (results_inside and path.is_relative_to(results))
        and not is_map_raster(path)
    )


def leads_out(path: Path, root: Path) -> bool:
    """Return whether a file is outside the folder `root` because of a link in its path, or does not exist."""
    try:
        return not path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # RuntimeError: links that point to each other
        return True


def _ignore(key: str) -> None:
    del key


def list_scenes(
    root: Path, note: Callable[[str], None] = _log.warning, ignored: Callable[[str], None] = _ignore
) -> tuple[SourceFile, ...]:
    """List all scene files and side-cars below a watched folder, sorted by key.

    A link that points outside the folder is left out: a user who may copy files into the folder must not be able to
    make the program read other files.

    Args:
        root: The folder.
        note: Called with one line for every link that is left out.
        ignored: Called with the key of every other file of which the user may expect a map. A raster that is itself a
            map of this program gets the words "(a map of this program)" after its key.

    Raises:
        OSError: The folder, or a folder in it, cannot be read.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: the watched folder does not exist")
    found: list[SourceFile] = []
    for path in files_below(root):
        key = path.relative_to(root).as_posix()
        if is_scene_name(path.name):
            if is_map_raster(path):
                ignored(f"{key} (a map of this program)")
                continue
        elif not is_sidecar(path.name):
            if may_be_scene(key):
                ignored(key)
            continue
        if path.is_symlink() and leads_out(path, root):
            note(f"{path}: ignored: the link points outside the watched folder or to no file; copy the scene instead")
            continue
        try:
            facts = path.stat()
        except FileNotFoundError:  # removed after the folder was listed: that is not an error
            continue
        found.append(SourceFile(key=key, size=facts.st_size, etag=f"{facts.st_mtime_ns:x}"))
    return tuple(sorted(found))


# --- which files form a pair ------------------------------------------------------------------------------------------


def pair_files(keys: Iterable[str]) -> list[SceneGroup]:
    """Group files into scenes.

    Files of one folder whose names differ only by their polarisation are one scene. Every other file is one scene. Two
    files of different folders, or of the same polarisation, are never one scene.

    Args:
        keys: Paths with forward slashes, in the order of the result.

    Returns:
        The scenes, in the order of their first files.
    """
    groups: dict[str, SceneGroup] = {}
    for place, key in enumerate(keys):
        path = PurePosixPath(key)
        stem, polarisation = pair_key(path.name)
        folder = path.parent.as_posix()
        stem = stem if folder == "." else f"{folder}/{stem}"
        role: Role = polarisation or "whole"
        name = f"{stem}|pair" if polarisation else key
        if name in groups and role in groups[name].files:  # scene_vv.tif beside scene_VV.tiff, or a file given twice
            stem = key
            name = key if key not in groups else f"{key}|{place}"
        groups.setdefault(name, SceneGroup(name, stem)).files[role] = key
    return list(groups.values())


# --- the name of a scene ------------------------------------------------------------------------------------------


def is_scene_id(text: str) -> bool:
    """Return whether a text can be a scene's name, which is used in paths and partition keys."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", text) is not None


def scene_id(filenames: Sequence[str]) -> str:
    """Return a name for the scene of these files, with letters, digits, `_`, `-` and `.` only.

    Args:
        filenames: One file, or one file per polarisation.
    """
    key = pair_key(filenames[0])[0]
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", key).strip("._-")
    return safe[:_LONGEST_NAME] or "scene"


def partition_key(stem: str, name: str, taken: Collection[str]) -> str:
    """Return a name for a scene of a watched folder that is different from every name in `taken`.

    Unlike a `scene_id` it includes the folder and has no dots: Dagster forbids "..." in its keys, and a key must not
    look like a name with an extension.

    Args:
        stem: The scene's path without extension and polarisation, such as `rome/S1_scene`.
        name: A text that is unique for the scene.
        taken: The names of other scenes.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "scene"
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    if len(safe) <= _LONGEST_NAME and safe not in taken:
        return safe
    return f"{safe[:_LONGEST_NAME]}-{digest}"
