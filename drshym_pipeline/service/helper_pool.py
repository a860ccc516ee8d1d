"""Several helper processes, each for one request at a time. One that ends, hangs or is interrupted is replaced."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from drshym_pipeline.service.helper_process import HelperProcess

_log = logging.getLogger(__name__)


class NoFreeProcessError(Exception):
    """No process became free in time, or the pool was stopped."""


class HelperPool:
    """Helper processes. Its calls block and may come from several threads.

    Args:
        serve: The function that runs in each process (see `HelperProcess`).
        name: The name of the processes.
        count: Their number.
        seconds: The time limit of one request, and of its wait for a process.
    """

    def __init__(self, serve: Callable[[Connection], None], name: str, count: int, seconds: float) -> None:
        self._serve, self._name, self._count, self._seconds = serve, name, count, seconds
        self._free: queue.Queue[HelperProcess] = queue.Queue()
        self._all: set[HelperProcess] = set()
        self._lock = threading.Lock()
        self._running = False

    def start(self) -> None:
        """Start the processes. They load their libraries while the first request may already wait."""
        with self._lock:
            if self._running:
                return
            self._running = True
        for _ in range(self._count):
            self._add()

    def stop(self) -> None:
        """End the processes. Requests that are being answered fail."""
        with self._lock:
            self._running = False
            processes = list(self._all)
            self._all.clear()
        for process in processes:
            process.stop()

    def processes(self) -> list[int]:
        """Return the ids of the processes."""
        with self._lock:
            return [process.pid for process in self._all if process.pid is not None]

    def ask(self, request: Any) -> Any:
        """Return the answer of a free process to a request.

        Raises:
            NoFreeProcessError: No process became free in time, or the pool was stopped.
            ProcessEndedError: The process has ended before it answered. Another one takes its place.
            TimeLimitError: It did not answer in time. Another one takes its place.
        """
        process = self._take()
        try:
            answer = process.ask(request, self._seconds)
        except BaseException:
            self._replace(process)  # an answer may still be on its way, which no other request may get
            raise
        self._free.put(process)
        return answer

    def _take(self) -> HelperProcess:
        """Return a process that runs. One that has ended while it was idle is replaced first."""
        while self._running:
            try:
                process = self._free.get(timeout=self._seconds)
            except queue.Empty:
                break
            if process.alive:
                return process
            self._replace(process)
        raise NoFreeProcessError

    def _add(self) -> None:
        process = HelperProcess(self._serve, self._name)
        with self._lock:
            if self._running:
                self._all.add(process)
                self._free.put(process)
                return
        process.stop()

    def _replace(self, process: HelperProcess) -> None:
        with self._lock:
            self._all.discard(process)
            running = self._running
        process.stop()
        if running:
            _log.warning("a process %s is replaced", self._name)
            self._add()
