"""`MappingEngine`: jobs go in, maps come out. The queue, the workers and the list of jobs behind one object.

The HTTP layer calls it from several threads. One thread of the engine listens to the workers; whoever finds an idle
worker and a waiting job brings them together, so a job starts without delay. Everything that changes is changed under
one lock.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from drshym_pipeline.errors import DrShymError
from drshym_pipeline.locking import alone_in
from drshym_pipeline.records import MapRecord, ModelReference
from drshym_pipeline.service import failures
from drshym_pipeline.service.dispatch import Dispatcher, Limits
from drshym_pipeline.service.jobs import FailureCode, Job, JobFailure, JobSpec, JobStore
from drshym_pipeline.service.settings import ServiceSettings
from drshym_pipeline.service.worker_process import Progressed, WorkerSetup
from drshym_pipeline.service.workers import usable_cores, worker_count
from drshym_pipeline.storage import remove_abandoned

_log = logging.getLogger(__name__)
JOBS_FILE: Final = "jobs.sqlite"
_WORK_FOLDER: Final = "work"
_MOST_STARTS: Final = 3
_RECENT_JOBS: Final = 32
_FIRST_GUESS_SECONDS: Final = 5.0
_LONGEST_RETRY_SECONDS: Final = 3600
_CLEANING_SECONDS: Final = 3600.0
_PUBLISH_SECONDS: Final = 30.0


class QueueFullError(DrShymError):
    """So many jobs wait that no more are taken.

    Args:
        limit: How many may wait.
        retry_after: Seconds after which there will probably be room.
    """

    def __init__(self, limit: int, retry_after: int) -> None:
        self.limit, self.retry_after = limit, retry_after
        super().__init__(
            f"{limit} {'job waits' if limit == 1 else 'jobs wait'} already, and the service takes no more. "
            f"Try again in {retry_after} {'second' if retry_after == 1 else 'seconds'}."
        )


@dataclass(frozen=True)
class EngineCounts:
    """Figures of an engine since its start.

    Args:
        queued: Jobs that wait.
        running: Jobs that are being mapped.
        done: Jobs that are done.
        cancelled: Jobs that were cancelled.
        failed: Jobs that failed, by the code of the failure.
        workers: Worker processes.
        ready: Worker processes that can map.
        restarts: Worker processes that were replaced.
        seconds: Time that workers spent on the jobs that are done, in seconds.
        worker_bytes: Memory of all worker processes.
    """

    queued: int
    running: int
    done: int
    cancelled: int
    failed: dict[FailureCode, int]
    workers: int
    ready: int
    restarts: int
    seconds: float
    worker_bytes: int


@dataclass
class _Totals:
    """What is counted since the start of the engine."""

    done: int = 0
    cancelled: int = 0
    failed: Counter[FailureCode] = field(default_factory=Counter)
    seconds: float = 0.0


def _nothing(job: Job, record: MapRecord) -> None:
    """Do nothing; the default for `on_done`."""
    del job, record


class MappingEngine:
    """Maps scenes in worker processes, one after the other in the order in which they came. Threads may share it.

    Args:
        settings: Folders and limits.
        on_done: Called when a map is complete, before its job becomes done; if it raises, the job fails.

    Raises:
        InputError: The list of jobs cannot be read.
        JobsNotStoredError: The list of jobs cannot be written.
    """

    def __init__(self, settings: ServiceSettings, on_done: Callable[[Job, MapRecord], None] = _nothing) -> None:
        self._settings, self._on_done = settings, on_done
        self._cores = usable_cores()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._open: dict[str, Job] = {}  # the jobs that have not ended
        self._queue: deque[str] = deque()
        self._totals = _Totals()
        self._recent: deque[float] = deque(maxlen=_RECENT_JOBS)
        self._stopped = True
        self._complete: set[str] = set()  # of these the map is complete, and is being published
        self._cleaned: float | None = None
        self._held = ExitStack()
        self._store: JobStore | None = None
        self._dispatcher: Dispatcher | None = None

    def start(self) -> None:
        """Lock the folder, queue the jobs of the last time again, and start the workers; returns before they are ready.

        Raises:
            InputError: Another service works in the folder, or its list of jobs cannot be read.
            JobsNotStoredError: The list of jobs cannot be written.
        """
        root = self._settings.root.absolute()
        with ExitStack() as held:
            held.enter_context(alone_in(root, f"drshym serve, process {os.getpid()},"))
            self._store = JobStore(root / JOBS_FILE)
            held.callback(self._store.close)
            work = root / _WORK_FOLDER
            work.mkdir(exist_ok=True)
            remove_abandoned(work)
            with self._lock:
                self._recover()
            setup = WorkerSetup(work, self._settings.checkpoint, self._settings.ancillary, self._cores)
            count = self._settings.workers or worker_count(self._cores)
            self._stopped = False
            limits = Limits(self._settings.job_seconds, self._settings.worker_bytes)
            self._dispatcher = Dispatcher(setup, count, limits, self._lock, self)
            self._dispatcher.start()
            self._held = held.pop_all()

    def stop(self) -> None:
        """End the workers. Jobs that run are begun again at the next start; jobs that wait stay in the queue."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            self._changed.notify_all()
        assert self._dispatcher is not None
        self._dispatcher.stop()
        self._held.close()

    @property
    def ready(self) -> bool:
        """Whether scenes are mapped now: every worker has loaded the model and mapped a warm-up scene.

        When a worker is replaced later, the others go on, and the engine stays ready while any is.
        """
        with self._lock:
            return not self._stopped and self._workers.ready

    @property
    def problem(self) -> str | None:
        """Why the workers cannot begin, for example because the model cannot be loaded; None if they can."""
        with self._lock:
            return self._workers.problem

    @property
    def model(self) -> ModelReference | None:
        """The model of the workers; None until the first one has loaded it."""
        with self._lock:
            return self._workers.model

    def wait_until_ready(self, seconds: float) -> bool:
        """Wait until the engine is ready or its workers cannot begin, at most `seconds`; return whether it is ready."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self.ready or self.problem is not None, seconds)
            return self.ready

    def submit(self, spec: JobSpec, job_id: str | None = None) -> Job:
        """Put a job at the end of the queue, or give it to an idle worker at once.

        Args:
            spec: What the job does.
            job_id: Its id from `new_job_id`; a new one by default.

        Raises:
            QueueFullError: Too many jobs wait.
            JobsNotStoredError: The list of jobs cannot be written.
        """
        with self._lock:
            if len(self._queue) >= self._settings.queue_limit:
                raise QueueFullError(self._settings.queue_limit, self._retry_after())
            job = self._jobs_file.add(spec, job_id)
            self._open[job.id] = job
            self._queue.append(job.id)
            self._workers.assign()
            return self._open[job.id]

    def job(self, job_id: str) -> Job | None:
        """Return a job, or None if there is none with this id."""
        with self._lock:
            return self._open.get(job_id) or self._jobs_file.get(job_id)

    def jobs(self, limit: int = 500) -> list[Job]:
        """Return the newest jobs, newest first."""
        with self._lock:
            return [self._open.get(job.id, job) for job in self._jobs_file.latest(limit)]

    def open_jobs(self) -> list[Job]:
        """Return every job that has not ended. Their folders and uploads are in use."""
        with self._lock:
            return [*self._open.values()]

    def position(self, job_id: str) -> int | None:
        """Return how many jobs are before this one in the queue; None if it does not wait."""
        with self._lock:
            return self._queue.index(job_id) if job_id in self._queue else None

    def cancel(self, job_id: str) -> Job | None:
        """Cancel a job, and return it as it is then; a job that has ended, or whose map is complete, is not changed.

        Returns:
            The job, or None if there is none with this id.
        """
        with self._changed:
            job = self._open.get(job_id)
            if job is None:
                return self._jobs_file.get(job_id)
            if job_id in self._complete:
                return self.wait(job_id, _PUBLISH_SECONDS)
            if job.state == "queued":
                self._queue.remove(job_id)
            else:
                self._workers.end_job(job)
            self._end(job.failed(failures.cancelled()))
            return self.job(job_id)

    def wait(self, job_id: str, seconds: float) -> Job:
        """Return a job as soon as it has ended, or after `seconds`, or when the engine stops.

        Raises:
            KeyError: There is no job with this id.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or job_id not in self._open, seconds)
            job = self.job(job_id)
        if job is None:
            raise KeyError(job_id)
        return job

    def counts(self) -> EngineCounts:
        """Return figures for the metrics."""
        with self._lock:
            workers = self._workers.workers
            return EngineCounts(
                queued=len(self._queue),
                running=len(self._open) - len(self._queue),
                done=self._totals.done,
                cancelled=self._totals.cancelled,
                failed=dict(self._totals.failed),
                workers=len(workers),
                ready=sum(worker.ready for worker in workers),
                restarts=self._workers.restarts,
                seconds=self._totals.seconds,
                worker_bytes=sum(worker.resident_bytes() for worker in workers),
            )

    def _retry_after(self) -> int:
        """Return after how many seconds a worker will probably take the next job from the queue."""
        seconds = sum(self._recent) / len(self._recent) if self._recent else _FIRST_GUESS_SECONDS
        workers = max(1, len(self._workers.workers))
        return min(max(1, math.ceil(seconds / workers)), _LONGEST_RETRY_SECONDS)

    @property
    def _jobs_file(self) -> JobStore:
        if self._store is None:
            raise RuntimeError("the engine is not started")
        return self._store

    @property
    def _workers(self) -> Dispatcher:
        if self._dispatcher is None:
            raise RuntimeError("the engine is not started")
        return self._dispatcher

    def _recover(self) -> None:
        """Queue the jobs of the last time in their old order. A job during which the service ended often fails."""
        for job in self._jobs_file.open_jobs():
            again = job.queued_again() if job.state == "running" else job
            self._open[job.id] = again
            if again.starts >= _MOST_STARTS:
                self._end(again.failed(failures.stopped_too_often(job.spec.scene_name, again.starts)))
                continue
            if again is not job:
                self._jobs_file.save(again)
            self._queue.append(job.id)
        self._clean()

    def _end(self, job: Job) -> None:
        """Store a job that has ended, delete what nobody needs any more, and wake those who wait for it."""
        if job.state != "done":
            shutil.rmtree(job.spec.out, ignore_errors=True)
        for folder in job.spec.uploads:
            shutil.rmtree(folder, ignore_errors=True)
        self._jobs_file.save(job)
        self._open.pop(job.id, None)
        self._complete.discard(job.id)
        if job.state == "done":
            self._totals.done += 1
        elif job.state == "cancelled":
            self._totals.cancelled += 1
        elif job.failure is not None:
            self._totals.failed[job.failure.code] += 1
        self._clean()
        self._changed.notify_all()

    def _clean(self) -> None:
        """Remove old jobs from the list, once an hour."""
        now = time.monotonic()
        if self._cleaned is None or now - self._cleaned > _CLEANING_SECONDS:
            self._cleaned = now
            self._jobs_file.remove_ended(self._settings.keep_days)

    # What the dispatcher calls.

    def waiting(self) -> Job | None:
        """Return the job that is next in the queue, or None."""
        return self._open[self._queue[0]] if self._queue else None

    def begin(self, job: Job) -> Job:
        """Take a job from the queue, and return it as it is now."""
        self._queue.remove(job.id)
        begun = job.begun()
        self._open[job.id] = begun
        self._jobs_file.save(begun)
        return begun

    def progressed(self, job: Job, message: Progressed) -> None:
        """Note the progress of a job; it is not stored, because a job that is begun again has none."""
        self._open[job.id] = self._open[job.id].progressed(message.stage, message.done, message.total)

    def completed(self, job: Job) -> None:
        """Note that a job can no longer be cancelled, because its map is complete."""
        self._complete.add(job.id)

    def mapped(self, job: Job, record: MapRecord, seconds: float) -> None:
        """Publish the map of a job and end it as done; if publishing fails, it ends as failed."""
        failure: JobFailure | None = None
        try:
            self._on_done(self._open[job.id], record)
        except Exception as error:
            _log.exception("the map of job %s could not be published", job.id)
            failure = failures.failure_of(error, job.spec.scene_name, job.spec.out)
        with self._lock:
            current = self._open[job.id]
            if failure is not None:
                self._end(current.failed(failure))
                return
            self._totals.seconds += seconds
            self._recent.append(seconds)
            self._end(current.finished())

    def failed(self, job: Job, failure: JobFailure) -> None:
        """End a job as failed."""
        self._end(self._open[job.id].failed(failure))

    def workers_changed(self) -> None:
        """Wake those who wait until the engine is ready."""
        self._changed.notify_all()
