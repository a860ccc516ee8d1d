"""Local copies of the tiles of a bucket: downloaded once, bounded in size, used by several processes at once.

A copy is named after everything that decides its bytes, so a changed object is another file. A process that reads a
copy has a shared lock on it. Only copies without a lock are removed, the least recently used ones first. The system
releases the locks of a process when it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from drshym_pipeline.errors import UnavailableError
from drshym_pipeline.storage import atomic_path, remove_abandoned, sha256_file, write_text

_DIGEST: Final = ".sha256"  # suffix of the small file with the hash of a copy, which outlives the copy
_DIGEST_SECONDS: Final = 365 * 86400.0  # unused hashes are kept for so long
_LOCKS: Final = ".locks"
_WAIT_SECONDS: Final = 900.0  # for another process that downloads the same tile
_TRIES: Final = 3


class HeldCopy:
    """A copy that is not removed as long as this object exists.

    Args:
        path: The file.
        descriptor: Its open file with a shared lock, closed with this object.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        weakref.finalize(self, os.close, descriptor)


class TileCache:
    """A folder with copies.

    Args:
        folder: The folder; made when it is first used.
        limit: Bytes of all copies. They can be more while all are in use.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder.absolute(), limit

    def hold(self, name: str, size: int, fetch: Callable[[], Iterable[bytes]]) -> HeldCopy:
        """Return a copy, downloaded if it is not there.

        Args:
            name: The name of the file; the same name means the same bytes.
            size: Its size in bytes.
            fetch: Downloads it.

        Raises:
            UnavailableError: It cannot be downloaded, has another size, or the folder cannot be written to.
        """
        with self._errors_explained():
            for _ in range(_TRIES):
                if (held := self._held(name, size)) is not None:
                    return held
                with self._alone(name):
                    if not self._is_whole(name, size):
                        self._make_room(size)
                        self._write(name, size, fetch)
        raise UnavailableError(self.folder / name, "is deleted by other processes after every download", "Try again")

    def digest(self, name: str, copy: Callable[[], HeldCopy]) -> str:
        """Return the SHA-256 of a copy, which is read for it only if its hash is not known yet.

        Args:
            name: The name of the file.
            copy: Returns the copy.
        """
        place = self.folder / f"{name}{_DIGEST}"
        with self._errors_explained():
            try:
                known = place.read_text("ascii").strip()
                os.utime(place)
            except FileNotFoundError:
                known = sha256_file(copy().path)
                write_text(place, known + "\n")
        return known

    def _held(self, name: str, size: int) -> HeldCopy | None:
        path = self.folder / name
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        held = HeldCopy(path, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        # It may have been removed or replaced between both calls.
        try:
            is_same = os.path.samestat(os.fstat(descriptor), path.stat())
        except FileNotFoundError:
            return None
        if not is_same or path.stat().st_size != size:
            return None
        os.utime(path)  # the time of its last use
        return held

    def _is_whole(self, name: str, size: int) -> bool:
        try:
            return (self.folder / name).stat().st_size == size
        except FileNotFoundError:
            return False

    def _write(self, name: str, size: int, fetch: Callable[[], Iterable[bytes]]) -> None:
        digest, written = hashlib.sha256(), 0
        with atomic_path(self.folder / name) as temporary:
            with temporary.open("wb") as handle:
                for part in fetch():
                    handle.write(part)
                    digest.update(part)
                    written += len(part)
            if written != size:
                raise UnavailableError(name, f"came with {written:,} of {size:,} bytes", "Try again")
        write_text(self.folder / f"{name}{_DIGEST}", digest.hexdigest() + "\n")

    def _make_room(self, needed: int) -> None:
        """Remove copies that nobody uses until there is room, those of the oldest last use first."""
        remove_abandoned(self.folder)
        now = time.time()
        copies: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process removes too
                facts = path.stat()
                if path.suffix == _DIGEST:
                    if now - facts.st_mtime > _DIGEST_SECONDS:
                        path.unlink()
                elif path.is_file():
                    copies.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in copies) + needed
        for _, size, path in sorted(copies):
            if total <= self.limit:
                return
            if _removed(path):
                total -= size

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Let one caller at a time download a copy; names share 256 locks."""
        locks = self.folder / _LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        place = hashlib.sha256(name.encode()).hexdigest()[:2]
        lock = FileLock(locks / f"{place}.lock", timeout=_WAIT_SECONDS, thread_local=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise UnavailableError(
                self.folder / name,
                "is being downloaded by another process",
                "Wait until that has ended, then try again",
            ) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        """Raise one sentence when the folder cannot be used."""
        try:
            yield
        except OSError as error:
            raise UnavailableError(
                self.folder,
                f"cannot be used for copies of tiles ({error.strerror or error})",
                "Make room, or set DRSHYM_ANCILLARY_CACHE to another folder",
            ) from error


def _removed(path: Path) -> bool:
    """Remove a copy, unless a process reads it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
