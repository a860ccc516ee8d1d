"""The figures of a model's card that are repeated beside its maps."""

from __future__ import annotations

from typing import Final

from drshym_pipeline.records import BandMode, CardIou, ModelCard

# A test split is preferred to the validation chips, on which the threshold was fitted.
_SPLITS: Final = {"test": "test chips", "valid": "validation chips"}
_MODES: Final[tuple[BandMode, ...]] = ("vv", "vv_vh")


def card_iou(card: ModelCard) -> CardIou | None:
    """Return the IoU by band mode that a card states; None when it states no IoU."""
    for split, chips in _SPLITS.items():
        found = {mode: card.scores.get(f"{split}_{mode}", {}).get("iou") for mode in _MODES}
        stated = {mode: score for mode, score in found.items() if score is not None and score.value is not None}
        if stated:
            return CardIou(chips=chips, data=card.data.title if card.data else None, by_mode=stated)
    return None
