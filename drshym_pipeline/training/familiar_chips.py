"""The measures of training and validation chips, from which a bundle gets its `NoveltyModel`s."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.novelty import NoveltyModel, fit_novelty
from drshym_pipeline.assessment.tile_measures import measure_names, tile_measures
from drshym_pipeline.datasets.chips import ChipRef, read_chip
from drshym_pipeline.records import BandMode
from drshym_pipeline.sar.codes import encode_db

MOST_CHIPS = 500  # read from each split, evenly spaced in its list
_BANDS: dict[BandMode, int] = {"vv": 1, "vv_vh": 2}


def chip_measures(refs: Sequence[ChipRef], modes: Sequence[BandMode]) -> dict[BandMode, NDArray[np.float64]]:
    """Return the measures of chips, (chips, measures) per band mode.

    Chips with too few observed pixels, and chips without VH for the mode `vv_vh`, are left out.

    Args:
        refs: The chips; of more than `MOST_CHIPS` only so many are read.
        modes: The band modes.

    Raises:
        InputError: A chip cannot be read.
    """
    chosen = np.unique(np.linspace(0, len(refs) - 1, min(len(refs), MOST_CHIPS)).round().astype(int))
    found: dict[BandMode, list[NDArray[np.float64]]] = {mode: [] for mode in modes}
    for index in chosen.tolist():
        codes = encode_db(read_chip(refs[index]).db)
        for mode, rows in found.items():
            bands = _BANDS[mode]
            measures = tile_measures(codes[:bands]) if len(codes) >= bands else None
            if measures is not None:
                rows.append(measures)
    return {mode: np.array(rows).reshape(-1, len(measure_names(mode))) for mode, rows in found.items()}


def fit_novelty_models(
    training: Sequence[ChipRef], validation: Sequence[ChipRef], modes: Sequence[BandMode]
) -> dict[BandMode, NoveltyModel]:
    """Return the model of every band mode for which there are enough chips.

    Args:
        training: The chips that the network was trained on.
        validation: The chips that the limit is taken from.
        modes: The band modes of the network.
    """
    known, held_out = chip_measures(training, modes), chip_measures(validation, modes)
    fitted = {mode: fit_novelty(mode, known[mode], held_out[mode]) for mode in modes}
    return {mode: model for mode, model in fitted.items() if model is not None}
