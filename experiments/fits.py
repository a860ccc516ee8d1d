"""What the experiments with held-out events have in common: their fits, and figures as text.

A fit is trained and sealed once and kept in a folder. An interrupted fit is continued.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drshym_pipeline.datasets.prepare import prepare
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import NO_INTERVAL
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.training.sealing import seal
from drshym_pipeline.training.train import train


def fit(recipe: TrainConfig, chips: Path, folder: Path, progress: Progress = silent) -> ModelBundle:
    """Return the sealed network of a recipe; it is trained if it does not exist yet.

    Args:
        recipe: The recipe with its additional sources.
        chips: Folder of the simulated chips, which all fits of an experiment share.
        folder: Folder of this fit alone.
        progress: Called after every step.

    Raises:
        InputError: The folder holds a fit with other settings, or a chip cannot be used.
    """
    data = prepare(recipe.data, chips, progress)
    checkpoint = train(recipe, data, folder / "checkpoint", progress=progress)
    if (folder / "bundle").is_dir():
        return ModelBundle.load(folder / "bundle")
    return seal(recipe, data, checkpoint, folder / "bundle", progress=progress)


def print_progress(stage: str, done: int, total: int) -> None:
    """Print every 50th step of a training and the end of every other stage."""
    if done == total or (stage == "train" and done % 50 == 0):
        print(f"  {stage} {done} of {total}", flush=True)


def figure_text(values: Mapping[str, Any], sign: str = "") -> str:
    """Return a text such as `0.512 (0.480 to 0.540)` or `0.512 (no interval)`; a dash where the figure is not defined.

    Args:
        values: `value`, `low` and `high`, each None where it is not defined.
        sign: `+` to write the sign of positive values too.
    """
    if values["value"] is None:
        return "-"
    text = f"{values['value']:{sign}.3f}"
    if values["low"] is None:
        return f"{text} ({NO_INTERVAL})"
    return f"{text} ({values['low']:{sign}.3f} to {values['high']:{sign}.3f})"
