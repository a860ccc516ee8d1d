"""Pictures of a map: VV backscatter in grey, flood in translucent blue, not observed hatched and transparent.

The picture is averaged down while the scene streams by, so that no decimated read of an untrusted file is needed and
memory is that of the picture. Legends and scale bars belong to the page around it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from drshym_pipeline.products.names import FLOODED, MASK_NOT_OBSERVED
from drshym_pipeline.sar.codes import CODES_A_DB, LOWEST_DB, NOT_OBSERVED_CODE
from drshym_pipeline.storage import write_bytes

OVERLAY_SIDE: Final = 1600
THUMBNAIL_SIDE: Final = 512
_FLOOD: Final = (0.0, 110.0, 255.0)
_FLOOD_OPACITY: Final = 0.55
_HATCH: Final = (128, 128, 128, 110)
_HATCH_PERIOD: Final = 12
_DEFAULT_STRETCH: Final = (-25.0, -5.0)


class OverlayCanvas:
    """Collects a scene into a picture of at most `side` pixels on its long side.

    Args:
        height: Scene height in pixels.
        width: Scene width in pixels.
        side: Longest side of the picture.
    """

    def __init__(self, height: int, width: int, side: int = OVERLAY_SIDE) -> None:
        self._factor = -(-max(height, width) // side)
        shape = (-(-height // self._factor), -(-width // self._factor))
        self._starts = np.arange(0, width, self._factor)
        # Sums of stored backscatter: integers, so that no order of addition matters.
        self._codes = np.zeros(shape, np.int64)
        self._observed = np.zeros(shape, np.int64)
        self._flooded = np.zeros(shape, np.int64)

    def add(self, row: int, vv: NDArray[np.uint16], mask: NDArray[np.uint8]) -> None:
        """Add one band of the scene.

        Args:
            row: First row of the band.
            vv: (rows, width) VV as `sar.codes` stores it, 0 where not observed.
            mask: (rows, width), values of `names.MASK_LEGEND`.
        """
        observed = mask != MASK_NOT_OBSERVED
        layers = (
            (self._codes, vv if observed.all() else np.where(observed, vv, np.uint16(NOT_OBSERVED_CODE))),
            (self._observed, observed & (vv != NOT_OBSERVED_CODE)),
            (self._flooded, mask == FLOODED),
        )
        lines = (row + np.arange(len(mask))) // self._factor
        for target, values in layers:
            rows = np.zeros((lines[-1] - lines[0] + 1, values.shape[1]), np.uint32)
            # Whole rows at a time, one of each line of the picture: far faster than a few columns of each.
            for step in range(self._factor):
                taken = slice((step - row) % self._factor, None, self._factor)
                some = values[taken]
                if len(some):
                    start = lines[taken.start] - lines[0]
                    rows[start : start + len(some)] += some
            target[lines[0] : lines[-1] + 1] += np.add.reduceat(rows, self._starts, axis=1, dtype=np.int64)

    def render(self, stretch: tuple[float, float] | None) -> Image.Image:
        """The picture as RGBA.

        Args:
            stretch: VV in dB shown as black and as white; a fixed range when None.
        """
        low, high = stretch if stretch and stretch[1] > stretch[0] else _DEFAULT_STRETCH
        seen = self._observed > 0
        count = np.maximum(self._observed, 1).astype(np.float32)
        vv = (self._codes / count).astype(np.float32) / np.float32(CODES_A_DB) + np.float32(LOWEST_DB)
        grey = np.clip((vv - np.float32(low)) / np.float32(high - low), 0.0, 1.0) * np.float32(255.0)
        share = np.float32(_FLOOD_OPACITY) * (self._flooded / count).astype(np.float32)
        picture = np.zeros((*seen.shape, 4), np.uint8)
        # A channel at a time: all at once would be the largest arrays of a whole map.
        for channel, flood in enumerate(_FLOOD):
            picture[..., channel] = np.rint(grey * (1 - share) + np.float32(flood) * share)
        picture[..., 3] = 255
        rows, cols = np.indices(seen.shape)
        hatch = ((rows + cols) % _HATCH_PERIOD) < 2
        picture[~seen] = 0
        picture[~seen & hatch] = _HATCH
        return Image.fromarray(picture, "RGBA")


def _png(picture: Image.Image, info: PngInfo) -> bytes:
    buffer = io.BytesIO()
    # Speckle hardly compresses: a higher level is five times as slow for a few per cent.
    picture.save(buffer, "PNG", compress_level=1, pnginfo=info)
    return buffer.getvalue()


def write_pictures(
    canvas: OverlayCanvas,
    overlay: Path,
    thumbnail: Path,
    *,
    text: Mapping[str, str],
    stretch: tuple[float, float] | None = None,
) -> None:
    """Write the overlay and its thumbnail as PNG.

    Args:
        canvas: The picture.
        overlay: File of the picture.
        thumbnail: File of its small copy.
        text: What both say about themselves in their text chunks, by keyword.
        stretch: VV in dB shown as black and as white; a fixed range when None.
    """
    info = PngInfo()
    for keyword, value in text.items():
        info.add_text(keyword, value)
    picture = canvas.render(stretch)
    image = _png(picture, info)
    write_bytes(overlay, image)
    if max(picture.size) > THUMBNAIL_SIDE:
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        image = _png(picture, info)
    write_bytes(thumbnail, image)
