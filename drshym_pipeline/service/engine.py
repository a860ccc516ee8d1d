"""`MappingEngine` runs jobs and returns maps. It has the queue, the workers and the list of jobs.

The HTTP layer calls it from several threads. One thread of the engine listens to the workers. The thread that finds
an idle worker and a waiting job gives the job to the worker, so a job starts without delay. All changes are made under
one lock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drshym_pipeline.errors import InputError
from drshym_pipeline.locking import alone_in
from drshym_pipeline.records import MapRecord, ModelReference
from drshym_pipeline.service import failures
from drshym_pipeline.service.dispatch import Dispatcher, Limits
from drshym_pipeline.service.job_queue import JobQueue, QueueFullError, delete_products
from drshym_pipeline.service.jobs import FailureCode, Job, JobsNotStoredError, JobSpec, JobStore
from drshym_pipeline.service.settings import ServiceSettings
from drshym_pipeline.service.worker_process import WorkerSetup
from drshym_pipeline.service.workers import Replacement, usable_cores, worker_count
from drshym_pipeline.storage import remove_abandoned

__all__ = ["EngineCounts", "MappingEngine", "QueueFullError"]

JOBS_FILE: Final = "jobs.sqlite"
_WORK_FOLDER: Final = "work"
_PUBLISH_SECONDS: Final = 30.0


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
        restarts: Worker processes that were replaced, by the reason.
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
    restarts: Mapping[Replacement, int]
    seconds: float
    worker_bytes: int


def _nothing(job: Job, record: MapRecord) -> None:
    """Do nothing; the default for `on_done`."""
    del job, record


class MappingEngine:
    """Maps scenes in worker processes in the order in which they came. Several threads may use it.

    Args:
        settings: Folders and limits.
        on_done: Called when a map is complete, before its job becomes done; if it raises, the job fails.
        on_discard: Called when a job has failed or was cancelled; deletes the folder of its products.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        on_done: Callable[[Job, MapRecord], None] = _nothing,
        on_discard: Callable[[Job], None] = delete_products,
    ) -> None:
        self._settings, self._on_done, self._on_discard = settings, on_done, on_discard
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._stopped = True
        self._running = False
        self._held = ExitStack()
        self._opened: tuple[JobQueue, Dispatcher] | None = None

    def open(self) -> None:
        """Lock the folder and queue the jobs of the last time again. Nothing is mapped before `start`.

        Raises:
            InputError: The folder cannot be used, another service works in it, or its list of jobs cannot be read or
                written.
        """
        root = self._settings.root.absolute()
        try:
            self._open(root)
        except JobsNotStoredError as error:
            raise InputError(
                root, "the list of jobs in it cannot be written", "Make space on the disk, or choose another --root"
            ) from error
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(root, "is a file, or below a file, and not a folder", "Choose another --root") from error
        except OSError as error:
            raise InputError(
                root, f"cannot be used as the folder of the service ({error.strerror})", "Choose another --root"
            ) from error

    def _open(self, root: Path) -> None:
        settings, cores = self._settings, usable_cores()
        with ExitStack() as held:
            held.enter_context(alone_in(root, f"drshym serve, process {os.getpid()},"))
            store = JobStore(root / JOBS_FILE)
            held.callback(store.close)
            work = root / _WORK_FOLDER
            work.mkdir(exist_ok=True)
            remove_abandoned(work)
            queue = JobQueue(
                store,
                self._changed,
                self._on_done,
                self._on_discard,
                limit=settings.queue_limit,
                keep_days=settings.keep_days,
            )
            dispatcher = Dispatcher(
                WorkerSetup(work, settings.checkpoint, settings.ancillary, cores),
                settings.workers or worker_count(cores),
                Limits(settings.job_seconds, settings.worker_bytes),
                self._lock,
                queue,
            )
            with self._lock:
                queue.recover()
                self._opened = queue, dispatcher
                self._stopped = False
            self._held = held.pop_all()

    def start(self) -> None:
        """Start the workers, and `open` the engine before if that was not done; returns before they are ready.

        Raises:
            InputError: The same errors as those of `open`.
        """
        if self._opened is None:
            self.open()
        self._running = True
        self._dispatcher.start()

    def release_waiting(self) -> None:
        """Let everybody return who waits for a job, and who waits later, because the service will be stopped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def stop(self) -> None:
        """End the workers. Jobs that run are begun again at the next start; jobs that wait stay in the queue."""
        self.release_waiting()
        if self._running:
            self._running = False
            self._dispatcher.stop()
            with self._lock:
                self._queue.put_back()
        self._held.close()

    @property
    def _queue(self) -> JobQueue:
        return self._parts[0]

    @property
    def _dispatcher(self) -> Dispatcher:
        return self._parts[1]

    @property
    def _parts(self) -> tuple[JobQueue, Dispatcher]:
        if self._opened is None:
            raise RuntimeError("the engine is not open")
        return self._opened

    @property
    def ready(self) -> bool:
        """Whether scenes are mapped now: every worker has loaded the model and mapped a warm-up scene.

        When a worker is replaced later, the others continue, and the engine stays ready while at least one is ready.
        """
        with self._lock:
            return not self._stopped and self._dispatcher.ready

    @property
    def problem(self) -> str | None:
        """Why the workers cannot begin, for example because the model cannot be loaded; None if they can."""
        with self._lock:
            return self._dispatcher.problem

    @property
    def model(self) -> ModelReference | None:
        """The model of the workers; None until the first one has loaded it."""
        with self._lock:
            return self._dispatcher.model

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
            job = self._queue.add(spec, job_id, self._dispatcher.capacity)
            self._dispatcher.assign()
            return self._queue.get(job.id) or job

    def job(self, job_id: str) -> Job | None:
        """Return a job, or None if there is none with this id."""
        with self._lock:
            return self._queue.get(job_id)

    def jobs(self, limit: int = 500) -> list[Job]:
        """Return the newest jobs and all others that have not ended, newest first."""
        with self._lock:
            return self._queue.listed(limit)

    def open_jobs(self) -> list[Job]:
        """Return every job that has not ended. Their folders and uploads are in use."""
        with self._lock:
            return [job for job in self._queue.listed(0) if not job.ended]

    def position(self, job_id: str) -> int | None:
        """Return how many jobs are before this one in the queue; None if it does not wait."""
        with self._lock:
            return self._queue.position(job_id)

    def cancel(self, job_id: str) -> Job | None:
        """Cancel a job, and return it as it is then; a job that has ended, or whose map is complete, is not changed.

        Returns:
            The job, or None if there is none with this id.
        """
        with self._lock:
            job = self._queue.get(job_id)
            if job is None or job.ended:
                return job
            if self._queue.is_complete(job_id):
                return self.wait(job_id, _PUBLISH_SECONDS)
            self._dispatcher.end_job(job)
            self._queue.end(job.failed(failures.cancelled()))
            return self._queue.get(job_id)

    def wait(self, job_id: str, seconds: float) -> Job:
        """Return a job as soon as it has ended, or after `seconds`, or when the engine stops.

        Raises:
            KeyError: There is no job with this id.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._queue.is_open(job_id), seconds)
            job = self._queue.get(job_id)
        if job is None:
            raise KeyError(job_id)
        return job

    def counts(self) -> EngineCounts:
        """Return figures for the metrics."""
        with self._lock:
            queue, workers = self._queue, self._dispatcher.workers
            return EngineCounts(
                queued=queue.queued,
                running=queue.running,
                done=queue.done,
                cancelled=queue.cancelled,
                failed=dict(queue.failures),
                workers=len(workers),
                ready=sum(worker.ready for worker in workers),
                restarts=dict(self._dispatcher.restarts),
                seconds=queue.seconds,
                worker_bytes=sum(worker.resident_bytes() for worker in workers),
            )
