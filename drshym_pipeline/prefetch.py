"""Compute the next items in the background while the current ones are used.

This uses a thread, not a process: reading files and NumPy on large arrays let other threads run at the same time, and
nothing has to be copied from one process to another.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Generator, Iterable
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")

_POLL_SECONDS = 0.1


class _Failure:
    """An exception of the thread, to be raised where its items are used."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Prefetched(Generic[ItemT]):
    """An iterable whose items are computed before they are used, in order.

    Each iteration has its own thread. The thread ends with the iteration: after the last item, after an exception
    (which is raised in the place of its item), or when the iteration is closed. An exception in the body of a loop,
    such as Ctrl+C, does not close it. So a loop whose items use something that is closed afterwards, such as a raster,
    is `with closing(iter(Prefetched(...))) as items: for item in items: ...`. GDAL crashes when a thread reads a
    raster that another one has closed.

    Args:
        items: The items; a thread must be able to iterate over them.
        depth: How many items are computed ahead, at most.
        left: Set when an iteration ends, before its thread is joined. Slow code that computes an item can check it and
            stop early.
    """

    def __init__(self, items: Iterable[ItemT], depth: int, left: threading.Event | None = None) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self._items, self._depth, self._left = items, depth, left

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]  # the length of the items, if they have one

    def __iter__(self) -> Generator[ItemT, None, None]:
        made: queue.Queue[tuple[ItemT] | _Failure | None] = queue.Queue(self._depth)
        left = self._left or threading.Event()

        def put(item: tuple[ItemT] | _Failure | None) -> bool:
            while not left.is_set():
                try:
                    made.put(item, timeout=_POLL_SECONDS)
                except queue.Full:
                    continue
                return True
            return False

        def make() -> None:
            if left.is_set():
                return
            # Python handles Ctrl+C in the main thread. A process that is started here, such as one that reads crops,
            # inherits the block: it would print a traceback for the Ctrl+C that the terminal sends to all processes.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                for item in self._items:
                    if not put((item,)):
                        return
            except BaseException as error:
                put(_Failure(error))
            else:
                put(None)

        thread = threading.Thread(target=make, name="prefetch", daemon=True)
        try:
            thread.start()
            while (item := made.get()) is not None:
                if isinstance(item, _Failure):
                    raise item.error
                yield item[0]
        finally:
            left.set()
            # An interrupt in `start` comes before or after the thread begins; it then does nothing, because of `left`.
            if thread.is_alive():
                thread.join()
