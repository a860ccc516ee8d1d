"""Which files of a folder may be scenes. Command and sensor use the same rules.

These are files with the name of a GeoTIFF that are not products of this program, SAFE folders, and zips with the name
of a Sentinel-1 product. Hidden files, hidden folders and uploads in progress are ignored. `scene_groups` says which of
them form one scene and which are only companions of one; no raster is opened here.

A list of files is complete, or there is an error. A folder that cannot be read must never look like an empty one,
because all scenes in it would seem to be deleted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from drshym_pipeline.sar.safe_product import (
    is_product_image,
    is_product_zip_name,
    is_stray_raster,
    is_table,
    safe_folder_of,
    skipped_product,
)
from drshym_pipeline.sar.sidecar import is_sidecar
from drshym_pipeline.storage import TEMPORARY_PREFIX

_log = logging.getLogger(__name__)

SCENE_SUFFIXES: Final = (".tif", ".tiff")
_IN_PROGRESS: Final = (".part", ".tmp", "~")
# Rasters that this program writes beside a map's record. They are not scenes, even when a folder contains its own maps.
MAP_RASTERS: Final = (
    "_mask",
    "_flood_proba",
    "_proba",
    "_reference",
    "_exclusion",
    "_backscatter",
    "_backscatter_before",
)


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


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is ignored."""
    return name.startswith((".", "~", TEMPORARY_PREFIX)) or name.endswith("~")


def is_scene_name(name: str) -> bool:
    """Return whether a file name is that of a finished GeoTIFF: uploads in progress and hidden files are not."""
    return not is_hidden(name) and name.lower().endswith(SCENE_SUFFIXES)


def is_map_raster(path: Path) -> bool:
    """Return whether a raster is one of a map that this program wrote, such as its mask."""
    names = [path.stem.removesuffix(end) for end in MAP_RASTERS if path.stem.endswith(end)]
    return any(path.with_name(f"{name}_report.json").is_file() for name in names)


def may_be_scene(key: str) -> bool:
    """Return whether the user may expect a map of a file that is not a scene, and so the user gets a message.

    Args:
        key: The file's path below the folder, with forward slashes.
    """
    name = PurePosixPath(key).name
    if is_hidden(name) or name.lower().endswith(_IN_PROGRESS):
        return False
    return safe_folder_of(PurePosixPath(key)) is None


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


def _files_outside(folder: Path, results: Path) -> Iterator[Path]:
    """Yield the files below a folder; those of the folder of the results are left out when it is inside the other."""
    inside = results.is_relative_to(folder) and results != folder
    return (path for path in files_below(folder) if not (inside and path.is_relative_to(results)))


def scene_paths(folder: Path, results: Path) -> list[Path]:
    """List what may be a scene or a companion in a folder and its subfolders, in the order of the paths.

    These are GeoTIFFs, SAFE folders, and zips with the name of a product.

    Args:
        folder: The folder that is searched.
        results: The folder of the results; it is left out when it is inside `folder`.

    Raises:
        OSError: The folder, or a folder in it, cannot be read.
    """
    found: set[Path] = set()
    for path in _files_outside(folder, results):
        if (safe := safe_folder_of(path.relative_to(folder))) is not None:
            found.add(folder / safe)
        elif path.is_file() and (
            is_product_zip_name(path.name) or (is_scene_name(path.name) and not is_map_raster(path))
        ):
            found.add(path)
    return sorted(found)


def stray_rasters(folder: Path, results: Path) -> list[Path]:
    """List the rasters in the SAFE folders of a folder that are not images of the product, and so are not mapped.

    Args:
        folder: The folder that is searched.
        results: The folder of the results; it is left out when it is inside `folder`.

    Raises:
        OSError: The folder, or a folder in it, cannot be read.
    """
    return [
        path
        for path in _files_outside(folder, results)
        if is_stray_raster(path.relative_to(folder)) and not is_map_raster(path)
    ]


def sidecar_paths(folder: Path, results: Path) -> list[Path]:
    """List the side-cars in a folder and its subfolders, in the order of the paths.

    Args:
        folder: The folder that is searched.
        results: The folder of the results; it is left out when it is inside `folder`.

    Raises:
        OSError: The folder, or a folder in it, cannot be read.
    """
    return sorted(path for path in _files_outside(folder, results) if is_sidecar(path.name))


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
    """List the files below a watched folder that may belong to a scene, sorted by key.

    These are GeoTIFFs, zips with the name of a product, tables of images, and side-cars. Of a SAFE folder only the
    images and their tables are listed.

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
    skipped: set[str] = set()
    for path in files_below(root):
        key = path.relative_to(root).as_posix()
        if (product := _skipped_in(PurePosixPath(key))) is not None:
            skipped.add(product)
            continue
        if not _is_listed(path, PurePosixPath(key)):
            if is_scene_name(path.name) and is_map_raster(path):
                ignored(f"{key} (a map of this program)")
            elif is_stray_raster(PurePosixPath(key)):
                ignored(f"{key} (inside a product, and none of its images)")
            elif may_be_scene(key):
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
    for text in sorted(skipped):
        ignored(text)
    return tuple(sorted(found))


def _is_listed(path: Path, key: PurePosixPath) -> bool:
    """Return whether a file may belong to a scene: it is a raster, a zip of a product, a table or a side-car."""
    if is_table(key):
        return not path.is_symlink()  # a link is not read
    if is_sidecar(path.name) or is_product_zip_name(path.name):
        return True
    if safe_folder_of(key) is not None:
        return is_product_image(key)
    return is_scene_name(path.name) and not is_map_raster(path)


def _skipped_in(key: PurePosixPath) -> str | None:
    """Return the product that a file is part of and why it is not mapped, or None if it may be mapped."""
    product = safe_folder_of(key) or (key if is_product_zip_name(key.name) else None)
    reason = None if product is None else skipped_product(product.name)
    return None if reason is None else f"{product} ({reason})"
