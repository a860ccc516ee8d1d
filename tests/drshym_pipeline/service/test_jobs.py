"""Jobs, which states follow one another, and the file that keeps them."""

from __future__ import annotations

import json
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from drshym_pipeline.errors import InputError
from drshym_pipeline.records.base import now
from drshym_pipeline.service import failures
from drshym_pipeline.service.jobs import ENDED, Job, JobsNotStoredError, JobSpec, JobStore

FAILURE = failures.worker_ended("lake", -9)


def spec(name: str = "lake") -> JobSpec:
    return JobSpec(scene_name=name, sources=(Path("/scenes/lake.tif"),), identity="0" * 64, out=Path("/maps") / name)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "root" / "jobs.sqlite")


def test_a_job_is_found_by_its_id_with_all_that_it_was_given(store: JobStore) -> None:
    job = store.add(spec())
    assert store.get(job.id) == job
    assert job.spec == spec()
    assert job.state == "queued"
    assert store.get("unknown") is None


def test_jobs_are_listed_newest_first_and_queued_oldest_first(store: JobStore) -> None:
    jobs = [store.add(spec(f"scene {number}")) for number in range(5)]
    store.save(jobs[2].begun().finished())
    assert [job.id for job in store.latest(3)] == [jobs[4].id, jobs[3].id, jobs[2].id]
    assert [job.id for job in store.open_jobs()] == [jobs[number].id for number in (0, 1, 3, 4)]


def test_an_id_is_used_once(store: JobStore) -> None:
    store.add(spec(), "0123")
    with pytest.raises(ValueError, match="there is a job 0123 already"):
        store.add(spec("other"), "0123")


def test_jobs_survive_a_restart_in_their_old_order(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    first = JobStore(path)
    jobs = [first.add(spec(f"scene {number}")) for number in range(4)]
    first.save(jobs[1].begun())
    first.save(jobs[0].begun().failed(FAILURE))
    # Not closed: a killed service closes nothing.
    second = JobStore(path)
    assert [job.id for job in second.open_jobs()] == [job.id for job in jobs[1:]]
    assert second.open_jobs()[0].state == "running"
    found = second.get(jobs[0].id)
    assert found is not None
    assert found.failure == FAILURE


def test_ended_jobs_are_removed_after_some_days_and_open_ones_never(store: JobStore) -> None:
    old, new, waiting = (store.add(spec(name)) for name in ("old", "new", "waiting"))
    ended = old.begun().finished()
    store.save(ended.model_copy(update={"finished_at": now() - timedelta(days=8)}))
    store.save(new.begun().finished())
    assert store.remove_ended(days=7) == 1
    assert store.get(old.id) is None
    assert [job.id for job in store.latest()] == [waiting.id, new.id]


def test_a_state_that_cannot_be_written_is_kept_and_written_later(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    store = JobStore(path)
    job, other = store.add(spec()), store.add(spec("other"))
    ended = job.begun().failed(FAILURE)
    limit_pages(store, to_present_size=True)
    long = ended.model_copy(update={"failure": FAILURE.model_copy(update={"detail": "x" * 100_000})})
    store.save(long)
    assert store.get(job.id) == long
    assert long in store.latest()
    assert [left.id for left in store.open_jobs()] == [other.id]
    assert JobStore(path).get(job.id) == job, "the file has the old state"
    with pytest.raises(JobsNotStoredError, match="Free space on the disk"):
        store.add(spec("y" * 100_000))
    limit_pages(store, to_present_size=False)
    store.save(other.begun())
    assert JobStore(path).get(job.id) == long


def limit_pages(store: JobStore, *, to_present_size: bool) -> None:
    """Let the file not grow any more, as on a full disk, or let it grow again."""
    database = store._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages if to_present_size else 1_000_000}")


def test_a_file_that_is_no_list_of_jobs_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match=r"jobs\.sqlite: is not a list of jobs"):
        JobStore(path)
    assert path.read_bytes().startswith(b"no database")


def test_a_list_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    JobStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match="was written by a newer release"):
        JobStore(path)


def test_several_threads_add_jobs_at_the_same_time(store: JobStore) -> None:
    threads = [
        threading.Thread(target=lambda name: [store.add(spec(name)) for _ in range(20)], args=(f"scene {number}",))
        for number in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.open_jobs()) == 100


class JobStates(RuleBasedStateMachine):
    """Jobs go through their states in any order of events; the file always agrees with what was saved."""

    open_jobs = Bundle("open_jobs")

    @initialize()
    def empty_store(self) -> None:
        self.store = JobStore(Path(":memory:"))
        self.saved: dict[str, Job] = {}

    def keep(self, job: Job) -> Job:
        self.store.save(job)
        self.saved[job.id] = job
        return job

    @rule(target=open_jobs)
    def add(self) -> Job:
        job = self.store.add(spec())
        self.saved[job.id] = job
        return job

    @rule(target=open_jobs, job=consumes(open_jobs), done=st.integers(0, 5))
    def begin_or_progress(self, job: Job, done: int) -> Job:
        after = self.keep(job.begun() if job.state == "queued" else job.progressed("describe", done, 5))
        assert after.state == "running"
        assert after.starts == job.starts + (job.state == "queued")
        return after

    @rule(target=open_jobs, job=consumes(open_jobs), killed=st.booleans())
    def end_the_service(self, job: Job, killed: bool) -> Job:
        change = job.queued_again if killed else job.put_back
        if job.state == "queued":
            with pytest.raises(ValueError, match="queued cannot be queued again"):
                change()
            return job
        after = self.keep(change())
        assert (after.state, after.stage, after.started_at) == ("queued", None, None)
        assert after.starts == job.starts - (not killed), "a stop in order does not count as a start"
        return after

    @rule(target=open_jobs, job=consumes(open_jobs), how=st.sampled_from(["done", "failed", "cancelled"]))
    def end(self, job: Job, how: str) -> Job | object:
        if how == "done" and job.state == "queued":
            with pytest.raises(ValueError, match="queued cannot become done"):
                job.finished()
            return job
        failure = failures.cancelled() if how == "cancelled" else FAILURE
        ended = self.keep(job.finished() if how == "done" else job.failed(failure))
        assert ended.state == how
        assert ended.ended
        assert ended.finished_at is not None
        for change in (ended.begun, ended.queued_again, ended.finished, lambda: ended.failed(FAILURE)):
            with pytest.raises(ValueError, match=ended.state):
                change()
        return multiple()

    @invariant()
    def the_file_agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.latest() == list(reversed(self.saved.values()))
        assert self.store.open_jobs() == [job for job in self.saved.values() if job.state not in ENDED]


TestJobStates = JobStates.TestCase
TestJobStates.settings = settings(max_examples=40, stateful_step_count=20)


def test_a_job_of_an_earlier_release_has_no_names_of_uploads(store: JobStore) -> None:
    job = store.add(spec())
    record = job.model_dump(mode="json")
    for key in ("source_uris", "pre_uris"):
        del record["spec"][key]
    store._database.execute("UPDATE jobs SET record = ?", (json.dumps(record),))
    assert store.open_jobs() == [job]
