"""The values of a mask and their names."""

from __future__ import annotations

from typing import Final

DRY: Final = 0
FLOODED: Final = 1
PERMANENT: Final = 2
EXCLUDED: Final = 250
MASK_NOT_OBSERVED: Final = 255

MASK_LEGEND: Final[dict[str, int]] = {
    "dry": DRY,
    "flooded": FLOODED,
    "permanent": PERMANENT,
    "excluded": EXCLUDED,
    "not_observed": MASK_NOT_OBSERVED,
}


# The meaning of the flooded class as long as permanent water is not separated.
OPEN_WATER: Final = "open water, flood not separated"


def water_state(*, water_separated: bool) -> str:
    """Return the meaning of the flooded class of a map, in words."""
    return "flooded" if water_separated else OPEN_WATER


def mask_labels(*, water_separated: bool) -> dict[int, str]:
    """Return the meaning of each mask value in words, for legends."""
    return {
        DRY: "dry",
        FLOODED: water_state(water_separated=water_separated),
        PERMANENT: "water that was there before",
        EXCLUDED: "excluded (terrain)",
        MASK_NOT_OBSERVED: "not observed",
    }
