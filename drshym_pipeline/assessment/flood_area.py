"""The flooded area and the area of other water on a map with a scene from before, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drshym_pipeline.assessment.area import too_few
from drshym_pipeline.assessment.conformal import ShareInterval
from drshym_pipeline.assessment.flood_interval import FloodErrors, PartInterval
from drshym_pipeline.assessment.pair_signs import PairCounts
from drshym_pipeline.change import part_of_water
from drshym_pipeline.records import AreaEstimate

_UNPAIRED: Final = "; of water that could not be compared with that scene, the lower end has none and the upper end all"


@dataclass(frozen=True)
class SeparatedAreas:
    """What was counted on a map of flood and other water; areas in km2.

    Args:
        pair: The counts of the pixels that were compared with one scene.
        flooded_km2: Mapped as flooded, wherever it is.
        other_km2: Mapped as water that was there before, wherever it is.
        paired_km2: Compared with one scene.
        unpaired_km2: Observed and not compared with it.
        unpaired_flooded_km2: Mapped as flooded there.
        unpaired_other_km2: Mapped as water that was there before, there.
        unpaired_mass: The share of all probability of water that is there, in [0, 1].
    """

    pair: PairCounts
    flooded_km2: float
    other_km2: float
    paired_km2: float
    unpaired_km2: float
    unpaired_flooded_km2: float
    unpaired_other_km2: float
    unpaired_mass: float


def separated_estimates(
    areas: SeparatedAreas, water: AreaEstimate, errors: FloodErrors | None
) -> tuple[AreaEstimate, AreaEstimate]:
    """Return the flooded area and the area of other water.

    The fitted intervals are those of the ground that was compared with one scene. On the other ground, any share of the
    water can be flood: both lower ends have none of it and both upper ends all of it. This is the upper end of all
    water times the share of the probability, or of the area, that is there; the larger one counts. The expected water
    of this ground is divided as the mask divides it.

    Args:
        areas: What was counted.
        water: The area of all water.
        errors: The fitted intervals; None where they are not known, and then each part is between 0 and the upper end
            of all water.
    """
    if errors is None or not areas.pair.pixels:
        return part_of_water(areas.flooded_km2, water), part_of_water(areas.other_km2, water)
    pair = areas.pair
    flooded = errors.flooded.estimate(pair.signs("flooded"))
    other = errors.other_water.estimate(pair.signs("other_water"))
    unknown_high, unknown_expected = _unpaired_water(areas, water)
    mapped_there = areas.unpaired_flooded_km2 + areas.unpaired_other_km2
    flooded_share = areas.unpaired_flooded_km2 / mapped_there if mapped_there else 1.0

    def estimate(km2: float, share: ShareInterval, name: str, fitted: PartInterval, expected: float) -> AreaEstimate:
        level = min(share.level, water.level) if unknown_high else share.level
        return AreaEstimate(
            km2=km2,
            low_km2=share.low * areas.paired_km2,
            high_km2=share.high * areas.paired_km2 + unknown_high,
            level=level,
            method=f"conformal, area errors of {name} by signs of the pair of scenes, of {errors.pairs}"
            f"{too_few(level, fitted.nominal_level or level)}{_UNPAIRED if unknown_high else ''}",
            expected_km2=share.expected * areas.paired_km2 + expected,
        )

    return (
        estimate(areas.flooded_km2, flooded, "flood", errors.flooded, unknown_expected * flooded_share),
        estimate(areas.other_km2, other, "other water", errors.other_water, unknown_expected * (1 - flooded_share)),
    )


def _unpaired_water(areas: SeparatedAreas, water: AreaEstimate) -> tuple[float, float]:
    """Return the upper end and the expected area of the water that was not compared with one scene, in km2."""
    if not areas.unpaired_km2:
        return 0.0, 0.0
    by_area = areas.unpaired_km2 / (areas.paired_km2 + areas.unpaired_km2)
    mapped = areas.unpaired_flooded_km2 + areas.unpaired_other_km2
    high = max(water.high_km2 * max(areas.unpaired_mass, by_area), mapped)
    likely = water.km2 if water.expected_km2 is None else water.expected_km2
    return min(high, areas.unpaired_km2), min(likely * areas.unpaired_mass, areas.unpaired_km2)
