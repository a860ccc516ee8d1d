"""How far a mapped water area may be off, learnt from the area errors of whole validation chips.

The interval is split-conformal (V. Vovk, A. Gammerman and G. Shafer, Algorithmic Learning in a Random World, 2005; J.
Lei et al., Distribution-Free Predictive Inference for Regression, JASA 2018): the relative area errors of chips the
network was not trained on are ranked, and the interval is as wide as the one that held `level` of them.

The errors of the chips of a scene are taken as wholly correlated: the relative interval of a scene is that of a
chip, whatever its size. One scene has one incidence angle, one wind, one land cover and one acquisition; what makes the
network map too much water in one of its chips does the same in the next, so errors do not average out the way
independent errors would. An interval from per-pixel probabilities, or one that shrinks with the root of the number of
chips, is absurdly narrow. No pixel is read here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drshym_pipeline.records import AreaEstimate
from drshym_pipeline.settings import Section

SMALLEST_FLOOR = 0.001
LARGEST_FLOOR = 0.05
_ROUNDING = 1e-9


class AreaErrorModel(Section):
    """The relative area error that holds `level` of the chips.

    Without a `quantile` nothing is known about the errors, and the interval is the whole observed area: deliberately
    useless rather than invented.

    Args:
        level: Coverage of the interval, in (0, 1). Below `nominal_level` when there were too few chips for it.
        nominal_level: The coverage that was asked for.
        floor: c, a share of the observed area. Chips with less water than this are judged by their absolute error.
        quantile: q, the conformal quantile of |true - predicted| / (predicted + c); None when not fitted.
        chips: How many chips it was fitted on.
    """

    level: float = Field(default=0.9, gt=0.0, lt=1.0)
    nominal_level: float = Field(default=0.9, gt=0.0, lt=1.0)
    floor: float = Field(default=SMALLEST_FLOOR, gt=0.0, le=1.0)
    quantile: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    chips: int = Field(default=0, ge=0)

    @property
    def method(self) -> str:
        """One line for the record: where the interval comes from."""
        if self.quantile is None:
            return "not calibrated: the whole observed area"
        short = "" if self.level >= self.nominal_level else f", too few for {100 * self.nominal_level:.0f} %"
        return f"conformal, relative area errors of {self.chips} validation chips{short}"

    def estimate(self, flooded_km2: float, observed_km2: float) -> AreaEstimate:
        """The mapped area with its interval.

        With p the share of the observed area that is mapped as water, the interval is p +- q (p + c), cut to [0, 1]
        and turned back into an area. It says nothing about what was not observed.

        Args:
            flooded_km2: Area mapped as water, in km2.
            observed_km2: Area the sensor saw, in km2, not below `flooded_km2`.

        Raises:
            ValueError: An area is negative or not finite, or more is mapped than was observed.
        """
        if not (math.isfinite(flooded_km2) and math.isfinite(observed_km2) and flooded_km2 >= 0.0):
            raise ValueError(f"areas must be finite and not negative: {flooded_km2} of {observed_km2} km2")
        if flooded_km2 > observed_km2 * (1.0 + _ROUNDING):
            raise ValueError(f"more is mapped as water ({flooded_km2} km2) than was observed ({observed_km2} km2)")
        # The two sums may differ in their last bits; the ends of the interval must not.
        observed = max(observed_km2, flooded_km2)
        if self.quantile is None:
            low, high = 0.0, observed
        else:
            margin = self.quantile * (flooded_km2 + self.floor * observed)
            low, high = max(0.0, flooded_km2 - margin), min(observed, flooded_km2 + margin)
        return AreaEstimate(km2=flooded_km2, low_km2=low, high_km2=high, level=self.level, method=self.method)


def area_floor(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """c: the median absolute area error of the chips, in [0.001, 0.05] of their observed area.

    Below the size of a typical error a relative error means nothing: a chip with three pixels of water would stretch
    the interval of every other. The median is the same whatever the order of the chips and hardly moves with one of
    them, so that the conformal argument stays good to the first order.

    Args:
        predicted: (chips,) shares of the scored area mapped as water, in [0, 1].
        true: (chips,) shares labelled as water, in [0, 1].
    """
    if len(predicted) == 0:
        return SMALLEST_FLOOR
    return float(np.clip(np.median(np.abs(true - predicted)), SMALLEST_FLOOR, LARGEST_FLOOR))


def fit_area_errors(predicted: NDArray[np.float64], true: NDArray[np.float64], level: float = 0.9) -> AreaErrorModel:
    """Learn the interval from chips the network was not trained on.

    Both shares of a chip are of the same pixels: labelled and observed. With n chips the quantile is the k-th smallest
    score, k = ceil((n + 1) level). When k > n the level cannot be had from so few chips: the largest score is
    taken and the model states the coverage n / (n + 1) it does have. No chips give the model that is not fitted.

    Args:
        predicted: (chips,) shares of the scored area mapped as water, in [0, 1].
        true: (chips,) shares labelled as water, in [0, 1].
        level: Coverage asked for, in (0, 1).

    Raises:
        ValueError: The two differ in length, or hold a value outside [0, 1].
    """
    mapped = np.asarray(predicted, dtype=np.float64).ravel()
    labelled = np.asarray(true, dtype=np.float64).ravel()
    if mapped.shape != labelled.shape:
        raise ValueError(f"{len(mapped)} predicted shares and {len(labelled)} true ones")
    both = np.concatenate([mapped, labelled])
    if not bool(np.all((both >= 0.0) & (both <= 1.0))):
        raise ValueError("water shares must lie in [0, 1]")
    chips = len(mapped)
    if chips == 0:
        return AreaErrorModel(level=level, nominal_level=level)
    floor = area_floor(mapped, labelled)
    scores = np.sort(np.abs(labelled - mapped) / (mapped + floor))
    # Without the margin (n + 1) * level comes out a bit above the whole number it is, and k one too high.
    rank = math.ceil((chips + 1) * level - _ROUNDING)
    reached = level if rank <= chips else chips / (chips + 1)
    return AreaErrorModel(
        level=reached,
        nominal_level=level,
        floor=floor,
        quantile=float(scores[min(rank, chips) - 1]),
        chips=chips,
    )


def area_shares(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predicted and true water shares of the chips that have a scored pixel.

    Args:
        counts: (chips, 4) integers, columns tp, fp, fn, tn.

    Returns:
        Two (scored chips,) float64 arrays in [0, 1]: (tp + fp) / pixels and (tp + fn) / pixels.
    """
    values = np.asarray(counts, dtype=np.int64).reshape(-1, 4)
    pixels = values.sum(axis=1)
    values, pixels = values[pixels > 0], pixels[pixels > 0]
    return (values[:, 0] + values[:, 1]) / pixels, (values[:, 0] + values[:, 2]) / pixels
