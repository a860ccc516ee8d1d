"""The map as a picture: VV backscatter in grey, mapped water in colour, not observed hatched and transparent.

The scene is reduced by averaging, band by band. No untrusted file is read at a reduced size, and the memory is only
that of the picture. A metre has the same length across and down, also when the grid is in degrees. `figure` draws the
legend and the scale bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drshym_pipeline.sar.codes import CODES_PER_DB, LOWEST_DB, NOT_OBSERVED_CODE
from drshym_pipeline.states import EXCLUDED, EXCLUDED_COLOUR, FLOODED, MASK_NOT_OBSERVED, PERMANENT, WATER_COLOURS

OVERLAY_SIDE: Final = 1600
HATCH_COLOUR: Final = (128, 128, 128, 110)
_HATCH_PERIOD: Final = 12
_DEFAULT_STRETCH: Final = (-25.0, -5.0)


@dataclass(frozen=True)
class Look:
    """The size and colours of a drawn map.

    Args:
        longest: The largest number of pixels of the picture's long side.
        least: The number of pixels to which a smaller picture is enlarged, approximately and by a whole factor.
        opacity: The opacity of the colour of water over the radar image, 0 to 1.
        thin: Whether water that fills a small part of a pixel of the picture gets a stronger colour than its share.
    """

    longest: int
    least: int
    opacity: float
    thin: bool = False


def picture_size(shape: tuple[int, int], pixel_m: tuple[float, float], look: Look) -> tuple[int, int]:
    """Return the size (width, height) of a picture with true proportions.

    The side whose pixels are longer on the ground keeps its number of pixels, unless the picture is too large or small.

    Args:
        shape: The rows and columns of the raster that is drawn.
        pixel_m: The length on the ground of a pixel's sides (x, y).
        look: The limits of the size.
    """
    across, down = shape[1] * pixel_m[0] / max(pixel_m), shape[0] * pixel_m[1] / max(pixel_m)
    long = max(across, down)
    scale = look.longest / long if long > look.longest else float(max(1, round(look.least / long)))
    return max(1, round(across * scale)), max(1, round(down * scale))


class OverlayCanvas:
    """Collects the bands of a scene into a picture of at most `side` pixels on its long side.

    Args:
        height: The height of the scene in pixels.
        width: The width of the scene in pixels.
        side: The largest long side of the picture in pixels.
        separated: Whether water that was there before has its own value in the masks.
        terrain: Whether ground that the terrain excludes has its own value in the masks.
    """

    def __init__(
        self, height: int, width: int, side: int = OVERLAY_SIDE, *, separated: bool = False, terrain: bool = False
    ) -> None:
        self._factor = -(-max(height, width) // side)
        shape = (-(-height // self._factor), -(-width // self._factor))
        self._starts = np.arange(0, width, self._factor)
        # Sums of stored backscatter are integers, so the order of addition does not matter.
        self._codes = np.zeros(shape, np.int64)
        self._observed = np.zeros(shape, np.int64)
        # Pixels by the colour of their state.
        values = (FLOODED, PERMANENT) if separated else (FLOODED,)
        colours = {value: WATER_COLOURS[value] for value in values}
        colours |= {EXCLUDED: EXCLUDED_COLOUR} if terrain else {}
        self._states = {value: (colour, np.zeros(shape, np.int64)) for value, colour in colours.items()}

    def add(self, row: int, vv: NDArray[np.uint16], mask: NDArray[np.uint8]) -> None:
        """Add one band of the scene.

        Args:
            row: The first row of the band.
            vv: (rows, width) VV as `sar.codes` stores it, 0 where not observed.
            mask: (rows, width), values of `states.MASK_LEGEND`.
        """
        observed = mask != MASK_NOT_OBSERVED
        layers = (
            (self._codes, vv if observed.all() else np.where(observed, vv, np.uint16(NOT_OBSERVED_CODE))),
            (self._observed, observed & (vv != NOT_OBSERVED_CODE)),
            *((counts, mask == value) for value, (_, counts) in self._states.items()),
        )
        lines = (row + np.arange(len(mask))) // self._factor
        for target, values in layers:
            rows = np.zeros((lines[-1] - lines[0] + 1, values.shape[1]), np.uint32)
            # Add whole rows, one row for each line of the picture: much faster than a few columns of each row.
            for step in range(self._factor):
                taken = slice((step - row) % self._factor, None, self._factor)
                some = values[taken]
                if len(some):
                    start = lines[taken.start] - lines[0]
                    rows[start : start + len(some)] += some
            target[lines[0] : lines[-1] + 1] += np.add.reduceat(rows, self._starts, axis=1, dtype=np.int64)

    @property
    def shape(self) -> tuple[int, int]:
        """Return rows and columns of the canvas."""
        rows, columns = self._observed.shape
        return rows, columns

    def stretch(self, statistics: tuple[float, float] | None) -> tuple[float, float]:
        """Return the VV values in dB shown as black and white: `statistics` if they are a range, else a fixed range."""
        return statistics if statistics and statistics[1] > statistics[0] else _DEFAULT_STRETCH

    def render(self, stretch: tuple[float, float], pixel_m: tuple[float, float], look: Look) -> Image.Image:
        """Return the picture as RGBA.

        Args:
            stretch: The VV values in dB that are shown as black and as white.
            pixel_m: The length on the ground of the sides (x, y) of a pixel of the scene.
            look: The size and colours of the picture.
        """
        low, high = stretch
        size = picture_size(self.shape, pixel_m, look)
        observed = np.maximum(self._observed, 1).astype(np.float32)
        vv = (self._codes / observed).astype(np.float32) / np.float32(CODES_PER_DB) + np.float32(LOWEST_DB)
        grey = np.clip((vv - np.float32(low)) / np.float32(high - low), 0.0, 1.0) * np.float32(255.0)
        # Pixels that were not observed must not make their neighbours darker.
        weight = _resized((self._observed > 0).astype(np.float32), size)
        seen = weight >= np.float32(0.5)
        weight = np.where(seen, weight, np.float32(1.0))
        grey = _resized(np.where(self._observed > 0, grey, np.float32(0.0)), size) / weight
        shares = []
        for colour, counts in self._states.values():
            share = _resized((counts / observed).astype(np.float32), size) / weight
            if look.thin:
                share = np.sqrt(share)
            shares.append((colour, share * np.float32(look.opacity)))
        picture = np.zeros((*seen.shape, 4), np.uint8)
        # One channel at a time: all channels together would be the largest arrays of the whole program.
        for channel in range(3):
            values = grey
            for colour, share in shares:
                values = values * (1 - share) + np.float32(colour[channel]) * share
            picture[..., channel] = np.clip(np.rint(values), 0, 255)
        picture[..., 3] = 255
        rows, cols = np.indices(seen.shape)
        hatch = ((rows + cols) % _HATCH_PERIOD) < 2
        picture[~seen] = 0
        picture[~seen & hatch] = HATCH_COLOUR
        return Image.fromarray(picture, "RGBA")


def _resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[Any]:
    """Return values (height, width) on a grid of another size (width, height), as means or repeated values."""
    if values.shape == size[::-1]:
        return values
    return np.asarray(Image.fromarray(values, "F").resize(size, Image.Resampling.BOX))
