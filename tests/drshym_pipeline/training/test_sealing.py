import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drshym_pipeline.assessment.calibration import LogitHistogram
from drshym_pipeline.assessment.scene_signs import quarter_counts
from drshym_pipeline.assessment.sign_interval import ChipSigns
from drshym_pipeline.commands.training import place_lines
from drshym_pipeline.datasets.chips import read_chip
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.model.missing_parts import missing_parts
from drshym_pipeline.model.model_card import MODEL_CARD_FILE, model_card_markdown
from drshym_pipeline.records import Score
from drshym_pipeline.settings import EvaluationConfig, TrainConfig
from drshym_pipeline.storage import sha256_file
from drshym_pipeline.training import mode_calibration
from drshym_pipeline.training.checkpoint import TrainedCheckpoint, keep_weights
from drshym_pipeline.training.fitted_chips import fitted_chips
from drshym_pipeline.training.mode_calibration import calibrate_mode, read_calibration
from drshym_pipeline.training.sealing import seal
from drshym_pipeline.training.train import train


@pytest.fixture(scope="module")
def run(recipe: TrainConfig, chips: Sen1Floods11, tmp_path_factory: pytest.TempPathFactory) -> TrainedCheckpoint:
    return train(recipe, chips, tmp_path_factory.mktemp("run") / "a")


@pytest.fixture(scope="module")
def sealed(
    run: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    directory = tmp_path_factory.mktemp("sealed") / "model"
    seal(recipe, chips, run, directory)
    return directory


def test_the_sealed_bundle_serves_both_modes(
    sealed: Path, run: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11
) -> None:
    bundle = ModelBundle.load(sealed)
    assert set(bundle.calibration) == {"vv", "vv_vh"} == set(bundle.area_errors)
    assert bundle.default_mode == "vv_vh"
    assert bundle.version.startswith("tiny_v0.2-")
    assert bundle.training_sha256 == chips.sha256() == bundle.card.training_sha256
    assert bundle.fitted_chips == fitted_chips(recipe, chips)
    assert len(bundle.fitted_chips.training) == len(chips.chips("train"))
    assert bundle.record.training is not None
    assert bundle.record.training["data"]["root"] is None
    assert bundle.card.parameters == sum(p.numel() for p in bundle.build().parameters())
    expected = run.state()
    packed = bundle.state()
    assert all(np.allclose(packed[name], expected[name], rtol=1e-3, atol=1e-6) for name in expected)


def test_calibration_does_not_raise_the_log_loss_and_the_card_says_what_was_found(sealed: Path) -> None:
    card = ModelBundle.load(sealed).card
    for mode, entry in read_calibration(sealed).items():
        assert entry.after.log_loss <= entry.before.log_loss + 1e-12
        histogram = LogitHistogram.from_dict(entry.histogram)
        assert histogram.pixels > 0
        calibration = entry.calibration
        counts = histogram.scores_at(calibration.threshold, calibration.T, calibration.bias)
        assert card.scores[f"valid_{mode}"]["iou"].value == pytest.approx(counts.iou)
        assert card.scores[f"valid_{mode}"]["ece_after"].value == entry.after.ece
        assert card.scores[f"valid_{mode}"]["ece_equal_mass_after"].value == entry.after.ece_equal_mass
        assert card.scores[f"valid_{mode}"]["iou_chip_mean"] == entry.scores["iou_chip_mean"]
        assert entry.fit.events == len(entry.events) > 0


def test_the_card_and_the_training_output_say_what_is_missing_with_few_chips(
    sealed: Path, recipe: TrainConfig, chips: Sen1Floods11
) -> None:
    bundle = ModelBundle.load(sealed)
    training, validation = len(chips.chips("train", recipe.data.labels)), len(chips.chips("valid"))
    assert validation < 20, "so all three parts are missing"
    lines = missing_parts(bundle.area_errors, bundle.novelty, training, validation)
    assert len(lines) == 3
    assert bundle.card.limits[-3:] == tuple(lines)
    card = (sealed / MODEL_CARD_FILE).read_text("utf-8")
    printed = place_lines(bundle, sealed)
    for line in lines:
        assert f"- {line}\n" in card
        assert printed.count(f"note: {line}") == 1


def test_thresholds_are_those_of_the_bundle(sealed: Path) -> None:
    values = json.loads((sealed / "thresholds.json").read_text())
    bundle = ModelBundle.load(sealed)
    own = bundle.calibration["vv_vh"]
    assert list(values)[:2] == ["threshold", "calibration"]
    assert values["threshold"] == own.threshold
    assert values["calibration"] == own.model_dump(include={"method", "T"} | ({"bias"} if own.bias else set()))
    assert values["modes"]["vv"]["T"] == bundle.calibration["vv"].T


def test_sealing_twice_gives_the_same_weights_and_calibration(
    sealed: Path, run: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path
) -> None:
    seal(recipe, chips, run, tmp_path / "again")
    for name in ("model.safetensors", "calibration.json", "thresholds.json"):
        assert (tmp_path / "again" / name).read_bytes() == (sealed / name).read_bytes()


def test_other_data_than_the_training_data_is_refused(
    run: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path
) -> None:
    other = TrainedCheckpoint(**{**run.__dict__, "data_sha256": "0" * 64})
    with pytest.raises(InputError, match="trained on other data"):
        seal(recipe, chips, other, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_damaged_calibration_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text('{"vv": {"chips": 3}}')
    with pytest.raises(InputError, match=r"calibration\.json: field 'calibration' is missing"):
        read_calibration(tmp_path)


def test_overconfident_logits_get_a_temperature_above_one_and_area_errors_from_whole_chips() -> None:
    rng = np.random.default_rng(42)
    chips = []
    for _ in range(12):
        honest = rng.normal(0.0, 2.0, 4000)
        labels = (rng.random(4000) < 1 / (1 + np.exp(-honest))).astype(np.int8)
        histogram = LogitHistogram()
        histogram.add(honest * 3.0, labels)
        chips.append(histogram)
    by_event = {"a": chips[:6], "b": [*chips[6:], LogitHistogram()], "unseen": [LogitHistogram()]}
    entry = calibrate_mode(by_event, EvaluationConfig(bootstrap=100))
    assert entry.chips == 12
    assert 2.85 < entry.calibration.T < 3.15
    assert entry.after.ece < entry.before.ece
    assert entry.area_errors.chips == 12
    assert entry.scores["iou"].low < entry.scores["iou"].value < entry.scores["iou"].high


@pytest.mark.parametrize(("number", "fitted"), [(20, True), (19, False)])
def test_the_interval_by_signs_needs_twenty_chips(number: int, fitted: bool) -> None:
    rng = np.random.default_rng(1)
    histograms, signs = [], []
    for _ in range(number):
        truth = (rng.random((64, 64)) < rng.uniform(0.05, 0.5)).astype(np.int8)
        logits = np.where(truth == 1, 3.0, -3.0) + rng.normal(0, 2.0, truth.shape)
        histogram = LogitHistogram()
        histogram.add(logits, truth)
        histograms.append(histogram)
        signs.append(ChipSigns("a", quarter_counts(logits, truth, np.full((2, 64, 64), 33_000, np.uint16))))
    entry = calibrate_mode({"a": histograms}, EvaluationConfig(bootstrap=100), signs)
    assert (entry.area_errors.signs is not None) == fitted
    assert entry.area_errors.quantile is not None
    assert ("fewer than the 20" in entry.area_errors.method) != fitted


def test_sealing_counts_the_signs_of_the_validation_chips_in_both_modes(
    run: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    monkeypatch.setattr(
        mode_calibration, "fit_sign_interval", lambda signs, calibration, level: given.append(list(signs))
    )
    seal(recipe, chips, run, tmp_path / "model")
    refs = chips.chips("valid")
    assert [[chip.event for chip in mode] for mode in given] == [[ref.event for ref in refs]] * 2
    for mode in given:
        for ref, chip in zip(refs, mode, strict=True):
            labelled = read_chip(ref).label
            assert sum(part.pixels for part in chip.quarters) == np.count_nonzero(labelled >= 0)
            assert sum(part.water for part in chip.quarters) == np.count_nonzero(labelled == 1)
    # Without VH other surfaces are found, and the network gives other logits.
    alone, both = ([part.counts for chip in mode for part in chip.quarters] for mode in given)
    assert not all(np.array_equal(one, two) for one, two in zip(alone, both, strict=True))


def chips_of(seed: int, bias: float, number: int = 6) -> list[LogitHistogram]:
    """Return chips of one event whose log odds are the logits plus a bias; most of them have little water."""
    rng = np.random.default_rng(seed)
    chips = []
    for level in rng.uniform(-4.0, 1.0, number):
        odds = rng.normal(level, 2.0, 2000)
        histogram = LogitHistogram()
        histogram.add(odds - bias, (rng.random(2000) < 1 / (1 + np.exp(-odds))).astype(np.int8))
        chips.append(histogram)
    return chips


def test_a_bias_that_other_events_confirm_is_sealed_with_its_reasons() -> None:
    entry = calibrate_mode({f"e{turn}": chips_of(turn, bias=1.2) for turn in range(4)}, EvaluationConfig(bootstrap=100))
    assert entry.calibration.method == "platt"
    assert entry.calibration.bias == pytest.approx(1.2, abs=0.15)
    assert entry.fit.events == entry.fit.folds == 4
    assert entry.fit.held_out_platt < entry.fit.held_out_temperature
    for figure in ("ece", "ece_equal_mass", "ece_water_side", "ece_uncertain", "log_loss", "brier"):
        assert getattr(entry.after, figure) < getattr(entry.before, figure)
    assert abs(entry.after.uncertain_predicted - entry.after.uncertain_found) < 0.02
    assert entry.before.uncertain_found > entry.before.uncertain_predicted + 0.05


def test_the_intervals_of_the_scores_are_over_events_and_the_card_says_so() -> None:
    chips = {f"e{turn}": chips_of(turn, bias=1.2) for turn in range(4)}
    entry = calibrate_mode(chips, EvaluationConfig(bootstrap=100))
    alone = calibrate_mode({"a": chips_of(1, bias=0.0)}, EvaluationConfig(bootstrap=100))
    assert entry.scores["iou"].events == entry.scores["iou_chip_mean"].events == 4
    assert alone.scores["iou"].events == 1
    card = shipped_bundle().card
    for scores, words in (
        (entry.scores, "intervals over events and their chips."),
        (alone.scores, "intervals over the chips of one event."),
        ({"iou": Score(value=0.5, low=0.4, high=0.6, chips=9)}, "intervals over whole chips."),
    ):
        assert words in model_card_markdown(card.model_copy(update={"scores": {"valid_vv": scores}}))


def test_every_event_is_judged_alone() -> None:
    events = {"calm": chips_of(1, bias=0.0), "windy": chips_of(2, bias=2.0), "empty": [LogitHistogram()]}
    entry = calibrate_mode(events, EvaluationConfig(bootstrap=100))
    assert set(entry.events) == {"calm", "windy"}
    windy = sum(events["windy"], LogitHistogram())
    assert entry.events["windy"].pixels == windy.pixels
    assert entry.events["windy"].before.log_loss == windy.log_loss(1.0)
    assert entry.events["windy"].after.ece == windy.ece(entry.calibration.T, entry.calibration.bias)
    assert entry.events["calm"].before.ece < entry.events["windy"].before.ece


def test_the_recipe_says_what_the_threshold_aims_at_and_both_aims_are_recorded() -> None:
    events = {f"e{turn}": chips_of(turn, bias=0.0) for turn in range(3)}
    fair, pooled = (
        calibrate_mode(events, EvaluationConfig(bootstrap=100, threshold_for=aim)) for aim in ("mean_iou", "pooled_f1")
    )
    assert fair.calibration.threshold == fair.thresholds.points["mean_iou"].threshold
    assert pooled.calibration.threshold == fair.thresholds.points["pooled_f1"].threshold
    assert fair.calibration.threshold != pooled.calibration.threshold
    assert fair.scores["iou_chip_mean"].value == pytest.approx(fair.thresholds.points["mean_iou"].mean_iou)
    assert fair.scores["iou_chip_mean"].value > pooled.scores["iou_chip_mean"].value
    assert pooled.scores["f1"].value > fair.scores["f1"].value


def test_calibrations_of_earlier_releases_are_read(tmp_path: Path) -> None:
    entry = calibrate_mode({"a": chips_of(1, bias=0.0)}, EvaluationConfig(bootstrap=100)).model_dump(mode="json")
    figures = {"log_loss", "brier", "ece"}
    old = {name: value for name, value in entry.items() if name not in {"fit", "thresholds", "events"}}
    for moment in ("before", "after"):
        old[moment] = {name: value for name, value in entry[moment].items() if name in figures}
    old["area_errors"] = {name: value for name, value in entry["area_errors"].items() if name != "sizes"}
    (tmp_path / "calibration.json").write_text(json.dumps({"vv": old}))
    read = read_calibration(tmp_path)["vv"]
    assert read.calibration.model_dump() == entry["calibration"]
    assert (read.fit, read.thresholds, read.events, read.after.ece_equal_mass) == (None, None, {}, None)


def damaged(run: TrainedCheckpoint, folder: Path, value: float) -> TrainedCheckpoint:
    """Return the run with every value of its first convolution replaced and the right hash."""
    state = run.state()
    name = next(name for name, tensor in state.items() if tensor.ndim == 4)
    state[name].fill_(value)
    folder.mkdir()
    keep_weights(folder, state)
    outcome = replace(run, directory=folder, weights_sha256=sha256_file(folder / run.weights.name))
    outcome.save()
    return TrainedCheckpoint.load(folder)


@pytest.mark.parametrize(
    ("value", "problem"),
    [(float("nan"), r"the weights '.+' are not finite"), (3e38, r"outputs for the chip \S+ are not")],
)
def test_a_network_that_is_not_finite_is_refused_and_nothing_is_sealed(
    run: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path, value: float, problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as refusal:
        seal(recipe, chips, damaged(run, tmp_path / "run", value), tmp_path / "model")
    assert "no bundle is made from this training" in str(refusal.value)
    assert not (tmp_path / "model").exists()
