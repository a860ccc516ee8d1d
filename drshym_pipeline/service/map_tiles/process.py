"""A process that draws: how it is started, asked, and stopped."""

from __future__ import annotations

import multiprocessing
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from drshym_pipeline.errors import one_line
from drshym_pipeline.service.map_tiles.drawing import Drawing, DrawRequest, ReadRequest, drawing_environment

_START_SECONDS: Final = 60.0  # the libraries are loaded from a cold disk on a busy machine
_END_SECONDS: Final = 5.0
_READY: Final = "ready"


@dataclass(frozen=True)
class Failure:
    """A request that could not be answered."""

    text: str


class ProcessEndedError(Exception):
    """The process has ended before it answered."""


class TimeLimitError(Exception):
    """The process did not answer in time."""


def _serve(connection: Connection) -> None:
    """Answer requests until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the service stops this one itself
    import rio_tiler.reader  # noqa: F401  # loaded before the first request

    drawing = Drawing()
    with drawing_environment():
        connection.send(_READY)
        while True:
            try:
                request = connection.recv()
            except (EOFError, OSError):
                return
            try:
                answer: Any = drawing.answer(request)
            except Exception as error:  # the next request is answered all the same
                answer = Failure(one_line(error))
            connection.send(answer)


class TileProcess:
    """One process that draws, for one request at a time. It is started before it is asked for the first time."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), name="drshym-tiles", daemon=True)
        self._process.start()
        other.close()
        self._is_ready = False

    @property
    def pid(self) -> int | None:
        """The id of the process."""
        return self._process.pid

    def ask(self, request: DrawRequest | ReadRequest, seconds: float) -> Any:
        """Return the answer to a request.

        Args:
            request: What to draw or read.
            seconds: The time limit, without the start of the process.

        Raises:
            ProcessEndedError: The process has ended. It must be replaced.
            TimeLimitError: It did not answer in time. It must be replaced.
        """
        try:
            if not self._is_ready:
                self._receive(_START_SECONDS)
                self._is_ready = True
            self._connection.send(request)
            return self._receive(seconds)
        except (EOFError, OSError) as error:
            raise ProcessEndedError from error

    def _receive(self, seconds: float) -> Any:
        if not self._connection.poll(seconds):
            raise TimeLimitError
        return self._connection.recv()

    def stop(self) -> None:
        """End the process, also in the middle of a request."""
        self._connection.close()
        self._process.kill()
        self._process.join(_END_SECONDS)


def named_file(request: DrawRequest | ReadRequest) -> Path:
    """Return the file of a request, for an error; the first one if there are several."""
    if isinstance(request, DrawRequest):
        return request.raster.path
    return next(iter(request.pixels.values()))[0].path
