"""Area intervals that are as wide as the signs of a scene say; `conformal` has the method.

The expected share of water is a weighted sum of the expected shares of three surfaces (`scene_signs`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drshym_pipeline.assessment.conformal import (
    FEWEST_CHIPS,
    ConformalInterval,
    ShareInterval,
    fit_conformal,
)
from drshym_pipeline.assessment.interval_units import CountedChip, Units, units_of
from drshym_pipeline.assessment.scene_signs import LogitCounts, SceneSigns
from drshym_pipeline.records import Calibration


class SignInterval(ConformalInterval):
    """A fitted interval of the water area; it has the fields of `ConformalInterval` too.

    Args:
        expected: Weights of the three expected shares of `SceneSigns`, not negative.
        spread: Weights of `uncertain`, `faint` and the expected shares of wind-like and bare-like surfaces, not
            negative.
        others: Names of real sets that some of the chips are from.
    """

    expected: tuple[float, float, float]
    spread: tuple[float, float, float, float]
    others: tuple[str, ...] = ()

    def estimate(self, signs: SceneSigns) -> ShareInterval:
        """Return the expected share of water and its interval for a scene or a chip."""
        return self.interval(
            expected=float(np.dot(self.expected, signs.expected)),
            spread=float(np.dot(self.spread, _spread_signs(signs))),
            mapped=signs.mapped,
            mass=sum(signs.expected),
        )


class ChipSigns(CountedChip[LogitCounts]):
    """One validation chip for the fit."""


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
    fit = fit_conformal(_units(counted, calibration), level)
    shares, spread = fit.shares.tolist(), fit.spread.tolist()
    return SignInterval(
        expected=(shares[0], shares[1], shares[2]),
        spread=(spread[0], spread[1], spread[2], spread[3]),
        factor=fit.factor,
        empty_high=fit.empty_high,
        empty_level=fit.empty_level,
        level=fit.level,
        nominal_level=level,
        chips=len(counted),
        events=len({chip.event for chip in counted}),
    )


def _spread_signs(signs: SceneSigns) -> tuple[float, float, float, float]:
    """Return the signs that the spread is computed from."""
    return signs.uncertain, signs.faint, signs.expected[1], signs.expected[2]


def _units(chips: Sequence[ChipSigns], calibration: Calibration) -> Units:
    """Return all units of the chips as arrays."""
    units = units_of(chips)
    signs = [unit.part.signs(calibration) for unit in units]
    shares = np.array([item.expected for item in signs])
    return Units(
        shares=shares,
        spreads=np.array([_spread_signs(item) for item in signs]),
        mapped=np.array([item.mapped for item in signs]),
        masses=shares.sum(axis=1),
        true=np.array([unit.part.true for unit in units]),
        weights=np.array([unit.weight for unit in units]),
        groups=np.array([unit.group for unit in units]),
        sizes=np.array([unit.size for unit in units]),
    )
