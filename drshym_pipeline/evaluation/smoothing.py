"""Filters over the observed pixels around a pixel: median, mean and spread. No threshold, no label.

Pixels that were not observed are not used: at a border the square is cut, not filled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

SIDE = 5
_ROWS_AT_ONCE = 64


def median_filter(db: NDArray[np.float32], side: int = SIDE) -> NDArray[np.float32]:
    """Compute the median of the observed pixels in a square around each pixel.

    Args:
        db: (h, w) dB, NaN where not observed.
        side: Side of the square in pixels, odd. At an edge the square is cut, not mirrored.

    Returns:
        (h, w) float32 dB, NaN exactly where `db` is NaN.
    """
    height, width = db.shape
    reach = side // 2
    padded = np.pad(db.astype(np.float32), reach, constant_values=np.nan)
    out = np.empty((height, width), np.float32)
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, height - top)
        band = padded[top : top + rows + 2 * reach]
        squares = np.lib.stride_tricks.sliding_window_view(band, (side, side)).reshape(rows, width, side * side)
        # Sorting puts NaN last, so the middle of the first n values is the median of the observed values.
        ranked = np.sort(squares, axis=2)
        observed = np.maximum(side * side - np.isnan(ranked).sum(axis=2), 1)[..., None]
        low = np.take_along_axis(ranked, (observed - 1) // 2, axis=2)
        high = np.take_along_axis(ranked, observed // 2, axis=2)
        out[top : top + rows] = ((low + high) / 2)[..., 0]
    out[np.isnan(db)] = np.nan
    return out


def observed_everywhere(db: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where every band of (bands, h, w) dB was observed, as (h, w) bool."""
    return np.asarray(np.isfinite(db).all(axis=0))


def smooth_bands(db: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (bands, h, w) dB after the median, NaN in every band where one was not observed."""
    observed = observed_everywhere(db)
    return np.stack([median_filter(np.where(observed, band, np.float32(np.nan))) for band in db])


def local_mean(values: NDArray[np.float32], side: int = SIDE) -> NDArray[np.float64]:
    """Compute the mean of the observed pixels in a square around each pixel.

    Args:
        values: (h, w), NaN where not observed.
        side: Side of the square in pixels, odd.

    Returns:
        (h, w) float64, NaN exactly where `values` is NaN.
    """
    known = np.isfinite(values)
    share = uniform_filter(known.astype(np.float64), side, mode="constant")
    total = uniform_filter(np.where(known, values, 0.0).astype(np.float64), side, mode="constant")
    return np.where(known, total / np.maximum(share, 0.5 / side**2), np.nan)


def local_spread(values: NDArray[np.float32], side: int = SIDE) -> NDArray[np.float64]:
    """Compute the standard deviation of the observed pixels around each pixel, NaN where `values` is NaN."""
    # With the overall mean subtracted, the squares are small and their difference is exact.
    middle = np.float32(np.nanmean(values)) if np.isfinite(values).any() else np.float32(0.0)
    centred = values - middle
    variance = local_mean(centred**2, side) - local_mean(centred, side) ** 2
    return np.sqrt(np.maximum(variance, 0.0))
