"""Area intervals that are as wide as the signs of a scene say: normalised conformal intervals.

The score of a unit is |true - expected| / spread, all as shares of the observed area (H. Papadopoulos, A. Gammerman
and V. Vovk, Normalized nonlinear conformal prediction, 2008; J. Lei et al., JASA 2018). The expected share and the
spread are sums of a few signs (`scene_signs`) with weights that are never negative. The weights are fitted by quantile
regression: 0.5 for the expected share, 0.8 of the errors for the spread.

**Units.** A scene can be smaller or larger than a chip. Therefore the quarters of a chip, whole chips, and all chips of
an event together are units. The units of one event are not independent: every event has the same total weight, each
of the three sizes has a third of it, and the number of independent observations is the number of events. If all chips
are of one event, the chips take the place of the events.

**What is guaranteed.** The scores are cross-conformal: the events are divided into five parts, and each part is scored
with weights that were fitted without it. The coverage is then close to the level for units of events like those of the
calibration, averaged over such events; there is no exact guarantee for a finite number of them (V. Vovk,
Cross-conformal predictors, 2015). Nothing is guaranteed for one kind of scene alone, nor for scenes unlike all
calibration chips, such as real scenes where the chips are simulated.

**Nothing mapped.** A spread cannot say how much water was missed where no pixel is mapped as water. Such units are a
class of their own (Mondrian conformal prediction), whatever their probabilities are. The lower end is 0. The upper end
is a multiple of the expected share plus 1 %, which the units of the class did not exceed. It holds for quarters and for
whole chips, not only for their average: water that was missed in one quarter leaves the other three without any. Where
few events have such units, the upper end has a lower level, which is stored. The factor of all other maps comes from
units with mapped water. Between both classes the interval changes without a jump, and is only made wider for this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drshym_pipeline.assessment.scene_signs import LogitCounts, SceneSigns
from drshym_pipeline.records import Calibration
from drshym_pipeline.settings import Section

FEWEST_CHIPS: Final = 20
FEWEST_PIXELS: Final = 1000  # labelled, of a quarter; the water share of a smaller piece says little
EMPTY_MAPPED: Final = 0.001  # share mapped as water that an empty map does not exceed
# Added to the expected share, so that a little water in a map without any expected water has a finite score.
EMPTY_EXPECTED: Final = 0.01
FEWEST_EMPTY: Final = 20  # units, for an upper end of their own
LEAST_SPREAD: Final = 0.0005  # share of the area; without it, a chip without any sign would have an infinite score

_FULL = 10.0  # times the limit of an empty map, from where the interval is that of all other maps
_FOLDS = 5
_SPREAD_QUANTILE = 0.8
_PRIOR = 0.01  # share of the area, of the assumed event by sign
_MOST_UNITS = 4000  # in one regression, which would take minutes for tens of thousands
_ROUNDING = 1e-9

Weights = tuple[float, ...]


class ShareInterval(NamedTuple):
    """The expected share of water and its interval, all in [0, 1], and the coverage of the interval."""

    expected: float
    low: float
    high: float
    level: float


class SignInterval(Section):
    """A fitted interval.

    Args:
        expected: Weights of the three expected shares of `SceneSigns`, not negative.
        spread: Weights of `uncertain`, `faint` and the expected shares of wind-like and bare-like surfaces, not
            negative.
        factor: Score that the level does not exceed; half the width of the interval is `factor` times the spread.
        empty_high: Upper end for empty maps without expected water, as a share of the observed area. It doubles with
            an expected share of 0.01 and grows on in proportion. None when too few units were empty, and then they have
            the interval of all others.
        empty_level: Coverage of the upper end for empty maps; None in intervals of earlier versions.
        level: Coverage of the interval, in (0, 1). Below `nominal_level` when there were too few events for it.
        nominal_level: The requested coverage; None in intervals of earlier versions.
        chips: Number of chips that it was fitted on.
        events: Number of their events.
        others: Names of real sets that some of the chips are from.
    """

    expected: tuple[float, float, float]
    spread: tuple[float, float, float, float]
    factor: float = Field(ge=0.0, allow_inf_nan=False)
    empty_high: float | None = Field(default=None, ge=0.0, le=1.0)
    empty_level: float | None = Field(default=None, gt=0.0, lt=1.0)
    level: float = Field(gt=0.0, lt=1.0)
    nominal_level: float | None = Field(default=None, gt=0.0, lt=1.0)
    chips: int = Field(ge=FEWEST_CHIPS)
    events: int = Field(ge=1)
    others: tuple[str, ...] = ()

    def estimate(self, signs: SceneSigns) -> ShareInterval:
        """Return the expected share of water and its interval for a scene or a chip."""
        expected = min(float(np.dot(self.expected, _shares(signs))), 1.0)
        spread = float(np.dot(self.spread, _spread_signs(signs))) + LEAST_SPREAD
        low, high, level = expected - self.factor * spread, expected + self.factor * spread, self.level
        if self.empty_high is not None:
            part = float(np.clip((signs.mapped / EMPTY_MAPPED - 1.0) / (_FULL - 1.0), 0.0, 1.0))
            missed = self.empty_high / EMPTY_EXPECTED * _missed_scale(sum(signs.expected))
            low, high = part * low, max(high, (1.0 - part) * missed)
            if part == 0.0 and self.empty_level is not None:
                level = self.empty_level
        return ShareInterval(expected, max(0.0, low), min(high, 1.0), level)


@dataclass(frozen=True)
class ChipSigns:
    """One validation chip for the fit.

    Args:
        event: The event of the chip.
        quarters: The counts of its quarters; their sum is the whole chip.
    """

    event: str
    quarters: tuple[LogitCounts, ...]


@dataclass(frozen=True)
class _Units:
    """Units as arrays, one entry per unit; `groups` numbers the independent groups, `sizes` the sizes of units."""

    shares: NDArray[np.float64]
    spreads: NDArray[np.float64]
    mapped: NDArray[np.float64]
    true: NDArray[np.float64]
    weights: NDArray[np.float64]
    groups: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def part(self, chosen: NDArray[np.bool_]) -> _Units:
        return _Units(
            self.shares[chosen],
            self.spreads[chosen],
            self.mapped[chosen],
            self.true[chosen],
            self.weights[chosen],
            self.groups[chosen],
            self.sizes[chosen],
        )


def fit_sign_interval(chips: Sequence[ChipSigns], calibration: Calibration, level: float = 0.9) -> SignInterval | None:
    """Fit the interval on chips that the network was not trained on.

    Args:
        chips: The validation chips; chips without a counted pixel are left out.
        calibration: Temperature, bias and threshold of the maps.
        level: Requested coverage, in (0, 1). With too few events for it, the interval has the level that the largest
            score has: n / (n + 1) for n events.

    Returns:
        The interval; None with fewer than 20 chips.
    """
    counted = [chip for chip in chips if sum(part.pixels for part in chip.quarters)]
    if len(counted) < FEWEST_CHIPS:
        return None
    units = _units(counted, calibration)
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
    return SignInterval(
        expected=(shares[0], shares[1], shares[2]),
        spread=(spread[0], spread[1], spread[2], spread[3]),
        factor=factor,
        empty_high=None if missed is None else min(EMPTY_EXPECTED * missed[0], 1.0),
        empty_level=None if missed is None else missed[1],
        level=reached,
        nominal_level=level,
        chips=len(counted),
        events=len({chip.event for chip in counted}),
    )


def _shares(signs: SceneSigns) -> tuple[float, float, float]:
    """Return the signs that the expected share is computed from."""
    return signs.expected


def _spread_signs(signs: SceneSigns) -> tuple[float, float, float, float]:
    """Return the signs that the spread is computed from."""
    return signs.uncertain, signs.faint, signs.expected[1], signs.expected[2]


def _missed_scale(expected: Any) -> Any:
    """Return what the water of an empty map is compared with, from its expected share or an array of them."""
    return expected + EMPTY_EXPECTED


def _missed(empty: _Units, level: float) -> tuple[float, float] | None:
    """Return the score that the water of empty units does not exceed, and the coverage that is reached.

    Every size of units is covered: the largest score of those sizes counts that reach the level best.

    Returns:
        None with too few units or events.
    """
    if len(empty.true) < FEWEST_EMPTY:
        return None
    scores = empty.true / _missed_scale(empty.shares.sum(axis=1))
    found = []
    for size in np.unique(empty.sizes).tolist():
        inside = empty.sizes == size
        if len(np.unique(empty.groups[inside])) >= _FOLDS:
            found.append(_quantile(scores[inside], empty.part(inside), level))
    best = max((reached for _, reached in found), default=0.0)
    return (max(score for score, reached in found if reached == best), best) if found else None


def _units(chips: Sequence[ChipSigns], calibration: Calibration) -> _Units:
    """Return all units of the chips, see the docstring of the module."""
    events: dict[str, list[ChipSigns]] = {}
    for chip in chips:
        events.setdefault(chip.event, []).append(chip)
    if len(events) == 1:
        events = {str(number): [chip] for number, chip in enumerate(chips)}
    rows: list[tuple[SceneSigns, float, float, int, int]] = []
    for group, members in enumerate(_in_order(events)):
        wholes = [reduce(add, chip.quarters) for chip in members]
        quarters = [part for chip in members for part in chip.quarters if part.pixels >= FEWEST_PIXELS]
        sizes = [(number, size) for number, size in enumerate((quarters, wholes, [reduce(add, wholes)])) if size]
        for number, size in sizes:
            weight = 1.0 / len(sizes) / len(size)
            rows.extend((unit.signs(calibration), unit.true, weight, group, number) for unit in size)
    signs, true, weights, groups, numbers = zip(*rows, strict=True)
    return _Units(
        shares=np.array([_shares(item) for item in signs]),
        spreads=np.array([_spread_signs(item) for item in signs]),
        mapped=np.array([item.mapped for item in signs]),
        true=np.array(true),
        weights=np.array(weights),
        groups=np.array(groups),
        sizes=np.array(numbers),
    )


def _in_order(events: Mapping[str, list[ChipSigns]]) -> list[list[ChipSigns]]:
    """Return the chips of each event, in an order that does not depend on the order of the chips."""
    return [events[name] for name in sorted(events)]


def _fit_weights(units: _Units) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights of the expected share and of the spread."""
    shares = _quantile_regression(units.shares, units.true, units.weights, 0.5)
    errors = np.abs(units.true - units.shares @ shares)
    return shares, _quantile_regression(units.spreads, errors, units.weights, _SPREAD_QUANTILE)


def _scores(units: _Units, shares: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
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


def _reached(units: _Units, level: float) -> float:
    """Return the coverage that a quantile over the groups of some units can have, at most the level."""
    groups = len(np.unique(units.groups))
    return level if math.ceil((groups + 1) * level - _ROUNDING) <= groups else groups / (groups + 1)


def _quantile(scores: NDArray[np.float64], units: _Units, level: float) -> tuple[float, float]:
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
