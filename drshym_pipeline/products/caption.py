"""The texts about a map: its caption of two sentences and warnings, and the caveats of every product."""

from __future__ import annotations

from typing import Final

from drshym_pipeline.model.model_card import score_text
from drshym_pipeline.products.exclusion_texts import excluded_clause
from drshym_pipeline.products.reference_texts import reference_text
from drshym_pipeline.records import (
    ALL_EXCLUDED,
    APPROXIMATE_RADIOMETRY,
    AreaEstimate,
    CardIou,
    Exclusion,
    FloodSeparation,
    PredictionSummary,
    SceneMeta,
    area_figure,
    no_area_state,
    threshold_text,
)
from drshym_pipeline.sar.named_times import acquired_text
from drshym_pipeline.states import flooded_state

# Where the intervals of the parts of the water come from when none is fitted to them.
_INTERVAL_OF_PARTS: Final = "up to the upper end of that of all water"


def area_text(km2: float) -> str:
    """Return an area without an interval (for observed areas: counted, not estimated), such as `12.3 km2`."""
    return f"{area_figure(km2)} km2"


def is_vv_alone(meta: SceneMeta, prediction: PredictionSummary) -> bool:
    """Return whether a map was made from VV without VH: the scene has no VH, or the model does not use it."""
    return "vv" in (meta.mode, prediction.mode)


def vv_alone_warning(card: CardIou | None) -> str:
    """Return the warning for a map that was made from VV without VH.

    Args:
        card: The scores on the model's card; None when it has none.
    """
    weaker = "Only VV was used: VV alone is usually weaker than VV with VH"
    alone, both = _iou(card)
    if card is None or alone is None:
        return f"{weaker}. The model's card has no figure for VV alone."
    compared = f", with VH {both}" if both else ""
    data = f" ({card.data})" if card.data else ""
    return f"{weaker}. The model's card gives for VV alone an IoU of {alone}{compared}, on its {card.chips}{data}."


def _iou(card: CardIou | None) -> tuple[str | None, str | None]:
    """Return the IoU of VV alone and of VV with VH, as texts with their intervals."""
    scores = card.by_mode if card else {}
    alone, both = scores.get("vv"), scores.get("vv_vh")
    return score_text(alone) if alone else None, score_text(both) if both else None


def _vv_alone_clause(card: CardIou | None) -> str:
    """Return the same warning as a part of the caption's second sentence."""
    weaker = "mapped from VV alone, usually weaker than VV with VH"
    alone, both = _iou(card)
    if card is None or alone is None:
        return f"{weaker} (no figure on the model's card),"
    compared = f", with VH {both}" if both else ""
    return f"{weaker} (IoU on the {card.chips} of the model's card: VV alone {alone}{compared}),"


def _small_areas_clause(min_area_ha: float) -> str:
    """Return what a map with a minimum area says about it, as a part of a sentence; empty without a minimum."""
    return f"; water areas below {min_area_ha:g} ha are mapped as dry" if min_area_ha else ""


def chosen_threshold_clause(prediction: PredictionSummary) -> str:
    """Return the threshold that the user chose, as a part of a sentence; empty where the map has that of the model."""
    if prediction.model_threshold is None:
        return ""
    return f"; threshold {threshold_text(prediction.calibration.threshold, prediction.model_threshold)}"


def uncompared_text(separation: FloodSeparation | None) -> str:
    """Return the area in which the flooded class was not compared, as a clause after it; empty where all of it was."""
    if separation is None or not separation.water_unseparated:
        return ""
    return f", of which {area_text(separation.water_unseparated_km2)} could not be compared"


def area_warning(flooded: AreaEstimate, separation: FloodSeparation | None) -> str | None:
    """Return the sentence for readers of a map whose flooded class is outside its interval; None otherwise."""
    is_flood = separation is not None and separation.interval_source is not None
    return flooded.warning("flood", "pairs") if is_flood else flooded.warning()


def _separation_clause(meta: SceneMeta, separation: FloodSeparation | None, *, with_area: bool = False) -> str:
    """Return whether flood is separated from other water, as the beginning of a sentence."""
    if separation is None:
        return "Flood is not separated from permanent water"
    other = separation.other_water if with_area else None
    # A fitted interval comes from the same pairs as that of flood, which the sentence before names.
    source = _INTERVAL_OF_PARTS if separation.interval_source is None else ""
    area = f": about {other.text(source)}" if other else ""
    compared = reference_text(separation, meta, briefly=True)
    return f"Water that was there before, by comparison with {compared}, is not counted as flood{area}"


def short_caveat(
    meta: SceneMeta,
    prediction: PredictionSummary,
    separation: FloodSeparation | None = None,
    *,
    min_area_ha: float = 0.0,
    exclusion: Exclusion | None = None,
) -> str:
    """Return the caveat of every polygon and picture, in one sentence."""
    water = _separation_clause(meta, separation)
    if separation is not None and separation.water_unseparated:
        area = area_text(separation.water_unseparated_km2)
        water += f"; {area} of the flooded class could not be compared and may be such water"
    weaker = "; mapped from VV alone, usually weaker than VV with VH" if is_vv_alone(meta, prediction) else ""
    weaker += chosen_threshold_clause(prediction)
    small = _small_areas_clause(min_area_ha) + excluded_clause(exclusion)
    return f"{water}{weaker}{small}; preliminary, not validated in the field."


def write_caption(
    meta: SceneMeta,
    prediction: PredictionSummary,
    flooded: AreaEstimate | None,
    observed_km2: float,
    separation: FloodSeparation | None = None,
    *,
    interval_source: str = "",
    min_area_ha: float = 0.0,
    exclusion: Exclusion | None = None,
) -> str:
    """Return the caption of a map, in two sentences.

    Warnings follow for a mapped area outside its interval and for a scene unlike the training chips.

    Args:
        meta: The scene.
        prediction: The prediction, which says which model was used on which bands.
        flooded: The flooded area; None when nothing was observed or all of it is excluded: then no area is stated.
        observed_km2: The area with a valid observation.
        separation: How flood was separated from water that was there before; None when it was not.
        interval_source: Where the interval of all water comes from, see `AreaErrorModel.source`.
        min_area_ha: The smallest water area of the map, in hectares; 0 when all areas are shown.
        exclusion: What the terrain excludes; None when no terrain was used.
    """
    when = f" of {acquired_text(meta.acquired_at)}" if meta.acquired_at else ""
    signed = f"by {prediction.reference.label}; preliminary, not validated in the field"
    if flooded is None and no_area_state(exclusion) == "all_excluded":
        return (
            f"{ALL_EXCLUDED[0].upper()}{ALL_EXCLUDED[1:]} in the scene {meta.scene_id}{when} "
            f"({area_text(observed_km2)}), so neither flood nor dry land can be stated. Processed {signed}."
        )
    if flooded is None:
        return (
            f"Nothing was observed in the scene {meta.scene_id}{when}: no pixel holds a valid measurement, so neither "
            f"flood nor dry land can be stated. Processed {signed}."
        )
    uncompared = uncompared_text(separation)
    water, source = "open water", interval_source
    if separation is not None:
        water = flooded_state(separation) if uncompared else "flooded land"
        # With a chosen threshold the interval of flood is that of all water.
        of_parts = _INTERVAL_OF_PARTS if prediction.model_threshold is None else interval_source
        source = separation.interval_source or of_parts
    caveat = _separation_clause(meta, separation, with_area=True)
    if any(warning.startswith(APPROXIMATE_RADIOMETRY) for warning in meta.warnings):
        caveat += f" ({APPROXIMATE_RADIOMETRY})"
    unusual = prediction.novelty.warning() if prediction.novelty and prediction.novelty.is_unusual else None
    warnings = "".join(f" {warning}" for warning in (area_warning(flooded, separation), unusual) if warning)
    small = _small_areas_clause(min_area_ha) + excluded_clause(exclusion) + chosen_threshold_clause(prediction)
    mapped = _vv_alone_clause(prediction.card) if is_vv_alone(meta, prediction) else "mapped"
    return (
        f"Within the observed area of about {area_text(observed_km2)}{when}, "
        f"{flooded.sentence(water, source, uncompared)}. {caveat}{small}; {mapped} {signed}.{warnings}"
    )
