import json
from pathlib import Path

import numpy as np
import pytest

from drshym_pipeline.assessment.calibration import LogitHistogram
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.checkpoint import TrainedCheckpoint
from drshym_pipeline.model.sealing import calibrate_mode, read_calibration, seal
from drshym_pipeline.model.training import train
from drshym_pipeline.settings import EvaluationConfig, TrainConfig


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
    assert bundle.version.startswith("tiny_v0.1-")
    assert bundle.training_sha256 == chips.sha256() == bundle.card.training_sha256
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
