"""Two runs of one scene at the same time: each run uses only its own files."""

from pathlib import Path

import pytest
import rasterio

from assets.scene_stages import STAGES
from assets.scene_steps import SceneTools
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.progress import silent
from resources.build import build_resources
from tests.lineage import CHECKOUT, Lineage

SCENE = "S1_one"
ORDER = list(STAGES)


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("simulated"), SCENE, simulate_scene(3, 70, 90))


@pytest.fixture
def lineage(tmp_path: Path, random_bundle: ModelBundle) -> Lineage:
    lineage = Lineage(tmp_path, {"tile": 64, "overlap": 8})
    lineage.serve(random_bundle)
    return lineage


def requested(lineage: Lineage) -> None:
    """Let the sensor request the scene that is in the watched folder."""
    assert [request.partition_key for _ in range(2) for request in lineage.tick()] == [SCENE]


def tools(lineage: Lineage, run: str) -> SceneTools:
    resources = build_resources(lineage.settings, CHECKOUT)
    return SceneTools(resources["bucket"], resources["store"], resources["engine"], silent, run)


def make_darker(path: Path) -> None:
    with rasterio.open(path, "r+") as dataset:
        dataset.write(dataset.read() - 2.0)


def test_a_file_that_is_exchanged_between_two_stages_changes_the_later_run_alone(lineage: Lineage, scene_file: Path):
    dropped = lineage.drop(scene_file)
    requested(lineage)
    first, second = tools(lineage, "first"), tools(lineage, "second")
    STAGES["raw_scenes"].step(first, SCENE)
    make_darker(dropped)
    requested(lineage)
    STAGES["raw_scenes"].step(second, SCENE)
    for name in ORDER[1:]:
        for run in (second, first):
            STAGES[name].step(run, SCENE)
    scenes = lineage.store.scenes
    old, new = scenes.map(SCENE, "first"), scenes.map(SCENE, "second")
    assert old.is_complete()
    assert new.is_complete()
    assert old.record().source_sha256 == scenes.staged(SCENE, "first").meta().sha256
    assert new.record().source_sha256 == scenes.staged(SCENE, "second").meta().sha256
    assert old.record().source_sha256 != new.record().source_sha256
    assert scenes.current(SCENE) == new, "the run that answers the older request ended last and changes nothing"
    assert scenes.status(SCENE).state == "mapped"


def test_a_model_that_goes_into_service_between_two_stages_changes_the_later_run_alone(
    lineage: Lineage, scene_file: Path, random_bundle: ModelBundle
):
    lineage.drop(scene_file)
    requested(lineage)
    first, second = tools(lineage, "first"), tools(lineage, "second")
    for name in ORDER[:3]:
        STAGES[name].step(first, SCENE)
    lineage.serve(shipped_bundle())
    for name in ORDER[:3]:
        STAGES[name].step(second, SCENE)
    for name in ORDER[3:]:
        for run in (first, second):
            STAGES[name].step(run, SCENE)
    scenes = lineage.store.scenes
    assert scenes.map(SCENE, "first").record().model.sha256 == random_bundle.sha256
    assert scenes.map(SCENE, "second").record().model.sha256 == shipped_bundle().sha256
    assert len(scenes.finished_maps(SCENE)) == 2


def test_a_run_that_begins_in_the_middle_keeps_to_what_it_found(lineage: Lineage, scene_file: Path):
    dropped = lineage.drop(scene_file)
    requested(lineage)
    for name in ORDER:
        STAGES[name].step(tools(lineage, "whole"), SCENE)
    STAGES["stitched_scenes"].step(tools(lineage, "part"), SCENE)
    make_darker(dropped)
    requested(lineage)
    for name in ORDER:
        STAGES[name].step(tools(lineage, "another"), SCENE)
    STAGES["scene_reports"].step(tools(lineage, "part"), SCENE)
    scenes = lineage.store.scenes
    assert scenes.map(SCENE, "part") == scenes.map(SCENE, "whole") != scenes.map(SCENE, "another")
    assert scenes.current(SCENE) == scenes.map(SCENE, "another")


def test_a_retry_goes_on_with_what_the_interrupted_run_made(lineage: Lineage, scene_file: Path):
    """Both have the name of the first try."""
    lineage.drop(scene_file)
    requested(lineage)
    for name in ORDER[:4]:
        STAGES[name].step(tools(lineage, "root"), SCENE)
    drawn = lineage.store.scenes.map(SCENE, "root")
    assert not drawn.is_complete()
    for name in ORDER:
        STAGES[name].step(tools(lineage, "root"), SCENE)
    (finished,) = lineage.store.scenes.finished_maps(SCENE)
    assert finished == lineage.store.scenes.current(SCENE)
    assert not drawn.directory.exists()


def test_without_a_choice_the_source_is_kept_once_and_where_it_was_dropped(lineage: Lineage, scene_file: Path):
    dropped = lineage.drop(scene_file)
    assert lineage.map_all()[SCENE].success
    assert dropped.is_file()
    assert [path for path in lineage.store.scenes.folder.rglob(scene_file.name) if path.is_file()] == []
    dropped.unlink()
    result = lineage.run("map_scene", SCENE)
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "Copy the scene into it again" in str(event.step_failure_data.user_failure_data.description)
    found = lineage.store.scenes.current(SCENE)
    assert found is not None
    assert found.is_complete()


def test_kept_in_the_store_the_source_leaves_the_watched_folder_when_it_is_mapped(
    tmp_path: Path, random_bundle: ModelBundle, scene_file: Path
):
    lineage = Lineage(tmp_path, {"tile": 64, "overlap": 8, "keep_sources": "store"})
    lineage.serve(random_bundle)
    dropped = lineage.drop(scene_file)
    assert lineage.map_all()[SCENE].success
    assert not dropped.exists()
    (kept,) = [path for path in lineage.store.scenes.folder.rglob(scene_file.name) if path.is_file()]
    assert kept.read_bytes() == scene_file.read_bytes()
    assert lineage.map_all(ticks=3) == {}, "a file that was deleted is not a new scene"
    lineage.serve(shipped_bundle())
    assert lineage.run("map_scene", SCENE).success, "a later model reads the copy"
    assert len(lineage.store.scenes.finished_maps(SCENE)) == 2


def test_kept_in_the_store_a_file_that_was_exchanged_meanwhile_stays(
    tmp_path: Path, random_bundle: ModelBundle, scene_file: Path
):
    lineage = Lineage(tmp_path, {"tile": 64, "overlap": 8, "keep_sources": "store"})
    lineage.serve(random_bundle)
    dropped = lineage.drop(scene_file)
    requested(lineage)
    run = tools(lineage, "a run")
    for name in ORDER[:4]:
        STAGES[name].step(run, SCENE)
    make_darker(dropped)
    STAGES["scene_reports"].step(run, SCENE)
    assert dropped.is_file()
    requested(lineage)


def test_a_scene_that_was_never_staged_says_what_to_do(lineage: Lineage):
    for name in ORDER[1:]:
        with pytest.raises(InputError, match="Materialise raw_scenes"):
            STAGES[name].step(tools(lineage, "a run"), "unknown")
