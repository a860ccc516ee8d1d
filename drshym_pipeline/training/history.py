"""What the validations of a run say: their scores, which one is kept, and when to stop.

Pure functions of the history and of histograms of logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Literal

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.threshold import best_threshold

KeepBest = Literal["pooled", "mean", "last"]
Entry = dict[str, float]


def score_of(entry: Entry, keep: KeepBest) -> float:
    """The validation score that decides, in [0, 1]: the pooled IoU, or the mean over chips with water.

    One large lake can be most of the pooled water; the mean asks for every chip. `last` decides by the clock, and
    patience then watches the mean.
    """
    return entry["valid_iou" if keep == "pooled" else "valid_mean_iou"]


def best_entry(history: Sequence[Entry], keep: KeepBest) -> Entry:
    """The validation whose weights are kept: the first with the highest score, or the last of all."""
    return history[-1] if keep == "last" else max(history, key=lambda entry: score_of(entry, keep))


def is_exhausted(history: Sequence[Entry], patience: int, keep: KeepBest) -> bool:
    """Whether the last `patience` validations all stayed at or below the best score before them."""
    scores = [score_of(entry, keep) for entry in history]
    return len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])


def validation_scores(chips: Sequence[LogitHistogram]) -> tuple[float, float]:
    """Pooled IoU and mean IoU over the chips with water.

    Both at the threshold of the best pooled F1, a single figure, so that every validation is judged alike.

    Args:
        chips: One histogram a chip.

    Returns:
        Both in [0, 1]; 0 where there is no water to score.
    """
    threshold, f1 = best_threshold(reduce(add, chips, LogitHistogram()), 1.0)
    if f1 is None:
        return 0.0, 0.0
    scores = [chip.scores_at(threshold, 1.0).iou for chip in chips if chip.water.any()]
    known = [score for score in scores if score is not None]
    return f1 / (2.0 - f1), sum(known) / len(known)
