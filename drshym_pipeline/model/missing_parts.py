"""What a sealed model lacks because it was sealed with few chips, in words for the training output and the card."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.assessment.conformal import FEWEST_CHIPS
from drshym_pipeline.assessment.novelty import MINIMUM_CHIPS
from drshym_pipeline.records import BandMode, counted

_MODES: dict[BandMode, str] = {"vv": "VV alone", "vv_vh": "VV and VH"}


def missing_parts(
    area_errors: Mapping[BandMode, AreaErrorModel], novelty: Collection[BandMode], training: int, validation: int
) -> list[str]:
    """Return one line per missing part: what is missing, why, and what to do.

    Args:
        area_errors: The area errors of the model, by band mode.
        novelty: The band modes with figures of the training chips.
        training: Number of training chips.
        validation: Number of validation chips.
    """
    lines = []
    without_signs = [mode for mode, errors in area_errors.items() if errors.signs is None]
    if without_signs:
        instead = (
            "have the interval by mapped share"
            if all(area_errors[mode].quantile is not None for mode in without_signs)
            else "have the whole observed area as their interval"
        )
        lines.append(
            f"No area interval by signs of the scene for {_names(without_signs)}: it needs {FEWEST_CHIPS} labelled "
            f"chips that the network was not trained on, and there are {counted(validation, 'validation chip')}. Maps "
            f"{instead}. Add validation chips, or a set in data.calibration, and train again."
        )
    without_flood = [mode for mode, errors in area_errors.items() if errors.flood is None]
    if without_flood:
        lines.append(
            f"No interval of the flooded area for {_names(without_flood)}: it needs {FEWEST_CHIPS} validation chips "
            "that have a scene from before the flood and the water before, as simulated chips have. Maps with a "
            "pre-event scene have 0 to the upper end of the interval of all water instead. Validate on such chips and "
            "train again."
        )
    without_score = [mode for mode in area_errors if mode not in novelty]
    if without_score:
        lines.append(
            f"No check for scenes unlike the training chips for {_names(without_score)}: it needs {MINIMUM_CHIPS} "
            f"training chips and {MINIMUM_CHIPS} validation chips that are observed in these bands and differ from "
            f"each other, and there are {training:,} and {validation:,} chips in all. Maps have no score and no such "
            "warning. Add chips to the smaller split and train again."
        )
    return lines


def _names(modes: Collection[BandMode]) -> str:
    return " and for ".join(_MODES[mode] for mode in modes)
