"""Scores of checkpoints on data sets: which checkpoint is scored on which chips in which mode, and the results.

One `Part` is one split of one data set in one band mode. The first checkpoint is the subject of the card. The others
are trained with the same recipe and other seeds, and show how much of a figure is chance. All compared methods are
scored on the same pixels. Baselines do not depend on a checkpoint and are scored once per split. The card is made in
`benchmark_card`, files are written by `report`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.evaluate import evaluate
from drshym_pipeline.evaluation.evaluation import Evaluation
from drshym_pipeline.evaluation.mapper import Mode
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.settings import EvaluationConfig

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

# Figures of a seed that are averaged over seeds, by the title under which they are shown.
FIGURES: dict[str, Callable[[Evaluation], float | None]] = {
    "pooled IoU": lambda found: found.scores["iou"].value,
    "mean IoU of wet chips": lambda found: found.mean_chip_iou.value,
    "F1": lambda found: found.scores["f1"].value,
    "precision": lambda found: found.scores["precision"].value,
    "recall": lambda found: found.scores["recall"].value,
    "false water": lambda found: found.scores["false_water"].value,
    "boundary F1": lambda found: found.shapes.shores.f1,
    "ECE, equal width": lambda found: calibrated(found, "ece"),
    "ECE, equal mass": lambda found: calibrated(found, "ece_equal_mass"),
    "Brier": lambda found: calibrated(found, "brier"),
    "log loss": lambda found: calibrated(found, "log_loss"),
}


@dataclass(frozen=True)
class Sample:
    """The chips of one split of one data set.

    Args:
        data: Name of the data set.
        split: Name of the split.
        refs: The chips, each once.
        notes: Notes on the chips for the reader, such as how their origin is known.
    """

    data: str
    split: str
    refs: tuple[ChipRef, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spread:
    """One figure over several seeds.

    Args:
        figures: The figure of each checkpoint, in the given order; None where it is not defined.
    """

    figures: tuple[float | None, ...]

    @property
    def known(self) -> tuple[float, ...]:
        """The defined figures."""
        return tuple(value for value in self.figures if value is not None)

    @property
    def mean(self) -> float | None:
        """The mean of the defined figures; None without any."""
        return float(np.mean(self.known)) if self.known else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation (n - 1) of the defined figures; None with fewer than two."""
        return float(np.std(self.known, ddof=1)) if len(self.known) > 1 else None

    def to_dict(self) -> dict[str, object]:
        """Return mean, deviation, low, high and all values as a JSON value."""
        ends = {"low": min(self.known), "high": max(self.known)} if self.known else {"low": None, "high": None}
        return {"mean": self.mean, "deviation": self.deviation, **ends, "values": list(self.figures)}


@dataclass(frozen=True)
class Part:
    """One sample in one band mode.

    Args:
        sample: The chips.
        mode: The requested mode; `auto` uses VH where there is one.
        seeds: Evaluations of the checkpoints. The first is the subject of the card and has the baselines.
        others: Evaluations of other networks, by name.
    """

    sample: Sample
    mode: Mode
    seeds: tuple[Evaluation, ...]
    others: Mapping[str, Evaluation] = field(default_factory=dict)

    @property
    def first(self) -> Evaluation:
        """The evaluation of the checkpoint that is the subject of the card."""
        return self.seeds[0]

    @property
    def bands(self) -> str:
        """The bands the chips were mapped with, such as `VV+VH`."""
        modes = sorted(set(self.first.counts["mode"]), reverse=True)
        return " and ".join(mode.upper().replace("_", "+") for mode in modes) or "no bands"

    @property
    def title(self) -> str:
        """A title such as `sen1floods11, test, VV+VH`."""
        return f"{self.sample.data}, {self.sample.split}, {self.bands}"

    def spread(self) -> dict[str, Spread]:
        """Return every figure over the seeds."""
        return {title: Spread(tuple(of(found) for found in self.seeds)) for title, of in FIGURES.items()}


def calibrated(evaluation: Evaluation, name: str) -> float | None:
    """Return a calibration figure after scaling, of the mode with which most pixels were mapped."""
    mode = evaluation.main_mode
    return None if mode is None else evaluation.calibration()[mode]["after"][name]


def run_suite(
    samples: Sequence[Sample],
    checkpoints: Sequence[ModelBundle],
    *,
    others: Mapping[str, ModelBundle] | None = None,
    modes: Sequence[Mode] = (),
    config: EvaluationConfig | None = None,
    progress: Progress = silent,
) -> list[Part]:
    """Score checkpoints on data sets.

    Args:
        samples: The data sets to score on.
        checkpoints: The checkpoint that is the subject of the card, then those of other seeds.
        others: Networks to compare the first checkpoint with, by name. Each is scored in the mode of the part where it
            has a calibration for it, else in its own mode.
        modes: Band modes. Empty for `auto`, followed by VV alone where the first checkpoint mapped a chip with VH and
            also has a calibration for VV alone.
        config: Bootstrap resamples and level.
        progress: Called after every chip of every evaluation.

    Raises:
        InputError: There is no checkpoint or no sample, a checkpoint is named twice, or a chip is unreadable.
    """
    others = others or {}
    _check(samples, checkpoints)
    suite = _Suite(checkpoints, others, config, progress)
    parts: list[Part] = []
    for sample in samples:
        part: Part | None = None
        for mode in modes or ("auto",):
            part = suite.part(sample, mode, part)
            parts.append(part)
        if not modes and "vv" in checkpoints[0].calibration and "vv_vh" in set(parts[-1].first.counts["mode"]):
            parts.append(suite.part(sample, "vv", part))
    return parts


@dataclass(frozen=True)
class _Suite:
    """The arguments that are the same for all parts."""

    checkpoints: Sequence[ModelBundle]
    others: Mapping[str, ModelBundle]
    config: EvaluationConfig | None
    progress: Progress

    def part(self, sample: Sample, mode: Mode, scored: Part | None) -> Part:
        """Score one part.

        `scored` is another part of the same sample; its baselines are used again. A network that has only one mode, and
        mapped the whole sample in this mode before, is not run again.
        """

        def run(bundle: ModelBundle, chosen: Mode, label: str, classical: bool = False) -> Evaluation:
            def report_progress(stage: str, done: int, total: int) -> None:
                self.progress(f"{sample.data} {sample.split} {chosen}: {label}", done, total)

            return evaluate(
                bundle,
                sample.refs,
                mode=chosen,
                config=self.config,
                classical=classical,
                progress=report_progress,
            )

        seeds = [
            run(bundle, mode, f"{bundle.name} {bundle.version}", classical=scored is None and place == 0)
            for place, bundle in enumerate(self.checkpoints)
        ]
        source = seeds[0] if scored is None else scored.first
        seeds[0] = replace(
            seeds[0],
            baselines=source.baselines,
            ceilings=source.ceilings,
            flood={**source.flood, **seeds[0].flood},
            notes=source.notes if scored is not None else (*sample.notes, *source.notes),
        )
        before = {} if scored is None else scored.others
        known = {name: found for name, found in before.items() if set(found.counts["mode"]) == {mode}}
        compared = {
            name: known.get(name) or run(bundle, mode if mode in bundle.calibration else "auto", name)
            for name, bundle in self.others.items()
        }
        return Part(sample, mode, tuple(seeds), compared)


def _check(samples: Sequence[Sample], checkpoints: Sequence[ModelBundle]) -> None:
    if not samples:
        raise InputError("--data", "no data set is given", "Name at least one folder of labelled chips")
    if not checkpoints:
        raise InputError("--checkpoint", "no checkpoint is given", "Name a sealed model")
    hashes = [bundle.sha256 for bundle in checkpoints]
    repeated = next((bundle for bundle in checkpoints if hashes.count(bundle.sha256) > 1), None)
    if repeated is not None:
        raise InputError(
            "--checkpoint",
            f"{repeated.name} {repeated.version} is given twice",
            "Give every seed once, because copies of one model have no spread",
        )
    names = [(sample.data, sample.split) for sample in samples]
    again = next((name for name in names if names.count(name) > 1), None)
    if again is not None:
        raise InputError("--data", f"'{again[0]}' ({again[1]}) is given twice", "Give every set once")
