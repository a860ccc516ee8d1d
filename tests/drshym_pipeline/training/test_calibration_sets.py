"""Calibration with real sets beside the validation chips: their weight, and what is stated separately."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.sign_interval import SignInterval
from drshym_pipeline.datasets.real_land import PACKAGED
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.sources import list_calibration
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.model_card import model_card_markdown
from drshym_pipeline.settings import DataConfig, EvaluationConfig, TrainConfig
from drshym_pipeline.training.calibration_chips import CalibrationSet
from drshym_pipeline.training.mode_calibration import ModeCalibration, calibrate_mode, multiplied, read_calibration
from drshym_pipeline.training.sealing import seal
from drshym_pipeline.training.train import train

PLACES = ("western-lithuania", "archipelago-sea")


def chips_of(seed: int, count: int, sharpness: float, shift: float = 0.0) -> dict[str, list[LogitHistogram]]:
    """Make chips whose true temperature is `sharpness` and whose true bias is `-shift / sharpness`."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[LogitHistogram]] = {}
    for number in range(count):
        honest = rng.normal(0.0, 2.0, 3000)
        labels = (rng.random(3000) < 1 / (1 + np.exp(-honest))).astype(np.int8)
        histogram = LogitHistogram()
        histogram.add(honest * sharpness + shift, labels)
        found[f"event-{seed}-{number}"] = [histogram]
    return found


def other(weight: float, sharpness: float, shift: float = 0.0) -> CalibrationSet:
    return CalibrationSet("real_land", weight, chips_of(2, 3, sharpness, shift))


def test_a_set_has_its_weight_whatever_its_size():
    main = chips_of(1, 12, 1.0)
    pixels = sum(chip.pixels for chips in main.values() for chip in chips)
    for weight in (0.2, 0.5):
        part = multiplied(other(weight, 1.0), 1.0 - weight, pixels)
        counted = sum(chip.pixels for chips in part.values() for chip in chips)
        assert counted / (counted + pixels) == pytest.approx(weight, abs=0.03)


def test_temperature_lies_between_that_of_both_sets_and_follows_the_weight():
    main, evaluation = chips_of(1, 12, 1.0), EvaluationConfig(bootstrap=100)
    found = [calibrate_mode(main, evaluation, (), [other(weight, 3.0)]).calibration.T for weight in (0.1, 0.5, 0.9)]
    assert pytest.approx(1.0, abs=0.1) == calibrate_mode(main, evaluation).calibration.T
    assert 1.0 < found[0] < found[1] < found[2] < 3.1


def test_dry_land_of_a_set_raises_the_threshold():
    """One chip of the set is all water, the other has none: their pixels must count together."""
    main, evaluation = chips_of(1, 12, 1.0), EvaluationConfig(bootstrap=100)
    sea, field = LogitHistogram(), LogitHistogram()
    sea.add(np.full(1000, 4.0), np.ones(1000, np.int8))
    alone = calibrate_mode(main, evaluation, (), [CalibrationSet("real_land", 0.3, {"sea": [sea]})])
    field.add(np.full(3000, 0.5), np.zeros(3000, np.int8))
    both = calibrate_mode(main, evaluation, (), [CalibrationSet("real_land", 0.3, {"sea": [sea], "field": [field]})])

    def probability(found: ModeCalibration, logit: float) -> float:
        return float(1 / (1 + np.exp(-(logit / found.calibration.T + found.calibration.bias))))

    assert alone.calibration.threshold < probability(alone, 0.5), "the field is mapped as water when it is not counted"
    assert both.calibration.threshold > probability(both, 0.5), "the field stays dry when it is counted"


def test_errors_are_stated_apart_and_scores_are_of_the_main_set():
    main, evaluation = chips_of(1, 12, 1.0), EvaluationConfig(bootstrap=100)
    alone, both = calibrate_mode(main, evaluation), calibrate_mode(main, evaluation, (), [other(0.3, 1.0, shift=2.0)])
    assert alone.sets == {}
    assert both.chips == alone.chips
    assert both.histogram == alone.histogram
    stated = both.sets["real_land"]
    assert stated.after.log_loss < stated.before.log_loss
    assert both.after.log_loss > alone.after.log_loss, "the main set pays for the other set's weight"


def test_the_log_loss_of_what_was_fitted_never_rises_though_that_of_the_main_set_may():
    main, evaluation = chips_of(1, 12, 1.0), EvaluationConfig(bootstrap=100)
    both = calibrate_mode(main, evaluation, (), [other(0.5, 3.0)])
    assert both.after.log_loss > both.before.log_loss, "the main set was right before it was scaled"
    before, after = both.fit_log_loss
    assert after < before
    assert calibrate_mode(main, evaluation).fit_log_loss is None


def test_a_place_that_is_trained_on_is_not_used_for_calibration():
    real = {"kind": "real_land", "weight": 0.2}
    config = DataConfig.model_validate({"sources": [real], "calibration": [{**real, "events": list(PLACES)}]})
    with pytest.raises(InputError, match=r"calibration\.0\.events: 'western-lithuania' is also used for training"):
        list_calibration(config)
    trained = {**real, "events": ["vojvodina"]}
    ((_, refs),) = list_calibration(config.model_validate({**config.model_dump(), "sources": [trained]}))
    assert {ref.event for ref in refs} == set(PLACES)


def test_a_copy_of_a_trained_chip_is_the_same_chip(tmp_path: Path):
    copy = shutil.copytree(PACKAGED, tmp_path / "copy")
    config = DataConfig.model_validate(
        {"sources": [{"kind": "real_land", "weight": 0.2}], "calibration": [{"kind": "real_land", "root": copy}]}
    )
    with pytest.raises(InputError, match="is also used for training"):
        list_calibration(config)


def test_a_place_is_used_in_one_calibration_set_only():
    real = {"kind": "real_land", "weight": 0.2, "events": list(PLACES)}
    config = DataConfig.model_validate({"calibration": [real, {**real, "events": ["limburg"]}]})
    assert len(list_calibration(config)) == 2
    config = DataConfig.model_validate({"calibration": [real, real]})
    with pytest.raises(InputError, match=r"calibration\.1\.events: .* is also used for data\.calibration\.0"):
        list_calibration(config)


def test_an_unknown_place_is_named():
    config = DataConfig.model_validate({"calibration": [{"kind": "real_land", "events": ["atlantis"]}]})
    with pytest.raises(InputError, match=r"calibration\.0\.events: .*no event 'atlantis'"):
        list_calibration(config)


@pytest.mark.parametrize("weight", [0, 1, 1.2])
def test_a_weight_must_leave_a_share_for_the_validation_chips(weight: float):
    with pytest.raises(ValueError, match="weight"):
        DataConfig.model_validate({"calibration": [{"kind": "real_land", "weight": weight}]})
    half = {"kind": "real_land", "weight": 0.5}
    with pytest.raises(ValueError, match="calibration sets must add up to less than 1"):
        DataConfig.model_validate({"calibration": [half, half]})


def test_two_sets_of_one_kind_are_stated_apart(recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path):
    real = {"kind": "real_land", "weight": 0.2}
    sets = [{**real, "events": ["limburg"]}, {**real, "events": list(PLACES)}]
    data = recipe.data.model_validate({**recipe.data.model_dump(), "calibration": sets})
    config = recipe.model_copy(update={"data": data})
    seal(config, chips, train(config, chips, tmp_path / "run"), tmp_path / "model")
    for found in read_calibration(tmp_path / "model").values():
        assert set(found.sets) == {"real_land", "real_land 2"}
        assert found.sets["real_land"].pixels != found.sets["real_land 2"].pixels


def test_a_sealed_model_states_the_error_on_each_set(recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path):
    data = recipe.data.model_validate(
        {**recipe.data.model_dump(), "calibration": [{"kind": "real_land", "weight": 0.3, "events": list(PLACES)}]}
    )
    config = recipe.model_copy(update={"data": data})
    bundle = seal(config, chips, train(config, chips, tmp_path / "run"), tmp_path / "model")
    modes = read_calibration(tmp_path / "model")
    for mode, found in modes.items():
        assert found.sets["real_land"].pixels > 10_000
        assert {event for event in found.events if event.startswith("real_land/")} == set()
        figures = ModelBundle.load(tmp_path / "model").card.scores[f"real_land_{mode}"]
        assert figures["ece_after"].value == found.sets["real_land"].after.ece
    (beside,) = (line for line in bundle.card.data.beside if "only for calibration" in line)
    assert "30 % of the weight" in beside
    assert "CDLA-Permissive-1.0" in beside
    card = model_card_markdown(bundle.card)
    assert "real_land, VV and VH" in card
    assert "| real_land, VV and VH | ECE after scaling |" in card.replace("  ", " ")
    training = bundle.record.training
    assert training is not None
    assert training["data"]["calibration"][0]["events"] == sorted(PLACES, reverse=True)


def test_the_interval_names_the_real_sets_that_it_was_fitted_on():
    signs = SignInterval(
        expected=(1, 1, 1), spread=(1, 1, 1, 1), factor=1.0, level=0.9, chips=36, events=14, others=("real_land",)
    )
    errors = AreaErrorModel(quantile=0.2, chips=28, signs=signs)
    assert errors.source("simulated scenes") == (
        "from area errors of 36 validation chips of simulated scenes and real_land"
    )
    assert "36 validation chips" in errors.sign_method
