"""Measure every figure that has an aim in docs/training_results.md: `python -m experiments aims`.

`--data CHIPS` has simulated chips with the splits `test`, `hard` and `wind`; `--real DATA` has the labelled real chips,
which are for reporting only. The shipped checkpoint and the other seeds of its recipe are scored. A row says whether
the shipped checkpoint reaches the aim. OUT.json has every figure, OUT.md the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.area import area_shares
from drshym_pipeline.assessment.area_by_size import chip_intervals
from drshym_pipeline.assessment.conformal import EMPTY_MAPPED
from drshym_pipeline.console import shown_progress
from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.real_land import PACKAGED, TRAIN, RealLand
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.evaluation.evaluate import evaluate
from drshym_pipeline.evaluation.evaluation import Evaluation, count_array
from drshym_pipeline.evaluation.evaluation_log import append_log, check_log, log_row
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode
from drshym_pipeline.storage import write_json, write_text
from experiments.card import LOG, REAL_SETS, SEEDS, SIMULATED_SPLITS, real_samples, seed_bundles

LAND = "real_land"
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
MODES: tuple[BandMode, ...] = ("vv_vh", "vv")
_OTSU_VH = "otsu_vh"
_FEWEST_DRY = 1000  # labelled dry pixels of a patch whose share of false water is a figure

Evaluations = Mapping[tuple[str, BandMode], Evaluation]
"""The evaluations of one checkpoint, by name of the set and bands."""


@dataclass(frozen=True)
class Aim:
    """A figure with its aim.

    Args:
        what: What is measured.
        measure: Returns the figure from the evaluations of a checkpoint; None where it is not defined.
        low: Lowest value that reaches the aim; None without such a limit.
        high: Highest value that reaches the aim; None without such a limit.
    """

    what: str
    measure: Callable[[Evaluations], float | None]
    low: float | None = None
    high: float | None = None

    def is_reached(self, value: float | None) -> bool:
        """Return whether a value reaches the aim; one that is not defined does not."""
        if value is None:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def text(self) -> str:
        """Return the aim in words."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"at least {self.low:g}" if self.low is not None else f"at most {self.high:g}"


def _pooled(name: str, mode: BandMode, figure: Any) -> Callable[[Evaluations], float | None]:
    return lambda found: found[name, mode].scores[figure].value


def _mean_iou(name: str) -> Callable[[Evaluations], float | None]:
    return lambda found: found[name, "vv_vh"].mean_chip_iou.value


def _ece(name: str) -> Callable[[Evaluations], float | None]:
    return lambda found: found[name, "vv_vh"].calibration()["vv_vh"]["after"]["ece"]


def _recall_of(chip: str) -> Callable[[Evaluations], float | None]:
    def measure(found: Evaluations) -> float | None:
        chips = found["sen1floods11", "vv_vh"].chips()
        values = chips.loc[[name for name in chips.index if str(name).startswith(chip)], "recall"]
        return float(values.iloc[0]) if len(values) else None

    return measure


def _worst_patch(found: Evaluations) -> float | None:
    chips = found[LAND, "vv_vh"].chips()
    return float(chips.loc[chips["fp"] + chips["tn"] >= _FEWEST_DRY, "false_water"].max())


def _dry_chips(found: Evaluations) -> float | None:
    return max(float(found[name, "vv_vh"].dry_chips()["false_water"].max()) for name in REAL_SETS)


def _over_otsu(found: Evaluations) -> float | None:
    hard = found["hard", "vv_vh"]
    ours, otsu = hard.mean_chip_iou.value, hard.mean_iou(hard.baselines[_OTSU_VH]).value
    return None if ours is None or otsu is None else ours - otsu


def intervals(evaluation: Evaluation, mode: BandMode) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return for every chip whether its area interval holds, and the width over the mapped area.

    Returns:
        (chips,) bool, and (mapped chips,) float64 without the chips of which at most 0.1 % is mapped as water.
    """
    predicted, true = area_shares(count_array(evaluation.counts))
    signs = [evaluation.signs.get(str(chip)) for chip in evaluation.counts.index]
    ends = chip_intervals(evaluation.area_errors[mode], predicted, signs)
    held = (ends[:, 0] <= true) & (true <= ends[:, 1])
    mapped = predicted > EMPTY_MAPPED
    return held, (ends[mapped, 1] - ends[mapped, 0]) / predicted[mapped]


def _coverage(names: Sequence[str], mode: BandMode) -> Callable[[Evaluations], float | None]:
    return lambda found: float(np.mean(np.concatenate([intervals(found[name, mode], mode)[0] for name in names])))


def _width(names: Sequence[str], mode: BandMode) -> Callable[[Evaluations], float | None]:
    return lambda found: float(np.median(np.concatenate([intervals(found[name, mode], mode)[1] for name in names])))


_REAL = (LAND, *REAL_SETS)
AIMS = (
    Aim("real_land: dry land mapped as water", _pooled(LAND, "vv_vh", "false_water"), high=0.03),
    Aim("real_land: water found", _pooled(LAND, "vv_vh", "recall"), low=0.94),
    Aim("worst patch of real_land: dry land mapped as water", _worst_patch, high=0.30),
    Aim("simulated water under wind, found", _pooled("wind", "vv_vh", "recall"), low=0.93),
    Aim("Sri-Lanka, water under wind, found", _recall_of("Sri-Lanka"), low=0.97),
    Aim("VV alone, Sen1Floods11: pooled IoU", _pooled("sen1floods11", "vv", "iou"), low=0.157),
    Aim("VV alone, STAC-Overflow: pooled IoU", _pooled("stac_overflow", "vv", "iou"), low=0.50),
    Aim("Sen1Floods11: mean IoU of wet chips", _mean_iou("sen1floods11"), low=0.60),
    Aim("STAC-Overflow: mean IoU of wet chips", _mean_iou("stac_overflow"), low=0.62),
    Aim("dry real chips: highest share mapped as water", _dry_chips, high=0.005),
    Aim("Sen1Floods11: ECE", _ece("sen1floods11"), high=0.06),
    Aim("STAC-Overflow: ECE", _ece("stac_overflow"), high=0.06),
    Aim("simulated test chips: intervals that hold", _coverage(("test",), "vv_vh"), low=0.85, high=0.95),
    Aim("simulated test chips: median width / mapped area", _width(("test",), "vv_vh"), high=0.8),
    Aim("all real chips: intervals that hold", _coverage(_REAL, "vv_vh"), low=0.80),
    Aim("all real chips: median width / mapped area", _width(_REAL, "vv_vh"), high=1.5),
    Aim("all real chips, VV alone: intervals that hold", _coverage(_REAL, "vv"), low=0.80),
    Aim("all real chips, VV alone: median width / mapped area", _width(_REAL, "vv"), high=1.5),
    # The model was trained or calibrated on `real_land`, so the sets of floods are also counted without it.
    Aim("Sen1Floods11 and STAC-Overflow alone: intervals that hold", _coverage(REAL_SETS, "vv_vh"), low=0.80),
    Aim("the same, VV alone: intervals that hold", _coverage(REAL_SETS, "vv"), low=0.80),
    Aim("simulated hard chips: mean IoU of wet chips minus that of Otsu on VH", _over_otsu, low=0.0),
)


def score_checkpoint(
    bundle: ModelBundle, sets: Mapping[str, Sequence[ChipRef]], progress: Progress = silent
) -> dict[tuple[str, BandMode], Evaluation]:
    """Score a checkpoint on every set with VV and VH and with VV alone."""
    return {
        (name, mode): evaluate(bundle, refs, mode=mode, classical=name == "hard" and mode == "vv_vh", progress=progress)
        for name, refs in sets.items()
        for mode in MODES
    }


def measure(scored: Sequence[Evaluations], aims: Sequence[Aim] = AIMS) -> list[dict[str, Any]]:
    """Return one row per aim with the figures of all checkpoints; the first is the shipped one."""
    rows = []
    for aim in aims:
        values = [aim.measure(found) for found in scored]
        rows.append({"what": aim.what, "values": values, "aim": aim.text(), "reached": aim.is_reached(values[0])})
    return rows


def trade_off(found: Evaluations, thresholds: Sequence[float] = THRESHOLDS) -> list[dict[str, Any]]:
    """Return what a checkpoint maps with other thresholds: pooled figures of `real_land` and of the wind chips."""
    rows = []
    for threshold in thresholds:
        row: dict[str, Any] = {"threshold": threshold}
        for name in (LAND, "wind"):
            evaluation = found[name, "vv_vh"]
            fit = evaluation.calibrations["vv_vh"]
            counts = evaluation.histograms["vv_vh"].scores_at(threshold, fit.T, fit.bias)
            row |= {f"{name}_false_water": counts.false_water, f"{name}_recall": counts.recall}
        rows.append(row)
    return rows


def trade_off_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures at other thresholds as a Markdown table."""
    lines = [
        "| threshold | real_land: dry land mapped as water | found | wind chips: dry land mapped as water | found |",
        "|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        threshold, *figures = row.values()
        lines.append(f"| {threshold:g} | " + " | ".join("-" if x is None else f"{x:.3f}" for x in figures) + " |")
    return "\n".join([*lines, ""])


def table_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    seeds = len(rows[0]["values"])
    lines = [
        f"| what | shipped | all {seeds} seeds, lowest to highest | aim | reached |",
        "|---|---:|---:|---:|---|",
    ]
    for row in rows:
        known = [value for value in row["values"] if value is not None]
        spread = f"{min(known):.3f} to {max(known):.3f}" if known else "-"
        first = row["values"][0]
        shown = "-" if first is None else f"{first:.3f}"
        lines.append(f"| {row['what']} | {shown} | {spread} | {row['aim']} | {'yes' if row['reached'] else 'no'} |")
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> None:
    """Score all checkpoints, add to the log of real evaluations and print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments aims", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="simulated chips in Sen1Floods11's layout")
    parser.add_argument("--real", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; the table is written beside it")
    parser.add_argument("--model", type=Path, help="folder of a sealed model; by default the shipped one")
    parser.add_argument("--seeds", type=Path, default=SEEDS, help="folder of the other seeds' sealed models")
    parser.add_argument("--log", type=Path, default=LOG, help="log of evaluations on real chips")
    options = parser.parse_args(arguments)
    check_log(options.log)
    first = ModelBundle.load(options.model) if options.model else shipped_bundle()
    chips, land = Sen1Floods11(options.data), RealLand(PACKAGED)
    sets: dict[str, Sequence[ChipRef]] = {split: chips.chips(split) for split in SIMULATED_SPLITS}
    sets[LAND] = land.chips(TRAIN)
    reported = dict(zip(REAL_SETS, real_samples(options.real), strict=True))
    sets |= {name: sample.refs for name, sample in reported.items()}
    bundles = [first, *seed_bundles(options.seeds)]
    with shown_progress() as progress:
        scored = [score_checkpoint(bundle, sets, progress) for bundle in bundles]
    logged = [
        log_row(found[name, mode], sample.data, sample.split)
        for found in scored
        for name, sample in reported.items()
        for mode in MODES
    ]
    append_log(options.log, logged)
    rows = measure(scored)
    others = trade_off(scored[0])
    table = f"{table_markdown(rows)}\n{trade_off_markdown(others)}"
    versions = [bundle.version for bundle in bundles]
    write_json(options.out, {"checkpoints": versions, "rows": rows, "shipped_at_other_thresholds": others})
    write_text(options.out.with_suffix(".md"), table)
    print(table)
