"""Making the next things in the background while the last ones are used.

A thread, not a process: what is made here (reading, NumPy on large arrays) lets other threads run meanwhile, and
nothing has to be copied from one process to another.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")

_POLL_SECONDS = 0.1


class _Failure:
    """An exception on its way from the thread to the user of its items."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Prefetched(Generic[ItemT]):
    """An iterable whose items are made ahead of their use, in order.

    Each iteration has a thread of its own, which ends with the iteration: after the last item, after an exception,
    which comes out where its item would have, or when the iteration is left early.

    Args:
        items: What to iterate over; anything a thread may iterate over.
        depth: Items made ahead at most.
        left: Set when an iteration ends, before its thread is waited for: what takes long to make an item may look at
            it and give up.
    """

    def __init__(self, items: Iterable[ItemT], depth: int, left: threading.Event | None = None) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self._items, self._depth, self._left = items, depth, left

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]  # as long as what is wrapped, where that has a length

    def __iter__(self) -> Iterator[ItemT]:
        made: queue.Queue[tuple[ItemT] | _Failure | None] = queue.Queue(self._depth)
        left = self._left or threading.Event()

        def hand_over(item: tuple[ItemT] | _Failure | None) -> bool:
            while not left.is_set():
                try:
                    made.put(item, timeout=_POLL_SECONDS)
                except queue.Full:
                    continue
                return True
            return False

        def make() -> None:
            try:
                for item in self._items:
                    if not hand_over((item,)):
                        return
            except BaseException as error:
                hand_over(_Failure(error))
            else:
                hand_over(None)

        thread = threading.Thread(target=make, name="prefetch", daemon=True)
        thread.start()
        try:
            while (item := made.get()) is not None:
                if isinstance(item, _Failure):
                    raise item.error
                yield item[0]
        finally:
            left.set()
            thread.join()
