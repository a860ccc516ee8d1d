"""What the parts of a running service know of each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drshym_pipeline.records.base import now
from drshym_pipeline.service.context import Service
from drshym_pipeline.service.engine import QueueFullError
from drshym_pipeline.service.job_answers import answer_of
from drshym_pipeline.service.jobs import Job, JobSpec, new_job_id
from drshym_pipeline.service.mapping_requests import SceneToMap, submit
from drshym_pipeline.service.schemas import SegmentOptions
from drshym_pipeline.service.settings import ServiceSettings


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service whose queue is open; nobody can connect to it."""
    service = Service(ServiceSettings(root=tmp_path / "root", workers=1))
    service.open()
    yield service
    service.engine.stop()


def test_the_retention_spares_folders_of_jobs_only_until_they_end(service: Service, tmp_path: Path):
    scene, out = service.catalogue.new_folder("S1_x", "a" * 64, "job1")
    upload = service.uploads / "1"
    upload.mkdir(parents=True)
    sources = (tmp_path / "S1_x.tif",)
    job = service.engine.submit(
        JobSpec(scene_name=scene, sources=sources, identity="a" * 64, out=out, uploads=(upload,))
    )
    assert service.folders_in_use() == [out, upload]
    service.engine.cancel(job.id)
    assert service.folders_in_use() == []


def job_of(service: Service, tmp_path: Path, name: str = "S1_x") -> Job:
    scene, out = service.catalogue.new_folder(name, "a" * 64, new_job_id())
    spec = JobSpec(scene_name=scene, sources=(tmp_path / "S1_x.tif",), identity="a" * 64, out=out)
    return service.engine.submit(spec, out.name)


def test_a_cancelled_job_frees_the_id_of_its_scene(service: Service, tmp_path: Path):
    first, second = job_of(service, tmp_path), job_of(service, tmp_path)
    service.engine.cancel(first.id)
    assert [folder.name for folder in service.catalogue.folder.iterdir()] == ["S1_x"], "the other job has it"
    service.engine.cancel(second.id)
    assert list(service.catalogue.folder.iterdir()) == []


def test_a_full_queue_leaves_no_folder_of_a_scene(tmp_path: Path):
    service = Service(ServiceSettings(root=tmp_path / "root", workers=1, queue_limit=1))
    service.open()
    try:
        job_of(service, tmp_path)
        refused = SceneToMap((tmp_path / "other.tif",), (), "other", "b" * 64, 1)
        with pytest.raises(QueueFullError):
            submit(refused, SegmentOptions(), service.engine, service.catalogue, 1 << 20)
        assert [folder.name for folder in service.catalogue.folder.iterdir()] == ["S1_x"]
    finally:
        service.stop()


def test_a_job_whose_map_is_gone_says_why(add_map, service: Service, tmp_path: Path):
    scene = add_map(service.catalogue, "first")
    spec = JobSpec(scene_name=scene.id, sources=(tmp_path / "x.tif",), identity="a" * 64, out=scene.folder)
    job = Job(id="0" * 16, spec=spec, created_at=now()).begun().finished()
    assert service.note_on(job) is None
    assert answer_of(job, service).result is not None
    add_map(service.catalogue, "second")
    answer = answer_of(job, service)
    assert answer.result is None
    assert answer.note == "The scene was mapped again, and the new map replaced this one: /v1/scenes/S1_lake"
    service.catalogue.remove(scene.id)
    assert answer_of(job, service).note == "The map was deleted. Send the scene again to map it again."


def test_workers_that_cannot_begin_say_why(service: Service):
    service.started = True
    assert service.not_ready().detail == "The workers load the model. Try again in some seconds."
    service.engine._dispatcher.problem = "/none: no such model bundle. Give another one."
    assert service.not_ready().detail == "The workers cannot begin. /none: no such model bundle. Give another one."


def test_replaced_workers_are_counted_by_the_reason(service: Service):
    service.engine._dispatcher.restarts.update(cancelled=2, worker_ended=1)
    page = service.metrics.page().decode()
    assert 'drshym_worker_restarts_total{reason="cancelled"} 2.0' in page
    assert 'drshym_worker_restarts_total{reason="worker_ended"} 1.0' in page
