"""One process at a time in a folder: whoever comes second is refused in one sentence, and nothing is written twice.

The lock belongs to the process: the system gives it back when the process ends, however it ends.
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
    """Keep every other process, and every other caller in this one, out of a folder during the block.

    Args:
        folder: Made when missing; the lock is a small file in it that stays there.
        holder: Who works in it, as the subject of the sentence that others are refused with.

    Raises:
        InputError: Someone else works in it now.
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
