"""Paths, atomic writes and content hashes.

Every product gets its final name in one rename, after its bytes are on the disk. A reader never sees half a file, and a
killed writer leaves only a temporary folder. The name of that folder contains the process that writes it, so that the
next run on the same folder can delete what a killed process has left.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from drshym_pipeline.errors import InputError
from drshym_pipeline.worker_threads import check_needed

_CHUNK = 1 << 20
_UPLOAD_SCHEME = "upload"
TEMPORARY_PREFIX = ".partial-"
# host, process id, start of the process in whole seconds since 1970, and what mkdtemp adds
_OWNED = re.compile(re.escape(TEMPORARY_PREFIX) + r"(?P<host>.+)\.(?P<pid>\d+)\.(?P<start>\d+)-[^.]*")
# How long a temporary folder is kept that has no owner in its name (of an earlier release) or is of another host.
_FOREIGN_SECONDS = 7 * 86400.0
# The system derives the start of a process from the clock, which may be corrected while the process runs.
_CLOCK_SECONDS = 60


def process_start(pid: int) -> int | None:
    """Return the start of a process in whole seconds since 1970, or None when no such process runs."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time())
    except psutil.Error:
        return None


@cache
def _prefix_of(pid: int) -> str:
    return f"{TEMPORARY_PREFIX}{socket.gethostname()}.{pid}.{process_start(pid)}-"


@contextmanager
def temporary_directory(parent: Path) -> Iterator[Path]:
    """Yield a temporary folder inside `parent`, which must exist; it is deleted at the end of the block.

    Its path is absolute: GDAL takes the beginning of a relative path such as `s3:x/map.tif` for an address.
    """
    check_needed()
    folder = Path(tempfile.mkdtemp(prefix=_prefix_of(os.getpid()), dir=parent.absolute()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(directory: Path) -> list[Path]:
    """Delete the temporary folders directly inside `directory` whose process has ended.

    A folder of another host, or without an owner in its name, is deleted when it is seven days old.

    Returns:
        The deleted folders.
    """
    if not directory.is_dir():
        return []
    abandoned = [path for path in sorted(directory.glob(f"{TEMPORARY_PREFIX}*")) if path.is_dir() and _ownerless(path)]
    for path in abandoned:
        shutil.rmtree(path, ignore_errors=True)
    return abandoned


def _ownerless(path: Path) -> bool:
    owner = _OWNED.fullmatch(path.name)
    if owner is not None and owner["host"] == socket.gethostname():
        started = process_start(int(owner["pid"]))
        return started is None or abs(started - int(owner["start"])) > _CLOCK_SECONDS
    try:
        return time.time() - path.stat().st_mtime > _FOREIGN_SECONDS
    except FileNotFoundError:  # its own process has deleted it in the meantime
        return False


def make_directory(path: Path) -> None:
    """Create a folder for results, with its parents, if it does not exist.

    Raises:
        InputError: The path is a file, or the folder cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(path, f"cannot be used as a folder ({error.strerror})", "Choose another --out") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(path, "cannot be written to", "Choose another --out")


@contextmanager
def output_directory(path: Path) -> Iterator[None]:
    """Make a folder for results. If the block raises, delete the folder and its new parents again if they are empty.

    Raises:
        InputError: The path is a file, or the folder cannot be created or written to.
    """
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    make_directory(path)
    remove_abandoned(path)
    try:
        yield
    except BaseException:
        for folder in new:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def fsync_directory(directory: Path) -> None:
    """Flush a directory entry, so that a rename in it survives a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_file(path: Path) -> None:
    with path.open("rb+") as handle:
        os.fsync(handle.fileno())


def fsync_tree(directory: Path) -> None:
    """Flush every file below a directory."""
    for file in directory.rglob("*"):
        if file.is_file():
            _fsync_file(file)


def delete_directory(path: Path) -> None:
    """Delete a directory in one step for every reader: it is renamed first, then its files are deleted."""
    with temporary_directory(path.parent) as holder:
        path.replace(holder / path.name)


@contextmanager
def scratch_directory(parent: Path) -> Iterator[Path]:
    """Yield a temporary folder inside `parent`, which is made if missing; it is deleted at the end of the block."""
    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(parent)
    with temporary_directory(parent) as folder:
        yield folder


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` when the block succeeds.

    The temporary name keeps the suffix, because GDAL and other libraries choose the format by it. If the block raises,
    the temporary file is deleted and `path` is not changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_directory(path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        _fsync_file(temporary)
        temporary.replace(path)
        fsync_directory(path.parent)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary directory beside `path` that replaces `path` when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_directory(path.parent) as holder:
        temporary = holder / path.name
        temporary.mkdir()
        yield temporary
        fsync_tree(temporary)
        if path.exists():
            # A directory cannot be replaced in one call: the old one is moved first and deleted with the holder.
            path.replace(holder / "replaced")
        temporary.replace(path)
        fsync_directory(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path` atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically; NaN raises an error, because JSON has no NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path, *, remedy: str = "Write the file again") -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        remedy: What to do when it is not JSON.

    Raises:
        InputError: The file is missing or not JSON. NaN and Infinity, also as a number too large for a float, are not.
    """
    try:
        return _parsed(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(path, "the file does not exist", "Check the path") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(path, f"not valid JSON ({error})", remedy) from error


def _parsed(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is not JSON, or a number in it is not finite.
    """
    return json.loads(text, parse_constant=_refused, parse_float=_finite)


def _refused(name: str) -> Any:
    raise ValueError(f"it contains {name}, but every number must be finite")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as lower-case hex; the file is read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_CHUNK):
            check_needed()
            digest.update(block)
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return a JSON value in canonical form: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode("utf-8")


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value in canonical form."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def sha256_files(files: Iterable[Path], root: Path) -> str:
    """Return one SHA-256 of a set of files: their paths below `root` and their contents, in the order of the paths."""
    parts: Mapping[str, str] = {file.relative_to(root).as_posix(): sha256_file(file) for file in files}
    return sha256_json(dict(sorted(parts.items())))


def to_uri(path: Path) -> str:
    """Return the `file://` URI of a local path."""
    return path.resolve().as_uri()


def upload_uri(name: str) -> str:
    """Return a URI for a file that a user has uploaded and that is not kept: `upload:` and the user's name of it."""
    return f"{_UPLOAD_SCHEME}:{quote(name, safe='')}"


def plain_name(uri: str) -> str:
    """Return the path of a `file://` URI or the name in an `upload:` URI, as a user writes it; any other as it is."""
    parts = urlsplit(uri)
    return url2pathname(parts.path) if parts.scheme in ("file", _UPLOAD_SCHEME) else uri
