"""Threads that work for one block of code, and that end soon when the block is left by an exception, as after Ctrl+C.

A `ThreadPoolExecutor` finishes all of its work at the end of its block, also if nobody needs the results any more. A
command that the user stops would then continue for minutes. Nothing outside a thread can end it, so long work calls
`check_needed` where it can stop.
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from types import TracebackType

_current = threading.local()


class WorkerThreads(ThreadPoolExecutor):
    """A `ThreadPoolExecutor` that drops its work when its block is left by an exception.

    Work that waits is not begun. Work that has begun ends where it next calls `check_needed`. The end of the block
    waits for that, so no thread uses files that the code around the block deletes.

    Args:
        count: The number of threads.
        name: The beginning of their names.
    """

    def __init__(self, count: int, name: str) -> None:
        self._dropped = threading.Event()
        super().__init__(count, thread_name_prefix=name, initializer=_begin, initargs=(self._dropped,))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._dropped.set()
            self.shutdown(cancel_futures=True)
        super().__exit__(kind, error, trace)


def _begin(dropped: threading.Event) -> None:
    _current.dropped = dropped


def check_needed() -> None:
    """End the work of the current thread if its result is not needed any more.

    Does nothing in a thread that does not belong to `WorkerThreads`.

    Raises:
        CancelledError: The block of the threads was left by an exception.
    """
    dropped: threading.Event | None = getattr(_current, "dropped", None)
    if dropped is not None and dropped.is_set():
        raise CancelledError
