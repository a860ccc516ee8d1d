"""The decisions that follow from the validations of a run: their scores, which weights are kept, and when to stop.

All functions are pure functions of the history and of histograms of logits.
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
    """Return the validation score that decides, in [0, 1]: the pooled IoU, or the mean over chips with water.

    One large lake can be most of the pooled water; in the mean every chip counts the same. With `last` no score decides
    which weights are kept, and patience uses the mean.

    Args:
        entry: One validation.
        keep: The setting `keep_best` of the recipe.
    """
    return entry["valid_iou" if keep == "pooled" else "valid_mean_iou"]


def best_entry(history: Sequence[Entry], keep: KeepBest) -> Entry:
    """Return the validation whose weights are kept: the first with the highest score, or with `last` the latest."""
    return history[-1] if keep == "last" else max(history, key=lambda entry: score_of(entry, keep))


def is_exhausted(history: Sequence[Entry], patience: int, keep: KeepBest) -> bool:
    """Return whether none of the last `patience` validations was better than the best one before them.

    This is the rule of Lightning's `EarlyStopping`, as a function of the history, for three reasons. The history is in
    every resume point, also in those of earlier releases, which contain no state of a callback. A run that was killed
    after its last validation must stop at once when it is resumed, but that callback decides only after the next
    validation. And the scores that stop a run are the ones that choose its weights, in full precision.

    Args:
        history: All validations of the run, in order.
        patience: Number of validations, at least 1.
        keep: The setting `keep_best` of the recipe.
    """
    scores = [score_of(entry, keep) for entry in history]
    return len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])


def validation_scores(chips: Sequence[LogitHistogram]) -> tuple[float, float]:
    """Return the pooled IoU and the mean IoU over the chips with water.

    Both use the threshold of the best pooled F1, so that all validations are scored in the same way.

    Args:
        chips: One histogram per chip.

    Returns:
        Both in [0, 1]; 0 where no chip has water.
    """
    threshold, f1 = best_threshold(reduce(add, chips, LogitHistogram()), 1.0)
    if f1 is None:
        return 0.0, 0.0
    scores = [chip.scores_at(threshold, 1.0).iou for chip in chips if chip.water.any()]
    known = [score for score in scores if score is not None]
    return f1 / (2.0 - f1), sum(known) / len(known)
