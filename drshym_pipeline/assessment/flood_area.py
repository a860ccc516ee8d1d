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

_NOT_COMPARED: Final = "; of water that could not be compared, the lower end has none and the upper end all"


@dataclass(frozen=True)
class SeparatedAreas:
    """What was counted on a map of flood and other water; areas in km2.

    Args:
        pair: The counts of the compared pixels.
        flooded_km2: Mapped as flooded, also where nothing was compared.
        other_km2: Mapped as water that was there before.
        compared_km2: Compared with the water before.
        uncompared_km2: Observed and not compared.
        uncompared_water_km2: Mapped as water there.
        uncompared_mass: The share of all probability of water that is there, in [0, 1].
    """

    pair: PairCounts
    flooded_km2: float
    other_km2: float
    compared_km2: float
    uncompared_km2: float
    uncompared_water_km2: float
    uncompared_mass: float


def separated_estimates(
    areas: SeparatedAreas, water: AreaEstimate, errors: FloodErrors | None
) -> tuple[AreaEstimate, AreaEstimate]:
    """Return the flooded area and the area of other water.

    The fitted intervals are those of the compared ground. On the other ground, any share of the water can be flood:
    both lower ends have none of it and both upper ends all of it. This is the upper end of all water times the share
    of the probability, or of the area, that is there; the larger one counts. The expected flood has the expected water
    of this ground, as the mask has it in the flooded class.

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
    unknown_high, unknown_expected = _not_compared(areas, water)

    def estimate(km2: float, share: ShareInterval, name: str, fitted: PartInterval, expected: float) -> AreaEstimate:
        level = min(share.level, water.level) if unknown_high else share.level
        return AreaEstimate(
            km2=km2,
            low_km2=share.low * areas.compared_km2,
            high_km2=share.high * areas.compared_km2 + unknown_high,
            level=level,
            method=f"conformal, area errors of {name} by signs of the pair of scenes, of {errors.pairs}"
            f"{too_few(level, fitted.nominal_level or level)}{_NOT_COMPARED if unknown_high else ''}",
            expected_km2=share.expected * areas.compared_km2 + expected,
        )

    return (
        estimate(areas.flooded_km2, flooded, "flood", errors.flooded, unknown_expected),
        estimate(areas.other_km2, other, "other water", errors.other_water, 0.0),
    )


def _not_compared(areas: SeparatedAreas, water: AreaEstimate) -> tuple[float, float]:
    """Return the upper end and the expected area of the water where nothing was compared, in km2."""
    if not areas.uncompared_km2:
        return 0.0, 0.0
    by_area = areas.uncompared_km2 / (areas.compared_km2 + areas.uncompared_km2)
    high = max(water.high_km2 * max(areas.uncompared_mass, by_area), areas.uncompared_water_km2)
    likely = water.km2 if water.expected_km2 is None else water.expected_km2
    return min(high, areas.uncompared_km2), min(likely * areas.uncompared_mass, areas.uncompared_km2)
