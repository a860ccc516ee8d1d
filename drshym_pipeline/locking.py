"""A lock that lets only one process work in a folder; a second one gets an error that names the first.

The lock belongs to the process: the operating system releases it when the process ends, for whatever reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from drshym_pipeline.errors import InputError

LOCK_FILE = ".lock"


@contextmanager
def alone_in(folder: Path, holder: str) -> Iterator[None]:
    """Lock a folder during the block, against other processes and other callers in this process.

    Args:
        folder: The folder; created if missing. The lock is a small file in it that is not deleted.
        holder: The name of the caller, used as the subject of the error that others get.

    Raises:
        InputError: Another caller has locked it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        other = path.read_text("utf-8").strip() or "another process"
        raise InputError(folder, f"{other} works in it now", "Wait until that has ended, then start again") from error
    try:
        path.write_text(f"{holder}\n", "utf-8")
        yield
    finally:
        lock.release()
