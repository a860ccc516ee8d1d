"""Score a sealed model on labelled chips: the network, the baselines and the slices on exactly the same pixels.

Chips are read batch by batch: only the pixels of one batch are in memory, counts and histograms are kept. Figures are
defined in `assessment` and shown by `card` and `plots`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.metrics import COUNT_NAMES, ChipScores, confusion
from drshym_pipeline.assessment.scene_signs import SceneSigns
from drshym_pipeline.datasets.chips import ChipRef, InvalidLabel, LabelledChip, read_chip
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.baselines import (
    BASELINES,
    CEILINGS,
    TITLES,
    baseline_masks,
    ceiling_masks,
)
from drshym_pipeline.evaluation.evaluation import Evaluation
from drshym_pipeline.evaluation.fitted_chips import note_on_fitted
from drshym_pipeline.evaluation.mapper import ChipMapper, Mode, usable_logits
from drshym_pipeline.evaluation.shapes import ShapeScores
from drshym_pipeline.evaluation.slices import SliceScores, read_ancillary, slice_chip
from drshym_pipeline.evaluation.smoothing import observed_everywhere, smooth_bands
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode, PrecisionOption
from drshym_pipeline.settings import EvaluationConfig

if TYPE_CHECKING:
    from drshym_pipeline.datasets.provenance import Provenance
    from drshym_pipeline.model.bundle import ModelBundle

__all__ = ["Evaluation", "evaluate"]

STAGE = "evaluate"
NETWORK = "network"


def evaluate(
    bundle: ModelBundle,
    refs: Sequence[ChipRef],
    *,
    mode: Mode = "auto",
    invalid_label: InvalidLabel = "ignore",
    config: EvaluationConfig | None = None,
    batch_size: int = 4,
    device: str = "cpu",
    precision: PrecisionOption = "fp32",
    classical: bool = True,
    provenance: Provenance | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Run a model over chips and score it.

    In every mode a pixel is scored when it was observed in all bands of the chip and its label is known. The figures of
    two modes, of two models and of the baselines therefore belong to the same pixels.

    Args:
        bundle: The sealed model.
        refs: The chips, each once.
        mode: Bands to use. `auto` uses VH where the chip has it and the model reads it.
        invalid_label: Meaning of the label -1, see `read_chip`.
        config: Bootstrap resamples and level; the default values when None.
        batch_size: Number of chips per forward pass; chips of different size are never in one pass.
        device: Device on which the network runs.
        precision: Precision of the network, see `predict_logits`.
        classical: Whether the baselines and the oracle thresholds are scored too. They do not depend on the model, so
            one evaluation of the same chips is enough.
        provenance: Origin of the chips (`datasets.provenance`), for the card; None to leave it out.
        progress: Called after every chip.

    Raises:
        InputError: A chip is unreadable or named twice, or the mode is not possible with the model or a chip.
    """
    config = config or EvaluationConfig()
    _refuse_repeats(refs)
    run = _Run(ChipMapper(bundle, mode, device, precision), classical)
    progress(STAGE, 0, len(refs))
    done = 0
    chips = (read_chip(ref, invalid_label) for ref in refs)
    for batch in _batches(chips, run.mapper.mode_of, batch_size):
        run.score(batch)
        done += len(batch)
        progress(STAGE, done, len(refs))
    found = run.result(_name(refs), config)
    if note := note_on_fitted(bundle.fitted_chips, refs):
        found = replace(found, notes=(note, *found.notes))
    if provenance is None:
        return found
    return replace(found, data=f"{provenance.title}, {found.data}", notes=(provenance.evidence, *found.notes))


class _Run:
    """The accumulators of one evaluation."""

    def __init__(self, mapper: ChipMapper, classical: bool) -> None:
        self.mapper, self.classical = mapper, classical
        self.scores: dict[str, ChipScores] = {}
        self.flood_scores: dict[str, ChipScores] = {}
        self.modes: dict[str, BandMode] = {}
        self.signs: dict[str, SceneSigns] = {}
        self.slices = SliceScores()
        self.shapes = ShapeScores()
        self.histograms: dict[str, dict[BandMode, LogitHistogram]] = {}
        self.unscored: dict[str, str] = {}
        self.not_finite = 0

    def score(self, batch: list[LabelledChip]) -> None:
        """Map and score chips of one size and one mode."""
        scored = [chip for chip in batch if self._has_truth(chip)]
        if not scored:
            return
        mode = self.mapper.mode_of(scored[0])
        for chip, logits in zip(scored, self.mapper.logits(scored, mode), strict=True):
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
        ref = chip.ref
        observed = observed_everywhere(chip.db)
        self.not_finite += int(np.count_nonzero(observed & ~np.isfinite(logits)))
        usable = usable_logits(chip, logits)
        water = self.mapper.water(usable, mode)
        self.modes[ref.chip_id] = mode
        self.signs[ref.chip_id] = self.mapper.signs(chip, usable, mode)
        histograms = self.histograms.setdefault(ref.event, {})
        histograms.setdefault(mode, LogitHistogram()).add(usable, chip.label)
        self.slices.add(chip, slice_chip(chip), water, observed)
        self.shapes = self.shapes.with_chip(chip, water, observed)
        masks = {NETWORK: water}
        if self.classical:
            smooth = smooth_bands(chip.db)
            masks |= baseline_masks(chip.db, smooth) | ceiling_masks(smooth, chip.label, observed)
        floodable = _floodable(chip)
        for name, mask in masks.items():
            _count(self.scores, name, chip, mask, observed)
            if floodable is not None:
                _count(self.flood_scores, name, chip, mask, observed & floodable)

    def result(self, data: str, config: EvaluationConfig) -> Evaluation:
        """Return the evaluation of all chips that were scored."""
        bundle = self.mapper.bundle
        tables = _tables(self.scores)
        counts = tables.pop(NETWORK, ChipScores().table()[["event", *COUNT_NAMES]])
        counts.insert(1, "mode", pd.Series(self.modes, index=counts.index, dtype=str))
        left_out = [TITLES[name] for name in BASELINES if self.classical and len(counts) and name not in tables]
        notes = (f"Left out, because some chips have no VH: {', '.join(left_out)}.",) if left_out else ()
        modes = dict.fromkeys(self.modes.values())
        return Evaluation(
            model={
                "name": bundle.name,
                "version": bundle.version,
                "sha256": bundle.sha256,
                "training": bundle.card.training_data,
            },
            data=data,
            counts=counts,
            baselines={name: tables[name] for name in BASELINES if name in tables},
            ceilings={name: tables[name] for name in CEILINGS if name in tables},
            flood=_tables(self.flood_scores),
            histograms_by_event=self.histograms,
            calibrations={mode: bundle.calibration[mode] for mode in modes},
            area_errors=bundle.area_errors,
            signs=self.signs,
            slices=self.slices.table(resamples=config.bootstrap, level=config.interval),
            shapes=self.shapes,
            unscored=self.unscored,
            weights_finite=self.mapper.weights_finite,
            not_finite_pixels=self.not_finite,
            notes=notes,
            resamples=config.bootstrap,
            level=config.interval,
        )


def _count(
    scores: dict[str, ChipScores], name: str, chip: LabelledChip, mask: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> None:
    found = confusion(mask, chip.label, counted)
    scores.setdefault(name, ChipScores()).add(chip.ref.chip_id, chip.ref.event, found)


def _tables(scores: dict[str, ChipScores]) -> dict[str, pd.DataFrame]:
    """Return the counts by method, of the methods that could map every chip that the network mapped."""
    chips = len(scores.get(NETWORK, ()))
    return {name: item.table()[["event", *COUNT_NAMES]] for name, item in scores.items() if len(item) == chips}


def _floodable(chip: LabelledChip) -> NDArray[np.bool_] | None:
    """Return where there is no permanent water, so that water is flood, as (h, w) bool; None where it is not known."""
    path = chip.ref.ancillary.get("permanent_water")
    if path is None:
        return None
    permanent = read_ancillary(path, (chip.label.shape[0], chip.label.shape[1]))
    return np.asarray(permanent == 0)


def _batches(
    chips: Iterable[LabelledChip], mode_of: Callable[[LabelledChip], BandMode], batch_size: int
) -> Iterator[list[LabelledChip]]:
    """Yield consecutive chips of one size and one mode, at most `batch_size` together."""
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
