"""Two sentences about a map, for people who read nothing else of it."""

from __future__ import annotations

from drshym_pipeline.records import APPROXIMATE_RADIOMETRY, AreaEstimate, ModelReference, SceneMeta


def area_text(km2: float) -> str:
    """An area without an interval of its own (an observed area is counted, not estimated), such as `12.3 km2`."""
    digits = 1 if km2 >= 10 else 2 if km2 >= 0.1 else 4
    return f"{km2:.{digits}f} km2"


def write_caption(
    meta: SceneMeta, model: ModelReference, flooded: AreaEstimate | None, observed_km2: float, *, water_separated: bool
) -> str:
    """The caption of a map, in two sentences.

    Args:
        meta: The scene.
        model: Who says so.
        flooded: The flooded area; None when nothing was observed, and then no area is stated.
        observed_km2: The area with a valid observation.
        water_separated: Whether permanent water was told apart.
    """
    when = f" of {meta.acquired_at:%d %B %Y, %H:%M} UTC" if meta.acquired_at else ""
    signed = f"by {model.label}; preliminary, not validated in the field"
    if flooded is None:
        return (
            f"Nothing was observed in the scene {meta.scene_id}{when}: no pixel holds a valid measurement, so neither "
            f"flood nor dry land can be stated. Processed {signed}."
        )
    water = "flooded land" if water_separated else "open water"
    caveat = "Permanent water is excluded" if water_separated else "Flood is not separated from permanent water"
    if any(warning.startswith(APPROXIMATE_RADIOMETRY) for warning in meta.warnings):
        caveat += f" ({APPROXIMATE_RADIOMETRY})"
    return (
        f"Within the observed area of about {area_text(observed_km2)}{when}, about {flooded.text()} appear to be "
        f"{water}. {caveat}; mapped {signed}."
    )
