"""Every check of the training assets, run by Dagster in the training job, on a good training and on a broken one.

Training is done once for the module; each test that breaks a file puts it back.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster import AssetCheckEvaluation, AssetCheckSeverity, AssetKey, ExecuteInProcessResult

from drshym_pipeline.model import bundle as bundle_module
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.storage import read_json, write_json
from tests.lineage import Lineage

pytestmark = pytest.mark.system  # several whole trainings

CHECKS = ("log_loss_does_not_rise", "calibration_error_does_not_rise", "candidate_is_not_broken")


def recipe(**evaluation: object) -> str:
    values = {
        "name": "tiny",
        "data": {"simulated": {"train": 6, "valid": 3, "test": 3, "hard": 2, "size": 64}},
        "network": {"stem": "half", "decoder_channels": [16, 8, 8]},
        "training": {
            "crop": 64,
            "batch_size": 2,
            "max_steps": 2,
            "validate_every": 2,
            "warmup_steps": 1,
            "precision": "fp32",
        },
        "evaluation": {"bootstrap": 100, **evaluation},
    }
    return yaml.safe_dump(values)


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory, random_bundle: ModelBundle) -> Iterator[Lineage]:
    """A store whose shipped model is random, so that the tiny candidate is nowhere worse by chance alone."""
    home = tmp_path_factory.mktemp("training")
    shipped = random_bundle.save(home / "shipped")
    patch = pytest.MonkeyPatch()
    patch.setattr(bundle_module, "shipped_path", lambda: shipped)
    (home / "recipe.yaml").write_text(recipe(), "utf-8")
    yield Lineage(home, {"train_config": home / "recipe.yaml"})
    patch.undo()


@pytest.fixture(scope="module")
def trained(lineage: Lineage) -> ExecuteInProcessResult:
    result = lineage.run("train_model")
    assert result.success
    return result


@pytest.fixture
def calibration(lineage: Lineage, trained: ExecuteInProcessResult) -> Iterator[Path]:
    """The calibration of the sealed bundle, put back after the test."""
    assert trained.success
    (path,) = lineage.store.path.glob("training/*/bundle/calibration.json")
    content = path.read_bytes()
    yield path
    path.write_bytes(content)


def set_after(path: Path, figure: str, change: float) -> None:
    """A figure after scaling by the temperature, with the figure before."""
    values = read_json(path)
    for mode in values.values():
        mode["after"][figure] = mode["before"][figure] + change
    write_json(path, values)


def evaluation(result: ExecuteInProcessResult, check: str) -> AssetCheckEvaluation:
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == check]
    return found


def made(result: ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}


def calibrate_and_judge(lineage: Lineage) -> ExecuteInProcessResult:
    wanted = [AssetKey("calibration_temperature"), AssetKey("slice_reports")]
    return lineage.run("train_model", asset_selection=wanted)


def test_on_a_good_training_the_blocking_checks_pass_and_a_model_is_in_service(trained: ExecuteInProcessResult):
    assert {one.check_name for one in trained.get_asset_check_evaluations()} == set(CHECKS)
    assert evaluation(trained, "log_loss_does_not_rise").passed
    assert evaluation(trained, "candidate_is_not_broken").passed
    assert "flood_model" in made(trained)


def test_a_rising_log_loss_fails_the_check_and_nothing_is_judged(lineage: Lineage, calibration: Path):
    set_after(calibration, "log_loss", 0.01)
    result = calibrate_and_judge(lineage)
    found = evaluation(result, "log_loss_does_not_rise")
    assert not result.success
    assert not found.passed
    assert found.blocking
    assert found.severity == AssetCheckSeverity.ERROR
    assert made(result) == {"calibration_temperature"}


@pytest.mark.parametrize(("fitted", "passes"), [([0.5, 0.4], True), ([0.4, 0.5], False)])
def test_with_other_calibration_sets_the_log_loss_of_all_sets_counts(
    lineage: Lineage, calibration: Path, fitted: list[float], passes: bool
):
    """The validation chips alone may get a higher log loss: the temperature serves the other sets too."""
    set_after(calibration, "log_loss", 0.01)
    values = read_json(calibration)
    for mode in values.values():
        mode["fit_log_loss"] = fitted
    write_json(calibration, values)
    found = evaluation(calibrate_and_judge(lineage), "log_loss_does_not_rise")
    assert found.passed == passes
    assert ("0.4000 to 0.5000" in str(found.description)) != passes


def test_a_calibration_error_that_does_not_rise_passes(lineage: Lineage, calibration: Path):
    set_after(calibration, "ece", 0.0)
    assert evaluation(calibrate_and_judge(lineage), "calibration_error_does_not_rise").passed


def test_a_rising_calibration_error_is_a_warning_that_stops_nothing(lineage: Lineage, calibration: Path):
    set_after(calibration, "ece", 0.01)
    result = calibrate_and_judge(lineage)
    found = evaluation(result, "calibration_error_does_not_rise")
    assert result.success
    assert not found.passed
    assert not found.blocking
    assert found.severity == AssetCheckSeverity.WARN
    assert made(result) == {"calibration_temperature", "slice_reports"}


@pytest.mark.usefixtures("trained")
def test_a_candidate_below_the_floors_fails_the_check_and_is_not_put_in_service(lineage: Lineage):
    path = lineage.settings.train_config
    assert path is not None
    path.write_text(recipe(floors={"simulated": {"iou": 0.999, "f1": 0.999}}), "utf-8")
    result = lineage.run("train_model")
    path.write_text(recipe(), "utf-8")
    found = evaluation(result, "candidate_is_not_broken")
    assert not result.success
    assert not found.passed
    assert found.blocking
    assert found.severity == AssetCheckSeverity.ERROR
    assert found.description
    assert "\n" not in str(found.description)
    assert "flood_model" not in made(result)
