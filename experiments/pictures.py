"""Figures as files that are small enough for the documentation."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def png_of_few_colors(figure: Figure, dpi: int, colors: int) -> bytes:
    """Return a figure as PNG with a palette, a third of the size; speckle does not compress well without one."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    few = Image.open(buffer).convert("RGB").quantize(colors, dither=Image.Dither.NONE)
    small = io.BytesIO()
    few.save(small, format="PNG", optimize=True)
    return small.getvalue()
