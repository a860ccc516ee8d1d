"""The command `train`: it shows the loss and every validation, and prints at the end where the results are.

`training.train` trains the network and `training.sealing` seals it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drshym_pipeline.console import Display, print_table, result_line, shown_progress
from drshym_pipeline.records import Record
from drshym_pipeline.settings import TrainConfig, load_config
from drshym_pipeline.storage import output_directory

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.training.checkpoint import TrainedCheckpoint

_STAGE = "train"
_SMOOTHING = 0.9  # of the loss shown between validations: the loss of single batches varies too much


def train(
    config: Annotated[Path, typer.Option("--config", help="Training recipe; configs/ has examples.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the results; by default runs/<name> or runs/<name>-seed<N>."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed to use instead of the recipe's own.")] = None,
) -> Record:
    """Train and calibrate a model, and seal it as OUT/bundle."""
    recipe = load_config(config, TrainConfig)
    default = recipe.name
    if seed is not None:
        recipe, default = recipe.model_copy(update={"seed": seed}), f"{recipe.name}-seed{seed}"
    from drshym_pipeline.training.recipe import check_training

    # Check the recipe before hours of simulation and training, and before their slow imports.
    check_training(recipe)
    from drshym_pipeline.commands.result_documents import SealedModel, TrainDocument
    from drshym_pipeline.datasets.prepare import prepare
    from drshym_pipeline.training.checkpoint import RESUME_FILE
    from drshym_pipeline.training.sealing import seal
    from drshym_pipeline.training.train import train as train_network

    folder = out or Path("runs") / default
    with output_directory(folder), shown_progress(recipe.name) as display:
        data = prepare(recipe.data, folder / "data", display)
        resumed = (folder / "checkpoint" / RESUME_FILE).is_file()
        if resumed:
            display.line("continuing a run that was interrupted")
        shown = TrainingLines(display, recipe, resumed=resumed)
        checkpoint = train_network(
            recipe,
            data,
            folder / "checkpoint",
            progress=display,
            on_epoch=shown.validated,
            on_step=shown.stepped,
            on_start=shown.started,
        )
        bundle = seal(recipe, data, checkpoint, folder / "bundle", progress=display)
    for line in outcome_lines(checkpoint, recipe):
        result_line(line)
    rows = [
        (mode, calibration.text(), f"{calibration.threshold:.3f}") for mode, calibration in bundle.calibration.items()
    ]
    print_table(
        f"Sealed {bundle.name} {bundle.version} in {folder / 'bundle'}", ("bands", "calibration", "threshold"), rows
    )
    for line in place_lines(bundle, folder / "bundle"):
        result_line(line)
    return TrainDocument(
        model=SealedModel(
            name=bundle.name,
            version=bundle.version,
            sha256=bundle.sha256,
            folder=str((folder / "bundle").absolute()),
            calibration=bundle.calibration,
        ),
        steps=checkpoint.steps,
        best_step=checkpoint.best_step,
        stopped_early=checkpoint.stopped_early,
        seconds=checkpoint.seconds,
        scores=checkpoint.best,
        start=checkpoint.start,
        notes=tuple(note_lines(bundle)),
    )


class TrainingLines:
    """The output while a network trains: the loss of the steps, and one line for each validation.

    Args:
        display: Shows the output.
        recipe: The recipe of the run.
        resumed: Whether the run continues an interrupted one. Its earlier validations are then not known here, so none
            is marked as the best.
    """

    def __init__(self, display: Display, recipe: TrainConfig, *, resumed: bool = False) -> None:
        self._display = display
        self._recipe = recipe
        self._names_best = not resumed and recipe.training.keep_best != "last"
        self._loss: float | None = None
        self._best: float | None = None

    def started(self, scores: Mapping[str, float]) -> None:
        """Show the validation scores of the weights that the run starts from."""
        self._display.line(f"start ({self._recipe.network.start}): {scores_text(scores)}")

    def stepped(self, step: int, loss: float) -> None:
        """Update the shown loss with the loss of a step."""
        del step
        self._loss = loss if self._loss is None else _SMOOTHING * self._loss + (1 - _SMOOTHING) * loss
        self._display.detail(_STAGE, f"loss {self._loss:.3f}")

    def validated(self, entry: Mapping[str, float]) -> None:
        """Show one validation."""
        from drshym_pipeline.training.history import score_of

        score = score_of(dict(entry), self._recipe.training.keep_best)
        is_best = self._best is None or score > self._best
        self._best = score if self._best is None else max(score, self._best)
        self._display.line(
            f"step {entry['step']:.0f} of {self._recipe.training.max_steps}: loss {entry['train_loss']:.3f}, "
            f"validation loss {entry['valid_loss']:.3f}, {scores_text(entry)}"
            + (", best so far" if is_best and self._names_best else "")
        )


def scores_text(entry: Mapping[str, float]) -> str:
    """Return the validation scores of an entry of the history, as text."""
    text = f"validation IoU {entry['valid_iou']:.3f}, mean over chips with water {entry['valid_mean_iou']:.3f}"
    if "valid_iou_vv" in entry:
        text += f"; VV alone {entry['valid_iou_vv']:.3f}, mean {entry['valid_mean_iou_vv']:.3f}"
    return text


def outcome_lines(checkpoint: TrainedCheckpoint, recipe: TrainConfig) -> list[str]:
    """Return the summary of a training: its length, the scores of the kept weights, and the change from the start."""
    best, start = checkpoint.best, checkpoint.start
    stopped = ", stopped early because the validation did not improve" if checkpoint.stopped_early else ""
    lines = [
        f"Trained {checkpoint.steps} steps in {checkpoint.seconds:.0f} s{stopped}. The weights after step "
        f"{checkpoint.best_step} are kept: {scores_text(best)}."
    ]
    if start is not None:
        gain, mean_gain = best["valid_iou"] - start["valid_iou"], best["valid_mean_iou"] - start["valid_mean_iou"]
        lines.append(
            f"At the start ({recipe.network.start}): {scores_text(start)}. "
            f"Difference: {gain:+.3f}, mean over chips with water {mean_gain:+.3f}."
        )
    lines.append(
        "The weights were chosen on these validation chips, so these scores are optimistic: "
        "score the model on other chips."
    )
    return lines


def place_lines(bundle: ModelBundle, folder: Path) -> list[str]:
    """Return lines that say where the bundle and its cards are, what it lacks, and if its data's origin is unknown."""
    from drshym_pipeline.model.model_card import DATASET_CARD_FILE, MODEL_CARD_FILE

    return [
        f"bundle: {folder}",
        f"model card: {folder / MODEL_CARD_FILE}",
        f"data set card: {folder / DATASET_CARD_FILE}",
        *(f"note: {line}" for line in note_lines(bundle)),
    ]


def note_lines(bundle: ModelBundle) -> list[str]:
    """Return sentences that say what a bundle lacks, and if the origin of its data is unknown."""
    from drshym_pipeline.datasets.provenance import REMEDY
    from drshym_pipeline.model.missing_parts import missing_parts

    data = bundle.card.data
    if data is None:
        return []
    training, validation = (data.splits[name].chips for name in ("train", "valid"))
    lines = list(missing_parts(bundle.area_errors, bundle.novelty, training, validation))
    if data.origin == "unknown":
        lines.append(f"the origin of the training data is unknown. {data.evidence} {REMEDY}.")
    return lines
