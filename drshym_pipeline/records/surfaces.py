"""The record of what the mapped water looks like in VV and VH."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from drshym_pipeline.records.base import Record

MUCH_BARE: Final = 0.3
"""A map with a larger share of water that looks like bare fields has a warning."""


class MappedSurfaces(Record):
    """What the mapped water looks like, as shares of the mapped pixels; known with VV and VH only.

    `bare_like` has the backscatter of dry bare fields (VV -16 to -11 dB, VH -27 to -19 dB, a difference of 6 to 12 dB),
    `wind_like` that of water under wind (a difference of 12 dB or more, VH below -23 dB). The rest looks like calm
    water, or like neither. The values are means over 4 x 4 pixels.
    """

    bare_like: float = Field(ge=0.0, le=1.0)
    wind_like: float = Field(ge=0.0, le=1.0)

    def text(self) -> str:
        """Return text such as `12 % like bare fields, 30 % like water under wind`."""
        return f"{100 * self.bare_like:.0f} % like bare fields, {100 * self.wind_like:.0f} % like water under wind"

    def warning(self) -> str | None:
        """Return the sentence for readers of a map with much water that looks like bare fields; None otherwise."""
        if self.bare_like <= MUCH_BARE:
            return None
        return (
            f"{100 * self.bare_like:.0f} % of the mapped area has the backscatter of dry bare fields: compare it with "
            "an optical image or with an earlier scene."
        )
