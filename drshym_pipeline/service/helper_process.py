"""A process that answers one request after the other, and that may crash or hang without harm to the service.

Raster libraries run in such processes, because a crash in one of them ends the process that has loaded it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final

from drshym_pipeline.service.spawning import start_uninterrupted

_START_SECONDS: Final = 60.0  # the libraries are loaded from a cold disk on a busy machine
_END_SECONDS: Final = 5.0
READY: Final = "ready"
"""What the function in the process sends first."""


class ProcessEndedError(Exception):
    """The process has ended before it answered."""


class TimeLimitError(Exception):
    """The process did not answer in time."""


class HelperProcess:
    """One process, for one request at a time. It is started before it is asked for the first time.

    Args:
        serve: The function that runs in it: it calls `ignore_interrupt`, sends `READY`, then receives requests and
            sends the answers.
        name: The name of the process.
    """

    def __init__(self, serve: Callable[[Connection], None], name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other,), name=name, daemon=True)
        start_uninterrupted(self._process)
        other.close()
        self._is_ready = False

    @property
    def pid(self) -> int | None:
        """The id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.is_alive()

    def ask(self, request: Any, seconds: float) -> Any:
        """Return the answer to a request.

        Args:
            request: What the process understands.
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
