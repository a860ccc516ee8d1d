"""Search for the best encoder, stem, loss and other important settings; each trial is a short training run.

`python -m experiments sweep --data FOLDER --out FOLDER --trials N --steps N`

The first trials have the recipe's own settings with several networks. The others are drawn by a tree-structured Parzen
estimator. The score is the mean IoU over validation chips with water, plus a quarter of the same on VV alone, so VV+VH
has the most influence. Trials are judged on the validation split of simulated chips, never on real labels. Trials and
their order are kept in `--out`. An interrupted sweep continues in the middle of its trial and has the same result as an
uninterrupted one. Only one sweep at a time may use a folder.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.network import build_network
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.settings import SEED, TrainConfig, load_config
from drshym_pipeline.storage import sha256_json, write_json, write_text
from drshym_pipeline.training.losses import LOSS_NAMES
from drshym_pipeline.training.train import train
from experiments.paths import SIMULATED_RECIPE

JOURNAL = "trials.journal"
VV_SHARE = 0.25
_STUDY = "sweep"
_VALIDATIONS = 4
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)

# Stem and decoder widths, named `<stem>-<stages>`.
NETWORKS: dict[str, dict[str, Any]] = {
    "full-5": {"stem": "full", "decoder_channels": (256, 128, 64, 32, 16)},
    "full-4": {"stem": "full", "decoder_channels": (256, 128, 64, 32)},
    "half-4": {"stem": "half", "decoder_channels": (256, 128, 64, 32)},
    "half-3": {"stem": "half", "decoder_channels": (128, 64, 32)},
}


# Encoder and network of the first trials. All other settings are those of the recipe, so these trials can be compared.
CONTROLS = (("resnet18", "half-4"), ("resnet18", "full-5"), ("resnet34", "half-4"), ("resnet18", "half-3"))


def control_params(base: TrainConfig, encoder: str, network: str) -> dict[str, Any]:
    """Return the parameters of a first trial: those of the recipe with another network."""
    training = base.training
    return {
        "encoder": encoder,
        "network": network,
        **{key: getattr(training, key) for key in ("loss", "learning_rate", "water_share", "ema", "drop_vh")},
    }


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Draw the parameters of a trial."""
    return {
        "encoder": trial.suggest_categorical("encoder", ["resnet18", "resnet34"]),
        "network": trial.suggest_categorical("network", list(NETWORKS)),
        "loss": trial.suggest_categorical("loss", list(LOSS_NAMES)),
        "learning_rate": trial.suggest_float("learning_rate", 2e-4, 4e-3, log=True),
        "water_share": trial.suggest_float("water_share", 0.3, 0.9, step=0.1),
        "ema": trial.suggest_categorical("ema", [0.0, 0.99, 0.998]),
        "drop_vh": trial.suggest_float("drop_vh", 0.1, 0.5, step=0.1),
    }


def recipe_of(base: TrainConfig, params: dict[str, Any], steps: int) -> TrainConfig:
    """Return the recipe of a trial: `base` with the parameters, `steps` steps and no early stop."""
    network = base.network.model_copy(update={"encoder": params["encoder"], **NETWORKS[params["network"]]})
    searched = {key: params[key] for key in ("loss", "learning_rate", "water_share", "ema", "drop_vh")}
    length = {
        "max_steps": steps,
        "validate_every": max(1, steps // _VALIDATIONS),
        "warmup_steps": min(base.training.warmup_steps, steps // 10),
        "patience": steps,
        "keep_best": "mean",
    }
    training = base.training.model_copy(update={**searched, **length})
    return base.model_copy(update={"name": "sweep", "network": network, "training": training})


def folder_of(out: Path, params: dict[str, Any]) -> Path:
    """Return the folder of the run with these parameters; the same parameters use the same run again."""
    return out / "runs" / sha256_json(params)[:12]


def _open_study(out: Path, base: TrainConfig) -> optuna.Study:
    """Open the study in `out`. A new study gets the first trials, and an interrupted trial is put back in the queue."""
    out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=_STUDY,
        storage=JournalStorage(JournalFileBackend(str(out / JOURNAL))),
        direction="maximize",
        load_if_exists=True,
    )
    for stale in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(stale.number, state=TrialState.FAIL)
        study.enqueue_trial(stale.params)
    if not study.get_trials(deepcopy=False):
        for encoder, network in CONTROLS:
            study.enqueue_trial(control_params(base, encoder, network))
    return study


def _run_trial(trial: optuna.Trial, base: TrainConfig, data: Sen1Floods11, out: Path, progress: Progress) -> float:
    """Train one trial and record its time, scores and size.

    Raises:
        optuna.TrialPruned: The training diverged; this counts as a finished trial.
    """
    params = suggest(trial)
    config = recipe_of(base, params, base.training.max_steps)
    try:
        outcome = train(config, data, folder_of(out, params), progress=progress)
    except InputError as error:
        if error.subject != "training.learning_rate":
            raise
        raise optuna.TrialPruned from error
    trial.set_user_attr("seconds_a_step", round(outcome.seconds / outcome.steps, 3))
    trial.set_user_attr("valid_mean_iou", outcome.best["valid_mean_iou"])
    trial.set_user_attr("valid_mean_iou_vv", outcome.best["valid_mean_iou_vv"])
    trial.set_user_attr("parameters", sum(tensor.numel() for tensor in build_network(config.network).parameters()))
    return outcome.best["valid_mean_iou"] + VV_SHARE * outcome.best["valid_mean_iou_vv"]


def sweep(
    data: Sen1Floods11, out: Path, base: TrainConfig, *, trials: int, progress: Progress = silent
) -> list[dict[str, Any]]:
    """Run trials until `trials` of them are finished, and write `trials.json`, `.csv` and `.md`.

    Args:
        data: The chips; the splits `train` and `valid` are used.
        out: The sweep's own folder.
        base: Recipe with the settings that are not searched, such as `training.max_steps`; it uses VV and VH.
        trials: Number of finished trials, including those of earlier calls.
        progress: Called after every step.

    Returns:
        One dict per trial, the best first, diverged trials last.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = _open_study(out, base)
    while (done := len(study.get_trials(deepcopy=False, states=_FINISHED))) < trials:
        # A sampler with a fixed seed would repeat its first draws after an interruption.
        study.sampler = optuna.samplers.TPESampler(seed=SEED + done)
        trial = study.ask()
        try:
            study.tell(trial, _run_trial(trial, base, data, out, progress))
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        rows = rows_of(study)
        write_json(out / "trials.json", rows)
        write_text(out / "trials.csv", table_csv(rows))
        write_text(out / "trials.md", table_markdown(rows, base.training.max_steps))
    return rows_of(study)


def rows_of(study: optuna.Study) -> list[dict[str, Any]]:
    """Return the finished trials, the best first, numbered in the order in which they ended."""
    finished = study.get_trials(deepcopy=False, states=_FINISHED)
    rows = [
        {"trial": number, "score": trial.value, **trial.user_attrs, **trial.params}
        for number, trial in enumerate(finished, start=1)
    ]
    return sorted(rows, key=lambda row: (row["score"] is None, -(row["score"] or 0.0)))


def table_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return all values of all trials as CSV, empty where a trial diverged."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, keys, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def table_markdown(rows: Sequence[dict[str, Any]], steps: int) -> str:
    """Return the table for `docs/training_results.md`."""
    lines = [
        f"{len(rows)} trials of {steps} steps, one seed each: small differences are chance. Score: mean IoU over "
        f"validation chips with water (VV+VH), plus {VV_SHARE} of the same on VV alone, at a threshold chosen on those "
        "chips. Seconds per step include validation.",
        "",
        "| trial | score | VV+VH | VV | s / step | parameters | encoder | network | loss | learning rate "
        "| water share | EMA | VH dropped |",
        "|---:|---:|---:|---:|---:|---:|---|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row["score"] is None:
            figures = ["diverged", "", "", "", ""]
        else:
            figures = [
                f"{row['score']:.4f}",
                f"{row['valid_mean_iou']:.4f}",
                f"{row['valid_mean_iou_vv']:.4f}",
                f"{row['seconds_a_step']:.2f}",
                f"{row['parameters'] / 1e6:.1f} M",
            ]
        settings = [
            row["encoder"],
            row["network"],
            row["loss"],
            f"{row['learning_rate']:.2g}",
            f"{row['water_share']:.1f}",
            f"{row['ema']:g}",
            f"{row['drop_vh']:.1f}",
        ]
        lines.append("| " + " | ".join([str(row["trial"]), *figures, *settings]) + " |")
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> None:
    """Parse the options, run the sweep and print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments sweep", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="chips in Sen1Floods11's layout, such as simulated ones"
    )
    parser.add_argument("--out", type=Path, required=True, help="the sweep's own folder")
    parser.add_argument("--trials", type=int, required=True, help="number of finished trials")
    parser.add_argument("--steps", type=int, required=True, help="optimiser steps of a trial")
    parser.add_argument("--config", type=Path, default=SIMULATED_RECIPE, help="recipe of the settings not searched")
    options = parser.parse_args(arguments)
    recipe = load_config(options.config, TrainConfig)
    base = recipe.model_copy(update={"training": recipe.training.model_copy(update={"max_steps": options.steps})})

    def report(stage: str, done: int, total: int) -> None:
        if stage == "train" and (done == total or done % 50 == 0):
            print(f"  step {done} of {total}", flush=True)

    rows = sweep(Sen1Floods11(options.data), options.out, base, trials=options.trials, progress=report)
    print(table_markdown(rows, options.steps))
