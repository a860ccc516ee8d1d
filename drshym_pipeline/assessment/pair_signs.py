"""Signs of how well the flooded area can be known, counted from the probabilities of water during and before a flood.

Everything is a sum of whole steps of stored probabilities over the compared pixels, so a map can be counted in strips
and the result depends on no order. The same functions count simulated pairs and maps. What the mapped water looks like
in backscatter is not among the signs: with the surfaces of `scene_signs`, the intervals of simulated pairs did not
become narrower.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.change import flood_threshold
from drshym_pipeline.probabilities import NOT_OBSERVED, PROBABILITY_STEPS, is_water

PartName = Literal["flooded", "other_water"]
PARTS: Final[tuple[PartName, ...]] = ("flooded", "other_water")

# Probabilities below are those of nearly all dry land; their sum says little about water.
_FAINT: Final = PROBABILITY_STEPS // 20
_STEPS: Final = np.arange(PROBABILITY_STEPS + 1)
_MASS: Final = np.where(_STEPS >= _FAINT, _STEPS, 0)
_UNCERTAIN: Final = np.minimum(_MASS, PROBABILITY_STEPS - _STEPS)


@dataclass(frozen=True)
class PartSigns:
    """The signs of flood or of other water, as shares of the compared pixels in [0, 1]; all 0 without such a pixel.

    Args:
        mapped: Pixels that are mapped as this part of the water.
        mass: The sum of its probabilities of at least 0.05.
        uncertain: The sum of min(p, 1 - p) over the same probabilities p.
        uncertain_now: The same sum over the probabilities of water during the flood.
        uncertain_before: The same sum over those of water before.
    """

    mapped: float
    mass: float
    uncertain: float
    uncertain_now: float
    uncertain_before: float


@dataclass(frozen=True)
class PartCounts:
    """Sums of one part of the water: pixels mapped as it, and steps of `mass` and `uncertain`, see `PartSigns`."""

    mapped: int = 0
    mass: int = 0
    uncertain: int = 0

    def __add__(self, other: PartCounts) -> PartCounts:
        return PartCounts(self.mapped + other.mapped, self.mass + other.mass, self.uncertain + other.uncertain)


@dataclass(frozen=True)
class PairCounts:
    """Sums over the pixels of a map that were compared with the water before; counts of strips or parts are added.

    Args:
        pixels: The compared pixels.
        flooded: The sums of flood.
        other_water: The sums of water that was there before.
        uncertain_now: Steps of the uncertain probabilities of water during the flood.
        uncertain_before: The same before it.
    """

    pixels: int = 0
    flooded: PartCounts = PartCounts()
    other_water: PartCounts = PartCounts()
    uncertain_now: int = 0
    uncertain_before: int = 0

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(**{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)})

    def signs(self, name: PartName) -> PartSigns:
        """Return the signs of one part of the water."""
        part = self.flooded if name == "flooded" else self.other_water
        pixels = max(self.pixels, 1)
        steps = pixels * PROBABILITY_STEPS
        return PartSigns(
            mapped=part.mapped / pixels,
            mass=part.mass / steps,
            uncertain=part.uncertain / steps,
            uncertain_now=self.uncertain_now / steps,
            uncertain_before=self.uncertain_before / steps,
        )


def pair_counts(
    now: NDArray[np.uint16], before: NDArray[np.uint16], flood: NDArray[np.uint16], threshold: float
) -> PairCounts:
    """Count the pixels that have both probabilities.

    Args:
        now: Any shape, probability of water during the flood as uint16 in steps of 1e-4, 65535 where not observed.
        before: Same shape, probability of water before in the same form.
        flood: Same shape, their `change.flood_probability`.
        threshold: The probability from which a pixel is water.
    """
    compared = flood != NOT_OBSERVED
    wet, earlier, new = now[compared], before[compared], flood[compared]
    water, flooded = is_water(wet, threshold), is_water(new, flood_threshold(threshold))
    return PairCounts(
        pixels=len(wet),
        flooded=_part_counts(new, water & flooded),
        other_water=_part_counts(wet - new, water & ~flooded),
        uncertain_now=_uncertain(wet),
        uncertain_before=_uncertain(earlier),
    )


def _part_counts(steps: NDArray[np.uint16], mapped: NDArray[np.bool_]) -> PartCounts:
    counts = _by_step(steps)
    return PartCounts(
        mapped=int(np.count_nonzero(mapped)), mass=int(counts @ _MASS), uncertain=int(counts @ _UNCERTAIN)
    )


def _uncertain(steps: NDArray[np.uint16]) -> int:
    """Return the sum of min(p, 1 - p) in steps over the probabilities that are not faint."""
    return int(_by_step(steps) @ _UNCERTAIN)


def _by_step(steps: NDArray[np.uint16]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.bincount(steps, minlength=PROBABILITY_STEPS + 1)
    return counts
