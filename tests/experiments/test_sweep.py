"""The sweep: interrupted trials are continued, and a table shows all trials."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.model.network import build_network
from drshym_pipeline.settings import SimulatedData, TrainConfig, TrainingConfig
from drshym_pipeline.storage import read_json
from drshym_pipeline.training.checkpoint import TrainedCheckpoint
from drshym_pipeline.training.losses import LOSS_NAMES
from drshym_pipeline.training.recipe import check_training
from experiments.sweep import CONTROLS, NETWORKS, control_params, folder_of, main, recipe_of, sweep

pytestmark = pytest.mark.system  # whole trainings

BASE = TrainConfig(training=TrainingConfig(crop=64, batch_size=2, max_steps=2, warmup_steps=1))
PARAMS = {
    "encoder": "resnet18",
    "network": "half-3",
    "loss": "bce",
    "learning_rate": 1e-3,
    "water_share": 0.5,
    "ema": 0.99,
    "drop_vh": 0.3,
}


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Sen1Floods11:
    root = tmp_path_factory.mktemp("chips") / "set"
    return Sen1Floods11(write_dataset(root, SimulatedData(train=4, valid=4, test=1, hard=0, size=64)))


def without_times(rows: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds_a_step"} for row in rows]


def test_an_interrupted_sweep_has_the_same_result_as_an_uninterrupted_one(
    chips: Sen1Floods11, tmp_path: Path, monkeypatch
) -> None:
    # The networks are small, because the resume points of real networks have hundreds of megabytes.
    tiny = {f"tiny-{width}": {"stem": "half", "decoder_channels": (width, 8, 8)} for width in (8, 16)}
    monkeypatch.setattr("experiments.sweep.NETWORKS", tiny)
    monkeypatch.setattr("experiments.sweep.CONTROLS", (("resnet18", "tiny-16"),))
    unbroken = sweep(chips, tmp_path / "whole", BASE, trials=2)
    steps = 0

    def kill_in_the_second_trial(stage: str, done: int, total: int) -> None:
        nonlocal steps
        steps += stage == "train"
        if steps == 4:
            raise KilledError

    with pytest.raises(KilledError):
        sweep(chips, tmp_path / "cut", BASE, trials=2, progress=kill_in_the_second_trial)
    assert len(read_json(tmp_path / "cut" / "trials.json")) == 1
    stages: list[str] = []
    resumed = sweep(chips, tmp_path / "cut", BASE, trials=2, progress=lambda stage, *_: stages.append(stage))
    assert without_times(resumed) == without_times(unbroken)
    assert stages.count("train") == 1
    assert sweep(chips, tmp_path / "cut", BASE, trials=2, progress=lambda *_: pytest.fail("trained again")) == resumed
    assert len(list((tmp_path / "cut" / "runs").iterdir())) == 2

    first = next(row for row in unbroken if row["trial"] == 1)
    assert first["network"] == "tiny-16"
    assert {key: first[key] for key in ("learning_rate", "loss", "ema")} == {
        key: getattr(BASE.training, key) for key in ("learning_rate", "loss", "ema")
    }
    assert [row["score"] for row in unbroken] == sorted((row["score"] for row in unbroken), reverse=True)
    for row in unbroken:
        assert row["score"] == row["valid_mean_iou"] + 0.25 * row["valid_mean_iou_vv"]
        params = {key: row[key] for key in PARAMS}
        assert (
            TrainedCheckpoint.load(folder_of(tmp_path / "whole", params)).best["valid_mean_iou"]
            == (row["valid_mean_iou"])
        )
    with (tmp_path / "whole" / "trials.csv").open() as handle:
        assert [float(row["score"]) for row in csv.DictReader(handle)] == [row["score"] for row in unbroken]
    table = (tmp_path / "whole" / "trials.md").read_text()
    assert all(f"| {row['trial']} | {row['score']:.4f} |" in table for row in unbroken)


def test_a_trial_that_diverges_is_a_finished_trial(chips: Sen1Floods11, tmp_path: Path, monkeypatch) -> None:
    def wild(base: TrainConfig, params: dict, steps: int) -> TrainConfig:
        return recipe_of(base, {**params, **PARAMS, "learning_rate": 1e30}, steps)

    monkeypatch.setattr("experiments.sweep.recipe_of", wild)
    base = BASE.model_copy(update={"training": BASE.training.model_copy(update={"warmup_steps": 0})})
    rows = sweep(chips, tmp_path / "out", base, trials=1)
    assert [row["score"] for row in rows] == [None]
    assert "| 1 | diverged |  |  |  |  | resnet" in (tmp_path / "out" / "trials.md").read_text()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_every_recipe_of_the_search_can_be_trained(network: str, loss: str) -> None:
    config = recipe_of(BASE, {**PARAMS, "network": network, "loss": loss}, 400)
    config = TrainConfig.model_validate(config.model_dump())
    check_training(config)
    assert (config.training.max_steps, config.training.validate_every) == (400, 100)
    assert config.training.loss == loss
    build_network(config.network)


def test_the_first_trials_differ_only_in_the_network() -> None:
    controls = [control_params(BASE, *names) for names in CONTROLS]
    assert len({(params["encoder"], params["network"]) for params in controls}) == len(controls) >= 3
    assert len({tuple(sorted({**params, "encoder": "", "network": ""}.items())) for params in controls}) == 1


def test_the_command_prints_the_table(chips: Sen1Floods11, tmp_path: Path, capsys, monkeypatch) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("training: {crop: 64, batch_size: 2, warmup_steps: 1}\n")
    monkeypatch.setattr("experiments.sweep.CONTROLS", (("resnet18", "half-3"),))
    folders = ["--data", str(chips.root), "--out", str(tmp_path / "out"), "--config", str(recipe)]
    main([*folders, "--trials", "1", "--steps", "2"])
    printed = capsys.readouterr().out
    assert printed.startswith("  step 2 of 2\n1 trials of 2 steps")
    assert (tmp_path / "out" / "trials.md").read_text() in printed
    assert "| resnet18 | half-3 |" in printed
