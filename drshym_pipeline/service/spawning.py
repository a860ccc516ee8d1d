"""Start processes that Ctrl+C does not end: the terminal sends SIGINT to all processes of the service.

The service itself then ends its processes. Python ends with a traceback when the signal comes while it starts, so the
signal is blocked until the new process ignores it.
"""

from __future__ import annotations

import signal
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess


def start_uninterrupted(process: SpawnProcess) -> None:
    """Start a process in which SIGINT is blocked until it calls `ignore_interrupt`."""
    # Python starts its tracker with the first process, and unblocks the signal in this thread when it has done so.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupt() -> None:
    """Ignore SIGINT in this process from now on; what a started process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
