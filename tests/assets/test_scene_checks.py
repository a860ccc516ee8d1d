"""Every check of the inference assets, run by Dagster in the job of a scene, on good files and on broken ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from dagster import AssetCheckEvaluation, AssetCheckSeverity, AssetKey, ExecuteInProcessResult
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from assets.asset_facts import tile_columns
from assets.scene_faults import map_faults
from assets.scene_stages import STAGES
from assets.scene_steps import SceneTools
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.storage import read_json
from tests.damage import BLOCKING_SCENE_CHECKS, Damage, add_water_pixel
from tests.lineage import Lineage
from tests.novelty_samples import measured_once, with_novelty

SCENE = "S1_small"
CASES = [
    pytest.param(asset, check, damage, word, id=f"{check}: {name}")
    for (asset, check), damages in BLOCKING_SCENE_CHECKS.items()
    for name, (damage, word) in damages.items()
]


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("simulated"), SCENE, simulate_scene(11, 96, 140))


@pytest.fixture
def lineage(tmp_path: Path, random_bundle: ModelBundle, scene_file: Path) -> Lineage:
    """One scene waiting to be mapped, and a model in service."""
    lineage = Lineage(tmp_path, {"tile": 64, "overlap": 8})
    lineage.serve(random_bundle)
    lineage.drop(scene_file)
    for _ in range(2):
        lineage.tick()
    return lineage


def after(monkeypatch: pytest.MonkeyPatch, asset: str, action: Callable[[SceneTools, str], None]) -> None:
    """Let something happen between the end of an asset's step and its checks."""
    stage = STAGES[asset]

    def made(tools: SceneTools, partition: str):
        result = stage.step(tools, partition)
        action(tools, partition)
        return result

    monkeypatch.setitem(STAGES, asset, replace(stage, step=made))


def breaking(asset: str, damage: Damage) -> Callable[[SceneTools, str], None]:
    def spoil(tools: SceneTools, partition: str) -> None:
        scenes = tools.store.scenes
        made = {
            "raw_scenes": scenes.staged,
            "tiles": scenes.tiles,
            "tile_probabilities": scenes.prediction,
            "stitched_scenes": scenes.map,
        }
        if partition == SCENE:
            damage(made[asset](partition, tools.run))

    return spoil


def materialised(lineage: Lineage) -> list[str]:
    return [name for name in STAGES if SCENE in lineage.instance.get_materialized_partitions(AssetKey(name))]


def checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def likeness(result: ExecuteInProcessResult) -> AssetCheckEvaluation:
    name = "scene_is_like_the_training_chips"
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == name]
    return found


def test_on_good_files_every_check_passes_and_the_scene_is_mapped(lineage: Lineage):
    result = lineage.run("map_scene", SCENE)
    assert result.success
    assert materialised(lineage) == list(STAGES)
    warnings = ("model_is_current", "scene_is_like_the_training_chips")
    expected = {name: True for _, name in BLOCKING_SCENE_CHECKS} | dict.fromkeys(warnings, True)
    # There is nothing to compare a scene without a date with, and that stops nothing.
    assert checks(result) == expected | {"reference_is_known": False}
    # This model has no figures of its training chips: the check passes and says so.
    assert "No score is known" in str(likeness(result).description)
    # The columns that Dagster shows of the table are those that it has.
    table = pd.read_parquet(lineage.store.scenes.versions(SCENE)[0].tiles("tiles/64-8").parquet)
    assert set(table.columns) <= {column.name for column in tile_columns().columns}


@pytest.mark.parametrize(("asset", "check", "damage", "word"), CASES)
def test_a_blocking_check_fails_on_broken_files_and_nothing_follows(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch, asset: str, check: str, damage: Damage, word: str
):
    after(monkeypatch, asset, breaking(asset, damage))
    result = lineage.run("map_scene", SCENE)
    assert not result.success
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == check]
    assert not found.passed
    assert found.blocking
    assert found.severity == AssetCheckSeverity.ERROR
    assert found.partition == SCENE
    assert word in str(found.description)
    assert "\n" not in str(found.description)
    # What the instance keeps is what the UI shows.
    (kept,) = lineage.instance.event_log_storage.get_asset_check_execution_history(found.asset_check_key, limit=1)
    assert kept.status == AssetCheckExecutionRecordStatus.FAILED
    assert materialised(lineage) == list(STAGES)[: list(STAGES).index(asset) + 1]
    # The run's own failure says it too, not only the check.
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert failure.step_failure_data.user_failure_data.description == f"{check} failed: {found.description}"
    assert lineage.store.scenes.current(SCENE) is None


@pytest.mark.parametrize(("asset", "check"), list(BLOCKING_SCENE_CHECKS))
def test_a_run_of_many_stops_a_broken_scene_at_the_same_check_and_says_why(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch, asset: str, check: str
):
    damage, word = next(iter(BLOCKING_SCENE_CHECKS[asset, check].values()))
    after(monkeypatch, asset, breaking(asset, damage))
    lineage.drop(lineage.inbox / f"{SCENE}.tif", "other.tif")
    for _ in range(2):
        lineage.tick()
    result = lineage.backfill([SCENE, "other"])
    assert not result.success
    failed = {(one.partition, one.check_name) for one in result.get_asset_check_evaluations() if not one.passed}
    # There is nothing to compare a scene without a date with, and that stops nothing.
    assert failed - {(partition, "reference_is_known") for partition in (SCENE, "other")} == {(SCENE, check)}
    assert lineage.store.scenes.current("other") is not None
    reason = read_json(lineage.store.path / "failures" / f"{SCENE}.json")["reason"]
    assert reason.startswith(f"{check} failed: ")
    assert word in reason


def test_a_map_by_another_model_is_reported_and_stops_nothing(lineage: Lineage, monkeypatch: pytest.MonkeyPatch):
    after(monkeypatch, "stitched_scenes", lambda tools, partition: lineage.serve(shipped_bundle()))
    result = lineage.run("map_scene", SCENE)
    assert result.success
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "model_is_current"]
    assert not found.passed
    assert not found.blocking
    assert found.severity == AssetCheckSeverity.WARN
    assert "materialise" in str(found.description).lower()
    assert materialised(lineage) == list(STAGES)


def test_the_mask_of_a_map_with_a_minimum_area_is_checked_with_it(tmp_path, random_bundle, scene_file):
    lineage = Lineage(tmp_path, {"tile": 64, "overlap": 8, "min_area_ha": 0.4})
    lineage.serve(random_bundle)
    lineage.drop(scene_file)
    for _ in range(2):
        lineage.tick()
    assert lineage.run("map_scene", SCENE).success
    finished = lineage.store.scenes.current(SCENE)
    assert finished is not None
    assert finished.record().minimum_area.ha == 0.4
    assert finished.record().minimum_area.removed > 0, "the random model should find small areas here"
    assert map_faults(finished) == []
    add_water_pixel(finished)
    (fault,) = map_faults(finished)
    assert fault.endswith("without areas below 0.4 ha")
    assert fault.startswith("the mask differs in 1 pixel from")


@pytest.mark.parametrize(("limit", "passed"), [(1e9, True), (1e-9, False)])
def test_a_scene_unlike_the_training_chips_is_reported_and_stops_nothing(
    tmp_path, random_bundle, scene_file, limit: float, passed: bool
):
    lineage = Lineage(tmp_path, {"tile": 64, "overlap": 8})
    lineage.serve(with_novelty(random_bundle, {"vv_vh": measured_once("vv_vh", limit)}))
    lineage.drop(scene_file)
    for _ in range(2):
        lineage.tick()
    result = lineage.run("map_scene", SCENE)
    assert result.success
    found = likeness(result)
    assert found.passed is passed
    assert not found.blocking
    assert found.severity == AssetCheckSeverity.WARN
    assert found.metadata["unlike tiles"].value == (0 if passed else found.metadata["tiles"].value)
    finished = lineage.store.scenes.current(SCENE)
    assert finished is not None
    assert ("unlike the chips" in finished.record().caption) is not passed
    assert passed or found.description == finished.record().novelty.warning()
