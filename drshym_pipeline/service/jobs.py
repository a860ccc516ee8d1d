"""The jobs of the service, and the SQLite file that keeps them over a restart.

What belongs here: what a job is, which states may follow one another, and how jobs are stored. Who runs them is in
`engine`. The table has one row for each job, with the record as JSON; the other columns are copies for the queries.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field, ValidationError

from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.records import Record
from drshym_pipeline.records.base import describe_validation, now
from drshym_pipeline.service.schemas import JobState, SegmentOptions

FailureKind: TypeAlias = Literal["input", "fault", "cancelled", "time", "memory", "crash"]
FailureCode: TypeAlias = Literal[
    "scene_refused",
    "scene_too_large",
    "input_unavailable",
    "fault",
    "disk_full",
    "cancelled",
    "time_limit",
    "memory_limit",
    "worker_ended",
]
ENDED: Final[frozenset[JobState]] = frozenset({"done", "failed", "cancelled"})
# What may follow a state. A running job is queued again only when the service starts after a stop.
_NEXT: Final[dict[JobState, frozenset[JobState]]] = {
    "queued": frozenset({"running", "cancelled", "failed"}),
    "running": frozenset({"running", "queued", "done", "failed", "cancelled"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
_FORMAT: Final = 1
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, finished TEXT,
    record TEXT NOT NULL
)
"""
_INDEX: Final = "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, finished)"
_BUSY_SECONDS: Final = 10.0
_MOST_LISTED: Final = 500


class JobsNotStoredError(DrShymError):
    """The list of jobs cannot be written, for example because the disk is full."""


class JobFailure(Record):
    """Why a job has no map. `code` never changes; `detail` is one sentence for people."""

    kind: FailureKind
    code: FailureCode
    detail: str


class JobSpec(Record):
    """What a job does.

    Args:
        scene_name: Name of the scene; the files of the map begin with it.
        sources: The files of the scene, VV first.
        pre: The files of the scene from before the event.
        options: How the scene is mapped.
        identity: SHA-256 of what the scene is.
        out: The folder for the products; no other job has it. It is deleted when the job fails or is cancelled.
        uploads: Folders that are deleted when the job has ended.
        source_uris: Where the files came from, for the record of the map; their own addresses when empty.
        pre_uris: The same for the files from before the event.
        shown_names: The names that the user gave to uploaded files, by the paths of the stored ones.
        most_pixels: The largest number of pixels of one band, which is checked again when a zip is unpacked.
    """

    scene_name: str
    sources: tuple[Path, ...] = Field(min_length=1)
    pre: tuple[Path, ...] = ()
    options: SegmentOptions = SegmentOptions()
    identity: str
    out: Path
    uploads: tuple[Path, ...] = ()
    source_uris: tuple[str, ...] = ()
    pre_uris: tuple[str, ...] = ()
    shown_names: dict[str, str] = Field(default_factory=dict)
    most_pixels: int | None = None


class Job(Record):
    """A job and its state. `starts` counts how often its mapping was begun."""

    id: str
    spec: JobSpec
    state: JobState = "queued"
    stage: str | None = None
    done: int = 0
    total: int = 0
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failure: JobFailure | None = None
    starts: int = 0

    @property
    def ended(self) -> bool:
        """Whether the job is done, failed or cancelled; such a job never changes again."""
        return self.state in ENDED

    def _become(self, state: JobState, **changes: Any) -> Job:
        if state not in _NEXT[self.state]:
            raise ValueError(f"job {self.id}: {self.state} cannot become {state}")
        return self.model_copy(update={"state": state, **changes})

    def begun(self) -> Job:
        """Return the job as it is when a worker takes it from the queue."""
        if self.state != "queued":
            raise ValueError(f"job {self.id}: {self.state} cannot begin")
        return self._become("running", started_at=now(), starts=self.starts + 1, stage=None, done=0, total=0)

    def progressed(self, stage: str, done: int, total: int) -> Job:
        """Return the running job with its progress."""
        if self.state != "running":
            raise ValueError(f"job {self.id}: {self.state} has no progress")
        return self._become("running", stage=stage, done=done, total=total)

    def queued_again(self) -> Job:
        """Return the job as it is when the service has ended while it ran."""
        if self.state != "running":
            raise ValueError(f"job {self.id}: {self.state} cannot be queued again")
        return self._become("queued", started_at=None, stage=None, done=0, total=0)

    def put_back(self) -> Job:
        """Return the job as it is when the service is stopped in order while it runs: this start does not count."""
        return self.queued_again().model_copy(update={"starts": self.starts - 1})

    def finished(self) -> Job:
        """Return the job as done."""
        return self._become("done", finished_at=now())

    def failed(self, failure: JobFailure) -> Job:
        """Return the job as failed, or as cancelled if that is the kind of the failure."""
        state: JobState = "cancelled" if failure.kind == "cancelled" else "failed"
        return self._become(state, finished_at=now(), failure=failure)


def new_job_id() -> str:
    """Return the id of a new job: 16 random hexadecimal digits."""
    return secrets.token_hex(8)


class JobStore:
    """All jobs of one service, in the order in which they came. Several threads may use it.

    Args:
        path: The SQLite file; created if missing, with its folder.

    Raises:
        InputError: The file is not a list of jobs, or is of a newer release.
        JobsNotStoredError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._unwritten: dict[str, Job] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            self._database.close()
            raise self._not_stored(error) from error
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise InputError(
                path, f"is not a list of jobs ({error})", "Move the file away, then start again"
            ) from error
        except InputError:
            self._database.close()
            raise

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        (found,) = self._database.execute("PRAGMA user_version").fetchone()
        if found > _FORMAT:
            raise InputError(
                self._path, "was written by a newer release", "Use that release, or move the file away and start again"
            )
        self._database.execute(_TABLE)
        self._database.execute(_INDEX)
        self._database.execute(f"PRAGMA user_version = {_FORMAT}")

    def _not_stored(self, error: sqlite3.Error) -> JobsNotStoredError:
        return JobsNotStoredError(
            f"{self._path}: the list of jobs cannot be written ({error}). Free space on the disk."
        )

    def close(self) -> None:
        """Write what is left to write, and close the file."""
        with self._lock:
            self._write_left()
            self._database.close()

    def add(self, spec: JobSpec, job_id: str | None = None) -> Job:
        """Store a new job behind all others.

        Args:
            spec: What it does.
            job_id: Its id from `new_job_id`; a new one by default.

        Raises:
            JobsNotStoredError: The file cannot be written.
            ValueError: There is a job with this id.
        """
        job = Job(id=job_id or new_job_id(), spec=spec, created_at=now())
        with self._lock:
            try:
                self._database.execute(
                    "INSERT INTO jobs (id, state, record) VALUES (?, ?, ?)", (job.id, job.state, job.model_dump_json())
                )
            except sqlite3.IntegrityError as error:
                raise ValueError(f"there is a job {job.id} already") from error
            except sqlite3.OperationalError as error:
                raise self._not_stored(error) from error
        return job

    def save(self, job: Job) -> None:
        """Store the new state of a job; if the file cannot be written, it is kept in memory and written later."""
        with self._lock:
            self._unwritten[job.id] = job
            self._write_left()

    def _write_left(self) -> None:
        for job in list(self._unwritten.values()):
            finished = None if job.finished_at is None else job.finished_at.isoformat()
            try:
                self._database.execute(
                    "UPDATE jobs SET state = ?, finished = ?, record = ? WHERE id = ?",
                    (job.state, finished, job.model_dump_json(), job.id),
                )
            except sqlite3.OperationalError:
                return
            del self._unwritten[job.id]

    def get(self, job_id: str) -> Job | None:
        """Return a job, or None if there is none with this id."""
        with self._lock:
            if job_id in self._unwritten:
                return self._unwritten[job_id]
            found = self._read("SELECT record FROM jobs WHERE id = ?", (job_id,))
        return found[0] if found else None

    def latest(self, limit: int = _MOST_LISTED) -> list[Job]:
        """Return the newest jobs, newest first."""
        with self._lock:
            found = self._read("SELECT record FROM jobs ORDER BY number DESC LIMIT ?", (limit,))
            return [self._unwritten.get(job.id, job) for job in found]

    def open_jobs(self) -> list[Job]:
        """Return the jobs that have not ended, oldest first."""
        with self._lock:
            found = self._read("SELECT record FROM jobs WHERE state IN ('queued', 'running') ORDER BY number", ())
            jobs = [self._unwritten.get(job.id, job) for job in found]
        return [job for job in jobs if not job.ended]

    def remove_ended(self, days: float) -> int:
        """Remove jobs that ended more than `days` ago, and return how many; none if the file cannot be written."""
        before = (now() - timedelta(days=days)).isoformat()
        with self._lock:
            try:
                with closing(self._database.execute("DELETE FROM jobs WHERE finished < ?", (before,))) as cursor:
                    return cursor.rowcount
            except sqlite3.OperationalError:
                return 0

    def _read(self, query: str, values: Iterable[Any]) -> list[Job]:
        rows = self._database.execute(query, tuple(values)).fetchall()
        try:
            return [Job.model_validate_json(record) for (record,) in rows]
        except ValidationError as error:
            raise InputError(
                self._path, f"has a job that cannot be read ({describe_validation(error)})", "Move the file away"
            ) from error
