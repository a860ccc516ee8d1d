"""Normalised conformal intervals of a share of the observed area, fitted on units of several events.

The score of a unit is |true - expected| / spread, all as shares of the observed area (H. Papadopoulos, A. Gammerman
and V. Vovk, Normalized nonlinear conformal prediction, 2008; J. Lei et al., JASA 2018). The expected share and the
spread are sums of a few signs with weights that are never negative. The weights are fitted by quantile regression: 0.5
for the expected share, 0.8 of the errors for the spread. `interval_units` says what a unit is, `sign_interval` has the
signs of one scene and `flood_interval` those of a pair of scenes.

**What is guaranteed.** The scores are cross-conformal: the events are divided into five parts, and each part is scored
with weights that were fitted without it. The coverage is then close to the level for units of events like those of the
calibration, averaged over such events; there is no exact guarantee for a finite number of them (V. Vovk,
Cross-conformal predictors, 2015). Nothing is guaranteed for one kind of scene alone, nor for scenes unlike all
calibration chips, such as real scenes where the chips are simulated.

**Nothing mapped.** A spread cannot say how much was missed where no pixel is mapped. Such units are a class of their
own (Mondrian conformal prediction), whatever their probabilities are. The lower end is 0. The upper end is a multiple
of the sum of probabilities plus 1 %, which the units of the class did not exceed. It holds for quarters and for whole
chips, not only for their average: what was missed in one quarter leaves the other three without any. Where few events
have such units, the upper end has a lower level, which is stored. The factor of all other maps comes from units with
something mapped. Between both classes the interval changes without a jump, and is only made wider for this.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drshym_pipeline.assessment.interval_units import Units
from drshym_pipeline.settings import Section

FEWEST_CHIPS: Final = 20
EMPTY_MAPPED: Final = 0.001  # mapped share that an empty map does not exceed
# Added to the sum of probabilities, so that a little water in a map without any expected water has a finite score.
EMPTY_EXPECTED: Final = 0.01
FEWEST_EMPTY: Final = 20  # units, for an upper end of their own
LEAST_SPREAD: Final = 0.0005  # share of the area; without it, a chip without any sign would have an infinite score

_FULL = 10.0  # times the limit of an empty map, from where the interval is that of all other maps
_FOLDS = 5
_SPREAD_QUANTILE = 0.8
_PRIOR = 0.01  # share of the area, of the assumed event by sign
_MOST_UNITS = 4000  # in one regression, which would take minutes for tens of thousands
_ROUNDING = 1e-9


class ShareInterval(NamedTuple):
    """The expected share and its interval, all in [0, 1], and the coverage of the interval."""

    expected: float
    low: float
    high: float
    level: float


class ConformalInterval(Section):
    """What all fitted intervals have in common.

    Args:
        factor: Score that the level does not exceed; half the width of the interval is `factor` times the spread.
        empty_high: Upper end for empty maps without any probability, as a share of the observed area. It doubles with
            probabilities that sum up to a share of 0.01 and grows on in proportion. None when too few units were
            empty, and then they have the interval of all others.
        empty_level: Coverage of the upper end for empty maps; None in intervals of earlier versions.
        level: Coverage of the interval, in (0, 1). Below `nominal_level` when there were too few events for it.
        nominal_level: The requested coverage; None in intervals of earlier versions.
        chips: Number of chips that it was fitted on.
        events: Number of their events.
    """

    factor: float = Field(ge=0.0, allow_inf_nan=False)
    empty_high: float | None = Field(default=None, ge=0.0, le=1.0)
    empty_level: float | None = Field(default=None, gt=0.0, lt=1.0)
    level: float = Field(gt=0.0, lt=1.0)
    nominal_level: float | None = Field(default=None, gt=0.0, lt=1.0)
    chips: int = Field(ge=FEWEST_CHIPS)
    events: int = Field(ge=1)

    def interval(self, expected: float, spread: float, mapped: float, mass: float) -> ShareInterval:
        """Return the interval of a map.

        Args:
            expected: The expected share.
            spread: The weighted sum of the signs of its error.
            mapped: The mapped share.
            mass: The sum of probabilities as a share.
        """
        centre, half = min(expected, 1.0), self.factor * (spread + LEAST_SPREAD)
        low, high, level = centre - half, centre + half, self.level
        if self.empty_high is not None:
            part = float(np.clip((mapped / EMPTY_MAPPED - 1.0) / (_FULL - 1.0), 0.0, 1.0))
            missed = self.empty_high / EMPTY_EXPECTED * _missed_scale(mass)
            low, high = part * low, max(high, (1.0 - part) * missed)
            if part == 0.0 and self.empty_level is not None:
                level = self.empty_level
        return ShareInterval(centre, max(0.0, low), min(high, 1.0), level)


class ConformalFit(NamedTuple):
    """A fit: the weights of the signs, and the values of `ConformalInterval` of the same names."""

    shares: NDArray[np.float64]
    spread: NDArray[np.float64]
    factor: float
    level: float
    empty_high: float | None
    empty_level: float | None


def fit_conformal(units: Units, level: float) -> ConformalFit:
    """Fit the weights of the signs and the width of the interval.

    Args:
        units: All units.
        level: Requested coverage, in (0, 1). With too few events for it, the interval has the level that the largest
            score has: n / (n + 1) for n events.
    """
    groups = int(units.groups.max()) + 1
    folds = units.groups % min(_FOLDS, groups)
    scores = np.zeros(len(units.true))
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        scores[inside] = _scores(units.part(inside), *_fit_weights(units.part(~inside)))
    empty = units.mapped <= EMPTY_MAPPED
    missed = _missed(units.part(empty), level)
    # Empty units have an upper end of their own. With too few other events for the level, all units give the factor.
    others = ~empty if missed is not None and _reached(units.part(~empty), level) >= level else np.ones_like(empty)
    factor, reached = _quantile(scores[others], units.part(others), level)
    shares, spread = _fit_weights(units)
    return ConformalFit(
        shares=shares,
        spread=spread,
        factor=factor,
        level=reached,
        empty_high=None if missed is None else min(EMPTY_EXPECTED * missed[0], 1.0),
        empty_level=None if missed is None else missed[1],
    )


def _missed_scale(mass: Any) -> Any:
    """Return what the water of an empty map is compared with, from its sum of probabilities or an array of them."""
    return mass + EMPTY_EXPECTED


def _missed(empty: Units, level: float) -> tuple[float, float] | None:
    """Return the score that the water of empty units does not exceed, and the coverage that is reached.

    Every size of units is covered: the largest score of those sizes counts that reach the level best.

    Returns:
        None with too few units or events.
    """
    if len(empty.true) < FEWEST_EMPTY:
        return None
    scores = empty.true / _missed_scale(empty.masses)
    found = []
    for size in np.unique(empty.sizes).tolist():
        inside = empty.sizes == size
        if len(np.unique(empty.groups[inside])) >= _FOLDS:
            found.append(_quantile(scores[inside], empty.part(inside), level))
    best = max((reached for _, reached in found), default=0.0)
    return (max(score for score, reached in found if reached == best), best) if found else None


def _fit_weights(units: Units) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights of the expected share and of the spread."""
    shares = _quantile_regression(units.shares, units.true, units.weights, 0.5)
    errors = np.abs(units.true - units.shares @ shares)
    return shares, _quantile_regression(units.spreads, errors, units.weights, _SPREAD_QUANTILE)


def _scores(units: Units, shares: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the error of each unit in units of its spread."""
    expected = np.minimum(units.shares @ shares, 1.0)
    scores: NDArray[np.float64] = np.abs(units.true - expected) / (units.spreads @ spread + LEAST_SPREAD)
    return scores


def _quantile_regression(
    signs: NDArray[np.float64], values: NDArray[np.float64], weights: NDArray[np.float64], quantile: float
) -> NDArray[np.float64]:
    """Return weights of the signs, not negative, whose sum is a quantile of the values: (signs,).

    One assumed event says that each weight is 1. It decides where the chips do not have a sign: a surface that they do
    not show then counts with its probabilities, and as uncertain as it can be.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_matrix, hstack, identity

    step = -(-len(values) // _MOST_UNITS)
    signs, values, weights = signs[::step], values[::step], weights[::step] * step
    count = signs.shape[1]
    rows = np.vstack([signs, _PRIOR * np.eye(count)])
    targets = np.concatenate([values, np.full(count, _PRIOR)])
    counted = np.concatenate([weights, np.ones(count)])
    # Minimise the weighted quantile loss; the errors above and below the sum are variables of the program.
    both = identity(len(targets))
    found = linprog(
        np.concatenate([np.zeros(count), quantile * counted, (1.0 - quantile) * counted]),
        A_eq=hstack([csr_matrix(rows), both, -both]),
        b_eq=targets,
        bounds=(0, None),
        method="highs",
    )
    if found.x is None:  # the program always has a solution; only a numerical fault of the solver leaves none
        return np.ones(count)
    return np.maximum(np.asarray(found.x[:count], dtype=np.float64), 0.0)


def _reached(units: Units, level: float) -> float:
    """Return the coverage that a quantile over the groups of some units can have, at most the level."""
    groups = len(np.unique(units.groups))
    return level if math.ceil((groups + 1) * level - _ROUNDING) <= groups else groups / (groups + 1)


def _quantile(scores: NDArray[np.float64], units: Units, level: float) -> tuple[float, float]:
    """Return the score that units of a share `level` of new events do not exceed, and the coverage that is reached.

    Every group has the same total weight, and a new event counts as one more group with an infinite score.
    """
    _, group, sizes = np.unique(units.groups, return_inverse=True, return_counts=True)
    groups = len(sizes)
    totals = np.bincount(group, weights=units.weights)
    reached = _reached(units, level)
    order = np.argsort(scores, kind="stable")
    covered = np.cumsum((units.weights / totals[group])[order]) / (groups + 1)
    place = int(np.searchsorted(covered, reached - _ROUNDING))
    return float(scores[order][min(place, len(scores) - 1)]), reached
