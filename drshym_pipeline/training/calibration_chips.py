"""The logits of the chips that a network is calibrated on, counted by label: validation chips and other real sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.scene_signs import quarter_counts, used_bands
from drshym_pipeline.assessment.sign_interval import ChipSigns
from drshym_pipeline.datasets.chips import ChipRef, InvalidLabel
from drshym_pipeline.datasets.crops import ChipStore, WholeChips
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.sources import list_calibration
from drshym_pipeline.model.bundle import served_modes
from drshym_pipeline.model.inputs import network_input
from drshym_pipeline.model.predict import predict_logits
from drshym_pipeline.progress import Progress
from drshym_pipeline.records import BandMode
from drshym_pipeline.sar.codes import encode_db
from drshym_pipeline.settings import TrainConfig

STAGE = "calibrate"
MAIN = "main"


class LogitsNotFiniteError(ValueError):
    """An output of the network is not finite; the message says for which chip and band mode."""


@dataclass(frozen=True)
class CalibrationSet:
    """The counts of the chips of one set in one band mode.

    Attributes:
        name: Name of the set: `main` for the validation chips of the main set.
        weight: Share of the set in the fits; the main set has the rest.
        by_event: The logits by label of every chip, by event.
        signs: The counts of the same chips by surface.
    """

    name: str
    weight: float
    by_event: dict[str, list[LogitHistogram]] = field(default_factory=dict)
    signs: list[ChipSigns] = field(default_factory=list)


@dataclass(frozen=True)
class _Chips:
    name: str
    weight: float
    refs: Sequence[ChipRef]
    invalid_label: InvalidLabel


def _sets(config: TrainConfig, data: Sen1Floods11) -> Iterator[_Chips]:
    rest = 1.0 - sum(source.weight for source in config.data.calibration)
    yield _Chips(MAIN, rest, data.chips("valid"), config.data.invalid_label)
    names: list[str] = []
    for source, (_, refs) in zip(config.data.calibration, list_calibration(config.data), strict=True):
        earlier = names.count(source.kind)
        names.append(source.kind)
        yield _Chips(f"{source.kind} {earlier + 1}" if earlier else source.kind, source.weight, refs, "ignore")


def count_calibration_chips(
    network: nn.Module, config: TrainConfig, data: Sen1Floods11, *, device: str, progress: Progress
) -> dict[BandMode, list[CalibrationSet]]:
    """Count the chips of all calibration sets in each band mode of the network; the main set is the first.

    Args:
        network: The network, on `device`.
        config: The recipe.
        data: The main set; its split `valid` is used.
        device: Device of the network.
        progress: Called after every predicted chip.

    Raises:
        InputError: A calibration set cannot be opened, or shares a chip with the training.
        LogitsNotFiniteError: A logit is not finite.
    """
    modes = served_modes(config.network.bands)
    sets = list(_sets(config, data))
    to_input = partial(network_input, bands=config.network.bands)
    total, done = len(modes) * sum(len(chips.refs) for chips in sets), 0
    found: dict[BandMode, list[CalibrationSet]] = {mode: [] for mode in modes}
    for chips in sets:
        store = ChipStore(chips.refs, chips.invalid_label)
        for mode in modes:
            counted = CalibrationSet(chips.name, chips.weight)
            found[mode].append(counted)
            for index in range(len(store)):
                inputs, truth, mask = WholeChips(store, to_input, vv_only=mode == "vv")[index]
                logits = predict_logits(network, inputs[None].numpy(), device=device, precision="fp32")[0]
                if not np.isfinite(logits).all():
                    chip = store.refs[index].chip_id
                    raise LogitsNotFiniteError(f"outputs for the chip {chip} are not finite in mode {mode}")
                labels = np.where(mask.numpy(), truth.numpy(), -1).astype(np.int8)
                db = store[index][0][: used_bands(mode)].astype(np.float32)
                _add(counted, store.refs[index].event, logits, labels, db)
                done += 1
                progress(STAGE, done, total)
    return found


def _add(
    counted: CalibrationSet,
    event: str,
    logits: NDArray[np.float32],
    labels: NDArray[np.int8],
    db: NDArray[np.float32],
) -> None:
    """Add the counts of one chip to its set."""
    name = event if counted.name == MAIN else f"{counted.name}/{event}"
    histogram = LogitHistogram()
    histogram.add(logits, labels)
    counted.by_event.setdefault(name, []).append(histogram)
    counted.signs.append(ChipSigns(name, quarter_counts(logits, labels, encode_db(db))))
