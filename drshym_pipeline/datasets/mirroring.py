"""Training crops that are larger than their chip: the chip is continued with mirrored copies of itself.

Without copies the rest of the crop is not observed. A network that is trained on many small dry chips would then learn
that a small observed square means dry land.

The copies are mirrored at the outermost row and column of pixels, which are not repeated. So no pixel has a copy of
itself as its neighbour, and the statistics of the speckle and the length of its correlation stay those of the sensor.
The label is mirrored with the pixels: a mirrored pixel shows the same surface, so its label is as true as that of the
original. Not observed and ignored pixels stay so in every copy. A crop still has only as many independent pixels as the
chip: the weight of a source decides how often it is drawn, not the number of its copies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def _period(length: int) -> int:
    """Return after how many pixels a mirrored axis of `length` pixels repeats itself."""
    return max(2 * (length - 1), 1)


def _indices(start: int, size: int, length: int) -> NDArray[np.int64]:
    """Return which pixels of an axis a window shows, (size,) in [0, length)."""
    phase = np.arange(start, start + size) % _period(length)
    return np.asarray(np.minimum(phase, _period(length) - phase), np.int64)


def mirrored_start(length: int, size: int, anchor: int | None, rng: np.random.Generator) -> int:
    """Draw where a window begins on a mirrored axis.

    Args:
        length: Pixels of the chip along the axis.
        size: Pixels of the window.
        anchor: Pixel of the chip that the window must show; None where any window will do.
        rng: Source of randomness.

    Returns:
        The first pixel, which may be negative. All places are equally likely.
    """
    return int(rng.integers(_period(length))) if anchor is None else anchor - int(rng.integers(size))


def mirrored_window(
    db: NDArray[np.float16], label: NDArray[np.int8], row: int, col: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Cut a square from a chip that is continued by mirrored copies in all directions.

    Args:
        db: (bands, h, w) dB.
        label: (h, w).
        row: First row; rows of the chip itself are 0 to h - 1.
        col: First column.
        size: Side in pixels.

    Returns:
        ((bands, size, size) float32, (size, size) int8); a window inside the chip is the same as without copies.
    """
    rows, cols = (_indices(start, size, length) for start, length in zip((row, col), label.shape, strict=True))
    return db[:, rows[:, None], cols].astype(np.float32), label[rows[:, None], cols]
