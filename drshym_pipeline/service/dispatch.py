"""Who maps what, and when a worker process is ended and replaced.

The dispatcher owns the workers. Its thread listens to their pipes, watches the time and the memory of their jobs, and
starts a new process where one has ended. `job_queue` says which job is next, and what follows from the end of a job.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Final

from drshym_pipeline.records import ModelReference
from drshym_pipeline.service import failures
from drshym_pipeline.service.job_queue import Capacity, JobQueue
from drshym_pipeline.service.jobs import Job, JobFailure
from drshym_pipeline.service.worker_process import Mapped, NotMapped, Progressed, Ready, Unusable, WorkerSetup
from drshym_pipeline.service.workers import Assignment, Replacement, Worker, threads_of

_log = logging.getLogger(__name__)
_CHECK_SECONDS: Final = 0.2  # how often time and memory of running jobs are looked at
_START_SECONDS: Final = 300.0  # a worker that is not ready by then is replaced
_LONGEST_PAUSE_SECONDS: Final = 30.0  # between two starts of a worker that cannot begin
_FIRST_LOAD_SECONDS: Final = 10.0  # a guess, until a worker has loaded the model


@dataclass(frozen=True)
class Limits:
    """Limits of one job: seconds, and bytes of the memory of its worker."""

    seconds: float
    memory: int


@dataclass
class _Slot:
    """The place of one worker: its process, or when the next one is started."""

    number: int
    worker: Worker | None = None
    failed_starts: int = 0
    start_at: float = 0.0


class Dispatcher:
    """Gives jobs to worker processes, and replaces processes that end.

    Args:
        setup: What a worker needs to begin.
        count: Number of workers.
        limits: Limits of one job.
        lock: The lock of the engine.
        queue: The jobs.
    """

    def __init__(self, setup: WorkerSetup, count: int, limits: Limits, lock: threading.RLock, queue: JobQueue) -> None:
        self._setup, self._limits, self._lock, self._queue = setup, limits, lock, queue
        self._slots = [_Slot(number) for number in range(1, count + 1)]
        self._stopping = False
        self._was_ready = False
        self._wakes, self._wake = multiprocessing.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self.model: ModelReference | None = None
        self.problem: str | None = None
        self.restarts: Counter[Replacement] = Counter()
        self._load_seconds = _FIRST_LOAD_SECONDS

    def start(self) -> None:
        """Start the workers and the thread; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End all workers and the thread."""
        with self._lock:
            self._stopping = True
            self._wake.send_bytes(b".")
        self._thread.join()

    @property
    def workers(self) -> list[Worker]:
        """The workers whose process runs."""
        return [slot.worker for slot in self._slots if slot.worker is not None and not slot.worker.ended]

    @property
    def capacity(self) -> Capacity:
        """How many workers there are, and when the first of them can probably map."""
        workers, now = self.workers, time.monotonic()
        if any(worker.ready for worker in workers):
            return Capacity(len(self._slots), 0.0)
        starts = [worker.started for worker in workers]
        starts += [max(slot.start_at, now) for slot in self._slots if slot.worker is None]
        return Capacity(len(self._slots), max(0.0, min(starts, default=now) + self._load_seconds - now))

    @property
    def ready(self) -> bool:
        """Whether scenes are mapped: at first when all workers are ready, later when any of them is."""
        return self._was_ready and any(worker.ready for worker in self.workers)

    def assign(self) -> None:
        """Give waiting jobs to idle workers. Called under the lock, by any thread."""
        for worker in self.workers:
            job = self._queue.waiting()
            if job is None or self._stopping:
                return
            if not worker.idle:
                continue
            running = 1 + sum(other.assignment is not None for other in self.workers)
            if worker.give(job, threads_of(self._setup.cores, running), self._limits.seconds):
                assert worker.assignment is not None
                worker.assignment.job = self._queue.begin(job)
                self._wake.send_bytes(b".")  # the thread may wait without a limit of time

    def end_job(self, job: Job) -> None:
        """Kill the worker of a job; another process takes its place. Called under the lock."""
        for worker in self.workers:
            if worker.assignment is not None and worker.assignment.job.id == job.id:
                worker.assignment = None
                worker.killed_for = "cancelled"
                worker.kill()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._step()
            except Exception:  # one fault must not end the service for all jobs
                _log.exception("the workers could not be looked after; it is tried again")
                time.sleep(1.0)
        for worker in self.workers:
            worker.kill()
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.close()

    def _step(self) -> None:
        """Do what is due, then listen until a worker reports something or the next check is due."""
        with self._lock:
            self._start_workers()
            self._check_limits()
            self.assign()
            listened = {slot.worker.connection: slot for slot in self._slots if slot.worker is not None}
            pause = self._pause()
        for connection in wait([self._wakes, *listened], pause):
            if connection is self._wakes:
                self._wakes.recv_bytes()
            elif isinstance(connection, Connection):
                self._listen(listened[connection])

    def _start_workers(self) -> None:
        for slot in self._slots:
            if slot.worker is None and time.monotonic() >= slot.start_at:
                slot.worker = Worker(slot.number, self._setup)

    def _pause(self) -> float | None:
        """Return for how long to listen before limits or starts are due, in seconds; None without a limit."""
        starts = [slot.start_at for slot in self._slots if slot.worker is None]
        watched = any(worker.assignment is not None or not worker.ready for worker in self.workers)
        due = [_CHECK_SECONDS] if watched else []
        due += [max(0.0, start - time.monotonic()) for start in starts]
        return min(due, default=None)

    def _check_limits(self) -> None:
        for worker, assignment in self._assigned():
            name = assignment.job.spec.scene_name
            if time.monotonic() > assignment.until:
                self._stop_job(worker, failures.too_long(name, self._limits.seconds), "time_limit")
            elif worker.resident_bytes() > self._limits.memory:
                self._stop_job(worker, failures.too_large(name, self._limits.memory), "memory_limit")
        for worker in self.workers:
            if not worker.ready and time.monotonic() > worker.started + _START_SECONDS:
                worker.kill()

    def _assigned(self) -> Iterator[tuple[Worker, Assignment]]:
        for worker in self.workers:
            if worker.assignment is not None:
                yield worker, worker.assignment

    def _stop_job(self, worker: Worker, failure: JobFailure, reason: Replacement) -> None:
        assert worker.assignment is not None
        worker.killed_for = reason
        job, worker.assignment = worker.assignment.job, None
        worker.kill()
        self._queue.failed(job, failure)

    def _listen(self, slot: _Slot) -> None:
        """Receive one message of a worker and act on it."""
        worker = slot.worker
        assert worker is not None
        message = worker.receive()
        if isinstance(message, Mapped):
            with self._lock:
                assignment = self._release(worker, message.job_id)
                if assignment is None:
                    return
                self._queue.completed(assignment.job)
                self.assign()
            self._queue.mapped(assignment.job, message.record, time.monotonic() - assignment.since)
            return
        with self._lock:
            match message:
                case None:
                    self._replace(slot, worker)
                case Ready(model):
                    worker.ready, slot.failed_starts = True, 0
                    self._load_seconds = time.monotonic() - worker.started
                    self.model, self.problem = model, None
                    self._was_ready |= sum(worker.ready for worker in self.workers) == len(self._slots)
                    self._queue.workers_changed()
                case Unusable(detail):
                    if detail != self.problem:  # each worker that is started says it again
                        _log.error("the workers cannot begin: %s", detail)
                    self.problem = detail
                    self._queue.workers_changed()
                case Progressed():
                    if worker.assignment is not None and worker.assignment.job.id == message.job_id:
                        self._queue.progressed(worker.assignment.job, message)
                case NotMapped():
                    if assignment := self._release(worker, message.job_id):
                        if message.log:
                            _log.error("job %s failed:\n%s", message.job_id, message.log)
                        self._queue.failed(assignment.job, message.failure)

    @staticmethod
    def _release(worker: Worker, job_id: str) -> Assignment | None:
        """Return the assignment of a worker that has reported the end of a job; None if the job was ended before."""
        assignment = worker.assignment
        if assignment is None or assignment.job.id != job_id:
            return None
        worker.assignment = None
        return assignment

    def _replace(self, slot: _Slot, worker: Worker) -> None:
        """Release a process that has ended, fail its job, and plan the start of the next one."""
        slot.worker = None
        exit_code = worker.close()
        if worker.assignment is not None:
            job = worker.assignment.job
            _log.error("the worker of job %s ended with exit code %s", job.id, exit_code)
            self._queue.failed(job, failures.worker_ended(job.spec.scene_name, exit_code))
        self.restarts[worker.killed_for or ("worker_ended" if worker.ready else "not_started")] += 1
        if not worker.ready:
            slot.failed_starts += 1
            slot.start_at = time.monotonic() + min(2.0**slot.failed_starts, _LONGEST_PAUSE_SECONDS)
