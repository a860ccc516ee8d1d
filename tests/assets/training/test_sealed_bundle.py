"""When a training is sealed again, and when its bundle is kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assets.training.sealed_bundle import sealed
from assets.training.training_state import BUNDLE_FOLDER, TrainingState
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.progress import silent
from drshym_pipeline.settings import EvaluationConfig, TrainConfig
from drshym_pipeline.storage import read_json, write_json
from drshym_pipeline.training import mode_calibration, sealing
from drshym_pipeline.training.checkpoint import TrainedCheckpoint


@pytest.fixture
def seals(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were sealed; the network itself is not needed to decide about that."""
    done: list[Path] = []

    def seal(_recipe: Any, _data: Any, _checkpoint: Any, target: Path, **_: Any) -> SimpleNamespace:
        target.mkdir(exist_ok=True)
        done.append(target)
        return SimpleNamespace()

    monkeypatch.setattr(sealing, "seal", seal)
    monkeypatch.setattr(mode_calibration, "read_calibration", lambda _: {})
    monkeypatch.setattr(TrainedCheckpoint, "load", lambda _: SimpleNamespace(weights_sha256="a" * 64))
    monkeypatch.setattr(ModelBundle, "load", lambda _: SimpleNamespace())
    monkeypatch.setattr(TrainingState, "data", lambda _: None)
    return done


def state(**evaluation: Any) -> TrainingState:
    recipe = TrainConfig(name="tiny", evaluation=EvaluationConfig(**evaluation))
    return TrainingState("tiny-1", "run", "url", recipe.model_dump(mode="json"), "chips", "b" * 64)


def test_the_same_weights_and_settings_are_sealed_once(tmp_path: Path, seals: list[Path]):
    for _ in range(2):
        sealed(state(), tmp_path, "1", silent)
    assert seals == [tmp_path / BUNDLE_FOLDER]


def test_floors_judge_a_bundle_and_do_not_change_it(tmp_path: Path, seals: list[Path]):
    sealed(state(), tmp_path, "1", silent)
    sealed(state(floors={"simulated": {"iou": 0.9, "f1": 0.9}}), tmp_path, "1", silent)
    assert len(seals) == 1


def test_other_code_or_evaluation_settings_are_sealed_again(tmp_path: Path, seals: list[Path]):
    sealed(state(), tmp_path, "1", silent)
    sealed(state(threshold_for="pooled_f1"), tmp_path, "1", silent)
    sealed(state(threshold_for="pooled_f1"), tmp_path, "2", silent)
    assert len(seals) == 3


def test_a_bundle_of_an_earlier_release_is_kept(tmp_path: Path, seals: list[Path]):
    sealed(state(), tmp_path, "1", silent)
    note = tmp_path / "sealed.json"
    write_json(note, {name: value for name, value in read_json(note).items() if name != "evaluation"})
    sealed(state(), tmp_path, "1", silent)
    assert len(seals) == 1
