"""The chips that a network is fitted on, for its bundle: an evaluation on the same chips can then say so."""

from __future__ import annotations

from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.sources import list_calibration, list_sources, short_digest
from drshym_pipeline.model.bundle_record import FittedChips
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.training.start import starting_chips


def fitted_chips(config: TrainConfig, data: Sen1Floods11) -> FittedChips:
    """Return the chips that a run of a recipe is trained and calibrated on, with those that its start was trained on.

    Raises:
        InputError: A set of the recipe cannot be opened.
    """
    trained = [
        *data.chips("train", config.data.labels),
        *(ref for _, refs in list_sources(config.data) for ref in refs),
    ]
    others = (ref for _, refs in list_calibration(config.data) for ref in refs)
    calibrated = [*data.chips("valid"), *others]
    start = starting_chips(config.network)
    return FittedChips(
        training=tuple(sorted({*map(short_digest, trained), *(start.training if start else ())})),
        calibration=tuple(sorted(set(map(short_digest, calibrated)))),
    )
