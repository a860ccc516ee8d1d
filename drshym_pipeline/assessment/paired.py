"""Two methods on the same chips: the difference of a figure, with its interval.

Pairing removes the difficulty of the chips from the comparison, so a small but constant advantage is visible on few
chips. The figures and their bootstrap are in `metrics`; the verdict on a difference is made in `evaluation.verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.metrics import (
    Metric,
    chip_weights,
    chosen_events,
    figure_draws,
    figure_sums,
    has_enough_units,
    mean_draws,
    percentile_interval,
    total,
)
from drshym_pipeline.settings import SEED


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """A figure of one method minus that of another on the same chips, with its interval.

    Args:
        value: The difference, in [-1, 1]; None where one of the two figures is not defined.
        low: Lower end of the interval; None without an interval.
        high: Upper end of the interval; None without an interval.
        chips: Number of chips that both methods were scored on.
        events: Number of events of these chips. The interval is over events and their chips, or over the chips of one
            event.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    chips: int = 0
    events: int = 0


def paired_difference(
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    metric: Metric,
    events: Sequence[str],
    *,
    resamples: int = 1000,
    level: float = 0.9,
    seed: int = SEED,
) -> PairedDifference:
    """Return the figure of `a` minus that of `b`, pooled over pixels; every resample uses the same chips for both.

    The difference has an interval only if both figures have one, see `metrics.has_enough_units`.

    Args:
        a: (chips, 4) integers, columns tp, fp, fn, tn.
        b: (chips, 4) integers of the same chips in the same order, scored with another method.
        metric: Name of the figure.
        events: (chips,) the event of each chip.
        resamples: Number of resamples.
        level: Share of the resamples inside the interval, in (0, 1).
        seed: Seed of the random draw.

    Raises:
        ValueError: `a` and `b` were not scored on the same water and dry pixels of the same chips, or there is not one
            event per chip.
    """
    first, second = _paired(a, b)
    used = first.sum(axis=1) > 0
    first, second, origins = first[used], second[used], chosen_events(events, used)
    size = {"chips": len(origins), "events": len(set(origins))}
    here, there = total(first).metric(metric), total(second).metric(metric)
    if here is None or there is None:
        return PairedDifference(None, **size)
    if not all(has_enough_units(figure_sums(counts, metric)[1] > 0, origins) for counts in (first, second)):
        return PairedDifference(here - there, **size)
    weights = chip_weights(origins, resamples, seed)
    low, high = percentile_interval(figure_draws(first, metric, weights) - figure_draws(second, metric, weights), level)
    return PairedDifference(here - there, low, high, **size)


def paired_mean_difference(
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    metric: Metric,
    events: Sequence[str],
    *,
    resamples: int = 1000,
    level: float = 0.9,
    seed: int = SEED,
) -> PairedDifference:
    """Return the mean of a per-chip figure of `a` minus that of `b` over the chips that have water.

    The chips are those of `metrics.bootstrap_mean`, so one large flood cannot decide the comparison. A chip with water
    for which the figure is not defined for one of the two is left out for both. There is no interval if too few chips
    or events are left, see `metrics.has_enough_units`.

    Args:
        a: (chips, 4) integers, columns tp, fp, fn, tn.
        b: (chips, 4) integers of the same chips in the same order, scored with another method.
        metric: Name of the figure.
        events: (chips,) the event of each chip.
        resamples: Number of resamples.
        level: Share of the resamples inside the interval, in (0, 1).
        seed: Seed of the random draw.

    Raises:
        ValueError: `a` and `b` were not scored on the same water and dry pixels of the same chips, or there is not one
            event per chip.
    """
    first, second = _paired(a, b)
    (tops, bottoms), (other_tops, other_bottoms) = figure_sums(first, metric), figure_sums(second, metric)
    used = (first[:, 0] + first[:, 2] > 0) & (bottoms > 0) & (other_bottoms > 0)
    differences = tops[used] / bottoms[used] - other_tops[used] / other_bottoms[used]
    origins = chosen_events(events, used)
    size = {"chips": len(origins), "events": len(set(origins))}
    if not origins:
        return PairedDifference(None)
    scored = first.sum(axis=1) > 0
    if not has_enough_units(used[scored], chosen_events(events, scored)):
        return PairedDifference(float(differences.mean()), **size)
    low, high = percentile_interval(mean_draws(differences, chip_weights(origins, resamples, seed)), level)
    return PairedDifference(float(differences.mean()), low, high, **size)


def _paired(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first = np.asarray(a, dtype=np.int64).reshape(-1, 4)
    second = np.asarray(b, dtype=np.int64).reshape(-1, 4)
    if first.shape != second.shape:
        raise ValueError(f"{len(first)} chips cannot be paired with {len(second)}")
    water_differs = first[:, 0] + first[:, 2] != second[:, 0] + second[:, 2]
    dry_differs = first[:, 1] + first[:, 3] != second[:, 1] + second[:, 3]
    if np.any(water_differs | dry_differs):
        raise ValueError("the two were not scored on the same pixels")
    return first, second
