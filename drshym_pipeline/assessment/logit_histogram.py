"""Counts of labelled pixels by logit. Scores, calibration and thresholds are computed from these counts alone.

The bins are fixed and narrow: any number of pixels needs the same memory, two histograms can be added, and temperature,
threshold and plots do not need the network a second time. The bins cost some accuracy: a logit counts as the middle of
its bin, at most half a bin (0.005) from its value, so a log loss or mean probability is within 0.005 / T or 0.00125 / T
of the exact one. Logits beyond +-20 count as +-20. Fits on a histogram are in `calibration` and `threshold`; records of
several figures are in `reliability`.

Expected calibration error: M. Naeini et al., AAAI 2015, here with the probability of water, so that the many dry pixels
do not hide errors on water; over bins of equal mass: K. Nguyen and B. O'Connor, EMNLP 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from drshym_pipeline.assessment.metrics import ConfusionCounts
from drshym_pipeline.errors import InputError

LOGIT_LIMIT = 20.0
BINS_PER_UNIT = 100
BINS = int(2 * LOGIT_LIMIT * BINS_PER_UNIT)
ECE_BINS = 15

LOGIT_CENTRES: NDArray[np.float64] = (np.arange(BINS) + 0.5) / BINS_PER_UNIT - LOGIT_LIMIT


@dataclass(frozen=True, slots=True)
class RangeReliability:
    """Reliability of the probabilities in one range.

    Args:
        pixels: Number of pixels with a probability in the range.
        share: Their share of all counted pixels, in [0, 1]; None without counted pixels.
        predicted: Their mean probability of water; None without such pixels.
        found: The share of water among them; None without such pixels.
        ece: Expected calibration error over bins of equal width within the range; None without such pixels.
    """

    pixels: int
    share: float | None
    predicted: float | None
    found: float | None
    ece: float | None


class LogitHistogram:
    """Counts of labelled water and dry pixels by logit, in bins of 0.01 from -20 to 20.

    Attributes:
        water: (4000,) int64, pixels labelled 1.
        dry: (4000,) int64, pixels labelled 0.
    """

    def __init__(self) -> None:
        self.water: NDArray[np.int64] = np.zeros(BINS, dtype=np.int64)
        self.dry: NDArray[np.int64] = np.zeros(BINS, dtype=np.int64)

    @property
    def pixels(self) -> int:
        """The number of counted pixels."""
        return int(self.water.sum() + self.dry.sum())

    @property
    def has_both(self) -> bool:
        """True when there are water and dry pixels. With one class alone nothing can be calibrated."""
        return bool(self.water.any() and self.dry.any())

    def add(self, logits: NDArray[np.floating[Any]], labels: NDArray[np.int8]) -> None:
        """Count pixels.

        Args:
            logits: Logits of any shape; NaN where not observed, which is not counted.
            labels: Labels of the same shape: 1 water, 0 dry, -1 unknown, which is not counted.

        Raises:
            ValueError: The two differ in shape.
        """
        if logits.shape != labels.shape:
            raise ValueError(f"shapes differ: {logits.shape}, {labels.shape}")
        known = ~np.isnan(logits)
        self.water += _by_bin(logits[known & (labels == 1)])
        self.dry += _by_bin(logits[known & (labels == 0)])

    def __add__(self, other: LogitHistogram) -> LogitHistogram:
        merged = LogitHistogram()
        merged.water = self.water + other.water
        merged.dry = self.dry + other.dry
        return merged

    def times(self, factor: int) -> LogitHistogram:
        """Return the histogram in which every pixel counts `factor` times."""
        scaled = LogitHistogram()
        scaled.water = self.water * factor
        scaled.dry = self.dry * factor
        return scaled

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON value with the counts from the first to the last bin that is not empty."""
        filled = np.flatnonzero(self.water + self.dry)
        first, last = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 0)
        return {
            "limit": LOGIT_LIMIT,
            "bins": BINS,
            "first": first,
            "water": self.water[first:last].tolist(),
            "dry": self.dry[first:last].tolist(),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> LogitHistogram:
        """Build a histogram from the value that `to_dict` returned.

        Raises:
            InputError: It was written with other bins.
        """
        if (value["limit"], value["bins"]) != (LOGIT_LIMIT, BINS):
            raise InputError("logit histogram", "was written with other bins", "Evaluate the model again")
        histogram = cls()
        for name, counts in (("water", histogram.water), ("dry", histogram.dry)):
            counts[value["first"] : value["first"] + len(value[name])] = value[name]
        return histogram

    def log_loss(self, T: float, bias: float = 0.0) -> float | None:
        """Return the mean negative log likelihood per pixel, in nats; None without pixels."""
        if not self.pixels:
            return None
        scaled = LOGIT_CENTRES / T + bias
        total = self.water @ np.logaddexp(0.0, -scaled) + self.dry @ np.logaddexp(0.0, scaled)
        return float(total / self.pixels)

    def brier(self, T: float, bias: float = 0.0) -> float | None:
        """Return the mean squared difference of probability and label, in [0, 1]; None without pixels."""
        if not self.pixels:
            return None
        p = _probabilities(T, bias)
        return float((self.water @ (1.0 - p) ** 2 + self.dry @ p**2) / self.pixels)

    def ece(self, T: float, bias: float = 0.0, bins: int = ECE_BINS) -> float | None:
        """Return the expected calibration error of the probability of water over bins of equal width.

        It is in [0, 1], or None without pixels.
        """
        if not self.pixels:
            return None
        pixels, predicted, water = self._by_probability(T, bias, bins)
        return float(np.abs(predicted - water).sum() / pixels.sum())

    def ece_equal_mass(self, T: float, bias: float = 0.0, bins: int = ECE_BINS) -> float | None:
        """Return the expected calibration error over bins with the same number of pixels.

        Where nearly all land has a probability near 0, most pixels are in one bin of equal width. Pixels of one logit
        are distributed evenly over their bins, so every bin has exactly the same number. The result is in [0, 1], or
        None without pixels.
        """
        if not self.pixels:
            return None
        both = self.water + self.dry
        filled = both > 0
        p = _probabilities(T, bias)[filled]
        counted = np.concatenate([[0], np.cumsum(both[filled])])
        edges = np.linspace(0.0, counted[-1], bins + 1)
        excess = p * both[filled] - self.water[filled]
        gaps = np.diff(np.interp(edges, counted, np.concatenate([[0.0], np.cumsum(excess)])))
        return float(np.abs(gaps).sum() / counted[-1])

    def within(self, low: float, high: float, T: float, bias: float = 0.0, bins: int = 8) -> RangeReliability:
        """Return the reliability of the pixels whose probability is in [low, high], over `bins` bins of equal width.

        `within(0.5, 1.0)` are the pixels that are more likely water; the many dry pixels do not improve their figures.
        `within(0.1, 0.9)` are the uncertain pixels.

        Raises:
            ValueError: 0 <= low < high <= 1 does not hold.
        """
        if not 0.0 <= low < high <= 1.0:
            raise ValueError(f"not a range of probabilities: {low} to {high}")
        p = _probabilities(T, bias)
        inside = (p >= low) & (p <= high)
        both = (self.water + self.dry)[inside]
        pixels, water = int(both.sum()), int(self.water[inside].sum())
        share = pixels / self.pixels if self.pixels else None
        if not pixels:
            return RangeReliability(0, share, None, None, None)
        index = np.minimum(((p[inside] - low) / (high - low) * bins).astype(np.int64), bins - 1)
        gaps = np.bincount(index, weights=both * p[inside] - self.water[inside], minlength=bins)
        return RangeReliability(
            pixels, share, float(both @ p[inside] / pixels), water / pixels, float(np.abs(gaps).sum() / pixels)
        )

    def reliability(self, T: float, bias: float = 0.0, bins: int = ECE_BINS) -> pd.DataFrame:
        """Return the predicted and the found share of water by bin of probability.

        Returns:
            One row per bin: `low`, `high` (edges), `pixels`, `predicted` (mean probability) and `found` (share of
            water), the last two Float64 and missing in empty bins.
        """
        pixels, predicted, water = self._by_probability(T, bias, bins)
        edges = np.linspace(0.0, 1.0, bins + 1)
        frame = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "pixels": pixels})
        for name, total in (("predicted", predicted), ("found", water)):
            frame[name] = pd.array(total / np.maximum(pixels, 1), dtype="Float64")
            frame.loc[pixels == 0, name] = pd.NA
        return frame

    def scores_at(self, threshold: float, T: float, bias: float = 0.0) -> ConfusionCounts:
        """Return the counts when every pixel with a probability of at least `threshold` is mapped as water."""
        first = int(np.searchsorted(_probabilities(T, bias), threshold, side="left"))
        return ConfusionCounts(
            int(self.water[first:].sum()),
            int(self.dry[first:].sum()),
            int(self.water[:first].sum()),
            int(self.dry[:first].sum()),
        )

    def curve(self, thresholds: NDArray[np.float64], T: float, bias: float = 0.0) -> NDArray[np.int64]:
        """Return `scores_at` for many thresholds at once: (thresholds, 4) int64, columns tp, fp, fn, tn."""
        first = np.searchsorted(_probabilities(T, bias), thresholds, side="left")
        columns = []
        for counts in (self.water, self.dry):
            below = np.concatenate([[0], np.cumsum(counts)])[first]
            columns.append((counts.sum() - below, below))
        (tp, fn), (fp, tn) = columns
        return np.stack([tp, fp, fn, tn], axis=1)

    def _by_probability(
        self, T: float, bias: float, bins: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Return pixels, sum of probabilities and water pixels of each bin of probability."""
        p = _probabilities(T, bias)
        index = np.minimum((p * bins).astype(np.int64), bins - 1)
        both = self.water + self.dry
        pixels = np.bincount(index, weights=both, minlength=bins).astype(np.int64)
        predicted: NDArray[np.float64] = np.bincount(index, weights=both * p, minlength=bins).astype(np.float64)
        water = np.bincount(index, weights=self.water, minlength=bins).astype(np.int64)
        return pixels, predicted, water


def _by_bin(logits: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return the number of logits in each bin, (4000,)."""
    # In single precision a logit next to an edge could change its bin.
    scaled = (np.clip(logits.astype(np.float64), -LOGIT_LIMIT, LOGIT_LIMIT) + LOGIT_LIMIT) * BINS_PER_UNIT
    return np.bincount(np.minimum(scaled.astype(np.int64), BINS - 1), minlength=BINS).astype(np.int64)


def _probabilities(T: float, bias: float) -> NDArray[np.float64]:
    """Return the probability at the middle of every bin, (4000,) float64, rising."""
    probabilities: NDArray[np.float64] = expit(LOGIT_CENTRES / T + bias)
    return probabilities
