"""Scores of water masks: counts, figures and their intervals.

All figures are computed from four counts per chip (tp, fp, fn, tn), so memory grows with the number of chips and not
with the number of pixels. Pixels that are labelled -1 or not observed are in none of the four counts. A figure that is
not defined (no water anywhere, no chips) is None, never 0 and never NaN. Intervals are percentile bootstraps (B. Efron
and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13) over events and then over whole chips of these
events, because the errors of the pixels of one chip, and of the chips of one event, are correlated. With one event or
one chip that counts in a figure, every resample gives the same figure, so there is no interval (`has_enough_units`).
Calibration of probabilities is in `calibration`, areas are in `area`, and `paired` compares two methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drshym_pipeline.records import Score
from drshym_pipeline.settings import SEED

Metric = Literal["iou", "f1", "precision", "recall", "false_water"]
COUNT_NAMES = ("tp", "fp", "fn", "tn")

# Every figure is the ratio of two weighted sums of (tp, fp, fn, tn), so a bootstrap is one matrix product.
_RATIOS: dict[str, tuple[tuple[int, int, int, int], tuple[int, int, int, int]]] = {
    "iou": ((1, 0, 0, 0), (1, 1, 1, 0)),
    "f1": ((2, 0, 0, 0), (2, 1, 1, 0)),
    "precision": ((1, 0, 0, 0), (1, 1, 0, 0)),
    "recall": ((1, 0, 0, 0), (1, 0, 1, 0)),
    "false_water": ((0, 1, 0, 0), (0, 1, 0, 1)),
}
METRICS: tuple[Metric, ...] = ("iou", "f1", "precision", "recall", "false_water")
MINIMUM_UNITS = 2


@dataclass(frozen=True, slots=True)
class ConfusionCounts:
    """Scored pixels by prediction and label; water is the positive class.

    Args:
        tp: Water mapped as water.
        fp: Dry land mapped as water.
        fn: Water mapped as dry.
        tn: Dry land mapped as dry.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: ConfusionCounts) -> ConfusionCounts:
        return ConfusionCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def pixels(self) -> int:
        """The number of scored pixels."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def iou(self) -> float | None:
        """Intersection over union of water, tp / (tp + fp + fn)."""
        return self.metric("iou")

    @property
    def f1(self) -> float | None:
        """2 tp / (2 tp + fp + fn)."""
        return self.metric("f1")

    @property
    def precision(self) -> float | None:
        """The share of mapped water that is water, tp / (tp + fp)."""
        return self.metric("precision")

    @property
    def recall(self) -> float | None:
        """The share of water that is mapped, tp / (tp + fn)."""
        return self.metric("recall")

    @property
    def false_water(self) -> float | None:
        """The share of dry land mapped as water, fp / (fp + tn)."""
        return self.metric("false_water")

    def metric(self, name: Metric) -> float | None:
        """Return one figure by its name, in [0, 1]; None where its denominator is zero."""
        top, bottom = _RATIOS[name]
        counts = self.as_tuple()
        denominator = sum(weight * count for weight, count in zip(bottom, counts, strict=True))
        if denominator == 0:
            return None
        return sum(weight * count for weight, count in zip(top, counts, strict=True)) / denominator

    def as_tuple(self) -> tuple[int, int, int, int]:
        """Return (tp, fp, fn, tn), the column order of all count arrays."""
        return self.tp, self.fp, self.fn, self.tn


def confusion(prediction: NDArray[np.bool_], label: NDArray[np.int8], observed: NDArray[np.bool_]) -> ConfusionCounts:
    """Count the scored pixels of one chip or one window.

    Args:
        prediction: (h, w) bool, True for water.
        label: (h, w) int8: 1 water, 0 dry, -1 unknown, which is never scored.
        observed: (h, w) bool, False where not observed, which is never scored either.

    Raises:
        ValueError: The three arrays differ in shape.
    """
    if not prediction.shape == label.shape == observed.shape:
        raise ValueError(f"shapes differ: {prediction.shape}, {label.shape}, {observed.shape}")
    water = (label == 1) & observed
    dry = (label == 0) & observed
    tp = int(np.count_nonzero(prediction & water))
    fp = int(np.count_nonzero(prediction & dry))
    return ConfusionCounts(tp, fp, int(np.count_nonzero(water)) - tp, int(np.count_nonzero(dry)) - fp)


class ChipScores:
    """Counts by chip, added one chip (or one part of a chip) at a time."""

    def __init__(self) -> None:
        self._events: dict[str, str] = {}
        self._counts: dict[str, ConfusionCounts] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, chip_id: str, event: str, counts: ConfusionCounts) -> None:
        """Add counts to a chip; they are added to the counts that the chip already has.

        Raises:
            ValueError: The chip is already there under another event.
        """
        if self._events.setdefault(chip_id, event) != event:
            raise ValueError(f"chip {chip_id} belongs to {self._events[chip_id]}, not to {event}")
        self._counts[chip_id] = self._counts.get(chip_id, ConfusionCounts()) + counts

    def pooled(self) -> ConfusionCounts:
        """Return the counts of all chips together."""
        return sum(self._counts.values(), ConfusionCounts())

    def array(self) -> NDArray[np.int64]:
        """Return the counts, (chips, 4) int64, in the order of `table()`."""
        return np.array([counts.as_tuple() for counts in self._counts.values()], dtype=np.int64).reshape(-1, 4)

    def events(self) -> list[str]:
        """Return the event of every chip, in the order of `table()`."""
        return list(self._events.values())

    def table(self) -> pd.DataFrame:
        """Return one row per chip, indexed by chip: event, the four counts and every figure.

        Figures have the nullable type Float64: a figure that is not defined is missing (NA), and an empty cell in CSV.
        """
        frame = pd.DataFrame(self.array(), columns=list(COUNT_NAMES), index=pd.Index(list(self._counts), name="chip"))
        frame.insert(0, "event", list(self._events.values()))
        return with_figures(frame)


def with_figures(counts: pd.DataFrame) -> pd.DataFrame:
    """Add one column per figure (Float64, NA where not defined) to a table with tp, fp, fn, tn."""
    frame = counts.copy()
    values = frame[list(COUNT_NAMES)].to_numpy(dtype=np.int64)
    for name in METRICS:
        numerator, denominator = figure_sums(values, name)
        defined = denominator > 0
        figure = np.divide(numerator, denominator, out=np.zeros(len(frame)), where=defined)
        frame[name] = pd.array(figure, dtype="Float64")
        frame.loc[~defined, name] = pd.NA
    return frame


def bootstrap_score(
    counts: NDArray[np.int64],
    metric: Metric,
    events: Sequence[str],
    *,
    resamples: int = 1000,
    level: float = 0.9,
    seed: int = SEED,
) -> Score:
    """Return a figure pooled over pixels, with a percentile bootstrap interval over events and their chips.

    Chips without a scored pixel are not part of the sample. There is no interval if too few chips or events count in
    the figure, see `has_enough_units`. Resamples in which the figure is not defined (no chip with water was drawn) are
    left out of the percentiles.

    Args:
        counts: (chips, 4) integers, columns tp, fp, fn, tn.
        metric: Name of the figure.
        events: (chips,) the event of each chip.
        resamples: Number of resamples.
        level: Share of the resamples inside the interval, in (0, 1).
        seed: Seed of the random draw.
    """
    values = np.asarray(counts, dtype=np.int64).reshape(-1, 4)
    is_scored = values.sum(axis=1) > 0
    used, origins = values[is_scored], chosen_events(events, is_scored)
    value, chips = total(used).metric(metric), len(used)
    known: dict[str, Any] = {"value": value, "chips": chips, "events": len(set(origins))}
    if value is None or not has_enough_units(figure_sums(used, metric)[1] > 0, origins):
        return Score(**known)
    low, high = percentile_interval(figure_draws(used, metric, chip_weights(origins, resamples, seed)), level)
    return Score(**known, low=low, high=high)


def bootstrap_mean(
    counts: NDArray[np.int64],
    metric: Metric,
    events: Sequence[str],
    *,
    resamples: int = 1000,
    level: float = 0.9,
    seed: int = SEED,
) -> Score:
    """Return the mean of a per-chip figure over the chips that have water, with its interval.

    Chips without a labelled water pixel are left out: their IoU is 0 or not defined for every method. A chip with water
    for which the figure is not defined (a precision without any mapped water) is left out as well. There is no interval
    if too few of the chips or of their events are left, see `has_enough_units`.

    Args:
        counts: (chips, 4) integers, columns tp, fp, fn, tn.
        metric: Name of the figure.
        events: (chips,) the event of each chip.
        resamples: Number of resamples.
        level: Share of the resamples inside the interval, in (0, 1).
        seed: Seed of the random draw.
    """
    values = np.asarray(counts, dtype=np.int64).reshape(-1, 4)
    numerator, denominator = figure_sums(values, metric)
    is_used = (values[:, 0] + values[:, 2] > 0) & (denominator > 0)
    figures, origins = numerator[is_used] / denominator[is_used], chosen_events(events, is_used)
    if not origins:
        return Score(value=None)
    known: dict[str, Any] = {"value": float(np.mean(figures)), "chips": len(origins), "events": len(set(origins))}
    is_scored = values.sum(axis=1) > 0
    if not has_enough_units(is_used[is_scored], chosen_events(events, is_scored)):
        return Score(**known)
    low, high = percentile_interval(mean_draws(figures, chip_weights(origins, resamples, seed)), level)
    return Score(**known, low=low, high=high)


def has_enough_units(counts_in: NDArray[np.bool_], events: Sequence[str]) -> bool:
    """Return whether at least two resampling units contribute to a figure, so that it can have an interval.

    The units are the events if the chips are of several events, and the chips if they are of one. If only one unit
    contributes, every resample in which it is drawn gives the same figure or shows only how the chips of one
    event differ. An interval of such resamples would be too narrow, or have no width at all.

    Args:
        counts_in: (chips,) bool, whether a chip contributes to the figure: its denominator is not zero.
        events: (chips,) the event of each scored chip.
    """
    contributing = chosen_events(events, counts_in)
    units = len(set(contributing)) if len(set(events)) > 1 else len(contributing)
    return units >= MINIMUM_UNITS


def chosen_events(events: Sequence[str], chosen: NDArray[np.bool_]) -> list[str]:
    """Return the events of the chosen chips.

    Raises:
        ValueError: There is not one event per chip.
    """
    return [event for event, used in zip(events, chosen.tolist(), strict=True) if used]


def total(counts: NDArray[np.int64]) -> ConfusionCounts:
    """Return the sum of all rows of (chips, 4) integers."""
    return ConfusionCounts(*(int(total) for total in counts.sum(axis=0)))


def figure_sums(counts: NDArray[np.int64], metric: Metric) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return numerator and denominator of a figure for every row of (chips, 4) integers."""
    top, bottom = _RATIOS[metric]
    return counts @ np.array(top, dtype=np.int64), counts @ np.array(bottom, dtype=np.int64)


def chip_weights(events: Sequence[str], resamples: int, seed: int) -> NDArray[np.int64]:
    """Return how often each chip is drawn in each resample, (resamples, chips).

    Chips of one event are not independent. Events are drawn first, with replacement, then for every drawn event as many
    of its chips as it has, with replacement too (A. C. Davison and D. V. Hinkley, Bootstrap Methods and their
    Application, 1997, section 3.8). The number of chips therefore differs between resamples. With one event only, this
    is a draw of its chips.

    Args:
        events: (chips,) the event of each chip.
        resamples: Number of resamples.
        seed: Seed of the random draw.
    """
    names, event_of = np.unique(np.asarray(events, dtype=str), return_inverse=True)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=resamples)
    weights = np.zeros((resamples, len(event_of)), np.int64)
    for event, size in enumerate(np.bincount(event_of).tolist()):
        weights[:, event_of == event] = random.multinomial(drawn[:, event] * size, np.full(size, 1.0 / size))
    return weights


def figure_draws(counts: NDArray[np.int64], metric: Metric, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the pooled figure of every resample, NaN where it is not defined."""
    numerator, denominator = figure_sums(counts, metric)
    tops = (weights @ numerator).astype(np.float64)
    bottoms = (weights @ denominator).astype(np.float64)
    draws: NDArray[np.float64] = np.divide(tops, bottoms, out=np.full(len(tops), np.nan), where=bottoms > 0)
    return draws


def mean_draws(figures: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of a per-chip figure in every resample."""
    draws: NDArray[np.float64] = weights @ figures / weights.sum(axis=1)
    return draws


def percentile_interval(draws: NDArray[np.float64], level: float) -> tuple[float | None, float | None]:
    """Return the ends of the middle share `level` of the resamples that are not NaN; (None, None) without any."""
    defined = draws[~np.isnan(draws)]
    if len(defined) == 0:
        return None, None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return float(low), float(high)
