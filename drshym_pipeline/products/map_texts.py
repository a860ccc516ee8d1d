"""The texts of a map beside its caption: warnings, the properties of its polygons, the words below its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drshym_pipeline.products.caption import (
    area_text,
    area_warning,
    is_vv_alone,
    short_caveat,
    uncompared_text,
    vv_alone_warning,
)
from drshym_pipeline.products.exclusion_texts import exclusion_text, exclusion_warnings
from drshym_pipeline.products.figure import FigureText
from drshym_pipeline.products.reference_texts import reference_text
from drshym_pipeline.records import (
    AreaEstimate,
    Exclusion,
    FloodSeparation,
    MappedSurfaces,
    MinimumArea,
    PredictionSummary,
    SceneMeta,
    counted,
    no_area_text,
    threshold_note,
)
from drshym_pipeline.sar.named_times import acquired_text
from drshym_pipeline.scene_folder import Prediction
from drshym_pipeline.states import EXCLUDED_GROUND, WATER_BEFORE, flooded_state

INTERVAL_OF_OTHER_PIXELS = (
    "The interval of the area was fitted on pixels of 10 m and may be too narrow for other pixels."
)

INTERVAL_WITH_ALL_AREAS = "The interval of the area was fitted on maps with areas of any size."
_POLYGONS_OF_FLOOD = f"the flooded class (mask value 1); {WATER_BEFORE} (mask value 2) has no polygons"


def map_warnings(
    meta: SceneMeta,
    prediction: Prediction,
    observed_fraction: float,
    *,
    minimum_area: MinimumArea | None = None,
    surfaces: MappedSurfaces | None = None,
    flooded: AreaEstimate | None = None,
    separation: FloodSeparation | None = None,
    exclusion: Exclusion | None = None,
    source_warnings: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return what a reader of the map must know, as sentences.

    Args:
        meta: The scene.
        prediction: The prediction.
        observed_fraction: The observed share of the grid.
        minimum_area: What was removed because it is small.
        surfaces: What the mapped water looks like.
        flooded: The area of the flooded class; None when the map states no area, and then no sentence is about one.
        separation: How flood was separated from water that was there before; None when it was not.
        exclusion: What the terrain excludes.
        source_warnings: The warnings about the reference and the terrain.
    """
    found = list(meta.warnings)
    # The texts about a fitted interval are not those of a map with a chosen threshold, which has none.
    chosen = _threshold_note(prediction.summary, flooded)
    if separation is None:
        found.append(
            "Flood is not separated from permanent water: neither reference water nor a pre-event scene was used, "
            "so the flooded class means open water of any kind."
        )
    elif flooded is not None:
        found += _separation_warnings(meta, separation, is_chosen=chosen is not None)
    has_model_interval = flooded is not None and chosen is None
    found += _exclusion_warnings(meta, exclusion, flooded, has_model_interval=has_model_interval)
    found += source_warnings
    found.append("Preliminary automatic result, not validated in the field.")
    if flooded is not None:
        found += _area_warnings(
            flooded, separation, is_fitted=prediction.area_errors.quantile is not None and not chosen
        )
    if observed_fraction == 0.0:
        found.append("Nothing was observed: the scene holds no valid measurement.")
    if meta.mode != prediction.summary.mode:
        found.append(f"The model was used on {prediction.summary.mode}, the scene has {meta.mode}.")
    if is_vv_alone(meta, prediction.summary):
        found.append(vv_alone_warning(prediction.summary.card))
    if (pixels := prediction.summary.pixels) is not None:
        text = pixels.text().capitalize()
        found.append(f"{text}. {INTERVAL_OF_OTHER_PIXELS}" if has_model_interval else f"{text}.")
    if (novelty := prediction.summary.novelty) is not None and novelty.is_unusual and flooded is not None:
        found.append(novelty.warning())
    if surfaces is not None and (looks_dry := surfaces.warning()):
        found.append(looks_dry)
    if minimum_area is not None:
        text = minimum_area.text().capitalize()
        about_interval = minimum_area.removed and has_model_interval
        found.append(f"{text}. {INTERVAL_WITH_ALL_AREAS}" if about_interval else f"{text}.")
    if chosen is not None:
        found.append(chosen)
    elif prediction.area_errors.quantile is None and flooded is not None:
        found.append("The model has no fitted area errors: the interval is the whole observed area.")
    return tuple(found)


def _area_warnings(flooded: AreaEstimate, separation: FloodSeparation | None, *, is_fitted: bool) -> list[str]:
    """Return what the interval says about the mapped area, as sentences.

    Args:
        flooded: The area of the flooded class.
        separation: How flood was separated from water that was there before; None when it was not.
        is_fitted: Whether the interval of all water is fitted and not the whole observed area.
    """
    outside = area_warning(flooded, separation)
    found = [] if outside is None else [outside]
    # The interval of a part that was not fitted always begins at 0, and another sentence says so.
    if is_fitted and (separation is None or separation.interval_source) and flooded.may_be_none():
        what = "water" if separation is None else "flood"
        found.append(
            f"The interval begins at 0: the {what} is no more than the errors that such a map can have, so it is "
            f"possible that there is no {what} here. Check the radar image before you use the area."
        )
    return found


def _exclusion_warnings(
    meta: SceneMeta, exclusion: Exclusion | None, flooded: AreaEstimate | None, *, has_model_interval: bool
) -> list[str]:
    """Return what the exclusion means for the map, as sentences.

    Args:
        meta: The scene.
        exclusion: What is excluded; None when no terrain was used.
        flooded: The area of the flooded class.
        has_model_interval: Whether the area has the interval of the model.
    """
    if exclusion is None:
        return []
    has_signs = meta.product_grid is not None and has_model_interval
    return exclusion_warnings(exclusion, moved=has_signs, has_area=flooded is not None)


def _threshold_note(summary: PredictionSummary, flooded: AreaEstimate | None) -> str | None:
    """Return the sentence about a chosen threshold; None where the map has that of the model."""
    return threshold_note(summary.calibration.threshold, summary.model_threshold, has_area=flooded is not None)


def _separation_warnings(meta: SceneMeta, separation: FloodSeparation, *, is_chosen: bool) -> list[str]:
    """Return what the reference means for the map, as sentences; with a chosen threshold, none is about an interval."""
    interval = "" if is_chosen else f" {_about_interval(separation)}"
    found = [
        f"Flood is separated from {WATER_BEFORE} by comparison with {reference_text(separation, meta)}: water that is "
        f"not known from before is called flood.{interval}"
    ]
    if (count := separation.water_unseparated) > 0:
        found.append(
            f"{counted(count, 'water pixel')} of the flooded class ({area_text(separation.water_unseparated_km2)}) "
            f"{'has' if count == 1 else 'have'} no value in the reference and may have been water before."
        )
    return found


def _about_interval(separation: FloodSeparation) -> str:
    """Return what the interval of the flooded area is, as a sentence."""
    if separation.interval_source is None:
        return (
            "The interval of the flooded area is wide: it is from 0 to the upper end of that of all water, because "
            "area errors of flood alone are not known."
        )
    return (
        f"The interval of the flooded area is {separation.interval_source}. For pairs of another kind it may hold less "
        "often than stated."
    )


def polygon_properties(
    meta: SceneMeta,
    prediction: Prediction,
    min_area_ha: float,
    separation: FloodSeparation | None,
    exclusion: Exclusion | None = None,
) -> dict[str, Any]:
    """Return the properties that all polygons of a map share; `min_area_ha` only with a minimum area."""
    summary = prediction.summary
    return {
        "state": flooded_state(separation),
        "acquired_at": None if meta.acquired_at is None else meta.acquired_at.isoformat(),
        "scene": meta.scene_id,
        "model": summary.reference.name,
        "model_version": summary.reference.version,
        "threshold": summary.calibration.threshold,
        "caveat": short_caveat(meta, summary, separation, min_area_ha=min_area_ha, exclusion=exclusion),
        **({"min_area_ha": min_area_ha} if min_area_ha else {}),
        "model_sha256": summary.reference.sha256,
        "source_sha256": meta.sha256,
    }


def about_map(
    meta: SceneMeta,
    flooded: AreaEstimate | None,
    minimum_area: MinimumArea | None,
    separation: FloodSeparation | None,
    exclusion: Exclusion | None = None,
    *,
    prediction: PredictionSummary,
) -> dict[str, Any]:
    """Return what the vector file says about the whole map."""
    warning = None if flooded is None else area_warning(flooded, separation)
    chosen = _threshold_note(prediction, flooded)
    return {
        "scene": meta.scene_id,
        "map_area": None if flooded is None else f"{flooded.text()}{uncompared_text(separation)}",
        **({"map_area_warning": warning} if warning else {}),
        **({"threshold_note": chosen} if chosen else {}),
        **({"minimum_area": minimum_area.text()} if minimum_area else {}),
        **({"excluded": exclusion_text(exclusion)} if exclusion else {}),
        **({"polygons_show": _POLYGONS_OF_FLOOD} if separation else {}),
    }


def figure_text(
    meta: SceneMeta,
    prediction: Prediction,
    flooded: AreaEstimate | None,
    min_area_ha: float,
    separation: FloodSeparation | None,
    *,
    exclusion: Exclusion | None = None,
) -> FigureText:
    """Return the text below the overlay."""
    summary = prediction.summary
    when = acquired_text(meta.acquired_at) if meta.acquired_at else "acquisition date not known"
    state = flooded_state(separation)
    area = no_area_text(exclusion)
    if flooded is not None:
        area = f"{state}: {flooded.text()}{uncompared_text(separation)}"
    a, b, _, d, e, _ = meta.map_grid.transform
    return FigureText(
        title=meta.scene_id,
        lines=(
            f"Sentinel-1, {when}; {area}.",
            short_caveat(meta, summary, separation, min_area_ha=min_area_ha, exclusion=exclusion),
            f"Model {summary.reference.label}, threshold {summary.calibration.threshold:g}. Contains modified "
            "Copernicus Sentinel data.",
        ),
        water=state,
        north_up=a > 0 > e and b == d == 0,
        water_before=None if separation is None else WATER_BEFORE,
        excluded=None if exclusion is None else EXCLUDED_GROUND,
    )
