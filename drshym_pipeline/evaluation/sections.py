"""The sections of a card, each a table of one evaluation as Markdown. Layout only; figures come from `evaluation`.

The cards add the headings. A section without content is an empty string.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from drshym_pipeline.assessment.area_by_size import NOTHING_MAPPED, WIDTH_EDGES
from drshym_pipeline.assessment.metrics import METRICS, with_figures
from drshym_pipeline.evaluation.baselines import TITLES
from drshym_pipeline.evaluation.comparison import Comparison
from drshym_pipeline.evaluation.tables import NOT_DEFINED, figure, interval, table, text
from drshym_pipeline.evaluation.verdict import Verdict
from drshym_pipeline.records import counted

if TYPE_CHECKING:
    from drshym_pipeline.evaluation.evaluation import Evaluation

METRIC_TITLES = {"iou": "IoU", "f1": "F1", "precision": "precision", "recall": "recall", "false_water": "false water"}
THIS_MODEL = "this model"
_SLICE_METRICS = ("iou", "f1", "precision", "recall", "false_water")
_WIDTHS = {
    "narrow": f"under {WIDTH_EDGES[0]:g} x the mapped area",
    "medium": f"{WIDTH_EDGES[0]:g} to {WIDTH_EDGES[1]:g} x the mapped area",
    "wide": f"over {WIDTH_EDGES[1]:g} x the mapped area",
    NOTHING_MAPPED: NOTHING_MAPPED,
}
_WIDTH_FIGURES = {
    "coverage": "held",
    "median_width": "median width (share of the chip)",
    "median_relative_width": "median width / mapped area",
}
_CALIBRATION = {
    "log_loss": "log loss",
    "brier": "Brier",
    "ece": "ECE, equal width",
    "ece_equal_mass": "ECE, equal mass",
    "ece_water_side": "ECE, water side",
    "ece_uncertain": "ECE, uncertain",
}


def warnings(evaluation: Evaluation) -> str:
    """Return the notes and warnings that a reader must know first."""
    lines = list(evaluation.notes)
    if not evaluation.weights_finite:
        lines.append("A weight of the network is not finite.")
    if evaluation.not_finite_pixels:
        outputs = counted(evaluation.not_finite_pixels, "output of the network", "outputs of the network")
        lines.append(f"Not finite: {outputs}. Such pixels count as dry.")
    return "\n".join(f"- {line}" for line in lines)


def scores(
    evaluation: Evaluation, comparisons: Mapping[str, Comparison], others: Mapping[str, Evaluation] | None = None
) -> str:
    """Return the scores of the model, other networks, baselines and ceilings, with the verdicts of the comparisons."""
    head = ["method", "pooled IoU", "mean IoU of wet chips", "precision", "recall", "false water"]
    head += ["this model by the pool", "this model by wet chips"]
    methods = {THIS_MODEL: evaluation.counts}
    methods |= {name: other.counts for name, other in (others or {}).items()}
    methods |= {TITLES[name]: counts for name, counts in evaluation.baselines.items()}
    methods |= {f"(ceiling) {TITLES[name]}": counts for name, counts in evaluation.ceilings.items()}
    rows = []
    for name, counts in methods.items():
        found, comparison = evaluation.score(counts), comparisons.get(name)
        words = ["", ""] if comparison is None else [_word(comparison.pooled), _word(comparison.wet_chips)]
        rows.append(
            [
                name,
                text(found["iou"]),
                text(evaluation.mean_iou(counts)),
                *(text(found[metric]) for metric in ("precision", "recall", "false_water")),
                *words,
            ]
        )
    return table(head, rows)


def flood_alone(evaluation: Evaluation) -> str:
    """Return the scores without permanent water; empty where permanent water is not known."""
    rows = []
    for name, counts in evaluation.flood.items():
        found = evaluation.score(counts)
        cells = [text(found["iou"]), text(evaluation.mean_iou(counts)), text(found["precision"]), text(found["recall"])]
        mark = "(ceiling) " if name in evaluation.ceilings else ""
        rows.append([f"{mark}{TITLES.get(name, THIS_MODEL)}", counts.shape[0], *cells])
    head = ["method", "chips", "pooled IoU", "mean IoU of chips with flood", "precision", "recall"]
    return table(head, rows) if rows else ""


def by_event(evaluation: Evaluation) -> str:
    """Return the scores of every event alone."""
    rows = []
    for event, found in evaluation.by_event.items():
        counts = evaluation.counts[evaluation.counts["event"] == event]
        mean = text(evaluation.mean_iou(counts))
        rows.append([event, found["false_water"].chips, *(text(found[metric]) for metric in METRICS), mean])
    return table(["event", "chips", *METRIC_TITLES.values(), "mean IoU of wet chips"], rows)


def calibration(evaluation: Evaluation) -> str:
    """Return the calibration figures before and after scaling, by band mode."""
    return table(["mode", "scaling", *_CALIBRATION.values()], _calibration_rows(evaluation, evaluation.calibration()))


def calibration_by_event(evaluation: Evaluation) -> str:
    """Return the calibration figures of every event."""
    rows = (
        [event, *row]
        for event, report in evaluation.calibration_by_event().items()
        for row in _calibration_rows(evaluation, report)
    )
    return table(["event", "mode", "scaling", *_CALIBRATION.values()], rows)


def shapes(evaluation: Evaluation) -> str:
    """Return the boundary scores and the recall of water bodies by size."""
    shores = evaluation.shapes.shores
    line = (
        f"Boundary F1 {figure(shores.f1)}, precision {figure(shores.precision)}, recall {figure(shores.recall)} "
        f"({counted(shores.true, 'shore pixel')} of the truth; a shore within two pixels counts as found)."
    )
    rows = (
        [
            _range(row["low_ha"], row["high_ha"], "ha"),
            f"{row['bodies']:,}",
            figure(row["body_recall"]),
            f"{row['pixels']:,}",
            figure(row["pixel_recall"]),
        ]
        for row in evaluation.shapes.bodies.table().to_dict("records")
    )
    head = ["water body", "bodies", "share found", "pixels", "share of pixels found"]
    return f"{line}\n\n{table(head, rows)}"


def areas(evaluation: Evaluation) -> str:
    """Return how often the intervals contain the truth, in total and by their width, and the area errors by size."""
    rows = (
        [
            "no water" if row["high"] == 0 else _range(100 * row["low"], 100 * row["high"], "%"),
            row["chips"],
            figure(row["median_absolute_error"]),
            figure(row["bias"]),
            figure(row["median_relative_error"]),
            figure(row["coverage"]),
        ]
        for row in evaluation.area_by_size().to_dict("records")
    )
    head = ["true share of water", "chips", "median error (share of the chip)", "mean of mapped minus true"]
    head += ["median relative error", "share of intervals that held"]
    stated = (
        [mode, figure(item["level"]), figure(item["held"]), item["chips"], item["method"]]
        for mode, item in evaluation.area_intervals().items()
    )
    held = table(["mode", "stated level", "held", "chips", "method"], stated)
    widths = (
        [mode, _WIDTHS[row["width"]], row["chips"], *(figure(row[name]) for name in _WIDTH_FIGURES)]
        for mode, item in evaluation.area_intervals().items()
        for row in item["by_width"]
    )
    by_width = table(["mode", "width of the interval", "chips", *_WIDTH_FIGURES.values()], widths)
    return f"{held}\n\n{by_width}\n\n{table(head, rows)}"


def dry_chips(evaluation: Evaluation) -> str:
    """Return the false water of the chips without labelled water."""
    dry = evaluation.dry_chips()
    rows = (
        [chip, f"{row['fp'] + row['tn']:,}", f"{row['fp']:,}", _percent(row["false_water"])]
        for chip, row in dry.iterrows()
    )
    return table(["dry chip", "scored pixels", "mapped as water", "false water"], rows)


def chips(evaluation: Evaluation) -> str:
    """Return the scores of every chip."""
    boundary = evaluation.shapes.boundary
    rows = (
        [
            chip,
            row["event"],
            _percent((row["tp"] + row["fn"]) / sum(row[name] for name in ("tp", "fp", "fn", "tn"))),
            # Without water in the truth, scores of water are 0 or not defined; only false water has a meaning.
            *(figure(row[metric]) if row["tp"] + row["fn"] or metric == "false_water" else "dry" for metric in METRICS),
            figure(boundary[str(chip)].f1),
            *(figure(_of(counts, chip)) for counts in evaluation.ceilings.values()),
        ]
        for chip, row in evaluation.chips().iterrows()
    )
    ceilings = [f"IoU of the {TITLES[name].split(' of ')[0]}" for name in evaluation.ceilings]
    return table(["chip", "event", "water", *METRIC_TITLES.values(), "boundary F1", *ceilings], rows)


def slices(evaluation: Evaluation) -> str:
    """Return the scores by land cover, slope and backscatter."""
    head = ["slicing", "slice", "chips", "pixels", *(METRIC_TITLES[metric] for metric in _SLICE_METRICS)]
    return table(head, _slice_rows(evaluation.slices))


def unscored(evaluation: Evaluation) -> str:
    """Return the chips that are not scored; empty when there are none."""
    if not evaluation.unscored:
        return ""
    rows = ([chip, reason] for chip, reason in evaluation.unscored.items())
    number = len(evaluation.unscored)
    head = f"{counted(number, 'chip')} {'is' if number == 1 else 'are'} present but not part of any figure."
    return f"{head}\n\n{table(['chip', 'reason'], rows)}"


def _word(verdict: Verdict) -> str:
    difference = verdict.difference
    if difference is None or difference.value is None:
        return f"{verdict.word} ({NOT_DEFINED})"
    return f"{verdict.word}, {interval(difference.value, difference.low, difference.high)}"


def _calibration_rows(evaluation: Evaluation, report: Mapping[Any, dict[str, Any]]) -> Iterable[Sequence[Any]]:
    for mode, item in report.items():
        for when in ("before", "after"):
            scaling = "none" if when == "before" else evaluation.calibrations[mode].text()
            yield [mode, scaling, *(figure(item[when][name]) for name in _CALIBRATION)]


def _slice_rows(frame: pd.DataFrame) -> Iterable[Sequence[Any]]:
    for row in frame.to_dict("records"):
        figures = (interval(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in _SLICE_METRICS)
        yield [row["slicing"], row["slice"], row["chips"], f"{row['pixels']:,}", *figures]


def _of(counts: pd.DataFrame, chip: Any) -> Any:
    return with_figures(counts.loc[[chip]])["iou"].iloc[0]


def _range(low: float, high: float, unit: str) -> str:
    if low == 0:
        return f"under {high:g} {unit}"
    return f"over {low:g} {unit}" if high == float("inf") else f"{low:g} to {high:g} {unit}"


def _percent(value: Any) -> str:
    return NOT_DEFINED if value is None or value is pd.NA else f"{100 * float(value):.2f} %"
