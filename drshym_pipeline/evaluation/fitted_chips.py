"""The evaluated chips that a model was trained or calibrated on, as a note for the reader of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.sources import short_digest
from drshym_pipeline.model.bundle_record import FittedChips

_START = "The checkpoint was "


def is_note_on_fitted(note: str) -> bool:
    """Return whether a note of an evaluation was made by `note_on_fitted`."""
    return note.startswith((f"{_START}trained on ", f"{_START}calibrated on "))


def note_on_fitted(known: FittedChips | None, refs: Sequence[ChipRef]) -> str | None:
    """Return how many chips a model was trained or calibrated on; None if there are none or the model does not say it.

    Args:
        known: The chips that the model was fitted on.
        refs: The evaluated chips.
    """
    if known is None:
        return None
    digests = [short_digest(ref) for ref in refs]
    training, calibration = set(known.training), set(known.calibration) - set(known.training)
    counts = {
        "trained": sum(digest in training for digest in digests),
        "calibrated": sum(digest in calibration for digest in digests),
    }
    parts = [f"{word} on {count}" for word, count in counts.items() if count]
    if not parts:
        return None
    return (
        f"{_START}{' and '.join(parts)} of the {len(refs)} evaluated chips, so these figures do not say how "
        "well it works elsewhere."
    )
