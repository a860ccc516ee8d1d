"""What the calibration of a bundle looks like: rows of tables, metrics and reliability diagrams."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drshym_pipeline.records import Score
from drshym_pipeline.storage import write_bytes

if TYPE_CHECKING:
    from drshym_pipeline.model.sealing import ModeCalibration

Fitted = Mapping[str, "ModeCalibration"]


def calibration_rows(fitted: Fitted) -> list[dict[str, Any]]:
    """One row a band mode: what was fitted and what it did to the probabilities."""
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
    """Metrics by name, such as `valid_vv_log_loss_before` and `valid_vv_iou`; undefined ones are left out."""
    values: dict[str, float | None] = {}
    for mode, item in fitted.items():
        values |= {f"valid_{mode}_{name}_before": value for name, value in item.before.model_dump().items()}
        values |= {f"valid_{mode}_{name}_after": value for name, value in item.after.model_dump().items()}
        values |= {f"valid_{mode}_{name}": score.value for name, score in item.scores.items()}
        values |= {f"valid_{mode}_T": item.calibration.T, f"valid_{mode}_threshold": item.calibration.threshold}
    return {name: value for name, value in values.items() if value is not None}


def score_rows(scores: Mapping[str, Mapping[str, Score]]) -> list[dict[str, Any]]:
    """One row a figure, with its interval over chips."""
    return [
        {"of": name, "figure": figure, "value": score.value, "low": score.low, "high": score.high}
        for name, figures in scores.items()
        for figure, score in figures.items()
    ]


def reliability_diagrams(fitted: Fitted, folder: Path) -> dict[str, bytes]:
    """A reliability diagram of the validation pixels a band mode, also written to `folder` for the registry."""
    from drshym_pipeline.assessment.calibration import LogitHistogram
    from drshym_pipeline.benchmark.plots import reliability_of

    diagrams = {}
    for mode, item in fitted.items():
        histogram = LogitHistogram.from_dict(item.histogram)
        diagrams[mode] = reliability_of(histogram, item.calibration, f"Reliability on validation chips, mode {mode}")
        write_bytes(folder / f"reliability_{mode}.png", diagrams[mode])
    return diagrams
