"""Result of an evaluation: counts by chip, calibration and slices, and the figures that are computed from them.

The network runs in `evaluate`, the Markdown card is made in `card`, the files are written by `files`, pictures are in
`plots`. Figures are not rounded here; they are rounded only where they are printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np
import pandas as pd

from drshym_pipeline.assessment.area import AreaErrorModel, area_shares
from drshym_pipeline.assessment.area_by_size import (
    area_error_by_size,
    chip_intervals,
    coverage_by_width,
    interval_holds,
)
from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.metrics import (
    COUNT_NAMES,
    METRICS,
    ConfusionCounts,
    Metric,
    bootstrap_mean,
    bootstrap_score,
    with_figures,
)
from drshym_pipeline.assessment.reliability import calibration_figures
from drshym_pipeline.assessment.scene_signs import SceneSigns
from drshym_pipeline.evaluation.shapes import ShapeScores
from drshym_pipeline.records import BandMode, Calibration, Score, resampling_text


@dataclass(frozen=True)
class Evaluation:
    """Scores of one model on one list of chips.

    Args:
        model: `name`, `version`, `sha256` and `training` of the model; `training` names its data and number of steps.
        data: Description of the chips: the title of their provenance, where the caller knows it, and their splits.
        counts: Table indexed by chip, in the given order: `event`, `mode` (the bands it was mapped with), tp, fp, fn,
            tn.
        baselines: The same tables without `mode`, for every baseline that could map all of these chips.
        histograms_by_event: Logits by label, before scaling, by event and band mode.
        calibrations: The model's calibration of those modes.
        area_errors: The model's area intervals, by band mode.
        signs: The signs of each chip, for its area interval; empty when they were not counted.
        slices: Table of the slices, see `SliceScores.table`.
        ceilings: Tables such as `baselines`, for the thresholds that are chosen with the truth. They are a limit and
            are not compared with the model.
        flood: Counts without the pixels of permanent water, of `network` and every baseline and ceiling, of the chips
            whose permanent water is known; empty when there are none.
        shapes: Scores of shores and water bodies.
        unscored: Chips without a scored pixel, with the reason.
        weights_finite: False when a weight of the network is not finite.
        not_finite_pixels: Number of observed pixels whose output was not finite; they count as dry.
        notes: Notes that a reader needs to understand the figures.
        resamples: Bootstrap resamples of all intervals.
        level: Level of all intervals.
    """

    model: Mapping[str, str]
    data: str
    counts: pd.DataFrame
    baselines: Mapping[str, pd.DataFrame]
    histograms_by_event: Mapping[str, Mapping[BandMode, LogitHistogram]]
    calibrations: Mapping[BandMode, Calibration]
    area_errors: Mapping[BandMode, AreaErrorModel]
    slices: pd.DataFrame
    signs: Mapping[str, SceneSigns] = field(default_factory=dict)
    ceilings: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    flood: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    shapes: ShapeScores = field(default_factory=ShapeScores)
    unscored: Mapping[str, str] = field(default_factory=dict)
    weights_finite: bool = True
    not_finite_pixels: int = 0
    notes: tuple[str, ...] = ()
    resamples: int = 1000
    level: float = 0.9

    @property
    def finite(self) -> bool:
        """True when every weight and every output on an observed pixel is finite."""
        return self.weights_finite and self.not_finite_pixels == 0

    @property
    def pooled(self) -> ConfusionCounts:
        """The counts of all chips together."""
        return ConfusionCounts(*(int(n) for n in self.counts[list(COUNT_NAMES)].sum()))

    @cached_property
    def histograms(self) -> dict[BandMode, LogitHistogram]:
        """The logits of all events together, by band mode."""
        parts = [item for by_mode in self.histograms_by_event.values() for item in by_mode.items()]
        return {
            mode: reduce(add, (histogram for name, histogram in parts if name == mode))
            for mode in dict.fromkeys(name for name, _ in parts)
        }

    @property
    def main_mode(self) -> BandMode | None:
        """The mode with which most pixels were mapped; None when nothing was scored."""
        return max(self.histograms, key=lambda mode: self.histograms[mode].pixels, default=None)

    @property
    def resampling(self) -> str:
        """Over what the intervals of all chips were resampled, such as `events and their chips`."""
        return resampling_text(self.counts["event"].nunique())

    @cached_property
    def scores(self) -> dict[Metric, Score]:
        """Every figure, pooled over pixels, with its interval."""
        return self.score(self.counts)

    @cached_property
    def mean_chip_iou(self) -> Score:
        """The mean IoU of the chips that have water, in which every chip has the same weight."""
        return self.mean_iou(self.counts)

    @cached_property
    def by_event(self) -> dict[str, dict[Metric, Score]]:
        """The scores of each event alone."""
        return {str(event): self.score(part) for event, part in self.counts.groupby("event", sort=True)}

    def score(self, counts: pd.DataFrame) -> dict[Metric, Score]:
        """Compute every figure of a table of counts, with intervals of this evaluation's level."""
        array, events = count_array(counts), list(counts["event"])
        options: dict[str, Any] = {"resamples": self.resamples, "level": self.level}
        return {metric: bootstrap_score(array, metric, events, **options) for metric in METRICS}

    def mean_iou(self, counts: pd.DataFrame) -> Score:
        """Compute the mean IoU of the chips that have water, of a table of counts."""
        array, events = count_array(counts), list(counts["event"])
        return bootstrap_mean(array, "iou", events, resamples=self.resamples, level=self.level)

    def dry_chips(self) -> pd.DataFrame:
        """Return the chips without labelled water; `false_water` is the share of each that is mapped as water."""
        table = self.chips()
        return table[table["tp"] + table["fn"] == 0]

    def chips(self) -> pd.DataFrame:
        """Return the counts and every figure of every chip."""
        return with_figures(self.counts)

    def calibration(self) -> dict[BandMode, dict[str, Any]]:
        """Return by band mode: pixels, T, bias, threshold and all `CalibrationFigures` before and after scaling."""
        return {mode: self._calibration(mode, histogram) for mode, histogram in self.histograms.items()}

    def calibration_by_event(self) -> dict[str, dict[BandMode, dict[str, Any]]]:
        """Return the same values as `calibration` for each event alone."""
        return {
            event: {mode: self._calibration(mode, histogram) for mode, histogram in by_mode.items()}
            for event, by_mode in sorted(self.histograms_by_event.items())
        }

    def _calibration(self, mode: BandMode, histogram: LogitHistogram) -> dict[str, Any]:
        item = self.calibrations[mode]
        return {
            "pixels": histogram.pixels,
            "T": item.T,
            "bias": item.bias,
            "threshold": item.threshold,
            "before": calibration_figures(histogram, Calibration()).model_dump(),
            "after": calibration_figures(histogram, item).model_dump(),
        }

    def area_intervals(self) -> dict[str, dict[str, Any]]:
        """Return by band mode how often the model's area interval of a chip contains the chip's true water area."""
        report: dict[str, dict[str, Any]] = {}
        for mode, part in self.counts.groupby("mode", sort=True):
            if mode not in self.area_errors:
                continue
            model = self.area_errors[mode]
            signs = self._signs(part)
            predicted, true = area_shares(count_array(part))
            held = interval_holds(model, predicted, true, signs)
            by_signs = model.signs is not None and None not in signs
            report[str(mode)] = {
                "level": model.signs.level if model.signs is not None and by_signs else model.level,
                "method": model.sign_method if by_signs else model.method,
                "chips": len(held),
                "held": float(np.mean(held)),
                "by_width": records(coverage_by_width(chip_intervals(model, predicted, signs), predicted, true)),
            }
        return report

    def _signs(self, counts: pd.DataFrame) -> list[SceneSigns | None]:
        """Return the signs of the chips of a table; None for those that were not counted."""
        return [self.signs.get(str(chip)) for chip in counts.index]

    def area_by_size(self) -> pd.DataFrame:
        """Return the area errors of the chips by their true share of water, see `area_error_by_size`."""
        predicted, true = area_shares(count_array(self.counts))
        held = np.zeros(len(true), dtype=bool)
        known = self.counts["mode"].isin(list(self.area_errors)).all()
        for mode, model in self.area_errors.items():
            mine = (self.counts["mode"] == mode).to_numpy()
            held[mine] = interval_holds(model, predicted[mine], true[mine], self._signs(self.counts[mine]))
        return area_error_by_size(predicted, true, held if known else None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as one JSON value, not rounded; undefined figures are null."""
        chips = self.chips().reset_index()
        return {
            "model": dict(self.model),
            "data": self.data,
            "interval": {"level": self.level, "resamples": self.resamples, "over": self.resampling},
            "finite": self.finite,
            "not_finite_pixels": self.not_finite_pixels,
            "pooled": {**dict(zip(COUNT_NAMES, self.pooled.as_tuple(), strict=True)), **_plain(self.scores)},
            "mean_chip_iou": self.mean_chip_iou.model_dump(),
            "events": {event: _plain(scores) for event, scores in self.by_event.items()},
            "calibration": self.calibration(),
            "area_intervals": self.area_intervals(),
            "calibration_by_event": self.calibration_by_event(),
            "area_by_size": records(self.area_by_size()),
            "baselines": {name: self._method(counts) for name, counts in self.baselines.items()},
            "ceilings": {name: self._method(counts) for name, counts in self.ceilings.items()},
            "flood_alone": {name: self._method(counts) for name, counts in self.flood.items()},
            **self.shapes.to_dict(),
            "slices": records(self.slices),
            "chips": records(chips),
            "unscored": dict(self.unscored),
            "notes": list(self.notes),
            "logits": {mode: histogram.to_dict() for mode, histogram in self.histograms.items()},
        }

    def _method(self, counts: pd.DataFrame) -> dict[str, Any]:
        return {**_plain(self.score(counts)), "mean_chip_iou": self.mean_iou(counts).model_dump()}


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON objects; missing values are None."""
    return [
        {str(key): None if value is pd.NA else value for key, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def count_array(counts: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the counts as (chips, 4) int64, columns tp, fp, fn, tn."""
    array: np.ndarray[Any, np.dtype[np.int64]] = counts[list(COUNT_NAMES)].to_numpy(dtype=np.int64)
    return array


def _plain(scores: Mapping[Metric, Score]) -> dict[str, Any]:
    return {metric: score.model_dump() for metric, score in scores.items()}
