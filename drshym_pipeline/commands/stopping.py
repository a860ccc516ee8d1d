"""How a command is stopped: by Ctrl+C (SIGINT), or by SIGTERM, which `timeout` and service managers send.

Both raise a KeyboardInterrupt in the main thread, so temporary files are removed. `StoppedError` is that interrupt as
an error of a command. A second signal ends the process at once, with its child processes; a temporary folder that it
leaves is deleted by the next command that writes to the same folder. Imports nothing heavy.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from drshym_pipeline.commands.exit_codes import ExitCode
from drshym_pipeline.errors import DrShymError

# An interrupt while a library such as torch is imported may reach C++ code, which ends the process at once (SIGABRT).
_IMPORTING: Final = "<frozen importlib._bootstrap>"
_AGAIN_SECONDS: Final = 0.05
# `timeout` sends its signal twice, to the process and to its group. This is not a second request to stop.
_SAME_REQUEST_SECONDS: Final = 1.0
RUN_AGAIN: Final = "Run the command again"
# SIGALRM is the timer with which `_Interrupt` tries again.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


class StoppedError(DrShymError):
    """The user, or the system, has stopped the command."""

    def __init__(self) -> None:
        super().__init__("stopped")


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn an interrupt in the block into an error.

    Raises:
        StoppedError: The command was interrupted.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise StoppedError from error


@contextmanager
def stopping_signals() -> Iterator[None]:
    """Raise a KeyboardInterrupt for SIGINT and SIGTERM in the block; while a module is imported, after its import.

    A second signal in the block ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set a handler
        yield
        return
    # A shell starts a command in the background with SIGINT ignored.
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    interrupt = _Interrupt()
    before = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


class _Interrupt:
    """The handler of the signals."""

    def __init__(self) -> None:
        self._requested_at: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise a KeyboardInterrupt, or end the process if that was requested before."""
        if number != signal.SIGALRM:
            now = time.monotonic()
            if self._requested_at is not None:
                if now - self._requested_at > _SAME_REQUEST_SECONDS:
                    _end_at_once()
                return
            self._requested_at = now
        while frame is not None:
            if frame.f_code.co_filename == _IMPORTING:
                signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
                return
            frame = frame.f_back
        raise KeyboardInterrupt


def _end_at_once() -> None:
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os.write(2, b"error: stopped at once\n")
    os._exit(ExitCode.FAULT)
