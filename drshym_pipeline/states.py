"""The states of a map's pixels: the values of a mask, their names, and how they follow from stored probabilities.

Only stored integers are compared, so everyone can derive a mask again from the files of its map. `change` computes
the probability of flood.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.probabilities import NOT_OBSERVED, is_water
from drshym_pipeline.records import FloodSeparation

DRY: Final = 0
FLOODED: Final = 1
PERMANENT: Final = 2  # water that was there before: permanent or seasonal
EXCLUDED: Final = 250
MASK_NOT_OBSERVED: Final = 255

MASK_LEGEND: Final[dict[str, int]] = {
    "dry": DRY,
    "flooded": FLOODED,
    "permanent": PERMANENT,
    "excluded": EXCLUDED,
    "not_observed": MASK_NOT_OBSERVED,
}
# Why the terrain excludes a pixel: the values of the file of exclusion, which are added for several reasons.
EXCLUSION_REASONS: Final[dict[str, int]] = {"slope": 1, "hand": 2, "layover": 4, "shadow": 8}
NO_EXCLUSION: Final = 0
EXCLUSION_UNKNOWN: Final = 255
# The colours of the water in every picture, palette and style, as red, green and blue. Both differ from the grey of the
# radar image, and from each other also where they are half transparent.
WATER_COLOURS: Final[dict[int, tuple[int, int, int]]] = {FLOODED: (0, 110, 255), PERMANENT: (120, 230, 220)}
# The colour of excluded ground on maps that have some: neither grey like the radar image nor like water.
EXCLUDED_COLOUR: Final[tuple[int, int, int]] = (166, 106, 56)
# The meaning of the flooded class as long as permanent water is not separated.
OPEN_WATER: Final = "open water, flood not separated"
EXCLUDED_GROUND: Final = "excluded (terrain)"
WATER_BEFORE: Final = "water that was there before"


def water_state(*, water_separated: bool, unseparated: bool = False) -> str:
    """Return the meaning of the flooded class of a map, in words.

    Args:
        water_separated: Whether flood was separated from water that was there before.
        unseparated: Whether the class has pixels for which the water before is not known.
    """
    if not water_separated:
        return OPEN_WATER
    return "flooded, or water whose earlier state is not known" if unseparated else "flooded"


def flooded_state(separation: FloodSeparation | None) -> str:
    """Return the meaning of the flooded class of a map, in words."""
    unseparated = separation is not None and separation.water_unseparated > 0
    return water_state(water_separated=separation is not None, unseparated=unseparated)


def mask_labels(*, water_separated: bool, unseparated: bool = False) -> dict[int, str]:
    """Return the meaning of each mask value in words, for legends; the arguments are those of `water_state`."""
    return {
        DRY: "dry",
        FLOODED: water_state(water_separated=water_separated, unseparated=unseparated),
        PERMANENT: WATER_BEFORE,
        EXCLUDED: EXCLUDED_GROUND,
        MASK_NOT_OBSERVED: "not observed",
    }


def mask_of(stored: NDArray[np.uint16], threshold: float) -> NDArray[np.uint8]:
    """Return the mask of stored probabilities of water, with water of any kind as flooded.

    Args:
        stored: Any shape, uint16 in steps of 1e-4, 65535 where not observed.
        threshold: The probability from which a pixel is water.

    Returns:
        Same shape, uint8: 0 dry, 1 water, 255 not observed.
    """
    mask = is_water(stored, threshold).astype(np.uint8)
    mask[stored == NOT_OBSERVED] = MASK_NOT_OBSERVED
    return mask


def mask_states(
    mask: NDArray[np.uint8],
    reference: NDArray[np.uint16],
    flood: NDArray[np.uint16],
    flood_threshold: float,
) -> NDArray[np.uint8]:
    """Return the states of all pixels: a mask of water with flood separated from water before.

    By precedence: 255 not observed; 250 excluded; of the water, 1 where the probability of flood is not below its
    threshold or is not known, and 2 elsewhere; 0 dry.

    Args:
        mask: Any shape, uint8 as `mask_of` or `excluded_from` returns it, also without its small areas.
        reference: Same shape, probability of water before as uint16 in steps of 1e-4, 65535 where not known.
        flood: Same shape, probability of flood in the same form.
        flood_threshold: The probability from which water is flood.
    """
    states = mask.copy()
    known = (reference != NOT_OBSERVED) & (flood != NOT_OBSERVED)
    states[(mask == FLOODED) & known & ~is_water(flood, flood_threshold)] = PERMANENT
    return states


def is_excluded(exclusion: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return True where the terrain excludes a pixel; never where it is not known.

    Args:
        exclusion: Any shape, the sum of the values of `EXCLUSION_REASONS`, 0 for none, 255 where not known.
    """
    found: NDArray[np.bool_] = (exclusion != NO_EXCLUSION) & (exclusion != EXCLUSION_UNKNOWN)
    return found


def excluded_from(mask: NDArray[np.uint8], exclusion: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a mask with the pixels that the terrain excludes; not observed has precedence.

    Args:
        mask: Any shape, uint8 as `mask_of` returns it, also without its small areas.
        exclusion: Same shape, as `is_excluded` takes it.
    """
    left = mask.copy()
    left[is_excluded(exclusion) & (mask != MASK_NOT_OBSERVED)] = EXCLUDED
    return left


def is_unseparated(states: NDArray[np.uint8], reference: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Return True for flooded pixels that are in this class only because the water before is not known.

    Args:
        states: Any shape, as `mask_states` returns it.
        reference: Same shape, probability of water before, 65535 where not known.
    """
    found: NDArray[np.bool_] = (states == FLOODED) & (reference == NOT_OBSERVED)
    return found
