"""Threshold of a map: the probability from which a pixel counts as water, chosen on validation chips.

There are two aims. F1 pooled over pixels is decided by the largest floods. The mean IoU over the chips with water gives
every flood the same weight, but does not use chips without water, so their false water is reported too. The curve of a
few chips is irregular and its highest point depends on chance. The middle of the range that is nearly as good as the
best works better on unseen scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.metrics import ConfusionCounts
from drshym_pipeline.probabilities import PROBABILITY_STEPS
from drshym_pipeline.records import Record
from drshym_pipeline.settings import ThresholdAim

# Largest relative loss against the best threshold with which a threshold counts as nearly as good.
PLATEAU = 0.005
DEFAULT_THRESHOLD = 0.5

_STEPS: NDArray[np.int64] = np.arange(1, PROBABILITY_STEPS)


class OperatingPoint(Record):
    """A threshold and its scores on the chips it was chosen on.

    Args:
        threshold: The threshold, in [0.0001, 0.9999].
        low: Lower end of the range around the best threshold in which the aim stays within 0.5 % of its best.
        high: Upper end of this range.
        best: The best value of the aim at any threshold; None where no threshold could be chosen.
        pooled_f1: F1 at `threshold`, pooled over the pixels of all chips; None without water.
        mean_iou: IoU at `threshold`, mean over the chips with water; None without such a chip.
        dry_false_water: Mean share mapped as water at `threshold` of the chips without water; None without such a chip.
    """

    threshold: float = Field(default=DEFAULT_THRESHOLD, gt=0.0, lt=1.0)
    low: float = DEFAULT_THRESHOLD
    high: float = DEFAULT_THRESHOLD
    best: float | None = None
    pooled_f1: float | None = None
    mean_iou: float | None = None
    dry_false_water: float | None = None


class ThresholdChoice(Record):
    """Both operating points, and which of them a map uses."""

    aim: ThresholdAim
    points: dict[ThresholdAim, OperatingPoint]

    @property
    def threshold(self) -> float:
        """The threshold of the map."""
        return self.points[self.aim].threshold


def best_threshold(hist: LogitHistogram, T: float, bias: float = 0.0) -> tuple[float, float | None]:
    """Return the threshold with the best F1 pooled over pixels, in the steps of 1e-4 in which probabilities are stored.

    Of equally good thresholds the one nearest to 0.5 is used, then the lower one. Without water all thresholds are
    equally good, and without dry land the lowest is always the best: the result is then 0.5.

    Returns:
        The threshold in [0.0001, 0.9999] and its F1; F1 is None without water or without dry land.
    """
    if not hist.has_both:
        return DEFAULT_THRESHOLD, None
    f1 = _pooled_f1([hist], T, bias)
    return int(_STEPS[_nearest_best(f1)]) / PROBABILITY_STEPS, float(f1.max())


def choose_threshold(
    chips: Sequence[LogitHistogram],
    T: float,
    bias: float = 0.0,
    aim: ThresholdAim = "mean_iou",
    weights: Sequence[float] | None = None,
) -> ThresholdChoice:
    """Choose the thresholds of both aims under a calibration, each in the middle of the plateau around its best.

    The plateau is the range of thresholds around the best, without a gap, that score within 0.5 % of it. Without water
    or without dry land in all chips together, all thresholds or the lowest would be the best: both results are then
    0.5.

    Args:
        chips: Logits by label, one histogram per chip.
        T: Temperature, by which the logits are divided.
        bias: Value that is added after the division.
        aim: The aim whose threshold a map uses.
        weights: Weight of every chip in the mean IoU that the threshold is chosen for; by default all are equal.
    """
    pooled = reduce(add, chips, LogitHistogram())
    curves: dict[ThresholdAim, NDArray[np.float64] | None] = {"pooled_f1": None, "mean_iou": None}
    if pooled.has_both:
        curves = {"pooled_f1": _pooled_f1(chips, T, bias), "mean_iou": _mean_iou(chips, T, bias, weights)}
    return ThresholdChoice(aim=aim, points={name: _point(curve, chips, T, bias) for name, curve in curves.items()})


def _point(curve: NDArray[np.float64] | None, chips: Sequence[LogitHistogram], T: float, bias: float) -> OperatingPoint:
    """Return the middle of the plateau of a curve over all thresholds, and its scores."""
    low, middle, high, best = DEFAULT_THRESHOLD, DEFAULT_THRESHOLD, DEFAULT_THRESHOLD, None
    if curve is not None:
        top = _nearest_best(curve)
        below = np.flatnonzero(curve < (1.0 - PLATEAU) * curve[top])
        first = int(below[below < top].max(initial=-1)) + 1
        last = int(below[below > top].min(initial=len(curve))) - 1
        low, middle, high = (int(_STEPS[i]) / PROBABILITY_STEPS for i in (first, (first + last) // 2, last))
        best = float(curve[top])
    counts = [chip.scores_at(middle, T, bias) for chip in chips if chip.pixels]
    ious = [item.iou for item in counts if item.tp + item.fn and item.iou is not None]
    false_water = [item.false_water for item in counts if not item.tp + item.fn and item.false_water is not None]
    return OperatingPoint(
        threshold=middle,
        low=low,
        high=high,
        best=best,
        pooled_f1=reduce(add, counts, ConfusionCounts()).f1,
        mean_iou=float(np.mean(ious)) if ious else None,
        dry_false_water=float(np.mean(false_water)) if false_water else None,
    )


def _pooled_f1(chips: Sequence[LogitHistogram], T: float, bias: float) -> NDArray[np.float64]:
    """Return F1 of all chips together at every threshold, (9999,); at least one chip has water."""
    counts = reduce(add, chips, LogitHistogram()).curve(_STEPS / PROBABILITY_STEPS, T, bias)
    f1: NDArray[np.float64] = 2 * counts[:, 0] / (2 * counts[:, 0] + counts[:, 1] + counts[:, 2])
    return f1


def _mean_iou(
    chips: Sequence[LogitHistogram], T: float, bias: float, weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Return the mean IoU of the chips with water at every threshold, (9999,); at least one chip has water."""
    each = [1.0] * len(chips) if weights is None else weights
    wet = [(chip, weight) for chip, weight in zip(chips, each, strict=True) if chip.water.any()]
    total = np.zeros(len(_STEPS))
    for chip, weight in wet:
        counts = chip.curve(_STEPS / PROBABILITY_STEPS, T, bias)
        total += weight * (counts[:, 0] / counts[:, :3].sum(axis=1))
    return total / sum(weight for _, weight in wet)


def _nearest_best(curve: NDArray[np.float64]) -> int:
    """Return the index where the curve is highest; of several the one nearest to 0.5, then the lower one."""
    ties = np.flatnonzero(curve == curve.max())
    return int(min(ties, key=lambda i: (abs(int(_STEPS[i]) - PROBABILITY_STEPS // 2), int(i))))
