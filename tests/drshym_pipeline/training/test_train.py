import logging
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.locking import alone_in
from drshym_pipeline.model.network import build_network
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.training.checkpoint import RESUME_FILE, TrainedCheckpoint
from drshym_pipeline.training.loop import learning_rate_factor, parameter_groups
from drshym_pipeline.training.train import train


def changed(recipe: TrainConfig, section: str = "training", **values: object) -> TrainConfig:
    return recipe.model_copy(update={section: getattr(recipe, section).model_copy(update=values)})


class KilledError(Exception):
    pass


def kill_at(step: int):
    def listener(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == step:
            raise KilledError

    return listener


@pytest.fixture(scope="module")
def finished(recipe: TrainConfig, chips: Sen1Floods11, tmp_path_factory: pytest.TempPathFactory) -> TrainedCheckpoint:
    return train(recipe, chips, tmp_path_factory.mktemp("run") / "a")


def test_the_same_run_twice_gives_the_same_weights(
    finished: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path
) -> None:
    torch.manual_seed(999)
    np.random.seed(999)  # noqa: NPY002
    again = train(recipe, chips, tmp_path / "b")
    assert again.weights.read_bytes() == finished.weights.read_bytes()
    assert again.history == finished.history


@pytest.mark.parametrize("step", [1, 3])
def test_a_killed_run_goes_on_to_the_weights_of_an_uninterrupted_one(
    finished: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path, step: int
) -> None:
    with pytest.raises(KilledError):
        train(recipe, chips, tmp_path / "c", progress=kill_at(step))
    assert (tmp_path / "c" / RESUME_FILE).exists() == (step > 2)
    steps: list[float] = []
    resumed = train(recipe, chips, tmp_path / "c", on_epoch=lambda entry: steps.append(entry["step"]))
    assert steps == ([4.0, 6.0] if step > 2 else [2.0, 4.0, 6.0])
    assert resumed.history == finished.history
    assert resumed.weights.read_bytes() == finished.weights.read_bytes()


def test_training_changes_the_weights_and_another_seed_gives_others(
    finished: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path
) -> None:
    other = train(recipe.model_copy(update={"seed": 7}), chips, tmp_path / "d")
    assert other.weights_sha256 != finished.weights_sha256


def test_a_run_with_dropout_resumes_to_the_same_weights(
    recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path
) -> None:
    config = changed(changed(recipe, "network", encoder="efficientnet-b0", norm="group"), max_steps=4)
    whole = train(config, chips, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(config, chips, tmp_path / "cut", progress=kill_at(3))
    assert train(config, chips, tmp_path / "cut").weights_sha256 == whole.weights_sha256


def test_the_outcome_is_read_back_and_not_trained_again(
    finished: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11
) -> None:
    assert TrainedCheckpoint.load(finished.directory) == finished
    assert train(recipe, chips, finished.directory, progress=kill_at(1)) == finished
    assert [entry["step"] for entry in finished.history] == [2.0, 4.0, 6.0]
    assert finished.best["valid_mean_iou"] == max(entry["valid_mean_iou"] for entry in finished.history)
    assert finished.best_iou == finished.best["valid_iou"]
    assert all(0.0 <= entry[key] <= 1.0 for entry in finished.history for key in entry if "iou" in key)
    assert {"train_loss", "valid_loss", "learning_rate", "valid_iou_vv", "valid_mean_iou_vv"} <= finished.best.keys()
    build_network(recipe.network).load_state_dict(finished.state())
    assert not list(finished.directory.glob("*.ckpt"))


def test_another_configuration_in_the_directory_is_refused(
    finished: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11
) -> None:
    with pytest.raises(InputError, match=r"differs in 'training\.learning_rate'"):
        train(changed(recipe, learning_rate=0.5), chips, finished.directory)


def test_more_workers_are_the_same_run(finished: TrainedCheckpoint, recipe: TrainConfig, chips: Sen1Floods11) -> None:
    assert train(changed(recipe, workers=1), chips, finished.directory) == finished


def test_changed_weights_of_a_run_are_refused(recipe: TrainConfig, finished: TrainedCheckpoint, tmp_path: Path) -> None:
    for file in finished.directory.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "best.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match="do not match the run"):
        TrainedCheckpoint.load(tmp_path)


def test_an_unfinished_run_has_no_outcome(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished training run"):
        TrainedCheckpoint.load(tmp_path)


def test_a_foreign_resume_point_is_named(recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(recipe, chips, tmp_path / "e", progress=kill_at(1))
    (tmp_path / "e" / RESUME_FILE).write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="not a resume point"):
        train(recipe, chips, tmp_path / "e")


def test_training_leaves_the_process_as_it_was(
    recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = random.getstate(), torch.get_rng_state(), logging.getLogger("lightning.pytorch").level
    train(changed(recipe, max_steps=2), chips, tmp_path / "f")
    assert not torch.are_deterministic_algorithms_enabled()
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert logging.getLogger("lightning.pytorch").level == before[2]
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in (tmp_path / "f").iterdir()} == {
        ".lock",
        "run.json",
        "best.safetensors",
        "checkpoint.json",
    }


def test_patience_ends_a_run_early(recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path) -> None:
    still = changed(recipe, learning_rate=1e-30, patience=1, validate_every=1, max_steps=20, weight_decay=0.0)
    still = changed(still, "network", norm="group")
    outcome = train(still, chips, tmp_path / "g")
    assert outcome.stopped_early
    assert outcome.steps == 2
    assert outcome.best_step == 1


def test_a_diverging_run_says_so(recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.learning_rate: the training diverged"):
        train(changed(recipe, learning_rate=1e30, warmup_steps=0), chips, tmp_path / "h")


def test_a_crop_the_encoder_cannot_halve_is_refused(recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.crop: must be a multiple of 32, got 50"):
        train(changed(recipe, crop=50), chips, tmp_path / "i")
    with pytest.raises(InputError, match=r"training\.batch_size"):
        train(changed(recipe, crop=32, batch_size=1), chips, tmp_path / "i")
    assert not (tmp_path / "i").exists()


@given(total=st.integers(2, 500), warmup=st.integers(0, 100))
def test_the_learning_rate_rises_and_then_falls_to_zero(total: int, warmup: int) -> None:
    factors = [learning_rate_factor(step, warmup, total) for step in range(total + 1)]
    assert all(0.0 <= factor <= 1.0 for factor in factors)
    top = min(warmup, total)
    assert factors[:top] == sorted(factors[:top])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    if warmup < total:
        assert factors[-1] == pytest.approx(0.0, abs=1e-9)


def test_norms_and_biases_do_not_decay(recipe: TrainConfig) -> None:
    network = build_network(recipe.network)
    kernels, others = parameter_groups(network, 0.1)
    assert len(kernels["params"]) + len(others["params"]) == len(list(network.parameters()))
    assert others["weight_decay"] == 0.0
    assert all(parameter.ndim == 1 for parameter in others["params"])


def test_a_directory_that_another_process_trains_in_is_refused(
    recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path
) -> None:
    with (
        alone_in(tmp_path / "run", "process 7"),
        pytest.raises(InputError, match=r"process 7 works in it now\. Wait until that has ended"),
    ):
        train(recipe, chips, tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir()] == [".lock"]
