"""Plots of an evaluation and of a training, as PNG bytes that are small enough for a record.

Drawing only: all figures are computed in `evaluation` and `assessment`. matplotlib is imported when a plot is
requested. Its global state is never used, so plots can be made in any thread.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.probabilities import PROBABILITY_STEPS
from drshym_pipeline.records import BandMode, Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from drshym_pipeline.evaluation.evaluation import Evaluation

WIDTH, HEIGHT, DPI = 620, 420, 100
MAX_HEIGHT = 640
# Blue, orange, green and grey of the Okabe-Ito palette, which colour-blind readers can distinguish.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
_NAMED_CHIPS = 30


def reliability_of(histogram: LogitHistogram, item: Calibration, title: str) -> bytes:
    """Draw the reliability diagram of one histogram of logits under a calibration."""
    figure, (top, bottom) = _figure(2, HEIGHT + 60, heights=[3, 1])
    if not histogram.pixels:
        return _empty_plot(figure, top, f"{title}: no pixel counted")
    top.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfect")
    for label, T, bias, color in (
        ("before", 1.0, 0.0, ORANGE),
        (f"after, {item.text()}", item.T, item.bias, BLUE),
    ):
        table = histogram.reliability(T, bias)
        known = table.dropna()
        top.plot(
            known["predicted"].astype(float),
            known["found"].astype(float),
            marker="o",
            markersize=4,
            color=color,
            label=f"{label} (ECE {_short(histogram.ece(T, bias))})",
        )
        bottom.stairs(table["pixels"], [*table["low"], 1.0], color=color)
    top.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of water found", title=title)
    top.legend(fontsize=8, loc="upper left")
    bottom.set(
        xlim=(0, 1),
        ylim=(0.5, 2 * histogram.pixels),
        yscale="log",
        xlabel="predicted probability of water",
        ylabel="pixels",
    )
    bottom.minorticks_off()
    return _png(figure)


def precision_recall(evaluation: Evaluation, mode: BandMode | None = None) -> bytes:
    """Draw precision against recall over all thresholds, with the threshold in use and the baselines as points."""
    mode = mode or evaluation.main_mode
    figure, (axes,) = _figure(1, HEIGHT)
    if mode is None:
        return _empty_plot(figure, axes, "Precision and recall: no scored pixel")
    histogram, item = evaluation.histograms[mode], evaluation.calibrations[mode]
    thresholds = np.arange(1, PROBABILITY_STEPS) / PROBABILITY_STEPS
    tp, fp, fn, _ = histogram.curve(thresholds, item.T, item.bias).T
    mapped = (tp + fp > 0) & (tp + fn > 0)
    axes.plot(tp[mapped] / (tp + fn)[mapped], tp[mapped] / (tp + fp)[mapped], color=BLUE, label="all thresholds")
    here = histogram.scores_at(item.threshold, item.T, item.bias)
    if here.precision is not None and here.recall is not None:
        axes.plot(here.recall, here.precision, "o", color=BLUE, label=f"threshold {item.threshold:.4g}")
    if len(evaluation.histograms) == 1:
        _baseline_points(axes, evaluation)
    axes.set(
        xlim=(0, 1.02),
        ylim=(0, 1.02),
        xlabel="recall (share of water that is mapped)",
        ylabel="precision (share of mapped that is water)",
        title=f"Precision and recall on {evaluation.data}, mode {mode}",
    )
    axes.legend(fontsize=8, loc="lower left")
    return _png(figure)


def chip_scores(evaluation: Evaluation) -> bytes:
    """Draw the IoU of every chip that has water, from the worst to the best, coloured by event."""
    table = evaluation.chips()
    known = table[(table["tp"] + table["fn"] > 0) & table["iou"].notna()].sort_values("iou")
    figure, (axes,) = _figure(1, HEIGHT)
    if known.empty:
        return _empty_plot(figure, axes, "IoU by chip: no chip has water")
    from matplotlib import colormaps

    events = sorted(known["event"].unique())
    colors = {event: colormaps["tab20"](index % 20) for index, event in enumerate(events)}
    places = np.arange(len(known))
    values = known["iou"].to_numpy(dtype=float)
    for event in events:
        mine = (known["event"] == event).to_numpy()
        axes.bar(places[mine], values[mine], color=colors[event], label=event)
    mean = evaluation.mean_chip_iou
    axes.axhline(float(mean.value or 0.0), color=GREY, linestyle="--", label=f"mean {_short(mean.value)}")
    named = len(known) <= _NAMED_CHIPS
    axes.set_xticks(places if named else [], list(known.index) if named else [], rotation=90, fontsize=7)
    axes.set(ylim=(0, 1), ylabel="IoU", title=f"IoU of {len(known)} chips with water, {evaluation.data}")
    if not named:
        axes.set_xlabel("chips, worst to best")
    axes.legend(fontsize=7, ncols=3, loc="upper left")
    return _png(figure)


def slice_bars(evaluation: Evaluation, slicing: str, metric: str = "iou") -> bytes:
    """Draw one figure by class of a slicing, with intervals and the number of pixels."""
    table = evaluation.slices[evaluation.slices["slicing"] == slicing]
    title = {"iou": "IoU", "f1": "F1", "false_water": "share of dry land mapped as water"}.get(metric, metric)
    figure, (axes,) = _figure(1, min(MAX_HEIGHT, 130 + 40 * max(len(table), 4)))
    if table.empty:
        return _empty_plot(figure, axes, f"{title} by {slicing}: no scored pixel")
    for place, row in enumerate(table.to_dict("records")):
        if pd.isna(row[metric]):
            axes.text(0.01, place, "not defined", va="center", fontsize=8, color=GREY)
            continue
        axes.barh(place, row[metric], color=BLUE, height=0.6)
        if not pd.isna(row[f"{metric}_low"]):
            axes.plot([row[f"{metric}_low"], row[f"{metric}_high"]], [place, place], color="black", linewidth=1.5)
    names = [f"{name}\n{_count(pixels)} px" for name, pixels in zip(table["slice"], table["pixels"], strict=True)]
    axes.set_yticks(np.arange(len(table)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set(
        xlim=(0, 1),
        xlabel=f"{title} (line: {100 * evaluation.level:.0f} % interval)",
        title=f"{title[0].upper()}{title[1:]} by {slicing}",
    )
    return _png(figure)


def training_curves(history: Sequence[Mapping[str, float]]) -> bytes:
    """Draw losses (above) and scores (below) by step or epoch.

    Args:
        history: One mapping per validation. `step` or `epoch` is the horizontal axis. Names with `loss` are drawn
            above, names with `iou` or `f1` below, and others are left out. A name may be missing in some entries.
    """
    frame = pd.DataFrame(list(history))
    axis = next((name for name in ("step", "epoch") if name in frame), None)
    figure, (top, bottom) = _figure(2, HEIGHT + 60, heights=[1, 1])
    if frame.empty:
        return _empty_plot(figure, top, "Training: nothing recorded yet")
    along = frame[axis] if axis else pd.Series(np.arange(1, len(frame) + 1))
    palette = (BLUE, ORANGE, GREEN, GREY)
    for axes, words, label in ((top, ("loss",), "loss (nats)"), (bottom, ("iou", "f1"), "score")):
        names = [name for name in frame if any(word in str(name).lower() for word in words)]
        for index, name in enumerate(names):
            known = frame[name].notna()
            axes.plot(
                along[known],
                frame.loc[known, name].astype(float),
                marker=".",
                color=palette[index % len(palette)],
                label=name,
            )
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if names:
            axes.legend(fontsize=8)
    bottom.set(ylim=(0, 1), xlabel=axis or "validation")
    top.set_title("Training")
    return _png(figure)


def _figure(rows: int, height: int, heights: list[int] | None = None) -> tuple[Figure, tuple[Axes, ...]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, squeeze=False, gridspec_kw={"height_ratios": heights or [1] * rows})
    return figure, tuple(axes[:, 0])


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # The software tag would write the version of matplotlib into the file.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _empty_plot(figure: Figure, axes: Axes, title: str) -> bytes:
    """Return a picture whose title says that there is nothing to show, instead of an empty frame."""
    for other in figure.axes:
        other.set_axis_off()
    axes.set_title(title)
    return _png(figure)


def _baseline_points(axes: Axes, evaluation: Evaluation) -> None:
    from drshym_pipeline.evaluation.baselines import TITLES

    markers = ("s", "D", "^", "v", "o", "P", "X", "*")
    for (name, counts), marker in zip(evaluation.baselines.items(), markers, strict=True):
        scores = evaluation.score(counts)
        precision, recall = scores["precision"].value, scores["recall"].value
        if precision is not None and recall is not None:
            color = ORANGE if "vh" in name else GREEN
            axes.plot(recall, precision, marker, color=color, label=TITLES[name])


def _short(value: Any) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _count(pixels: int) -> str:
    if pixels >= 1_000_000:
        return f"{pixels / 1e6:.1f} M"
    return f"{pixels / 1e3:.1f} k" if pixels >= 1000 else str(pixels)
