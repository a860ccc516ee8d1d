"""The logs of the services: one file per service, rotated at a fixed size, in a folder that is not uploaded.

A service writes into a pipe, and a thread of the supervisor writes the lines into the file. If a service wrote into the
file itself, it would continue to write into the renamed file after a rotation.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

FOLDER = "service_logs"
SERVICES = ("dagster-daemon", "dagster-webserver", "mlflow")
MAX_BYTES = 10_000_000
BACKUPS = 4
_LINE_BYTES = 64 * 1024
_TAIL_LINES = 15
# Dagster uploads and deletes every file in the first folder, and keeps a file in the second one while it does so.
_TELEMETRY_FOLDERS = ("logs", ".logs_queue")


class _QuietHandler(RotatingFileHandler):
    """Drops a line that cannot be written: a full disk must not stop the service whose log this is."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is given by logging
        del record


class ServiceLog:
    """The log of one service: `<name>.log` and at most `backups` older files of `max_bytes` each.

    Args:
        folder: Folder of the logs; it is made.
        name: Name of the service.
        max_bytes: A file that would become larger is renamed to `<name>.log.1`, the one before to `.2`, and so on.
        backups: Renamed files that are kept.
    """

    def __init__(self, folder: Path, name: str, *, max_bytes: int = MAX_BYTES, backups: int = BACKUPS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.log"
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._handler = _QuietHandler(self.path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")

    def write(self, line: str) -> None:
        """Append one line."""
        if line.strip():
            self._tail.append(line)
        self._handler.handle(logging.LogRecord("service", logging.INFO, "", 0, line, None, None))

    def note(self, line: str) -> None:
        """Append a line of the supervisor, and clear the tail."""
        self.write(line)
        self._tail.clear()

    def tail(self) -> list[str]:
        """Return the last lines since the last note, without empty ones, oldest first."""
        return list(self._tail)

    def copy(self, stream: IO[bytes]) -> None:
        """Append all lines of a stream until it ends, and close it."""
        with stream:
            while line := stream.readline(_LINE_BYTES):
                self.write(line.decode("utf-8", "replace").rstrip("\r\n"))

    def follow(self, stream: IO[bytes]) -> threading.Thread:
        """Copy a stream in a new thread; it ends when the last process that can write to the stream has ended."""
        thread = threading.Thread(target=self.copy, args=(stream,), name=f"log of {self.path.stem}", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Close the file; a line that comes later opens it again."""
        self._handler.close()


def rescue_old_logs(home: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Move service logs out of Dagster's telemetry folders, where earlier releases kept them.

    Only the last `max_bytes` of a log are kept, because the old logs had no size limit.
    """
    for folder in (home / name for name in _TELEMETRY_FOLDERS):
        for service in SERVICES:
            old = folder / f"{service}.log"
            if not old.is_file():
                continue
            log = ServiceLog(home / FOLDER, service, max_bytes=max_bytes)
            stream = old.open("rb")
            stream.seek(max(old.stat().st_size - max_bytes, 0))
            log.copy(stream)
            log.close()
            old.unlink()
