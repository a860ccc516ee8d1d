"""Calibrated probabilities: how they come from logits, how they are stored, and how a map cuts them.

Probabilities are stored as whole steps of 1e-4, and every decision is made on the stored integers: the mask can be
derived from the probability file alone, and a score counts the very pixels a map would show. How temperature and
threshold are found is `calibration`'s task.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import Calibration

PROBABILITY_STEPS: Final = 10_000
PROBABILITY_SCALE: Final = 1e-4
NOT_OBSERVED: Final = 65_535


def probability(logits: NDArray[np.floating[Any]], calibration: Calibration) -> NDArray[np.float32]:
    """Calibrated probability of water, sigmoid(logit / T + bias), float32 in [0, 1]; NaN stays NaN."""
    values = np.asarray(logits, dtype=np.float32) / np.float32(-calibration.T)
    values = np.asarray(values - np.float32(calibration.bias), dtype=np.float32)
    with np.errstate(over="ignore"):
        # exp(-x) of a very negative logit is infinite, and 1 / infinity is the 0 it should be.
        water: NDArray[np.float32] = np.float32(1.0) / (np.float32(1.0) + np.exp(values))
    return water


def encode(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
    """Probabilities in [0, 1], NaN where not observed, as uint16 in steps of 1e-4 with 65535 for not observed."""
    steps = np.rint(probabilities * PROBABILITY_STEPS)
    steps[np.isnan(steps)] = NOT_OBSERVED
    stored: NDArray[np.uint16] = steps.astype(np.uint16)
    return stored


def decode(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The opposite of `encode`: float32 in [0, 1], NaN where not observed."""
    values = stored.astype(np.float32) / np.float32(PROBABILITY_STEPS)
    values[stored == NOT_OBSERVED] = np.nan
    return values


def threshold_steps(threshold: float) -> int:
    """The smallest stored probability that counts as water, in steps of 1e-4."""
    # Rounding first: 0.45 * 10000 is 4500.000000000001 in binary.
    return math.ceil(round(threshold * PROBABILITY_STEPS, 6))


def is_water(stored: NDArray[np.uint16], threshold: float) -> NDArray[np.bool_]:
    """True where a stored probability is not below the threshold; never where it is not observed."""
    water: NDArray[np.bool_] = (stored >= threshold_steps(threshold)) & (stored != NOT_OBSERVED)
    return water
