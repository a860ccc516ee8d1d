"""The worker processes as the service sees them: how many there are, how one is started, given a job, and ended.

`worker_process` is what runs in them; `dispatch` decides which one does what.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final, Literal, TypeAlias

import psutil

from drshym_pipeline.service.jobs import Job
from drshym_pipeline.service.spawning import start_uninterrupted
from drshym_pipeline.service.worker_process import Message, WorkerSetup, WorkOrder, run_worker

_MOST_WORKERS: Final = 8  # each has the model and the libraries in memory, about 0.8 GB
_FIRST_WORKERS: Final = 2  # so that a small scene does not wait until a large one is mapped
_END_SECONDS: Final = 10.0

Replacement: TypeAlias = Literal["cancelled", "time_limit", "memory_limit", "worker_ended", "not_started"]
"""Why a process was replaced: its job was cancelled or passed a limit, it ended by itself, or it could not begin."""


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def worker_count(cores: int) -> int:
    """Return how many workers to start: two, or half of the cores if that is more, and never more than the cores."""
    return min(cores, max(_FIRST_WORKERS, min(cores // 2, _MOST_WORKERS)))


def threads_of(cores: int, running: int) -> int:
    """Return the threads of the next job: a job alone has all cores, several have a share each.

    Args:
        cores: All cores.
        running: The jobs that run, with this one.
    """
    return max(1, cores // running)


@dataclass
class Assignment:
    """The job of a worker: since when, and until when, in seconds of `time.monotonic`."""

    job: Job
    since: float
    until: float


class Worker:
    """One process that maps scenes, and the pipe to it.

    The process is started by the constructor. Only one thread may call `receive` and `close`.

    Args:
        number: Its number, for its name.
        setup: What it needs to begin.
    """

    def __init__(self, number: int, setup: WorkerSetup) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=run_worker, args=(theirs, setup), name=f"drshym worker {number}", daemon=True
        )
        start_uninterrupted(self.process)
        theirs.close()  # else the pipe would stay open when the process has ended
        self.ready = False
        self.ended = False
        self.started = time.monotonic()
        self.assignment: Assignment | None = None
        self.killed_for: Replacement | None = None
        assert self.process.pid is not None
        self.pid = self.process.pid

    @property
    def idle(self) -> bool:
        """Whether it can take a job."""
        return self.ready and not self.ended and self.assignment is None

    def give(self, job: Job, threads: int, seconds: float) -> bool:
        """Give it a job.

        Args:
            job: The job.
            threads: How many threads the job uses.
            seconds: The longest time that it may take.

        Returns:
            False if the process has ended in the meantime.
        """
        try:
            self.connection.send(WorkOrder(job.id, job.spec, threads))
        except OSError:
            self.ended = True
            return False
        since = time.monotonic()
        self.assignment = Assignment(job, since, since + seconds)
        return True

    def receive(self) -> Message | None:
        """Return its next message, which must be there, or None if the process has ended."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError):
            return None
        return message

    def resident_bytes(self) -> int:
        """Return the memory that the process uses; 0 if it has ended."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """End the process at once, and return when it has ended."""
        self.ended = True
        self.process.kill()
        self.process.join(_END_SECONDS)

    def close(self) -> int | None:
        """Release the process, which is ended if it still runs, and return its exit code."""
        self.process.join(_END_SECONDS if self.ended else 1.0)
        self.kill()
        self.connection.close()
        return self.process.exitcode
