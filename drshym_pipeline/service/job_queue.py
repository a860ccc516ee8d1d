"""The jobs of a running engine: which wait, which run, what follows when one ends, and what is counted.

Nothing here knows processes: `dispatch` maps the jobs, and calls this for every step. All methods are called under the
lock of the engine, except `mapped`, which takes it when it has published the map.
"""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drshym_pipeline.errors import DrShymError
from drshym_pipeline.records import MapRecord
from drshym_pipeline.service import failures
from drshym_pipeline.service.jobs import FailureCode, Job, JobFailure, JobSpec, JobStore
from drshym_pipeline.service.worker_process import Progressed

_log = logging.getLogger(__name__)
_MOST_STARTS: Final = 3
_RECENT_JOBS: Final = 32
_FIRST_GUESS_SECONDS: Final = 5.0
_ROOM: Final = 0.1  # part of the waiting jobs that should be taken before it is worth asking again
_LONGEST_RETRY_SECONDS: Final = 3600
_CLEANING_SECONDS: Final = 3600.0


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
class Capacity:
    """What maps the waiting jobs.

    Args:
        workers: Number of workers.
        ready_in: Seconds until the first of them can probably map; 0 if one can.
    """

    workers: int
    ready_in: float


def delete_products(job: Job) -> None:
    """Delete the folder of the products of a job."""
    shutil.rmtree(job.spec.out, ignore_errors=True)


class JobQueue:
    """The jobs that have not ended, in memory and in the store. Their number is bounded.

    Args:
        store: Keeps all jobs.
        changed: Notified when a job has ended; its lock is that of the engine.
        on_done: Called with a job and its record when its map is complete.
        on_discard: Called with a job that has failed or was cancelled; deletes the folder of its products.
        limit: How many jobs may wait.
        keep_days: Age after which jobs that have ended are removed from the store.
    """

    def __init__(
        self,
        store: JobStore,
        changed: threading.Condition,
        on_done: Callable[[Job, MapRecord], None],
        on_discard: Callable[[Job], None],
        *,
        limit: int,
        keep_days: float,
    ) -> None:
        self._store, self._changed, self._on_done, self._on_discard = store, changed, on_done, on_discard
        self._limit, self._keep_days = limit, keep_days
        self._open: dict[str, Job] = {}
        self._waiting: deque[str] = deque()
        self._complete: set[str] = set()  # of these the map is complete, and is being published
        self._recent: deque[float] = deque(maxlen=_RECENT_JOBS)
        self._cleaned: float | None = None
        self.done = 0
        self.cancelled = 0
        self.failures: Counter[FailureCode] = Counter()
        self.seconds = 0.0

    @property
    def queued(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many jobs are being mapped or published."""
        return len(self._open) - len(self._waiting)

    def recover(self) -> None:
        """Queue the jobs of the last time in their old order. A job during which the service ended often fails."""
        for job in self._store.open_jobs():
            again = job.queued_again() if job.state == "running" else job
            self._open[job.id] = again
            if again.starts >= _MOST_STARTS:
                self.end(again.failed(failures.stopped_too_often(job.spec.scene_name, again.starts)))
                continue
            if again is not job:
                self._store.save(again)
            self._waiting.append(job.id)
        self._clean()

    def put_back(self) -> None:
        """Queue the jobs that run again, for the next start, because the service is stopped in order."""
        for job in self._open.values():
            if job.state == "running":
                self._open[job.id] = again = job.put_back()
                self._store.save(again)

    def add(self, spec: JobSpec, job_id: str | None, capacity: Capacity) -> Job:
        """Put a job at the end of the queue.

        Args:
            spec: What the job does.
            job_id: Its id; a new one when None.
            capacity: What maps the jobs, to estimate when there will be room.

        Raises:
            QueueFullError: Too many jobs wait.
            JobsNotStoredError: The list of jobs cannot be written.
        """
        if len(self._waiting) >= self._limit:
            raise QueueFullError(self._limit, self._retry_after(capacity))
        job = self._store.add(spec, job_id)
        self._open[job.id] = job
        self._waiting.append(job.id)
        return job

    def _retry_after(self, capacity: Capacity) -> int:
        """Return after how many seconds it is worth asking again.

        That is when the workers have probably taken a tenth of the jobs that wait, at least one. Other
        clients ask again too, so one free place would be taken at once.
        """
        seconds = sum(self._recent) / len(self._recent) if self._recent else _FIRST_GUESS_SECONDS
        jobs = max(1.0, _ROOM * len(self._waiting))
        estimate = capacity.ready_in + seconds * jobs / max(1, capacity.workers)
        return min(max(1, math.ceil(estimate)), _LONGEST_RETRY_SECONDS)

    def get(self, job_id: str) -> Job | None:
        """Return a job, or None if there is none with this id."""
        return self._open.get(job_id) or self._store.get(job_id)

    def is_open(self, job_id: str) -> bool:
        """Return whether a job waits, or is being mapped or published."""
        return job_id in self._open

    def is_complete(self, job_id: str) -> bool:
        """Return whether the map of a job is complete, and is being published."""
        return job_id in self._complete

    def listed(self, limit: int) -> list[Job]:
        """Return the newest jobs and all others that have not ended, newest first."""
        latest = [self._open.get(job.id, job) for job in self._store.latest(limit)]
        shown = {job.id for job in latest}
        return latest + [job for job in reversed(self._open.values()) if job.id not in shown]

    def position(self, job_id: str) -> int | None:
        """Return how many jobs are before this one in the queue; None if it does not wait."""
        return self._waiting.index(job_id) if job_id in self._waiting else None

    def waiting(self) -> Job | None:
        """Return the job that is next in the queue, or None."""
        return self._open[self._waiting[0]] if self._waiting else None

    def begin(self, job: Job) -> Job:
        """Take a job from the queue, and return it as it is now."""
        begun = job.begun()
        self._waiting.remove(job.id)
        self._open[job.id] = begun
        self._store.save(begun)
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
            self._on_done(job, record)
        except Exception as error:
            _log.exception("the map of job %s could not be published", job.id)
            failure = failures.failure_of(error, job.spec)
        with self._changed:
            current = self._open[job.id]
            if failure is not None:
                self.end(current.failed(failure))
                return
            self.seconds += seconds
            self._recent.append(seconds)
            self.end(current.finished())

    def failed(self, job: Job, failure: JobFailure) -> None:
        """End a job as failed."""
        self.end(self._open[job.id].failed(failure))

    def end(self, job: Job) -> None:
        """Store a job that has ended, delete what nobody needs any more, and wake those who wait for it."""
        if job.state != "done":
            self._discard(job)
        for folder in job.spec.uploads:
            shutil.rmtree(folder, ignore_errors=True)
        self._store.save(job)
        if job.id in self._waiting:
            self._waiting.remove(job.id)
        self._open.pop(job.id, None)
        self._complete.discard(job.id)
        self._count(job)
        self._clean()
        self._changed.notify_all()

    def _discard(self, job: Job) -> None:
        try:
            self._on_discard(job)
        except OSError:  # the retention tries it again
            _log.exception("the folder of job %s could not be deleted", job.id)

    def _count(self, job: Job) -> None:
        if job.state == "done":
            self.done += 1
        elif job.state == "cancelled":
            self.cancelled += 1
        elif job.failure is not None:
            self.failures[job.failure.code] += 1

    def _clean(self) -> None:
        """Remove old jobs from the list, once an hour."""
        now = time.monotonic()
        if self._cleaned is None or now - self._cleaned > _CLEANING_SECONDS:
            self._cleaned = now
            self._store.remove_ended(self._keep_days)

    def workers_changed(self) -> None:
        """Wake those who wait until the engine is ready."""
        self._changed.notify_all()
