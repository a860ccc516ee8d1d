"""The sealed bundle of a training and what its calibration looks like: tables, metrics, reliability diagrams."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.training.training_state import BUNDLE_FOLDER, CHECKPOINT, TrainingState
from drshym_pipeline.progress import Progress
from drshym_pipeline.records import Score
from drshym_pipeline.storage import read_json, write_bytes, write_json

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.training.mode_calibration import ModeCalibration

Fitted = Mapping[str, "ModeCalibration"]


def sealed(state: TrainingState, folder: Path, code_version: str, progress: Progress) -> "tuple[ModelBundle, Fitted]":
    """Return the bundle of a training: sealed now, or sealed before from the same weights with the same settings.

    A bundle says when it was made, so sealing again would make another model of the same weights.
    """
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.training.checkpoint import TrainedCheckpoint
    from drshym_pipeline.training.mode_calibration import read_calibration
    from drshym_pipeline.training.sealing import seal

    checkpoint = TrainedCheckpoint.load(folder / CHECKPOINT)
    target, note = folder / BUNDLE_FOLDER, folder / "sealed.json"
    origin = {
        "weights": checkpoint.weights_sha256,
        "code": code_version,
        # Floors judge the bundle; they are no part of it.
        "evaluation": state.recipe.evaluation.model_dump(mode="json", exclude={"floors"}),
    }
    # The note of an earlier release does not name the evaluation settings.
    if target.is_dir() and note.is_file() and origin | read_json(note) == origin:
        return ModelBundle.load(target), read_calibration(target)
    bundle = seal(state.recipe, state.data(), checkpoint, target, progress=progress)
    write_json(note, origin)
    return bundle, read_calibration(target)


def calibration_rows(fitted: Fitted) -> list[dict[str, Any]]:
    """Return one row per band mode: what was fitted, and what it changed in the probabilities."""
    return [
        {
            "bands": mode,
            "T": item.calibration.T,
            "bias": item.calibration.bias,
            "threshold": item.calibration.threshold,
            **{f"{name} before": value for name, value in item.before.model_dump().items()},
            **{f"{name} after": value for name, value in item.after.model_dump().items()},
            "chips": item.chips,
        }
        for mode, item in fitted.items()
    ]


def calibration_metrics(fitted: Fitted) -> dict[str, float]:
    """Return metrics by name, such as `valid_vv_log_loss_before` and `valid_vv_iou`; undefined ones are left out."""
    values: dict[str, float | None] = {}
    for mode, item in fitted.items():
        values |= {f"valid_{mode}_{name}_before": value for name, value in item.before.model_dump().items()}
        values |= {f"valid_{mode}_{name}_after": value for name, value in item.after.model_dump().items()}
        values |= {f"valid_{mode}_{name}": score.value for name, score in item.scores.items()}
        fitted_values = item.calibration.model_dump(include={"T", "bias", "threshold"})
        values |= {f"valid_{mode}_{name}": value for name, value in fitted_values.items()}
    return {name: value for name, value in values.items() if value is not None}


def score_rows(scores: Mapping[str, Mapping[str, Score]]) -> list[dict[str, Any]]:
    """Return one row per figure, with its interval."""
    return [
        {"of": name, "figure": figure, "value": score.value, "low": score.low, "high": score.high}
        for name, figures in scores.items()
        for figure, score in figures.items()
    ]


def reliability_diagrams(fitted: Fitted, folder: Path) -> dict[str, bytes]:
    """Draw a reliability diagram of the validation pixels per band mode; also written to `folder` for the registry."""
    from drshym_pipeline.assessment.calibration import LogitHistogram
    from drshym_pipeline.evaluation.plots import reliability_of

    diagrams = {}
    for mode, item in fitted.items():
        histogram = LogitHistogram.from_dict(item.histogram)
        diagrams[mode] = reliability_of(histogram, item.calibration, f"Reliability on validation chips, mode {mode}")
        write_bytes(folder / f"reliability_{mode}.png", diagrams[mode])
    return diagrams
