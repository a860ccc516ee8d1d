"""Maps made by real workers, and faults in them at every stage."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drshym_pipeline.mapping import map_scene
from drshym_pipeline.model.choice import choose_model
from drshym_pipeline.records import MapRecord
from drshym_pipeline.service import engine as engine_module
from drshym_pipeline.service.engine import MappingEngine
from drshym_pipeline.service.jobs import Job, JobSpec
from drshym_pipeline.service.schemas import SegmentOptions
from drshym_pipeline.service.settings import ServiceSettings
from tests.small_scenes import write_lake_scene
from tests.worker_faults import FaultySetup

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[3]
STAGES = ("describe", "tile_probabilities", "stitched_scenes", "scene_reports")
LONG = 300.0  # seconds; nothing here takes as long unless it is broken


@contextmanager
def running(
    root: Path, on_done: Callable[[Job, MapRecord], None] | None = None, **options: Any
) -> Iterator[MappingEngine]:
    """Start an engine, wait until it is ready, and stop it at the end."""
    settings = ServiceSettings(root=root, **{"workers": 1, **options})
    engine = MappingEngine(settings) if on_done is None else MappingEngine(settings, on_done)
    engine.start()
    try:
        assert engine.wait_until_ready(LONG), engine.problem
        yield engine
    finally:
        engine.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lake_scene(tmp_path_factory.mktemp("scenes") / "lake.tif")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MappingEngine]:
    """An engine with faults in its worker for scenes of certain names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "WorkerSetup", FaultySetup)
        with running(tmp_path_factory.mktemp("service"), worker_bytes=3 << 30) as engine:
            yield engine


def spec(folder: Path, scene: Path, name: str = "lake", **more: Any) -> JobSpec:
    return JobSpec(scene_name=name, sources=(scene,), identity="0" * 64, out=folder / "map", **more)


def test_the_map_is_the_same_as_without_the_service(engine: MappingEngine, scene: Path, tmp_path: Path) -> None:
    options = SegmentOptions(tile=128, overlap=32, min_area_ha=1.0, threshold=0.3)
    jobs = [engine.submit(spec(tmp_path / name, scene, options=options)) for name in ("a", "b")]
    ended = [engine.wait(job.id, LONG) for job in jobs]
    assert [job.state for job in ended] == ["done", "done"]
    assert ended[0].finished_at is not None
    assert ended[0].stage == STAGES[-1]
    model = choose_model()
    record = map_scene(
        [scene],
        tmp_path / "alone",
        model.bundle,
        model.reference,
        scene_id="lake",
        tile=128,
        overlap=32,
        min_area_ha=1.0,
        threshold=0.3,
    )
    assert engine.model == model.reference
    assert (jobs[0].spec.out / "lake_backscatter.tif").exists(), "the page shows it"
    for name in ("lake_mask.tif", "lake_proba.tif", "lake_flood.geojson"):
        alone = (tmp_path / "alone" / name).read_bytes()
        assert [(job.spec.out / name).read_bytes() == alone for job in jobs] == [True, True], name
    assert record.calibration.threshold == 0.3


def test_a_bad_scene_fails_with_the_sentence_of_the_command(engine: MappingEngine, tmp_path: Path) -> None:
    bad = tmp_path / "no_scene.tif"
    bad.write_text("<html>not found</html>")
    upload = tmp_path / "upload"
    upload.mkdir()
    job = engine.wait(engine.submit(spec(tmp_path, bad, uploads=(upload,))).id, LONG)
    command = subprocess.run(
        [sys.executable, "-m", "drshym_pipeline", "segment", str(bad), "--out", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert job.failure is not None
    assert (job.state, job.failure.kind, job.failure.code) == ("failed", "input", "scene_refused")
    assert job.failure.detail in " ".join(command.stderr.split())
    assert not job.spec.out.exists()
    assert not upload.exists()


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_that_is_killed_costs_one_job(stage: str, engine: MappingEngine, scene: Path, tmp_path: Path) -> None:
    restarts = engine.counts().restarts.get("worker_ended", 0)
    job = engine.submit(spec(tmp_path / "a", scene, f"killed-at-{stage}"))
    after = engine.submit(spec(tmp_path / "b", scene))
    ended = engine.wait(job.id, LONG)
    assert ended.failure is not None
    assert (ended.state, ended.stage, ended.failure.kind) == ("failed", stage, "crash")
    assert ended.failure.detail.startswith(
        f"killed-at-{stage}: the process that mapped it was ended by the signal SIGKILL."
    )
    assert not ended.spec.out.exists()
    assert engine.wait(after.id, LONG).state == "done"
    assert engine.counts().restarts["worker_ended"] == restarts + 1


def test_a_running_job_is_cancelled_and_the_next_one_is_mapped(
    engine: MappingEngine, scene: Path, tmp_path: Path
) -> None:
    running, queued, after = (
        engine.submit(spec(tmp_path / name, scene, name)) for name in ("hangs-at-stitched_scenes", "b", "c")
    )
    wait_for_stage(engine, running, "stitched_scenes")
    assert [engine.position(job.id) for job in (running, queued, after)] == [None, 0, 1]
    assert any(running.spec.out.iterdir()), "it has begun to write"
    for job in (queued, running):
        cancelled = engine.cancel(job.id)
        assert cancelled is not None
        assert cancelled.state == "cancelled"
        assert not job.spec.out.exists()
    assert engine.wait(after.id, LONG).state == "done"
    assert not running.spec.out.exists()


def wait_for_stage(engine: MappingEngine, job: Job, stage: str) -> None:
    """Wait until a job reports a stage."""
    while (now := engine.job(job.id)) is not None and now.stage != stage:
        assert not now.ended, now
        engine.wait(job.id, 0.02)


def test_a_job_that_needs_too_much_memory_is_stopped(engine: MappingEngine, scene: Path, tmp_path: Path) -> None:
    job = engine.wait(engine.submit(spec(tmp_path, scene, "memory-at-describe")).id, LONG)
    assert job.failure is not None
    assert (job.failure.kind, job.failure.code) == ("memory", "memory_limit")
    assert "(3.0 GiB)" in job.failure.detail
    assert not job.spec.out.exists()


def test_figures_for_the_metrics_count_every_end(engine: MappingEngine) -> None:
    expected = {"worker_ended": len(STAGES), "cancelled": 1, "memory_limit": 1}
    # A job has ended a moment before its process is replaced, which is counted then.
    while sum(engine.counts().restarts.values()) < sum(expected.values()):
        time.sleep(0.01)
    counts = engine.counts()
    ended = [job for job in engine.jobs() if job.ended]
    assert counts.done == sum(job.state == "done" for job in ended)
    assert counts.cancelled == sum(job.state == "cancelled" for job in ended)
    assert sum(counts.failed.values()) == sum(job.state == "failed" for job in ended)
    assert (counts.queued, counts.running) == (0, 0)
    assert counts.restarts == expected


def test_a_job_that_takes_too_long_is_stopped(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "WorkerSetup", FaultySetup)
    published: list[str] = []
    with running(tmp_path / "root", lambda job, record: published.append(record.scene_id), job_seconds=1.0) as engine:
        job = engine.wait(engine.submit(spec(tmp_path / "a", scene, "hangs-at-tile_probabilities")).id, LONG)
    assert job.failure is not None
    assert (job.state, job.failure.kind, job.failure.code) == ("failed", "time", "time_limit")
    assert "was not mapped within 1 seconds" in job.failure.detail
    assert not job.spec.out.exists()
    assert published == []


def test_a_map_that_cannot_be_published_fails_its_job(scene: Path, tmp_path: Path) -> None:
    def refuse(job: Job, record: MapRecord) -> None:
        assert (job.spec.out / record.files["mask"]).exists()
        raise PermissionError(13, "Permission denied")

    with running(tmp_path / "root", refuse) as engine:
        job = engine.wait(engine.submit(spec(tmp_path, scene)).id, LONG)
        assert engine.counts().running == 0
    assert job.failure is not None
    assert (job.state, job.failure.code) == ("failed", "fault")
    assert "Permission denied" in job.failure.detail
    assert not job.spec.out.exists()


def test_a_model_that_cannot_be_loaded_is_a_problem_of_the_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = MappingEngine(ServiceSettings(root=tmp_path / "root", workers=1, checkpoint=tmp_path / "none"))
    engine.start()
    try:
        assert not engine.wait_until_ready(LONG)
        assert engine.problem is not None
        assert str(tmp_path / "none") in engine.problem
        while engine.counts().restarts.get("not_started", 0) < 2:
            time.sleep(0.1)
        # Each worker that is started says it; the log has it once.
        said = [record.message for record in caplog.records if str(tmp_path / "none") in record.message]
        assert said == [f"the workers cannot begin: {engine.problem}"]
    finally:
        engine.stop()
