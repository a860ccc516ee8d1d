"""The queue of the engine. Its workers start, but these tests do not wait until one of them can map."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.service.engine import JOBS_FILE, MappingEngine, QueueFullError
from drshym_pipeline.service.job_queue import Capacity, JobQueue
from drshym_pipeline.service.jobs import Job, JobSpec, JobStore
from drshym_pipeline.service.settings import ServiceSettings
from drshym_pipeline.service.workers import threads_of, worker_count

Engines = Callable[..., MappingEngine]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Engines]:
    """A function that starts an engine in the test's folder; it is stopped at the end of the test."""
    engines: list[MappingEngine] = []

    def start(**options: Any) -> MappingEngine:
        engine = MappingEngine(ServiceSettings(root=tmp_path / "root", workers=1, **options))
        engine.start()
        engines.append(engine)
        return engine

    yield start
    for engine in engines:
        engine.stop()


def spec(folder: Path, name: str = "lake", **more: Any) -> JobSpec:
    out = folder / "maps" / name
    out.mkdir(parents=True)
    return JobSpec(scene_name=name, sources=(folder / "lake.tif",), identity="0" * 64, out=out, **more)


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (4, 2), (8, 4), (16, 8), (128, 8)])
def test_the_number_of_workers_follows_from_the_cores(cores: int, workers: int) -> None:
    assert worker_count(cores) == workers


@pytest.mark.parametrize(("cores", "running", "threads"), [(8, 1, 8), (8, 2, 4), (8, 3, 2), (2, 3, 1)])
def test_jobs_share_the_cores(cores: int, running: int, threads: int) -> None:
    assert threads_of(cores, running) == threads


def test_a_thousand_jobs_wait_and_one_of_them_is_cancelled(started: Engines, tmp_path: Path) -> None:
    engine = started(queue_limit=1000)
    jobs = [engine.submit(spec(tmp_path, f"scene {number}")) for number in range(1000)]
    assert engine.position(jobs[999].id) == 999
    cancelled = engine.cancel(jobs[500].id)
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert cancelled.failure is not None
    assert cancelled.failure.detail == "The job was cancelled."
    assert engine.wait(jobs[500].id, 0.0) == cancelled
    assert engine.position(jobs[500].id) is None
    assert engine.position(jobs[999].id) == 998
    assert not jobs[500].spec.out.exists()
    assert jobs[501].spec.out.exists()
    counts = engine.counts()
    assert (counts.queued, counts.cancelled, counts.running) == (999, 1, 0)


def test_a_full_queue_says_when_to_come_again(started: Engines, tmp_path: Path) -> None:
    engine = started(queue_limit=2)
    first = engine.submit(spec(tmp_path, "a"))
    engine.submit(spec(tmp_path, "b"))
    with pytest.raises(QueueFullError, match="2 jobs wait already") as caught:
        engine.submit(spec(tmp_path, "c"))
    assert caught.value.retry_after >= 1
    engine.cancel(first.id)
    assert engine.submit(spec(tmp_path, "d")).state == "queued"


def test_the_time_to_come_again_grows_with_the_queue_and_with_workers_that_load(tmp_path: Path) -> None:
    def retry_after(jobs: int, capacity: Capacity) -> int:
        folder = tmp_path / f"{jobs} {capacity}"
        queue = JobQueue(
            JobStore(folder / JOBS_FILE),
            threading.Condition(),
            lambda job, record: None,
            lambda job: None,
            limit=jobs,
            keep_days=30,
        )
        for number in range(jobs):
            queue.add(spec(folder, str(number)), None, capacity)
        with pytest.raises(QueueFullError) as caught:
            queue.add(spec(folder), None, capacity)
        assert f"Try again in {caught.value.retry_after} second" in str(caught.value)
        return caught.value.retry_after

    few, many = (retry_after(jobs, Capacity(workers=2, ready_in=0.0)) for jobs in (2, 100))
    assert many >= 10 * few / 2
    assert retry_after(100, Capacity(workers=8, ready_in=0.0)) < many
    assert retry_after(100, Capacity(workers=2, ready_in=30.0)) == many + 30


def test_workers_that_load_are_no_capacity_yet(started: Engines) -> None:
    engine = started()
    with engine._lock:
        capacity = engine._dispatcher.capacity
    assert capacity.workers == 1
    assert capacity.ready_in > 0


def test_a_cancelled_job_is_discarded_by_the_given_function(tmp_path: Path) -> None:
    discarded: list[str] = []
    engine = MappingEngine(
        ServiceSettings(root=tmp_path / "root", workers=1), on_discard=lambda job: discarded.append(job.id)
    )
    engine.open()
    job = engine.submit(spec(tmp_path))
    engine.cancel(job.id)
    engine.stop()
    assert discarded == [job.id]


def test_a_folder_that_cannot_be_deleted_does_not_stop_the_end_of_its_job(tmp_path: Path) -> None:
    def refuse(job: Job) -> None:
        raise PermissionError(13, "Permission denied")

    engine = MappingEngine(ServiceSettings(root=tmp_path / "root", workers=1), on_discard=refuse)
    engine.open()
    cancelled = engine.cancel(engine.submit(spec(tmp_path)).id)
    engine.stop()
    assert cancelled is not None
    assert cancelled.state == "cancelled"


def test_an_open_engine_has_its_jobs_and_no_workers(tmp_path: Path) -> None:
    engine = MappingEngine(ServiceSettings(root=tmp_path / "root", workers=1))
    engine.open()
    job = engine.submit(spec(tmp_path))
    assert engine.counts().workers == 0
    engine.stop()
    again = MappingEngine(ServiceSettings(root=tmp_path / "root", workers=1))
    again.open()
    assert again.position(job.id) == 0
    again.stop()


def test_uploads_of_a_job_are_deleted_when_it_ends(started: Engines, tmp_path: Path) -> None:
    engine = started()
    upload = tmp_path / "uploads" / "1"
    upload.mkdir(parents=True)
    (upload / "lake.tif").write_bytes(b"scene")
    job = engine.submit(spec(tmp_path, uploads=(upload,)))
    assert upload.exists()
    engine.cancel(job.id)
    assert not upload.exists()


def test_a_job_is_open_until_it_ends(started: Engines, tmp_path: Path) -> None:
    engine = started()
    ended, waiting = engine.submit(spec(tmp_path, "a")), engine.submit(spec(tmp_path, "b"))
    engine.cancel(ended.id)
    assert [job.id for job in engine.open_jobs()] == [waiting.id]
    assert {job.id for job in engine.jobs()} == {ended.id, waiting.id}


def test_a_job_that_has_ended_is_not_cancelled_again(started: Engines, tmp_path: Path) -> None:
    engine = started()
    job = engine.submit(spec(tmp_path))
    assert engine.cancel(job.id) == engine.cancel(job.id)
    assert engine.cancel("unknown") is None
    with pytest.raises(KeyError):
        engine.wait("unknown", 0.0)


def test_jobs_are_queued_again_after_a_restart_in_their_old_order(started: Engines, tmp_path: Path) -> None:
    first = started()
    jobs = [first.submit(spec(tmp_path, name)) for name in ("a", "b", "c")]
    first.stop()
    with_running = JobStore(tmp_path / "root" / JOBS_FILE)
    with_running.save(jobs[0].begun())  # as when the service is killed while it maps the first one
    with_running.close()
    second = started()
    assert [second.position(job.id) for job in jobs] == [0, 1, 2]
    again = second.job(jobs[0].id)
    assert again is not None
    assert (again.state, again.starts, again.started_at) == ("queued", 1, None)
    assert [job.id for job in second.jobs()] == [job.id for job in reversed(jobs)]


def test_a_stop_in_order_does_not_count_as_a_start_of_the_running_job(started: Engines, tmp_path: Path) -> None:
    engine = started()
    job = engine.submit(spec(tmp_path))
    with engine._lock:
        assert engine._queue.begin(job).starts == 1
    engine.stop()
    store = JobStore(tmp_path / "root" / JOBS_FILE)
    assert store.open_jobs() == [job]


def test_all_jobs_that_have_not_ended_are_listed(started: Engines, tmp_path: Path) -> None:
    engine = started()
    jobs = [engine.submit(spec(tmp_path, name)) for name in ("a", "b", "c", "d")]
    engine.cancel(jobs[2].id)
    assert [job.id for job in engine.jobs(limit=2)] == [jobs[number].id for number in (3, 2, 1, 0)]
    engine.cancel(jobs[0].id)
    assert [job.id for job in engine.jobs(limit=2)] == [jobs[number].id for number in (3, 2, 1)]


def test_a_scene_that_ends_the_service_again_and_again_is_given_up(started: Engines, tmp_path: Path) -> None:
    first = started()
    job = first.submit(spec(tmp_path))
    first.stop()
    store = JobStore(tmp_path / "root" / JOBS_FILE)
    store.save(job.begun().model_copy(update={"starts": 3}))
    store.close()
    found = started().job(job.id)
    assert found is not None
    assert found.failure is not None
    assert found.failure.kind == "crash"
    assert "the service ended 3 times while it mapped this scene" in found.failure.detail
    assert not job.spec.out.exists()


def test_old_jobs_are_removed_at_the_start(started: Engines, tmp_path: Path) -> None:
    first = started()
    job = first.submit(spec(tmp_path))
    cancelled = first.cancel(job.id)
    assert cancelled is not None
    assert cancelled.finished_at is not None
    first.stop()
    store = JobStore(tmp_path / "root" / JOBS_FILE)
    store.save(cancelled.model_copy(update={"finished_at": cancelled.finished_at.replace(year=2020)}))
    store.close()
    assert started(keep_days=30).job(job.id) is None


def test_two_services_do_not_work_in_one_folder(started: Engines) -> None:
    started()
    with pytest.raises(InputError, match=r"drshym serve, process \d+, works in it now"):
        started()


def test_a_waiting_caller_returns_when_the_engine_stops(started: Engines, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    engine = started()
    job = engine.submit(spec(tmp_path))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(engine.wait, job.id, 600.0)
        engine.stop()
        assert waiting.result().state == "queued"
    assert not engine.ready


def test_waiting_callers_return_before_the_engine_stops(started: Engines, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    engine = started()
    job = engine.submit(spec(tmp_path))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(engine.wait, job.id, 600.0)
        engine.release_waiting()
        assert waiting.result().state == "queued"
    assert engine.wait(job.id, 600.0).state == "queued", "nobody begins to wait any more"
    assert engine.position(job.id) == 0
