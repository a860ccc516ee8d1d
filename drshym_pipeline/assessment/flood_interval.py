"""Intervals of the flooded area and of the area of other water, fitted on pairs of scenes; `conformal` has the method.

The expected share is the mapped share times a weight, and the width follows from the uncertain probabilities of the
part and of both dates (`pair_signs`). The pairs are validation chips with a scene from before and known water before.
Flood that only a simulator has drawn is known exactly, and both of its scenes lie on one grid. So the coverage of real
pairs can be lower; docs/training_results.md has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drshym_pipeline.assessment.conformal import FEWEST_CHIPS, ConformalInterval, ShareInterval, fit_conformal
from drshym_pipeline.assessment.interval_units import CountedChip, Unit, Units, units_of
from drshym_pipeline.assessment.pair_signs import PARTS, PairCounts, PartName, PartSigns
from drshym_pipeline.records import counted
from drshym_pipeline.settings import Section


class PartInterval(ConformalInterval):
    """A fitted interval of one part of the water; it has the fields of `ConformalInterval` too.

    Args:
        expected: Weight of the mapped share, not negative.
        spread: Weights of `uncertain`, `uncertain_now` and `uncertain_before` of `PartSigns`, not negative.
    """

    expected: float
    spread: tuple[float, float, float]

    def estimate(self, signs: PartSigns) -> ShareInterval:
        """Return the expected share and its interval for the compared pixels of a map or of a chip."""
        return self.interval(
            expected=self.expected * signs.mapped,
            spread=float(np.dot(self.spread, _spread_signs(signs))),
            mapped=signs.mapped,
            mass=signs.mass,
        )


class FloodErrors(Section):
    """The fitted intervals of both parts of the water; the scene before has the bands of the scene of the flood."""

    flooded: PartInterval
    other_water: PartInterval

    @property
    def pairs(self) -> str:
        """What the intervals were fitted on, in words."""
        return f"{self.flooded.chips} validation pairs of {counted(self.flooded.events, 'event')}"

    def source(self, data: str | None) -> str:
        """Return where the intervals come from, as a part of a sentence for readers of a map.

        Args:
            data: What the validation chips are, such as `simulated Sentinel-1 scenes`; None if it is not known.
        """
        return f"from area errors of {self.flooded.chips} validation pairs{f' of {data}' if data else ''}"


@dataclass(frozen=True)
class LabelledPair:
    """The counts of a part of a pair of chips, with the truth.

    Args:
        counts: The counts of the pixels with a label.
        flooded: How many of them are flooded.
        other_water: How many of them are water that was there before.
    """

    counts: PairCounts
    flooded: int
    other_water: int

    @property
    def pixels(self) -> int:
        """The number of counted pixels."""
        return self.counts.pixels

    def true(self, part: PartName) -> float:
        """Return the true share of one part of the water, in [0, 1]; 0 without a counted pixel."""
        return (self.flooded if part == "flooded" else self.other_water) / max(self.pixels, 1)

    def __add__(self, other: LabelledPair) -> LabelledPair:
        return LabelledPair(
            self.counts + other.counts, self.flooded + other.flooded, self.other_water + other.other_water
        )


class ChipPair(CountedChip[LabelledPair]):
    """One validation chip with its scene from before, for the fit."""


def fit_flood_errors(pairs: Sequence[ChipPair], level: float = 0.9) -> FloodErrors | None:
    """Fit both intervals on pairs that the network was not trained on; None with fewer than 20 pairs.

    Args:
        pairs: The pairs; those without a counted pixel are left out.
        level: Requested coverage, in (0, 1). With too few events for it, the intervals have a lower one.
    """
    flooded, other = (fit_part(pairs, part, level) for part in PARTS)
    return None if flooded is None or other is None else FloodErrors(flooded=flooded, other_water=other)


def fit_part(pairs: Sequence[ChipPair], part: PartName, level: float = 0.9) -> PartInterval | None:
    """Fit the interval of one part of the water; the arguments and None are those of `fit_flood_errors`."""
    usable = [pair for pair in pairs if sum(piece.pixels for piece in pair.quarters)]
    if len(usable) < FEWEST_CHIPS:
        return None
    fit = fit_conformal(_arrays(units_of(usable), part), level)
    spread = fit.spread.tolist()
    return PartInterval(
        expected=float(fit.shares[0]),
        spread=(spread[0], spread[1], spread[2]),
        factor=fit.factor,
        empty_high=fit.empty_high,
        empty_level=fit.empty_level,
        level=fit.level,
        nominal_level=level,
        chips=len(usable),
        events=len({pair.event for pair in usable}),
    )


def _spread_signs(signs: PartSigns) -> tuple[float, float, float]:
    """Return the signs that the spread is computed from."""
    return signs.uncertain, signs.uncertain_now, signs.uncertain_before


def _arrays(units: Sequence[Unit[LabelledPair]], part: PartName) -> Units:
    """Return the units of one part of the water as arrays."""
    signs = [unit.part.counts.signs(part) for unit in units]
    mapped = np.array([item.mapped for item in signs])
    return Units(
        shares=mapped[:, np.newaxis],
        spreads=np.array([_spread_signs(item) for item in signs]),
        mapped=mapped,
        masses=np.array([item.mass for item in signs]),
        true=np.array([unit.part.true(part) for unit in units]),
        weights=np.array([unit.weight for unit in units]),
        groups=np.array([unit.group for unit in units]),
        sizes=np.array([unit.size for unit in units]),
    )
