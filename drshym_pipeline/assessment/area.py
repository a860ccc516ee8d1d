"""Intervals for a mapped water area, fitted on the area errors of whole validation chips.

The interval is split-conformal (V. Vovk, A. Gammerman and G. Shafer, Algorithmic Learning in a Random World, 2005; J.
Lei et al., Distribution-Free Predictive Inference for Regression, JASA 2018): the relative area errors of chips that
the network was not trained on are sorted, and the interval is as wide as the error that `level` of the chips do not
exceed.

Small floods are mapped much worse than large ones, relative to their size. One relative error for all chips would give
intervals that are too narrow for small floods and too wide for large ones. Therefore the chips are divided into classes
by the share mapped as water, each class with enough chips (Mondrian conformal prediction; Vovk et al., chapter 4). The
class depends on the mapped share, not on the true one, because only the mapped share of a new scene is known. Between
the classes the interval changes without a jump. It is never narrower than the interval of the class, and its ends never
fall when more is mapped.

The errors of the chips of one scene are treated as fully correlated: the relative interval of a scene is that of one
chip, for every size of the scene. One scene has one incidence angle, one wind, one land cover and one acquisition. What
makes the network map too much water in one chip does the same in the next chip, so the errors do not average out as
independent errors would. An interval from per-pixel probabilities, or one that shrinks with the square root of the
number of chips, is far too narrow. This module reads no pixels.

The mapped share alone cannot distinguish a calm lake from one under wind. With at least 20 chips, `sign_interval` is
fitted too, and the interval of a scene whose signs were counted comes from it. The interval by mapped share stays for
bundles and predictions of earlier releases.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from drshym_pipeline.assessment.conformal import FEWEST_CHIPS
from drshym_pipeline.assessment.flood_interval import FloodErrors
from drshym_pipeline.assessment.scene_signs import SceneSigns
from drshym_pipeline.assessment.sign_interval import SignInterval
from drshym_pipeline.records import AreaEstimate, counted
from drshym_pipeline.settings import Section

SMALLEST_FLOOR = 0.001
LARGEST_FLOOR = 0.05
SIZE_EDGES = (0.01, 0.1, 0.3)  # of the share mapped as water
MINIMUM_CHIPS_OF_A_SIZE = 20  # with fewer, the quantile is the error of the worst chip or two
_ROUNDING = 1e-9
_ENDS = 2


class SizeInterval(Section):
    """The interval at one share mapped as water; between two such shares both ends are interpolated.

    Args:
        share: The share of the observed area that is mapped as water, in [0, 1].
        low: Lower end of the interval as a share; a value below 0 counts as 0 after interpolation.
        high: Upper end of the interval as a share; a value above 1 counts as 1 after interpolation.
    """

    share: float = Field(ge=0.0, le=1.0)
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)


class AreaErrorModel(Section):
    """The area error that `level` of the chips do not exceed.

    Without a `quantile` nothing is known about the errors, and the interval is the whole observed area. Such an
    interval is useless, but it is not invented.

    Args:
        level: Coverage of the interval, in (0, 1). Below `nominal_level` when there were too few chips for it.
        nominal_level: The requested coverage.
        floor: c, a share of the observed area. Chips with less water than this are judged by their absolute error.
        quantile: q, the conformal quantile of |true - predicted| / (predicted + c) over all chips; None when not
            fitted.
        chips: Number of chips that the model was fitted on.
        sizes: The interval by share mapped as water, from share 0 to share 1. Empty when there were too few chips for
            several classes of size, and in models of earlier releases: q is then used for all sizes.
        signs: The interval by the signs of a scene; None with fewer than 20 chips and in models of earlier releases.
        flood: The intervals of the flooded area and of other water, for maps with a pre-event scene of the same bands;
            None with fewer than 20 validation pairs and in models of earlier releases.
    """

    level: float = Field(default=0.9, gt=0.0, lt=1.0)
    nominal_level: float = Field(default=0.9, gt=0.0, lt=1.0)
    floor: float = Field(default=SMALLEST_FLOOR, gt=0.0, le=1.0)
    quantile: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    chips: int = Field(default=0, ge=0)
    sizes: tuple[SizeInterval, ...] = ()
    signs: SignInterval | None = None
    flood: FloodErrors | None = None

    @model_validator(mode="after")
    def _sizes_span_all_shares(self) -> Self:
        if not self.sizes:
            return self
        shares, low, high = np.array([(size.share, size.low, size.high) for size in self.sizes]).T
        if shares[0] != 0.0 or shares[-1] != 1.0 or np.any(np.diff(shares) <= 0):
            raise ValueError("sizes must rise from share 0 to share 1")
        if np.any((low > shares) | (high < shares)) or np.any(np.diff(low) < 0) or np.any(np.diff(high) < 0):
            raise ValueError("the interval of a size must contain its share and grow with it")
        return self

    @property
    def method(self) -> str:
        """One line for the record that says where the interval comes from."""
        if self.quantile is None:
            return "not calibrated: the whole observed area"
        short = too_few(self.level, self.nominal_level)
        errors = "area errors by mapped share" if self.sizes else "relative area errors"
        if self.chips < FEWEST_CHIPS:
            short += f"; fewer than the {FEWEST_CHIPS} needed for an interval by signs of the scene"
        return f"conformal, {errors} of {counted(self.chips, 'validation chip')}{short}"

    @property
    def sign_method(self) -> str:
        """The same line for an interval by the signs of a scene with mapped water."""
        return self.method if self.signs is None else self._sign_method(self.signs, self.signs.level)

    def _sign_method(self, signs: SignInterval, level: float) -> str:
        """Return the line for an interval by signs that has this level."""
        # Both intervals of a bundle are fitted for the same level; signs of earlier versions do not store it.
        short = too_few(level, signs.nominal_level or self.nominal_level)
        return (
            f"conformal, area errors by signs of the scene, of {signs.chips} validation chips of "
            f"{counted(signs.events, 'event')}{short}"
        )

    def source(self, data: str | None) -> str:
        """Return where the interval comes from, as a part of a sentence for readers of a map.

        Args:
            data: What the validation chips are, such as `simulated Sentinel-1 scenes`; None if it is not known.
        """
        if self.signs is not None:
            known = [*([data] if data else []), *self.signs.others]
            return (
                f"from area errors of {self.signs.chips} validation chips{' of ' if known else ''}{' and '.join(known)}"
            )
        if self.quantile is None:
            return "which is the whole observed area, because the model has no area errors"
        return f"from area errors of {counted(self.chips, 'validation chip')}{f' of {data}' if data else ''}"

    def estimate(self, flooded_km2: float, observed_km2: float, signs: SceneSigns | None = None) -> AreaEstimate:
        """Return the mapped area with its interval, and with `signs` the expected area.

        p is the share of the observed area that is mapped as water. The interval is that of `sizes` at p, or without
        `sizes` p +- q (p + c), cut to [0, 1] and converted to an area. It does not cover ground that was not observed.
        The interval by signs need not contain the mapped area: the signs can say that most of it is not water.

        Args:
            flooded_km2: Area mapped as water, in km2.
            observed_km2: Observed area in km2, not below `flooded_km2`.
            signs: The signs of the scene; None where they were not counted, and the model's own are then not used.

        Raises:
            ValueError: An area is negative or not finite, or more is mapped than was observed.
        """
        if not (math.isfinite(flooded_km2) and math.isfinite(observed_km2) and flooded_km2 >= 0.0):
            raise ValueError(f"areas must be finite and not negative: {flooded_km2} of {observed_km2} km2")
        if flooded_km2 > observed_km2 * (1.0 + _ROUNDING):
            raise ValueError(f"more is mapped as water ({flooded_km2} km2) than was observed ({observed_km2} km2)")
        # The two areas are sums that may differ in their last bits; the upper end must not be below the estimate.
        observed = max(observed_km2, flooded_km2)
        if signs is not None and self.signs is not None:
            share = self.signs.estimate(signs)
            return AreaEstimate(
                km2=flooded_km2,
                low_km2=share.low * observed,
                high_km2=share.high * observed,
                level=share.level,
                method=self._sign_method(self.signs, share.level),
                expected_km2=share.expected * observed,
            )
        if self.quantile is None:
            low, high = 0.0, observed
        elif self.sizes:
            mapped = flooded_km2 / observed if observed else 0.0
            shares, lows, highs = zip(*((size.share, size.low, size.high) for size in self.sizes), strict=True)
            low = max(0.0, float(np.interp(mapped, shares, lows))) * observed
            high = min(1.0, float(np.interp(mapped, shares, highs))) * observed
            # The interval contains the share; after the multiplication rounding could put the area just outside it.
            low, high = min(low, flooded_km2), max(high, flooded_km2)
        else:
            margin = self.quantile * (flooded_km2 + self.floor * observed)
            low, high = max(0.0, flooded_km2 - margin), min(observed, flooded_km2 + margin)
        return AreaEstimate(km2=flooded_km2, low_km2=low, high_km2=high, level=self.level, method=self.method)


def too_few(level: float, nominal: float) -> str:
    """Return what the method of an interval adds when its level is below the requested one."""
    return "" if level >= nominal else f", too few for {100 * nominal:.0f} %"


def area_floor(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """Return c, the median absolute area error of the chips, in [0.001, 0.05] of their observed area.

    A relative error has no meaning for areas smaller than a typical error: one chip with three pixels of water would
    widen the interval of all other chips. The median does not depend on the order of the chips and changes little with
    one chip, so the conformal argument still holds to first order.

    Args:
        predicted: (chips,) shares of the scored area mapped as water, in [0, 1].
        true: (chips,) shares labelled as water, in [0, 1].
    """
    if len(predicted) == 0:
        return SMALLEST_FLOOR
    return float(np.clip(np.median(np.abs(true - predicted)), SMALLEST_FLOOR, LARGEST_FLOOR))


def fit_area_errors(predicted: NDArray[np.float64], true: NDArray[np.float64], level: float = 0.9) -> AreaErrorModel:
    """Fit the interval on chips that the network was not trained on.

    Both shares of a chip belong to the same pixels: labelled and observed. With n chips the quantile is the k-th
    smallest score, k = ceil((n + 1) level). When k > n there are too few chips for the level: the largest score is used
    and the model states its actual coverage n / (n + 1). Without chips the result is a model that is not fitted.

    Args:
        predicted: (chips,) shares of the scored area mapped as water, in [0, 1].
        true: (chips,) shares labelled as water, in [0, 1].
        level: Requested coverage, in (0, 1).

    Raises:
        ValueError: The two differ in length, or hold a value outside [0, 1].
    """
    mapped = np.asarray(predicted, dtype=np.float64).ravel()
    labelled = np.asarray(true, dtype=np.float64).ravel()
    if mapped.shape != labelled.shape:
        raise ValueError(f"{len(mapped)} predicted shares and {len(labelled)} true ones")
    both = np.concatenate([mapped, labelled])
    if not bool(np.all((both >= 0.0) & (both <= 1.0))):
        raise ValueError("water shares must be in [0, 1]")
    chips = len(mapped)
    if chips == 0:
        return AreaErrorModel(level=level, nominal_level=level)
    floor = area_floor(mapped, labelled)
    scores = np.abs(labelled - mapped) / (mapped + floor)
    quantile, reached = _conformal_quantile(scores, level)
    return AreaErrorModel(
        level=reached,
        nominal_level=level,
        floor=floor,
        quantile=quantile,
        chips=chips,
        sizes=_by_size(mapped, scores, floor, level),
    )


def _conformal_quantile(scores: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Return the score that a share `level` of new chips does not exceed, and its actual coverage."""
    chips = len(scores)
    # Rounding can put (n + 1) * level slightly above a whole number, and k would be one too high without the margin.
    rank = math.ceil((chips + 1) * level - _ROUNDING)
    reached = level if rank <= chips else chips / (chips + 1)
    return float(np.sort(scores)[min(rank, chips) - 1]), reached


def _by_size(
    mapped: NDArray[np.float64], scores: NDArray[np.float64], floor: float, level: float
) -> tuple[SizeInterval, ...]:
    """Return the interval at the edges of the classes of size; an empty tuple when there is only one class.

    Within a class the ends of the interval p +- q (p + c) are straight lines in p. At an edge the wider interval of the
    two classes is used. Then both ends are made to grow with p, and are only moved outwards for this. After
    interpolation no interval is narrower than that of its class.
    """
    needed = max(MINIMUM_CHIPS_OF_A_SIZE, math.ceil(level / (1.0 - level) - _ROUNDING))
    edges = _merged_edges(mapped, needed)
    if len(edges) <= _ENDS:
        return ()
    margins = np.zeros(len(edges))
    for turn, inside in enumerate(_classes(mapped, edges)):
        quantile, _ = _conformal_quantile(scores[inside], level)
        here = slice(turn, turn + 2)
        margins[here] = np.maximum(margins[here], quantile * (edges[here] + floor))
    low = np.minimum.accumulate((edges - margins)[::-1])[::-1]
    high = np.maximum.accumulate(edges + margins)
    ends = zip(edges.tolist(), low.tolist(), high.tolist(), strict=True)
    return tuple(SizeInterval(share=share, low=below, high=above) for share, below, above in ends)


def _merged_edges(mapped: NDArray[np.float64], needed: int) -> NDArray[np.float64]:
    """Return 0, the edges that give every class at least `needed` chips, and 1."""
    kept = [0.0]
    for edge in SIZE_EDGES:
        below = np.count_nonzero((mapped >= kept[-1]) & (mapped < edge))
        if below >= needed and np.count_nonzero(mapped >= edge) >= needed:
            kept.append(edge)
    return np.array([*kept, 1.0])


def _classes(mapped: NDArray[np.float64], edges: NDArray[np.float64]) -> Iterator[NDArray[np.bool_]]:
    """Yield (chips,) bool for each class; a share on an edge belongs to the upper class, and 1 to the last."""
    index = np.searchsorted(edges[1:-1], mapped, side="right")
    return (index == turn for turn in range(len(edges) - 1))


def area_shares(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return predicted and true water shares of the chips that have a scored pixel.

    Args:
        counts: (chips, 4) integers, columns tp, fp, fn, tn.

    Returns:
        Two (scored chips,) float64 arrays in [0, 1]: (tp + fp) / pixels and (tp + fn) / pixels.
    """
    values = np.asarray(counts, dtype=np.int64).reshape(-1, 4)
    pixels = values.sum(axis=1)
    values, pixels = values[pixels > 0], pixels[pixels > 0]
    return (values[:, 0] + values[:, 1]) / pixels, (values[:, 0] + values[:, 2]) / pixels
