"""The evaluation card: an evaluation laid out as Markdown. Layout only; every figure is computed in `evaluation`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from drshym_pipeline.assessment.metrics import METRICS
from drshym_pipeline.benchmark.baselines import TITLES
from drshym_pipeline.benchmark.verdict import compare_baselines
from drshym_pipeline.records import Score

if TYPE_CHECKING:
    from drshym_pipeline.benchmark.evaluation import Evaluation

METRIC_TITLES = {"iou": "IoU", "f1": "F1", "precision": "precision", "recall": "recall", "false_water": "false water"}
NOT_DEFINED = "not defined"
_SLICE_METRICS = ("iou", "f1", "precision", "recall", "false_water")


def markdown(evaluation: Evaluation) -> str:
    """The card as Markdown, ending with a newline."""
    model = evaluation.model
    parts = [
        f"# {model['name']} {model['version']} on {evaluation.data}",
        f"Model `{model['sha256'][:12]}`. Water is the positive class; pixels that are labelled unknown or were not "
        f"observed are not scored. Intervals: {100 * evaluation.level:.0f} %, bootstrap over whole chips "
        f'({evaluation.resamples} resamples). "False water" is the share of dry pixels mapped as water.',
        *_warnings(evaluation),
        f"## Scores\n\n{evaluation.pooled.pixels:,} pixels of {len(evaluation.counts)} chips, pooled over pixels.\n",
        _table(["method", *METRIC_TITLES.values(), "IoU of this model minus that"], _score_rows(evaluation)),
        f"Mean IoU of the {evaluation.mean_chip_iou.chips} chips that have water: {text(evaluation.mean_chip_iou)}.",
        "## By event\n",
        _table(
            ["event", "chips", *METRIC_TITLES.values()],
            (
                [event, scores["false_water"].chips, *(text(scores[metric]) for metric in METRICS)]
                for event, scores in evaluation.by_event.items()
            ),
        ),
        "## Calibration\n\nOf the probability of water, before and after scaling.\n",
        _table(["mode", "scaling", "log loss", "Brier", "ECE (15 bins)"], _calibration_rows(evaluation)),
        "## Area intervals\n\nHow often the interval of a chip's area held its true water area.\n",
        _table(
            ["mode", "stated level", "held", "chips", "method"],
            (
                [mode, figure(item["level"]), figure(item["held"]), item["chips"], item["method"]]
                for mode, item in evaluation.area_intervals().items()
            ),
        ),
        "## Slices\n",
        _table(
            ["slicing", "slice", "chips", "pixels", *(METRIC_TITLES[metric] for metric in _SLICE_METRICS)],
            _slice_rows(evaluation.slices),
        ),
    ]
    if evaluation.unscored:
        parts += [
            f"## Not scored\n\n{len(evaluation.unscored)} chips are there but take no part in any figure.\n",
            _table(["chip", "reason"], ([chip, reason] for chip, reason in evaluation.unscored.items())),
        ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def figure(value: Any) -> str:
    """A figure with three decimals, or `not defined`."""
    return NOT_DEFINED if value is None or value is pd.NA else f"{float(value):.3f}"


def text(score: Score) -> str:
    """Such as `0.812 (0.780 to 0.840)`; without an interval it says so."""
    return interval(score.value, score.low, score.high)


def interval(value: Any, low: Any, high: Any) -> str:
    """A figure and its interval; `not defined` without a figure."""
    if value is None or value is pd.NA:
        return NOT_DEFINED
    if low is None or low is pd.NA:
        return f"{figure(value)} (no interval)"
    return f"{figure(value)} ({figure(low)} to {figure(high)})"


def _warnings(evaluation: Evaluation) -> list[str]:
    lines = list(evaluation.notes)
    if not evaluation.weights_finite:
        lines.append("A weight of the network is not finite.")
    if evaluation.not_finite_pixels:
        lines.append(f"{evaluation.not_finite_pixels:,} outputs are not finite; they count as dry.")
    return ["\n".join(f"- {line}" for line in lines)] if lines else []


def _score_rows(evaluation: Evaluation) -> Iterable[Sequence[Any]]:
    yield ["this model", *(text(evaluation.scores[metric]) for metric in METRICS), ""]
    comparisons = compare_baselines(evaluation)
    for name, counts in evaluation.baselines.items():
        scores, found = evaluation.score(counts), comparisons[name].difference
        difference = NOT_DEFINED if found is None else interval(found.value, found.low, found.high)
        yield [TITLES[name], *(text(scores[metric]) for metric in METRICS), difference]


def _calibration_rows(evaluation: Evaluation) -> Iterable[Sequence[Any]]:
    for mode, item in evaluation.calibration().items():
        for when in ("before", "after"):
            scaling = "none" if when == "before" else evaluation.calibrations[mode].text()
            yield [mode, scaling, *(figure(item[when][name]) for name in ("log_loss", "brier", "ece"))]


def _slice_rows(slices: pd.DataFrame) -> Iterable[Sequence[Any]]:
    for row in slices.to_dict("records"):
        figures = (interval(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in _SLICE_METRICS)
        yield [row["slicing"], row["slice"], row["chips"], f"{row['pixels']:,}", *figures]


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [[str(cell).replace("|", "/") for cell in row] for row in rows]
    if not lines:
        return "None."
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))
