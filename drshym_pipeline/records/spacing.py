"""The record of the size of pixels, where the network computed others instead of them."""

from __future__ import annotations

from drshym_pipeline.records.base import Record


class PixelSpacing(Record):
    """The size of a scene's pixels, and of the pixels that the network computed instead of them.

    Sides in metres as (along a row, down a column): `scene_m` of the scene and its map, `network_m` of the network.
    """

    scene_m: tuple[float, float]
    network_m: tuple[float, float]

    def text(self) -> str:
        """Return text such as `pixels of 30 m: resampled to 10 m for the network`."""
        return f"pixels of {_sides(self.scene_m)}: resampled to {_sides(self.network_m)} for the network"


def _sides(sides: tuple[float, float]) -> str:
    """Return the sides of a pixel as text, one number where they are alike."""
    along, down = (f"{side:.1f}".removesuffix(".0") for side in sides)
    return f"{along} m" if along == down else f"{along} x {down} m"
