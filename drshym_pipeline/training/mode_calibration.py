"""The calibration of one band mode on the counted validation chips: temperature, threshold, area errors, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from drshym_pipeline.assessment.area import AreaErrorModel, area_shares, fit_area_errors
from drshym_pipeline.assessment.calibration import CalibrationFit, calibrate
from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.metrics import Metric, bootstrap_mean, bootstrap_score
from drshym_pipeline.assessment.reliability import CalibrationFigures, calibration_figures
from drshym_pipeline.assessment.sign_interval import ChipSigns, fit_sign_interval
from drshym_pipeline.assessment.threshold import ThresholdChoice, choose_threshold
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Calibration, Record, Score, describe_validation
from drshym_pipeline.settings import EvaluationConfig
from drshym_pipeline.storage import read_json
from drshym_pipeline.training.calibration_chips import (
    CalibrationSet,
)

CALIBRATION_FILE = "calibration.json"

_METRICS: tuple[Metric, ...] = ("iou", "f1", "precision", "recall")


class EventCalibration(Record):
    """The calibration error of the probabilities on the chips of one event or set, before and after scaling."""

    pixels: int
    chips: int = 0
    before: CalibrationFigures
    after: CalibrationFigures


class ModeCalibration(Record):
    """The results of calibration on the validation chips in one band mode, and the histogram of their pixels.

    `histogram` is a `LogitHistogram` as plain values (`LogitHistogram.from_dict`), for reliability plots. `fit` gives
    the reason for a bias or for none. `thresholds` has the best threshold for each of the two aims. `sets` has the
    error on every other set that was used for calibration. Scores, `before`, `after` and `histogram` are of the
    validation chips of the main set alone. With other sets, `fit_log_loss` is the log loss before and after scaling on
    what temperature and bias were fitted on: all sets with their weights. Bundles of earlier releases have none of
    `fit`, `thresholds`, `events`, `sets` and `fit_log_loss`.
    """

    calibration: Calibration
    before: CalibrationFigures
    after: CalibrationFigures
    area_errors: AreaErrorModel
    scores: dict[str, Score]
    chips: int
    histogram: dict[str, Any]
    fit: CalibrationFit | None = None
    thresholds: ThresholdChoice | None = None
    events: dict[str, EventCalibration] = Field(default_factory=dict)
    sets: dict[str, EventCalibration] = Field(default_factory=dict)
    fit_log_loss: tuple[float | None, float | None] | None = None


def calibrate_mode(
    by_event: Mapping[str, Sequence[LogitHistogram]],
    evaluation: EvaluationConfig,
    signs: Sequence[ChipSigns] = (),
    others: Sequence[CalibrationSet] = (),
) -> ModeCalibration:
    """Fit one band mode: temperature and perhaps bias, then the threshold, then the area errors of the resulting maps.

    Every pixel of another set is counted several times, so that the set has its weight in the fits of temperature and
    bias. In the mean IoU that the threshold is chosen for, another set is one unit with its weight: its pixels are
    counted together. Nearly all chips of real land are either dry or all water. With one IoU per chip, the dry ones
    would not count at all, and the others would always prefer the lowest threshold.

    Args:
        by_event: One histogram per validation chip, by event; chips without a counted pixel are left out.
        evaluation: The aim of the threshold, and the settings of the intervals of scores and areas.
        signs: The counts by surface of the same chips, for the area interval by signs.
        others: Other sets that are used for the fits; scores are of the validation chips alone.
    """
    counted = {event: [chip for chip in chips if chip.pixels] for event, chips in by_event.items()}
    events = {event: reduce(add, chips) for event, chips in counted.items() if chips}
    chips = [chip for event in counted.values() for chip in event]
    pooled = reduce(add, chips, LogitHistogram())
    rest = 1.0 - sum(other.weight for other in others)
    multiples = [multiplied(other, rest, pooled.pixels) for other in others]
    fitted = {**events, **{event: reduce(add, each) for part in multiples for event, each in part.items()}}
    fit = calibrate(fitted)
    together = reduce(add, fitted.values(), LogitHistogram())
    weighted = [(chips, rest)] + [
        ([reduce(add, [chip for each in part.values() for chip in each], LogitHistogram())], other.weight)
        for part, other in zip(multiples, others, strict=True)
    ]
    thresholds = choose_threshold(
        [chip for part, _ in weighted for chip in part],
        fit.T,
        fit.bias,
        evaluation.threshold_for,
        [weight / max(_wet(part), 1) for part, weight in weighted for _ in part] if others else None,
    )
    calibration = Calibration(method=fit.method, T=fit.T, bias=fit.bias, threshold=thresholds.threshold)
    counts = [chip.scores_at(calibration.threshold, calibration.T, calibration.bias) for chip in chips]
    table = np.array([chip.as_tuple() for chip in counts], dtype=np.int64).reshape(-1, 4)
    resamples, level = evaluation.bootstrap, evaluation.interval
    errors = fit_area_errors(*area_shares(table), level=level)
    by_signs = fit_sign_interval([*signs, *(chip for other in others for chip in other.signs)], calibration, level)
    if by_signs is not None:
        by_signs = by_signs.model_copy(update={"others": tuple(other.name for other in others)})
    origins = [event for event, chips in counted.items() for _ in chips]
    scores = {metric: bootstrap_score(table, metric, origins, resamples=resamples, level=level) for metric in _METRICS}
    return ModeCalibration(
        calibration=calibration,
        before=calibration_figures(pooled, Calibration()),
        after=calibration_figures(pooled, calibration),
        area_errors=errors.model_copy(update={"signs": by_signs}),
        scores={**scores, "iou_chip_mean": bootstrap_mean(table, "iou", origins, resamples=resamples, level=level)},
        chips=len(chips),
        histogram=pooled.to_dict(),
        fit=fit,
        thresholds=thresholds,
        events={event: _event_calibration(hist, calibration) for event, hist in events.items()},
        sets={other.name: _set_calibration(other, calibration) for other in others},
        fit_log_loss=(together.log_loss(1.0), together.log_loss(fit.T, fit.bias)) if others else None,
    )


def multiplied(other: CalibrationSet, rest: float, main_pixels: int) -> dict[str, list[LogitHistogram]]:
    """Return the chips of another set with their pixels counted several times, so that the set has its weight.

    Args:
        other: The set.
        rest: Weight of the main set.
        main_pixels: Number of its counted pixels.

    Returns:
        Histograms of the chips with a counted pixel, by event.
    """
    pixels = _pooled(other.by_event).pixels
    factor = max(1, round(other.weight / rest * main_pixels / pixels)) if pixels else 1
    found = {event: [chip.times(factor) for chip in chips if chip.pixels] for event, chips in other.by_event.items()}
    return {event: chips for event, chips in found.items() if chips}


def _pooled(by_event: Mapping[str, Sequence[LogitHistogram]]) -> LogitHistogram:
    return reduce(add, (chip for chips in by_event.values() for chip in chips), LogitHistogram())


def _wet(chips: Sequence[LogitHistogram]) -> int:
    """Return the number of chips with water."""
    return sum(bool(chip.water.any()) for chip in chips)


def _set_calibration(other: CalibrationSet, calibration: Calibration) -> EventCalibration:
    found = _event_calibration(_pooled(other.by_event), calibration)
    return found.model_copy(update={"chips": sum(len(chips) for chips in other.by_event.values())})


def _event_calibration(hist: LogitHistogram, calibration: Calibration) -> EventCalibration:
    return EventCalibration(
        pixels=hist.pixels,
        before=calibration_figures(hist, Calibration()),
        after=calibration_figures(hist, calibration),
    )


def read_calibration(directory: Path) -> dict[str, ModeCalibration]:
    """Read the calibration that `seal` wrote beside a bundle, by band mode.

    Args:
        directory: Folder of the bundle.

    Raises:
        InputError: The file is missing or damaged.
    """
    path = directory / CALIBRATION_FILE
    values = read_json(path)
    try:
        return {mode: ModeCalibration.model_validate(entry) for mode, entry in dict(values).items()}
    except (ValidationError, TypeError, ValueError) as error:
        detail = describe_validation(error) if isinstance(error, ValidationError) else "not a calibration"
        raise InputError(path, detail, "Seal the model again") from error
