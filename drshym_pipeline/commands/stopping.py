"""How a command is stopped: by Ctrl+C (SIGINT), or by SIGTERM, which `timeout` and service managers send.

Both raise a KeyboardInterrupt in the main thread, so temporary files are removed. `StoppedError` is that interrupt as
an error of a command. Imports nothing heavy.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from drshym_pipeline.errors import DrShymError

# An interrupt while a library such as torch is imported may reach C++ code, which ends the process at once (SIGABRT).
_IMPORTING: Final = "<frozen importlib._bootstrap>"
_AGAIN_SECONDS: Final = 0.05
RUN_AGAIN: Final = "Run the command again"
# SIGALRM is the timer with which `_interrupt` tries again.
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
    """Raise a KeyboardInterrupt for SIGINT and SIGTERM in the block; while a module is imported, after its import."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set a handler
        yield
        return
    # A shell starts a command in the background with SIGINT ignored.
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _interrupt) for number in handled}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
            return
        frame = frame.f_back
    raise KeyboardInterrupt
