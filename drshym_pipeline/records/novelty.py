"""The record of how unlike the training chips of the model a scene is."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from drshym_pipeline.records.base import Record

UNUSUAL_SHARE: Final = 0.1
"""A scene with a larger share of unlike tiles is unusual."""


class SceneNovelty(Record):
    """How unlike the training chips of the model a scene is.

    Of `tiles` tiles with a score, `unlike` have a score above 1. A score is the distance of a tile from the training
    chips divided by the model's limit, and `score` is the median of the tiles. A validation chip is above the limit
    with the probability `false_alarm`, measured on `chips` validation chips. Without any score `reason` says why there
    is none.
    """

    tiles: int = Field(default=0, ge=0)
    unlike: int = Field(default=0, ge=0)
    score: float | None = Field(default=None, ge=0.0)
    false_alarm: float | None = Field(default=None, gt=0.0, lt=1.0)
    chips: int = Field(default=0, ge=0)
    reason: str | None = None

    @property
    def share(self) -> float | None:
        """The share of the tiles with a score that are unlike the training chips; None without any."""
        return self.unlike / self.tiles if self.tiles else None

    @property
    def is_unusual(self) -> bool:
        """Whether the scene is unusual. A scene without a score is not."""
        return self.share is not None and self.share > UNUSUAL_SHARE

    def text(self) -> str:
        """Return text such as `3 of 20 tiles are unlike the training chips (2 % of validation chips are unlike)`."""
        if not self.tiles:
            return f"not known: {self.reason}"
        if self.tiles == 1:
            found = f"the only tile is {'unlike' if self.unlike else 'like'}"
        elif not self.unlike:
            found = f"none of {self.tiles:,} tiles is unlike"
        else:
            found = f"{self.unlike:,} of {self.tiles:,} tiles {'is' if self.unlike == 1 else 'are'} unlike"
        alarm = "" if self.false_alarm is None else f" ({100 * self.false_alarm:.2g} % of validation chips are unlike)"
        return f"{found} the training chips{alarm}"

    def warning(self) -> str:
        """Return the sentence for readers of an unusual scene."""
        part = "its only tile" if self.tiles == 1 else f"{100 * (self.share or 0):.0f} % of its tiles"
        return (
            f"This scene is unlike the chips that the model was trained on ({part}): the map may be wrong in ways "
            "that the interval does not cover."
        )
