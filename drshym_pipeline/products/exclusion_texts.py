"""What is said about the ground that the terrain excludes from a map."""

from __future__ import annotations

from drshym_pipeline.products.reference_texts import layer_text
from drshym_pipeline.records import Exclusion, area_figure, counted


def reason_texts(exclusion: Exclusion) -> dict[str, str]:
    """Return the reasons in words."""
    limits = exclusion.limits
    return {
        "slope": f"slope of {limits.slope_deg:g} {'degree' if limits.slope_deg == 1 else 'degrees'} or more",
        "hand": f"{limits.hand_m:g} m or more above the nearest drainage",
        "layover": "radar layover",
        "shadow": "radar shadow",
    }


def excluded_clause(exclusion: Exclusion | None) -> str:
    """Return what is excluded, as a part of a sentence after `; `; empty where nothing is."""
    if exclusion is None or not exclusion.pixels:
        return ""
    return f"; {area_figure(exclusion.km2)} km2 are excluded because of the terrain and belong to no other area"


def exclusion_text(exclusion: Exclusion) -> str:
    """Return the excluded area with its reasons, for a table."""
    unknown = (
        f"; for {counted(exclusion.unknown_pixels, 'pixel')} the terrain is not completely known"
        if exclusion.unknown_pixels
        else ""
    )
    words = reason_texts(exclusion)
    reasons = ", ".join(
        f"{words[name]}: {counted(count, 'pixel')}" for name, count in exclusion.reasons.items() if count
    )
    if not exclusion.pixels:
        return f"no pixel{unknown}"
    return f"{area_figure(exclusion.km2)} km2, {counted(exclusion.pixels, 'pixel')} ({reasons}){unknown}"


def exclusion_warnings(exclusion: Exclusion, *, moved: bool, has_area: bool) -> list[str]:
    """Return what the exclusion means for a map, as sentences.

    Args:
        exclusion: What is excluded.
        moved: Whether the scene is an image with control points.
        has_area: Whether the map states an area; it does not if all observed ground is excluded.
    """
    if not exclusion.pixels:
        return []
    words = reason_texts(exclusion)
    reasons = " or ".join(words[name] for name, count in exclusion.reasons.items() if count)
    if not has_area:
        return [
            f"All observed ground ({area_figure(exclusion.km2)} km2) is excluded (mask value 250): {reasons}. The map "
            "states neither flood nor dry land."
        ]
    found = [
        f"{area_figure(exclusion.km2)} km2 of the observed ground are excluded (mask value 250): {reasons}. There "
        "neither flood nor dry land is stated, and the areas and their intervals are those of the other ground."
    ]
    if moved:
        found.append("The signs that the interval comes from were counted in the whole image, also in excluded ground.")
    return found


def exclusion_provenance(exclusion: Exclusion) -> list[tuple[str, str]]:
    """Return the rows of a provenance table, as names and values."""
    return [
        (
            f"terrain {layer.name}",
            layer_text(layer.title, layer.tiles, layer.missing)
            + (f"; {counted(len(layer.sea), 'square')} of sea without a tile" if layer.sea else ""),
        )
        for layer in exclusion.layers
    ]
