"""The job that deletes old results: by their own age, never during a run of the scene, never the newest map."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from drshym_pipeline import stages
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.products.expiry import delete_expired, discard_prediction
from drshym_pipeline.scene_folder import MapFolder, PredictionFolder
from drshym_pipeline.scene_store import SceneStore, WorkNote
from drshym_pipeline.storage import write_json
from sensors.retention import active_runs
from tests.lineage import Lineage

NOW = datetime.now(UTC)
KEEP = {"keep_predictions": timedelta(days=3), "keep_maps": timedelta(days=30)}


def age(path: Path, days: float) -> None:
    """Set the age of a file, or of a folder and all files in it."""
    moment = (NOW - timedelta(days=days)).timestamp()
    for item in (path, *path.rglob("*")):
        os.utime(item, (moment, moment))


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("simulated"), "S1_old", simulate_scene(6, 100, 100))


@pytest.fixture(scope="module")
def mapped_once(tmp_path_factory: pytest.TempPathFactory, scene_file: Path, random_bundle: ModelBundle) -> Path:
    root = tmp_path_factory.mktemp("store")
    store = SceneStore(root)
    folder = stages.stage([scene_file], store.folder, scene_id="S1_old")
    tiles = stages.write_tiles(folder, tile=128, overlap=16)
    predicted = stages.predict(tiles, random_bundle, random_bundle.reference("checkpoint"))
    finished = stages.report(stages.stitch(predicted))
    names = {"tiles": tiles.name, "prediction": predicted.name, "map": finished.version}
    store.write_note("S1_old", "first", WorkNote(version=folder.directory.name, request="S1_old:1:x", **names))
    store.set_current("S1_old", finished, "S1_old:1:x")
    return root


@pytest.fixture
def store(mapped_once: Path, tmp_path: Path) -> SceneStore:
    return SceneStore(Path(shutil.copytree(mapped_once, tmp_path / "store")))


def newest(store: SceneStore) -> MapFolder:
    found = store.current("S1_old")
    assert found is not None
    return found


def again(store: SceneStore, bundle: ModelBundle, digit: str) -> tuple[PredictionFolder, MapFolder]:
    """Map the scene with another model, up to the drawing."""
    tiles = newest(store).scene.tiles("tiles/128-16")
    reference = bundle.reference("checkpoint").model_copy(update={"sha256": digit * 64})
    predicted = stages.predict(tiles, bundle, reference)
    return predicted, stages.stitch(predicted, run=f"run{digit}")


def test_probabilities_are_deleted_by_their_own_age_and_the_map_is_kept(store: SceneStore):
    scene = newest(store).scene
    assert delete_expired(store, (), NOW, **KEEP).predictions == []
    age(newest(store).directory, 40)
    assert delete_expired(store, (), NOW, **KEEP).predictions == [], "an old map says nothing about its probabilities"
    (prediction,) = scene.predictions()
    age(prediction, 4)
    assert delete_expired(store, (), NOW, **KEEP).predictions == [prediction]
    assert scene.predictions() == []
    assert not scene.backscatter.exists()
    assert newest(store).is_complete()


def test_the_probabilities_of_a_running_run_are_never_deleted(store: SceneStore, random_bundle: ModelBundle):
    """The finished map is old; a run stitches a new one from probabilities that took days."""
    predicted, drawn = again(store, random_bundle, "1")
    store.write_note(
        "S1_old", "second", WorkNote(version=newest(store).scene.directory.name, prediction=predicted.name)
    )
    age(newest(store).scene.directory, 50)
    expired = delete_expired(store, {"second"}, NOW, **KEEP)
    assert (expired.predictions, expired.maps, expired.leftovers) == ([], [], [])
    assert stages.report(stages.stitch(predicted)).is_complete()
    assert drawn.directory.is_dir()


def test_probabilities_that_a_run_begins_to_use_at_the_same_moment_are_put_back(store: SceneStore):
    scene = newest(store).scene
    (prediction,) = scene.predictions()
    limit = NOW.timestamp() - 3 * 86400
    os.utime(prediction / "zarr.json")  # what `predict` does when it finds them
    assert not discard_prediction(prediction, scene, unused_since=limit)
    assert scene.predictions() == [prediction]


def test_reused_probabilities_count_as_new(store: SceneStore, random_bundle: ModelBundle):
    scene = newest(store).scene
    (prediction,) = scene.predictions()
    age(prediction, 4)
    assert stages.predict(scene.tiles("tiles/128-16"), random_bundle, random_bundle.reference("checkpoint")).reused
    assert delete_expired(store, (), NOW, **KEEP).predictions == []


def test_deleted_probabilities_are_an_error_that_says_what_to_do(store: SceneStore, random_bundle: ModelBundle):
    predicted, _ = again(store, random_bundle, "1")
    shutil.rmtree(predicted.path)
    with pytest.raises(InputError):
        stages.stitch(predicted)


def test_an_older_map_is_deleted_after_some_time_and_the_newest_never(store: SceneStore, random_bundle: ModelBundle):
    first = newest(store)
    _, drawn = again(store, random_bundle, "1")
    second = stages.report(drawn)
    store.set_current("S1_old", second, "S1_old:1:x")
    assert delete_expired(store, (), NOW, **KEEP).maps == []
    age(first.directory, 31)
    age(second.directory, 300)
    assert delete_expired(store, (), NOW, **KEEP).maps == [first.directory]
    assert newest(store) == second
    assert second.is_complete()


def test_old_leftovers_of_interrupted_runs_are_deleted_and_young_ones_are_kept(
    store: SceneStore, random_bundle: ModelBundle
):
    _, old = again(store, random_bundle, "1")
    _, young = again(store, random_bundle, "2")
    age(old.directory, 8)
    age(store.runs("S1_old")["first"], 8)
    delete_expired(store, (), NOW, **KEEP)
    assert not old.directory.exists()
    assert young.directory.is_dir()
    assert store.runs("S1_old") == {}


def test_an_earlier_version_of_a_scene_is_deleted_with_its_last_map(
    store: SceneStore, scene_file: Path, random_bundle: ModelBundle, tmp_path: Path
):
    first = newest(store)
    source = tmp_path / "S1_old.tif"
    source.write_bytes(write_scene(tmp_path / "new", "S1_old", simulate_scene(7, 100, 100)).read_bytes())
    folder = stages.stage([source], store.folder, scene_id="S1_old", copy=False)
    tiles = stages.write_tiles(folder, tile=128, overlap=16)
    finished = stages.report(stages.stitch(stages.predict(tiles, random_bundle, random_bundle.reference("checkpoint"))))
    store.set_current("S1_old", finished, "S1_old:2:x")
    age(first.scene.directory, 40)
    delete_expired(store, (), NOW, **KEEP)
    assert first.scene.directory.is_dir(), "it holds the only copy of its source"
    shutil.rmtree(first.scene.directory / "source")
    meta = first.scene.meta()
    moved = meta.model_copy(update={"bands": tuple(band.model_copy(update={"path": "/x.tif"}) for band in meta.bands)})
    first.scene.meta_path.write_text(moved.model_dump_json())
    age(first.scene.directory, 40)
    assert delete_expired(SceneStore(store.root), (), NOW, **KEEP).versions == [first.scene.directory]
    assert newest(store).is_complete()


def test_the_scheduled_job_deletes_and_says_what(tmp_path: Path, scene_file: Path, random_bundle: ModelBundle):
    lineage = Lineage(tmp_path, {"keep_probabilities_days": 3.0, "tile": 128, "overlap": 16})
    lineage.serve(random_bundle)
    lineage.drop(scene_file)
    assert lineage.map_all()["S1_old"].success
    scene = newest(lineage.store.scenes).scene
    (prediction,) = scene.predictions()
    age(prediction, 4)
    for run, days in (("old", 8), ("recent", 6)):
        path = lineage.store.progress_path(run)
        write_json(path, {"stage": "train"})
        age(path, days)
    result = lineage.run("old_probabilities")
    assert result.success
    assert scene.predictions() == []
    assert not lineage.store.progress_path("old").exists()
    assert lineage.store.progress_path("recent").is_file()
    (output,) = [event for event in result.all_events if event.is_successful_output]
    assert "deleted 1 prediction," in str(output.event_specific_data.metadata["deleted"].value)


def test_runs_count_as_active_until_they_have_ended_and_under_the_name_of_the_first_try(tmp_path: Path):
    lineage = Lineage(tmp_path)
    job = lineage.repository.get_job("put_in_service")
    first = lineage.instance.create_run_for_job(job, status=DagsterRunStatus.FAILURE)
    retry = lineage.instance.create_run_for_job(
        job, status=DagsterRunStatus.STARTED, root_run_id=first.run_id, parent_run_id=first.run_id
    )
    waiting = lineage.instance.create_run_for_job(job, status=DagsterRunStatus.NOT_STARTED)
    lineage.instance.create_run_for_job(job, status=DagsterRunStatus.SUCCESS)
    assert active_runs(lineage.instance) == {first.run_id, waiting.run_id}
    assert retry.run_id not in active_runs(lineage.instance)
