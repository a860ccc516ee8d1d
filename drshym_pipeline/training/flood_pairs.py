"""Pairs of validation chips before and during a flood, mapped and counted for the intervals of the flooded area.

A chip makes a pair if its set has its scene from before (`pre_event`) and the water that was there before
(`permanent_water`): the simulated sets have both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.flood_interval import ChipPair, LabelledPair
from drshym_pipeline.assessment.pair_signs import pair_counts
from drshym_pipeline.assessment.scene_signs import used_bands
from drshym_pipeline.change import flood_probability
from drshym_pipeline.datasets.chips import WATER, ChipRef, InvalidLabel, read_chip, read_db
from drshym_pipeline.errors import InputError
from drshym_pipeline.probabilities import NOT_OBSERVED, encode, probability
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode, Calibration
from drshym_pipeline.sar.safe_open import open_raster

STAGE = "map pairs"
_PARTS = ("pre_event", "permanent_water")
_HALVES = 2  # of a chip, along each side

ToLogits = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From (bands, h, w) dB, NaN where not observed, to (h, w) logits."""


def has_pair(ref: ChipRef) -> bool:
    """Return whether the set of a chip has its scene from before and the water before."""
    return all(part in ref.ancillary for part in _PARTS)


@dataclass(frozen=True)
class MappedPair:
    """A pair of chips with both probabilities of water and the truth; all arrays are (h, w).

    Args:
        event: The event of the chip.
        now: Probability of water during the flood as uint16 in steps of 1e-4, 65535 where the pixel does not count.
        before: The same before the flood.
        flooded: bool, where it is flooded.
        other_water: bool, where there is water that was there before.
    """

    event: str
    now: NDArray[np.uint16]
    before: NDArray[np.uint16]
    flooded: NDArray[np.bool_]
    other_water: NDArray[np.bool_]

    def quarters(self, threshold: float) -> ChipPair:
        """Count the four quarters; their sum is the whole pair.

        Args:
            threshold: The probability from which a pixel is water.
        """
        rows, columns = (np.array_split(np.arange(side), _HALVES) for side in self.now.shape)
        places = [np.ix_(down, along) for down in rows for along in columns]
        return ChipPair(self.event, tuple(self._counted(place, threshold) for place in places))

    def _counted(self, place: tuple[NDArray[np.intp], ...], threshold: float) -> LabelledPair:
        now, before = self.now[place], self.before[place]
        flood = flood_probability(now, before)
        counted = flood != NOT_OBSERVED
        return LabelledPair(
            counts=pair_counts(now, before, flood, threshold),
            flooded=int(np.count_nonzero(self.flooded[place] & counted)),
            other_water=int(np.count_nonzero(self.other_water[place] & counted)),
        )


def count_pairs(
    refs: Sequence[ChipRef],
    mode: BandMode,
    calibration: Calibration,
    to_logits: ToLogits,
    *,
    invalid_label: InvalidLabel = "ignore",
    progress: Progress = silent,
) -> list[ChipPair]:
    """Map both dates of chips in one band mode and count them.

    Args:
        refs: The chips; those without a pair are left out.
        mode: The bands of both dates.
        calibration: The calibration of the mode.
        to_logits: The network.
        invalid_label: What to do with pixels of label -1, see `chips.read_chip`.
        progress: Called after every pair.

    Raises:
        InputError: A file cannot be read, or the rasters of a chip differ in shape.
    """
    pairs = [ref for ref in refs if has_pair(ref)]
    threshold = calibration.threshold
    found = []
    for done, ref in enumerate(pairs, start=1):
        chip = read_chip(ref, invalid_label)
        before, _, _ = read_db(ref.ancillary["pre_event"])
        with open_raster(ref.ancillary["permanent_water"]) as dataset:
            permanent = dataset.read(1) == WATER
        for part, shape in zip(_PARTS, (before.shape[1:], permanent.shape), strict=True):
            if shape != chip.label.shape:
                raise InputError(
                    ref.ancillary[part], f"has another shape than the chip {ref.chip_id}", "Restore the data set"
                )
        wet, seen = chip.label == WATER, chip.label >= 0
        now, earlier = (_stored(db[: used_bands(mode)], seen, to_logits, calibration) for db in (chip.db, before))
        found.append(MappedPair(ref.event, now, earlier, wet & ~permanent, wet & permanent).quarters(threshold))
        progress(STAGE, done, len(pairs))
    return found


def _stored(
    db: NDArray[np.float32], counted: NDArray[np.bool_], to_logits: ToLogits, calibration: Calibration
) -> NDArray[np.uint16]:
    """Return the stored probability of water of (bands, h, w) dB, 65535 where a pixel is not observed or counted."""
    usable = counted & np.isfinite(db).all(axis=0)
    return encode(probability(np.where(usable, to_logits(db), np.float32(np.nan)), calibration))
