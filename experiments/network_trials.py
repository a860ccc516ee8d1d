"""Train networks that see more or less of a scene for the same time: `python -m experiments network-trials`.

Trials: the recipe's network, the same with larger crops, with dilated convolutions or attention at its lowest level,
with a wider decoder or a smaller encoder, and networks at half the resolution ("half, wide decoder" is that of v0.1).
Before the trials every network is timed, in turns: the time of one training step gives the number of steps of its
trial, so that all trials take the same time on this machine; the time of one tile of 512 x 512 is in the table. The
score is that of `sweep`: mean IoU over validation chips with water (VV+VH), plus a quarter of the same on VV alone. An
interrupted call is continued when it is repeated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from drshym_pipeline.console import shown_progress
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.model.inputs import channels
from drshym_pipeline.model.network import build_network
from drshym_pipeline.settings import TrainConfig, load_config
from drshym_pipeline.storage import read_json, write_json, write_text
from drshym_pipeline.training.train import train
from experiments.paths import SIMULATED_RECIPE
from experiments.sweep import VV_SHARE

TILE = 512
TURNS = 3
_VALIDATIONS = 3
_HALF = (128, 64, 32, 16)

# What differs from the recipe in each trial: settings of the network and of the training.
TRIALS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "recipe": ({}, {}),
    "crops of 384": ({}, {"crop": 384, "batch_size": 4}),
    "dilated": ({"context": "dilated"}, {}),
    "attention": ({"context": "attention"}, {}),
    "wide decoder": ({"decoder_channels": (256, 128, 64, 32, 16)}, {}),
    "half": ({"stem": "half", "decoder_channels": _HALF}, {}),
    "half, dilated": ({"stem": "half", "decoder_channels": _HALF, "context": "dilated"}, {}),
    "half, wide decoder": ({"stem": "half", "decoder_channels": (256, 128, 64, 32)}, {}),
    "resnet10t": ({"encoder": "tu-resnet10t"}, {}),
}


def recipe_of(base: TrainConfig, trial: str, steps: int | None = None) -> TrainConfig:
    """Return the recipe of a trial; with a number of steps it has no early stop."""
    network, training = TRIALS[trial]
    length = {}
    if steps is not None:
        length = {
            "max_steps": steps,
            "validate_every": max(1, -(-steps // _VALIDATIONS)),
            "warmup_steps": min(base.training.warmup_steps, steps // 10),
            "patience": steps,
        }
    return base.model_copy(
        update={
            "name": "network-trial",
            "network": base.network.model_copy(update=network),
            "training": base.training.model_copy(update={**training, **length}),
        }
    )


def time_networks(base: TrainConfig, turns: int = TURNS) -> dict[str, dict[str, float]]:
    """Measure the networks of all trials in turns.

    Args:
        base: The recipe.
        turns: Number of measurements of each; the fastest counts.

    Returns:
        By trial, the seconds of one training step and those of one tile of 512 x 512.
    """
    fastest: dict[str, dict[str, float]] = {}
    for _ in range(turns):
        for trial in TRIALS:
            measured = _time_network(recipe_of(base, trial))
            known = fastest.setdefault(trial, measured)
            fastest[trial] = {key: min(known[key], measured[key]) for key in measured}
    return fastest


def _time_network(config: TrainConfig) -> dict[str, float]:
    """Return the seconds of one training step and those of one tile."""
    torch.manual_seed(0)
    network = build_network(config.network).to(memory_format=torch.channels_last)
    count, size = len(channels(config.network.bands)), config.training.crop
    crops = torch.rand(config.training.batch_size, count, size, size)
    step = _seconds(lambda: network(crops).mean().backward())
    network.eval()
    tile = torch.rand(1, count, TILE, TILE)
    with torch.inference_mode():
        return {"step": step, "tile": _seconds(lambda: network(tile))}


def _seconds(call: Any) -> float:
    """Return the seconds of the second call; the first one prepares memory."""
    call()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def run_trials(
    data: Sen1Floods11, out: Path, base: TrainConfig, steps: int, trials: Sequence[str] = tuple(TRIALS)
) -> list[dict[str, Any]]:
    """Run the trials that are not finished, and write `trials.json` and `trials.md` after each.

    Args:
        data: The chips; the splits `train` and `valid` are used.
        out: Folder of the trials and their results.
        base: The recipe.
        steps: Optimiser steps of the recipe's own network; the other networks get as many as take the same time.
        trials: Names of the trials.
    """
    times_file = out / "times.json"
    if not times_file.is_file():
        write_json(times_file, time_networks(base))
    times: Mapping[str, Mapping[str, float]] = dict(read_json(times_file))
    rows: list[dict[str, Any]] = []
    for trial in trials:
        own = max(1, round(steps * times["recipe"]["step"] / times[trial]["step"]))
        folder = out / trial.replace(", ", "-").replace(" ", "-")
        with shown_progress(trial) as progress:
            outcome = train(recipe_of(base, trial, own), data, folder, progress=progress)
        both, alone = outcome.best["valid_mean_iou"], outcome.best["valid_mean_iou_vv"]
        rows.append(
            {
                "trial": trial,
                "steps": own,
                "score": both + VV_SHARE * alone,
                "valid_mean_iou": both,
                "valid_mean_iou_vv": alone,
                "step_time": times[trial]["step"] / times["recipe"]["step"],
                "tile_time": times[trial]["tile"] / times["recipe"]["tile"],
                "parameters": sum(
                    tensor.numel() for tensor in build_network(recipe_of(base, trial).network).parameters()
                ),
            }
        )
        write_json(out / "trials.json", rows)
        write_text(out / "trials.md", table_markdown(rows))
    return rows


def table_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the trials as a Markdown table for `docs/training_results.md`."""
    lines = [
        "| trial | score | VV+VH | VV | steps | time of a step | time of a tile | parameters |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        lines.append(
            f"| {row['trial']} | {row['score']:.4f} | {row['valid_mean_iou']:.4f} | {row['valid_mean_iou_vv']:.4f} "
            f"| {row['steps']} | {row['step_time']:.2f} x | {row['tile_time']:.2f} x "
            f"| {row['parameters'] / 1e6:.1f} M |"
        )
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> None:
    """Parse the options, run the trials and print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments network-trials", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="chips in Sen1Floods11's layout, such as simulated ones"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the trials")
    parser.add_argument("--steps", type=int, default=300, help="optimiser steps of the recipe's own network")
    parser.add_argument("--config", type=Path, default=SIMULATED_RECIPE, help="recipe")
    parser.add_argument("--trials", nargs="*", choices=list(TRIALS), default=list(TRIALS), help="names of the trials")
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error("--steps must be at least 1")
    recipe = load_config(options.config, TrainConfig)
    print(table_markdown(run_trials(Sen1Floods11(options.data), options.out, recipe, options.steps, options.trials)))
