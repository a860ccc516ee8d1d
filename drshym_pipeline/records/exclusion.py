"""The records of what is excluded from a map because of the terrain."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from drshym_pipeline.records.base import Record
from drshym_pipeline.records.separation import LayerTile

# WOfS masks from 12 degrees on (`SLOPE_THRESHOLD_DEGREES`), and water has no membership from 15 degrees on in OPERA
# DSWx-S1 (`fuzzy_value`, `slope`). Both would remove floods, see docs/training_results.md.
STEEP_SLOPE_DEG: Final = 20.0
HIGH_ABOVE_DRAINAGE_M: Final = 200.0  # OPERA DSWx-S1, algorithm parameters: `hand`, `mask_value`
ALL_EXCLUDED: Final = "all observed ground is excluded because of the terrain"


class TerrainLimits(Record):
    """The limits of slope and height; steeper or higher ground is excluded from a map.

    A pixel is excluded where the slope is at least `slope_deg` degrees, or the height above the nearest drainage at
    least `hand_m` metres.
    """

    slope_deg: float = Field(default=STEEP_SLOPE_DEG, gt=0.0, le=90.0)
    hand_m: float = Field(default=HIGH_ABOVE_DRAINAGE_M, gt=0.0)


class TerrainLayer(Record):
    """A layer that the exclusion comes from.

    `missing` are the names of tiles that the map needs and that were not found; `sea` those that do not exist because
    there is only sea, which was taken as a height of 0 m.
    """

    name: str
    title: str
    tiles: tuple[LayerTile, ...]
    missing: tuple[str, ...] = ()
    sea: tuple[str, ...] = ()


class Exclusion(Record):
    """What is excluded from a map because of the terrain.

    `pixels` observed pixels with `km2` are excluded, and no area of the map counts them; `reasons` counts them by
    reason, and a pixel may have several. For `unknown_pixels` of the observed pixels that are not excluded, at least
    one layer has no value.
    """

    limits: TerrainLimits
    layers: tuple[TerrainLayer, ...]
    pixels: int = Field(ge=0)
    km2: float = Field(ge=0.0)
    reasons: dict[str, int]
    unknown_pixels: int = Field(ge=0)


def no_area_state(exclusion: Exclusion | None) -> Literal["nothing_observed", "all_excluded"]:
    """Return why a map states no area, as a word for programs.

    Args:
        exclusion: What the terrain excludes from a map whose `flooded` is None.
    """
    return "all_excluded" if exclusion is not None and exclusion.pixels else "nothing_observed"


def no_area_text(exclusion: Exclusion | None) -> str:
    """Return why a map states no area, in words."""
    return ALL_EXCLUDED if no_area_state(exclusion) == "all_excluded" else "nothing was observed"
