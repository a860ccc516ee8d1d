"""From logits to probabilities that mean what they say, and to the threshold of the map.

All figures come from one histogram of logits by label with fixed fine bins, so that any number of pixels costs the same
memory, two histograms add up, and temperature, threshold and plots need no second pass over the network. What a bin
costs: a logit is taken at the middle of its bin, half a bin (0.005) from where it was at most, so a log loss or mean
probability is within 0.005 / T or 0.00125 / T of the exact one. Logits beyond +-20 count as +-20.

Temperature scaling: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Expected calibration error:
M. Naeini et al., AAAI 2015, here with the probability of water, so that dry land does not hide what happens to water.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from drshym_pipeline.assessment.metrics import ConfusionCounts
from drshym_pipeline.assessment.probability import PROBABILITY_STEPS
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import BandMode, Calibration
from drshym_pipeline.storage import write_json

LOGIT_LIMIT = 20.0
BINS_PER_UNIT = 100
BINS = int(2 * LOGIT_LIMIT * BINS_PER_UNIT)
ECE_BINS = 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0

_CENTRES: NDArray[np.float64] = (np.arange(BINS) + 0.5) / BINS_PER_UNIT - LOGIT_LIMIT


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
        """How many pixels were counted."""
        return int(self.water.sum() + self.dry.sum())

    @property
    def has_both(self) -> bool:
        """True when there are water and dry pixels; without either there is nothing to calibrate against."""
        return bool(self.water.any() and self.dry.any())

    def add(self, logits: NDArray[np.floating[Any]], labels: NDArray[np.int8]) -> None:
        """Count pixels.

        Args:
            logits: Any shape; NaN where not observed, which is not counted.
            labels: Same shape: 1 water, 0 dry, -1 unknown, which is not counted.

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

    def to_dict(self) -> dict[str, Any]:
        """A JSON value: the counts between the first and the last bin that is not empty."""
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
        """The histogram `to_dict` described.

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
        """Mean negative log likelihood a pixel, in nats; None without pixels."""
        if not self.pixels:
            return None
        scaled = _CENTRES / T + bias
        total = self.water @ np.logaddexp(0.0, -scaled) + self.dry @ np.logaddexp(0.0, scaled)
        return float(total / self.pixels)

    def brier(self, T: float, bias: float = 0.0) -> float | None:
        """Mean squared difference of probability and label, in [0, 1]; None without pixels."""
        if not self.pixels:
            return None
        p = _probabilities(T, bias)
        return float((self.water @ (1.0 - p) ** 2 + self.dry @ p**2) / self.pixels)

    def ece(self, T: float, bias: float = 0.0, bins: int = ECE_BINS) -> float | None:
        """Expected calibration error of the probability of water over equal bins, in [0, 1]; None without pixels."""
        if not self.pixels:
            return None
        pixels, predicted, water = self._by_probability(T, bias, bins)
        return float(np.abs(predicted - water).sum() / pixels.sum())

    def reliability(self, T: float, bias: float = 0.0, bins: int = ECE_BINS) -> pd.DataFrame:
        """Predicted against found water by bin of probability.

        Returns:
            One row a bin: `low`, `high` (edges), `pixels`, `predicted` (mean probability) and `found` (share of water),
            the last two Float64 and missing in empty bins.
        """
        pixels, predicted, water = self._by_probability(T, bias, bins)
        edges = np.linspace(0.0, 1.0, bins + 1)
        frame = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "pixels": pixels})
        for name, total in (("predicted", predicted), ("found", water)):
            frame[name] = pd.array(total / np.maximum(pixels, 1), dtype="Float64")
            frame.loc[pixels == 0, name] = pd.NA
        return frame

    def scores_at(self, threshold: float, T: float, bias: float = 0.0) -> ConfusionCounts:
        """Counts when every pixel with a probability of at least `threshold` is mapped as water."""
        first = int(np.searchsorted(_probabilities(T, bias), threshold, side="left"))
        return ConfusionCounts(
            int(self.water[first:].sum()),
            int(self.dry[first:].sum()),
            int(self.water[:first].sum()),
            int(self.dry[:first].sum()),
        )

    def curve(self, thresholds: NDArray[np.float64], T: float, bias: float = 0.0) -> NDArray[np.int64]:
        """`scores_at` for many thresholds at once: (thresholds, 4) int64, columns tp, fp, fn, tn."""
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
        """Pixels, sum of probabilities and water pixels of each bin of probability."""
        p = _probabilities(T, bias)
        index = np.minimum((p * bins).astype(np.int64), bins - 1)
        both = self.water + self.dry
        pixels = np.bincount(index, weights=both, minlength=bins).astype(np.int64)
        predicted: NDArray[np.float64] = np.bincount(index, weights=both * p, minlength=bins).astype(np.float64)
        water = np.bincount(index, weights=self.water, minlength=bins).astype(np.int64)
        return pixels, predicted, water


def fit_temperature(hist: LogitHistogram) -> float:
    """The temperature of the lowest log loss, within [0.1, 10].

    Log loss is convex in 1 / T, so the search over log(1 / T) finds the one minimum. The answer is 1 when nothing beats
    1, and when there is no water, no dry land or no pixel at all: one class alone would push the temperature to an
    end of the range and says nothing about calibration.
    """
    if not hist.has_both:
        return 1.0

    def loss(log_inverse: float) -> float:
        value = hist.log_loss(float(np.exp(-log_inverse)))
        assert value is not None
        return value

    limits = (-np.log(MAX_TEMPERATURE), -np.log(MIN_TEMPERATURE))
    found = minimize_scalar(loss, bounds=limits, method="bounded", options={"xatol": 1e-7})
    best = min((0.0, float(found.x)), key=loss)
    return float(np.exp(-best))


def best_threshold(hist: LogitHistogram, T: float, bias: float = 0.0) -> tuple[float, float | None]:
    """The threshold of the best F1 pooled over pixels, on the grid of 1e-4 that probabilities are stored on.

    Of equally good thresholds the nearest to 0.5 wins, then the lower. Without water or without dry land every
    threshold is as good as its neighbour or the lowest would always win: the answer is then 0.5.

    Returns:
        The threshold in [0.0001, 0.9999] and its F1; F1 is None without water or without dry land.
    """
    if not hist.has_both:
        return 0.5, None
    steps = np.arange(1, PROBABILITY_STEPS)
    counts = hist.curve(steps / PROBABILITY_STEPS, T, bias)
    f1 = 2 * counts[:, 0] / (2 * counts[:, 0] + counts[:, 1] + counts[:, 2])
    ties = steps[f1 == f1.max()]
    best = int(min(ties, key=lambda step: (abs(int(step) - PROBABILITY_STEPS // 2), int(step))))
    return best / PROBABILITY_STEPS, float(f1.max())


def calibrate(hist: LogitHistogram) -> Calibration:
    """Temperature, then the threshold of the probabilities it gives; T = 1 and 0.5 where there is nothing to fit."""
    T = fit_temperature(hist)
    threshold, _ = best_threshold(hist, T)
    return Calibration(T=T, threshold=threshold)


def thresholds_document(calibrations: Mapping[BandMode, Calibration], default_mode: BandMode) -> dict[str, Any]:
    """What `thresholds.json` holds; its first two keys are those of the default mode."""
    default = calibrations[default_mode]
    return {
        "threshold": default.threshold,
        "calibration": {"method": default.method, "T": default.T},
        "modes": {
            mode: {"threshold": item.threshold, "T": item.T, "bias": item.bias} for mode, item in calibrations.items()
        },
    }


def write_thresholds(path: Path, calibrations: Mapping[BandMode, Calibration], default_mode: BandMode) -> None:
    """Write `thresholds.json` atomically.

    Raises:
        InputError: There is no calibration of the default mode.
    """
    if default_mode not in calibrations:
        raise InputError(path, f"no calibration of the default mode '{default_mode}'", "Calibrate that mode first")
    write_json(path, thresholds_document(calibrations, default_mode))


def _by_bin(logits: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """(4000,) how many logits fall into each bin."""
    # In single precision a logit beside an edge would change its bin.
    scaled = (np.clip(logits.astype(np.float64), -LOGIT_LIMIT, LOGIT_LIMIT) + LOGIT_LIMIT) * BINS_PER_UNIT
    return np.bincount(np.minimum(scaled.astype(np.int64), BINS - 1), minlength=BINS).astype(np.int64)


def _probabilities(T: float, bias: float) -> NDArray[np.float64]:
    """(4000,) float64, rising: the probability at the middle of every bin."""
    probabilities: NDArray[np.float64] = expit(_CENTRES / T + bias)
    return probabilities
