"""Compute every figure of the shipped checkpoint's card: `python -m experiments card`, or `make card`.

The shipped checkpoint and the other seeds of its recipe (`experiments/seeds/*`) are scored on simulated chips that no
model was trained on, on the real patches of `real_land`, and on the real labelled chips in the folder DRSHYM_REAL_DATA.
The baselines and the original system's network are scored on the same chips; this network is first trained on the same
training chips. Every evaluation on real chips is logged. After an interruption, call the command again: it continues
with the unfinished training.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drshym_pipeline.console import shown_progress
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import TrainConfig, load_config
from experiments.paths import ROOT, SHIPPED_RECIPE

if TYPE_CHECKING:
    from drshym_pipeline.evaluation.suite import Sample
    from drshym_pipeline.model.bundle import ModelBundle

ORIGINAL = ROOT / "configs" / "original.yaml"
SEEDS = ROOT / "experiments" / "seeds"
LOG = ROOT / "docs" / "real_evaluations.csv"
REAL_DATA = "DRSHYM_REAL_DATA"
REAL_SETS = ("sen1floods11", "stac_overflow")
SIMULATED_SPLITS = ("test", "hard", "wind")


def seed_bundles(folder: Path) -> list[ModelBundle]:
    """Load the sealed models in the subfolders of a folder, sorted by name; an empty list when there is no folder."""
    from drshym_pipeline.model.bundle import RECORD_FILE, ModelBundle

    return [ModelBundle.load(path.parent) for path in sorted(folder.glob(f"*/{RECORD_FILE}"))]


def original_bundle(config: Path, work: Path) -> ModelBundle:
    """Return the original system's network, trained on our chips.

    It is trained on the first call. An interrupted call can be repeated and continues the training.

    Args:
        config: Recipe of the original system's network.
        work: Folder of the training.
    """
    from drshym_pipeline.datasets.prepare import prepare
    from drshym_pipeline.model.bundle import RECORD_FILE, ModelBundle
    from drshym_pipeline.training.sealing import seal
    from drshym_pipeline.training.train import train

    recipe = load_config(config, TrainConfig)
    folder = work / "original"
    if not (folder / "bundle" / RECORD_FILE).is_file():
        with shown_progress(recipe.name) as progress:
            data = prepare(recipe.data, work / "data", progress)
            checkpoint = train(recipe, data, folder / "checkpoint", progress=progress)
            seal(recipe, data, checkpoint, folder / "bundle", progress=progress)
    return ModelBundle.load(folder / "bundle")


def real_samples(folder: Path) -> list[Sample]:
    """Collect the labelled dB chips of a folder of real data; they are for reporting only.

    Raises:
        InputError: A set is missing.
    """
    from drshym_pipeline.evaluation.samples import open_samples

    return open_samples([folder / name for name in REAL_SETS], ["test"], present_only=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Score the checkpoints, add to the log and write the card."""
    parser = argparse.ArgumentParser(prog="python -m experiments card", description=__doc__)
    parser.add_argument("--card", type=Path, default=ROOT / "docs" / "card", help="folder of the card")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "card", help="folder of chips and trainings")
    parser.add_argument("--log", type=Path, default=LOG, help="log of evaluations on real chips")
    parser.add_argument("--recipe", type=Path, default=SHIPPED_RECIPE, help="recipe of the simulated chips")
    parser.add_argument("--seeds", type=Path, default=SEEDS, help="folder of the other seeds' sealed models")
    parser.add_argument("--original", type=Path, default=ORIGINAL, help="recipe of the original's network")
    parser.add_argument("--no-original", action="store_true", help="leave the original system's network out")
    parser.add_argument("--no-real", action="store_true", help="leave the real chips out")
    chosen = parser.parse_args(arguments)
    real = os.environ.get(REAL_DATA)
    if not chosen.no_real and not real:
        raise InputError(REAL_DATA, "is not set", "Name the folder of the real data, or use --no-real")

    from drshym_pipeline.datasets.prepare import prepare
    from drshym_pipeline.datasets.real_land import PACKAGED, TRAIN
    from drshym_pipeline.evaluation.evaluation_log import append_log, check_log, log_rows, running_version
    from drshym_pipeline.evaluation.report import CARD, write_report
    from drshym_pipeline.evaluation.samples import open_samples
    from drshym_pipeline.evaluation.suite import run_suite
    from drshym_pipeline.model.bundle import shipped_bundle

    running_version()  # before this run writes files into the checkout
    check_log(chosen.log)
    recipe = load_config(chosen.recipe, TrainConfig)
    with shown_progress() as progress:
        chips = prepare(recipe.data, chosen.work / "data", progress)
    samples = [*open_samples([chips.root], SIMULATED_SPLITS), *open_samples([PACKAGED], [TRAIN])]
    reported = [] if chosen.no_real or real is None else real_samples(Path(real))
    checkpoints = [shipped_bundle(), *seed_bundles(chosen.seeds)]
    others = {} if chosen.no_original else {"the original's network": original_bundle(chosen.original, chosen.work)}
    with shown_progress() as progress:
        parts = run_suite([*samples, *reported], checkpoints, others=others, progress=progress)
    if reported:
        append_log(chosen.log, log_rows([part for part in parts if part.sample in reported]))
    paths = write_report(parts, checkpoints[0], chosen.card)
    print(paths[CARD].read_text("utf-8"))
