"""Networks trained for the same time: how the steps are chosen, and that a repeated call does nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.settings import SimulatedData, TrainConfig, TrainingConfig, load_config
from drshym_pipeline.storage import read_json, write_json
from drshym_pipeline.training.recipe import check_training
from experiments import network_trials
from experiments.network_trials import TRIALS, recipe_of, run_trials, table_markdown, time_networks
from experiments.paths import SIMULATED_RECIPE

BASE = TrainConfig(training=TrainingConfig(crop=64, batch_size=2, max_steps=2, warmup_steps=1))
TINY = {
    "recipe": ({"stem": "half", "decoder_channels": (16, 8, 8)}, {}),
    "dilated": ({"stem": "half", "decoder_channels": (16, 8, 8), "context": "dilated"}, {}),
}


@pytest.mark.parametrize("trial", TRIALS)
def test_every_trial_is_a_recipe_that_can_be_trained(trial: str):
    recipe = load_config(SIMULATED_RECIPE, TrainConfig)
    check_training(recipe_of(recipe, trial, 30))


@pytest.mark.system
def test_slower_networks_get_fewer_steps_and_a_repeated_call_trains_nothing(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(network_trials, "TRIALS", TINY)
    assert set(time_networks(BASE, turns=1)) == set(TINY)
    chips = Sen1Floods11(write_dataset(tmp_path / "set", SimulatedData(train=4, valid=4, test=1, hard=0, size=64)))
    out = tmp_path / "out"
    write_json(out / "times.json", {"recipe": {"step": 1.0, "tile": 1.0}, "dilated": {"step": 2.0, "tile": 1.5}})
    rows = run_trials(chips, out, BASE, 4, list(TINY))
    assert [row["steps"] for row in rows] == [4, 2]
    assert [row["tile_time"] for row in rows] == [1.0, 1.5]
    assert read_json(out / "trials.json") == rows
    assert "| dilated |" in table_markdown(rows)

    monkeypatch.setattr("drshym_pipeline.training.train._module", None)  # a new training would call it
    assert run_trials(chips, out, BASE, 4, list(TINY)) == rows
