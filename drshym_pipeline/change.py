"""Separate flood from water that was there before: compute the probability of flood and its area.

The mask follows from the stored probabilities by the rule in `states`. Which scene is the reference, and whether it can
be one, is decided in `references.pre_event`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.probabilities import NOT_OBSERVED, PROBABILITY_STEPS
from drshym_pipeline.records import AreaEstimate

# Named in the record and in the tags of the files.
FLOOD_METHOD: Final = "p(water now) x (1 - p(water before))"
# Near the best F1 of simulated pairs, with VV and VH and with VV alone; docs/training_results.md has the figures.
_FLOOD_THRESHOLD: Final = 0.35


def flood_threshold(water_threshold: float) -> float:
    """Return the probability from which water is flood.

    It is never above the threshold of water, so water on ground that certainly was dry before is always flood.

    Args:
        water_threshold: The probability from which a pixel is water.
    """
    return min(_FLOOD_THRESHOLD, water_threshold)


def flood_probability(water: NDArray[np.uint16], reference: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the probability of flood: p(water now) x (1 - p(water before)), as if both were independent.

    Whole numbers are multiplied, so the result can be computed again exactly from the files of a map.

    Args:
        water: Any shape, probability of water now as uint16 in steps of 1e-4, 65535 where not observed.
        reference: Same shape, probability of water before in the same form, 65535 where not known.

    Returns:
        Same shape and form; 65535 where one of both is not known.
    """
    # The largest product, and half a step for rounding, is far below the limit of uint32.
    product = water.astype(np.uint32) * (PROBABILITY_STEPS - np.minimum(reference, PROBABILITY_STEPS).astype(np.uint32))
    flood = ((product + PROBABILITY_STEPS // 2) // PROBABILITY_STEPS).astype(np.uint16)
    flood[(water == NOT_OBSERVED) | (reference == NOT_OBSERVED)] = NOT_OBSERVED
    return flood


def part_of_water(km2: float, water: AreaEstimate) -> AreaEstimate:
    """Return the area of one kind of water with an interval that follows from that of all water.

    No area errors of flood are known. What is flooded is a part of the water, so the true area is between 0 and the
    upper end of the interval of all water; this covers at least as often as the interval of all water.

    Args:
        km2: The mapped area of the part in km2.
        water: The area of all water.
    """
    return AreaEstimate(
        km2=km2,
        low_km2=0.0,
        high_km2=water.high_km2,
        level=water.level,
        method=f"0 to the upper end of the interval of all water ({water.method})",
    )
