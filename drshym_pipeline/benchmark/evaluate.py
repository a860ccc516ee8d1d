"""Score a sealed model on labelled chips: the network, the baselines and the slices on exactly the same pixels.

Chips stream through: pixels of one batch are held at a time, counts and histograms are kept. What the figures mean is
decided in `assessment`; how they are shown in `card` and `plots`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drshym_pipeline.assessment.calibration import LogitHistogram
from drshym_pipeline.assessment.metrics import COUNT_NAMES, ChipScores, confusion
from drshym_pipeline.assessment.probability import encode, is_water, probability
from drshym_pipeline.benchmark.baselines import BASELINES, TITLES, baseline_masks, observed_everywhere
from drshym_pipeline.benchmark.evaluation import Evaluation
from drshym_pipeline.benchmark.slices import SliceScores, slice_chip
from drshym_pipeline.datasets.chips import ChipRef, InvalidLabel, LabelledChip, read_chip
from drshym_pipeline.errors import InputError
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode
from drshym_pipeline.settings import EvaluationConfig

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.model.predict import Precision

__all__ = ["Evaluation", "evaluate"]

STAGE = "evaluate"
_BOTH = 2


def evaluate(
    bundle: ModelBundle,
    refs: Sequence[ChipRef],
    *,
    mode: Literal["auto", "vv", "vv_vh"] = "auto",
    invalid_label: InvalidLabel = "ignore",
    config: EvaluationConfig | None = None,
    batch_size: int = 4,
    device: str = "cpu",
    precision: Precision = "fp32",
    progress: Progress = silent,
) -> Evaluation:
    """Run a model over chips and score it.

    A pixel is scored when every band of the chip observed it and its label is known, whatever the mode: the figures of
    two modes, of two models and of the baselines are then of the same pixels.

    Args:
        bundle: The sealed model.
        refs: The chips, each once.
        mode: Bands to use. `auto` takes VH where the chip has it and the model reads it.
        invalid_label: What label -1 means, see `read_chip`.
        config: Bootstrap resamples and level; the default ones when None.
        batch_size: Chips a forward pass; chips of different size never share one.
        device: Where the network runs.
        precision: See `predict_logits`.
        progress: Told after every chip.

    Raises:
        InputError: A chip is unreadable or named twice, or the model or a chip cannot serve the mode.
    """
    config = config or EvaluationConfig()
    _refuse_repeats(refs)
    run = _Run(bundle, mode, device, precision)
    progress(STAGE, 0, len(refs))
    done = 0
    chips = (read_chip(ref, invalid_label) for ref in refs)
    for batch in _batches(chips, run.mode_of, batch_size):
        run.score(batch)
        done += len(batch)
        progress(STAGE, done, len(refs))
    return run.result(_name(refs), config)


class _Run:
    """The accumulators of one evaluation."""

    def __init__(
        self, bundle: ModelBundle, mode: Literal["auto", "vv", "vv_vh"], device: str, precision: Precision
    ) -> None:
        import torch

        from drshym_pipeline.model.predict import predict_logits

        if mode != "auto" and mode not in bundle.calibration:
            served = ", ".join(bundle.calibration)
            raise InputError("mode", f"model {bundle.name} cannot serve '{mode}'", f"Use one of: auto, {served}")
        self.bundle, self.mode = bundle, mode
        network = bundle.build(device)
        self.weights_finite = all(bool(torch.isfinite(values).all()) for values in network.state_dict().values())
        self._predict: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda inputs: predict_logits(
            network, inputs, device=device, precision=precision
        )
        self.network_scores = ChipScores()
        self.modes: dict[str, BandMode] = {}
        self.baseline_scores = {name: ChipScores() for name in BASELINES}
        self.slices = SliceScores()
        self.histograms: dict[BandMode, LogitHistogram] = {}
        self.unscored: dict[str, str] = {}
        self.not_finite = 0

    def mode_of(self, chip: LabelledChip) -> BandMode:
        """The bands a chip is mapped with."""
        both = len(chip.db) == _BOTH
        if self.mode == "vv_vh" and not both:
            raise InputError(chip.ref.image, "has no VH band", "Evaluate it with mode auto or vv")
        if self.mode == "auto":
            return self.bundle.serving_mode("vv_vh" if both else "vv")
        return self.mode

    def score(self, batch: list[LabelledChip]) -> None:
        """Map and score chips of one size and one mode."""
        from drshym_pipeline.model.inputs import network_input

        scored = [chip for chip in batch if self._has_truth(chip)]
        if not scored:
            return
        mode = self.mode_of(scored[0])
        bands = 1 if mode == "vv" else _BOTH
        inputs = np.stack([network_input(chip.db[:bands], self.bundle.network.bands) for chip in scored])
        for chip, logits in zip(scored, self._predict(inputs), strict=True):
            self._add(chip, logits, mode)

    def _has_truth(self, chip: LabelledChip) -> bool:
        observed = observed_everywhere(chip.db)
        if chip.ref.label is None:
            self.unscored[chip.ref.chip_id] = "it has no label"
        elif not observed.any():
            self.unscored[chip.ref.chip_id] = "no pixel was observed"
        elif not (observed & (chip.label >= 0)).any():
            self.unscored[chip.ref.chip_id] = "no observed pixel has a known label"
        else:
            return True
        return False

    def _add(self, chip: LabelledChip, logits: NDArray[np.float32], mode: BandMode) -> None:
        ref, calibration = chip.ref, self.bundle.calibration[mode]
        observed = observed_everywhere(chip.db)
        self.not_finite += int(np.count_nonzero(observed & ~np.isfinite(logits)))
        usable = np.where(observed & np.isfinite(logits), logits, np.float32(np.nan))
        water = is_water(encode(probability(usable, calibration)), calibration.threshold)
        self.network_scores.add(ref.chip_id, ref.event, confusion(water, chip.label, observed))
        self.modes[ref.chip_id] = mode
        self.histograms.setdefault(mode, LogitHistogram()).add(usable, chip.label)
        self.slices.add(chip, slice_chip(chip), water, observed)
        for name, mask in baseline_masks(chip.db).items():
            self.baseline_scores[name].add(ref.chip_id, ref.event, confusion(mask, chip.label, observed))

    def result(self, data: str, config: EvaluationConfig) -> Evaluation:
        """Close the accumulators."""
        counts = self.network_scores.table()[["event", *COUNT_NAMES]]
        counts.insert(1, "mode", pd.Series(self.modes, index=counts.index, dtype=str))
        complete = {name: scores for name, scores in self.baseline_scores.items() if len(scores) == len(counts)}
        left_out = [TITLES[name] for name in BASELINES if name not in complete]
        notes = (f"Left out, because some chips have no VH: {', '.join(left_out)}.",) if left_out else ()
        return Evaluation(
            model={"name": self.bundle.name, "version": self.bundle.version, "sha256": self.bundle.sha256},
            data=data,
            counts=counts,
            baselines={name: scores.table()[["event", *COUNT_NAMES]] for name, scores in complete.items()},
            histograms=self.histograms,
            calibrations={mode: self.bundle.calibration[mode] for mode in self.histograms},
            area_errors=self.bundle.area_errors,
            slices=self.slices.table(resamples=config.bootstrap, level=config.interval),
            unscored=self.unscored,
            weights_finite=self.weights_finite,
            not_finite_pixels=self.not_finite,
            notes=notes,
            resamples=config.bootstrap,
            level=config.interval,
        )


def _batches(
    chips: Iterable[LabelledChip], mode_of: Callable[[LabelledChip], BandMode], batch_size: int
) -> Iterator[list[LabelledChip]]:
    """Neighbouring chips of one size and one mode, at most `batch_size` together."""
    if batch_size < 1:
        raise InputError("batch-size", f"must be at least 1, got {batch_size}", "Choose a batch size such as 4")
    batch: list[LabelledChip] = []
    key: tuple[tuple[int, ...], BandMode] | None = None
    for chip in chips:
        this = (chip.label.shape, mode_of(chip))
        if batch and (this != key or len(batch) == batch_size):
            yield batch
            batch = []
        batch.append(chip)
        key = this
    if batch:
        yield batch


def _refuse_repeats(refs: Sequence[ChipRef]) -> None:
    seen: set[str] = set()
    for ref in refs:
        if ref.chip_id in seen:
            raise InputError(ref.chip_id, "the chip is named twice", "Score every chip once")
        seen.add(ref.chip_id)


def _name(refs: Sequence[ChipRef]) -> str:
    return "+".join(dict.fromkeys(ref.split for ref in refs)) or "no chips"
