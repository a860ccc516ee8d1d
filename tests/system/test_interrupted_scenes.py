"""A scene is mapped after every kind of interruption: once, completely, and without half-written files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import rasterio
from dagster import DagsterRunStatus, RunsFilter

from drshym_pipeline.products.expiry import delete_expired
from drshym_pipeline.records import MapRecord, now
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.storage import TEMPORARY_PREFIX, process_start
from tests.processes import has_ended
from tests.system.pipeline_runs import RENAMED, Pipeline, is_asked_to_end, kill, pipeline, quick_home, wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of a few tiles: large enough to be interrupted, small enough to be mapped six times."""
    from drshym_pipeline.datasets.simulator.scene import simulate_scene
    from drshym_pipeline.datasets.simulator.writer import write_scene

    return write_scene(tmp_path_factory.mktemp("simulated"), "S1_scene", simulate_scene(5, 600, 700))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    quick_home(home, {})
    return home


@pytest.fixture(scope="module")
def services(home: Path) -> Iterator[Pipeline]:
    with pipeline(home) as services:
        yield services


@pytest.fixture(scope="module")
def undisturbed(services: Pipeline, scene: Path) -> str:
    """The hash of the pixels of the scene's mask without an interruption."""
    services.drop(scene, "S1_undisturbed")
    assert len(services.mapped("S1_undisturbed", attempts=1)) == 1
    return mask_of(services.home, "S1_undisturbed")


def mask_of(home: Path, partition: str) -> str:
    """The hash of the pixels of a scene's only mask; its tags name the scene."""
    (mask,) = (home / "store" / "scenes" / partition).rglob(f"{partition}_mask.tif")
    with rasterio.open(mask) as dataset:
        return hashlib.sha256(dataset.read(1).tobytes()).hexdigest()


def assert_mapped_once(home: Path, partition: str, mask: str | None = None) -> None:
    """Check that a scene has one finished map with all its files, and that no half-written file of it is left."""
    folder = home / "store" / "scenes" / partition
    assert (folder / "current.json").is_file()
    (report,) = folder.rglob(f"{partition}_report.json")
    record = MapRecord.model_validate_json(report.read_text("utf-8"))
    assert [name for name in record.files.values() if not (report.parent / name).is_file()] == []
    assert mask is None or mask_of(home, partition) == mask, "the map differs from that of an undisturbed run"
    assert list(folder.rglob(f"{TEMPORARY_PREFIX}*")) == []
    assert not (home / "store" / "failures" / f"{partition}.json").exists()


@pytest.mark.parametrize("stage", RENAMED)
def test_a_scene_whose_process_is_killed_in_a_stage_is_mapped(
    services: Pipeline, scene: Path, undisturbed: str, stage: str
):
    partition = f"S1_{stage}_killed"
    with services.held(scene, partition, stage) as (run, process):
        kill(process)
    runs = services.mapped(partition)
    assert [each.status for each in runs] == [DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS]
    assert runs[0].run_id == run.run_id == runs[1].root_run_id
    assert_mapped_once(services.home, partition, undisturbed)


def test_a_run_that_a_user_terminates_is_not_retried(services: Pipeline, scene: Path, undisturbed: str):
    del undisturbed
    terminate = """mutation Terminate($id: String!) { terminateRun(runId: $id) { __typename } }"""
    with ThreadPoolExecutor(1) as other, services.held(scene, "S1_terminated", "raw_scenes") as (run, process):
        # Dagster answers only when the run has ended, so the request must not wait for the process that is stopped.
        answer = other.submit(services.ask, terminate, {"id": run.run_id})
        canceling = RunsFilter(run_ids=[run.run_id], statuses=[DagsterRunStatus.CANCELING])
        wait_until(lambda: services.instance.get_runs(canceling), "the request to terminate the run")
    assert answer.result()["terminateRun"]["__typename"] == "TerminateRunSuccess"
    wait_until(lambda: services.runs("S1_terminated")[0].is_finished, "the end of the terminated run")
    # The next scene is mapped after it: a retry would exist by then.
    services.drop(scene, "S1_after")
    services.mapped("S1_after", attempts=1)
    assert [each.status for each in services.runs("S1_terminated")] == [DagsterRunStatus.CANCELED]
    # No later run of the scene deletes what the terminated one left half written, so expiry has to.
    wait_until(lambda: process_start(process.pid) is None, "the end of the terminated process")
    week = timedelta(days=7)
    delete_expired(SceneStore(services.home / "store"), (), now(), keep_predictions=week, keep_maps=week)
    assert list((services.home / "store" / "scenes" / "S1_terminated").rglob(f"{TEMPORARY_PREFIX}*")) == []


def test_a_scene_is_mapped_when_the_daemon_is_killed(services: Pipeline, scene: Path, undisturbed: str):
    with services.held(scene, "S1_daemon", "tile_probabilities"):
        killed = services.daemon.pid
        os.kill(killed, signal.SIGKILL)
    services.mapped("S1_daemon")
    wait_until(lambda: services.running.services[0].process.pid != killed, "another daemon")
    assert_mapped_once(services.home, "S1_daemon", undisturbed)


def test_a_scene_is_mapped_when_the_daemon_and_all_it_started_are_killed(
    services: Pipeline, scene: Path, undisturbed: str
):
    """As after a restart of the machine: no process is left that could report the end of the run."""
    with services.held(scene, "S1_all", "stitched_scenes") as (run, process):
        daemon = services.daemon
        kill(daemon, *daemon.children(recursive=True), process)
    runs = services.mapped("S1_all")
    assert [each.status for each in runs] == [DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS]
    messages = [entry.message for entry in services.instance.all_logs(run.run_id)]
    assert any("the process of the run is gone" in message for message in messages), messages
    assert_mapped_once(services.home, "S1_all", undisturbed)


def test_a_scene_is_mapped_after_an_orderly_stop_of_the_services(tmp_path: Path, scene: Path):
    quick_home(tmp_path, {})
    with ThreadPoolExecutor(1) as other, contextlib.ExitStack() as stack:
        services = stack.enter_context(pipeline(tmp_path))
        with services.held(scene, "S1_stopped", "raw_scenes") as (_run, process):
            # The process goes on when it has been asked to end: a fast machine could otherwise finish the map first.
            stopped = other.submit(stack.close)
            wait_until(lambda: is_asked_to_end(process), "the request to end the process")
        stopped.result()
    assert has_ended(process)
    with pipeline(tmp_path) as services:
        runs = services.mapped("S1_stopped")
    assert [each.status for each in runs] == [DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS]
    assert_mapped_once(tmp_path, "S1_stopped")
