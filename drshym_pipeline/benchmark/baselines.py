"""Classical water maps to judge a network against: Otsu's threshold per chip, and two fixed thresholds.

No training, no torch; every method is a function from backscatter to a mask. All of them are given the chip after a
5 x 5 median, because a threshold on raw speckle would be an opponent of straw. How masks are scored is in `evaluate`.

N. Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE Transactions on Systems, Man, and Cybernetics 9
(1979). The fixed thresholds are those usual for Sentinel-1 over Sen1Floods11's events.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FIXED_VV_DB = -13.45
FIXED_VH_DB = -23.5
MEDIAN_SIDE = 5

BASELINES: tuple[str, ...] = ("otsu_vv", "otsu_vh", "fixed_vv", "fixed_vh")
TITLES: dict[str, str] = {
    "otsu_vv": "Otsu on VV, per chip",
    "otsu_vh": "Otsu on VH, per chip",
    "fixed_vv": f"VV < {FIXED_VV_DB} dB",
    "fixed_vh": f"VH < {FIXED_VH_DB} dB",
}

_OTSU_BINS = 256
_ROWS_AT_ONCE = 64


def observed_everywhere(db: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(h, w) bool: where every band of (bands, h, w) dB was observed."""
    return np.asarray(np.isfinite(db).all(axis=0))


def median_filter(db: NDArray[np.float32], side: int = MEDIAN_SIDE) -> NDArray[np.float32]:
    """The median of the observed pixels in a square around each pixel.

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
        # Sorting puts NaN last, so the middle of the first n values is the median of the observed ones.
        ranked = np.sort(squares, axis=2)
        observed = np.maximum(side * side - np.isnan(ranked).sum(axis=2), 1)[..., None]
        low = np.take_along_axis(ranked, (observed - 1) // 2, axis=2)
        high = np.take_along_axis(ranked, observed // 2, axis=2)
        out[top : top + rows] = ((low + high) / 2)[..., 0]
    out[np.isnan(db)] = np.nan
    return out


def otsu_threshold(values: NDArray[np.float32]) -> float | None:
    """The threshold that separates two classes best: largest variance between them.

    Args:
        values: Backscatter in dB, any shape; NaN is left out.

    Returns:
        The threshold in dB; None without two different values.
    """
    observed = values[np.isfinite(values)].astype(np.float64)
    if len(observed) == 0 or observed.min() == observed.max():
        return None
    counts, edges = np.histogram(observed, bins=_OTSU_BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    separated = (below > 0) & (above > 0)
    gap = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = np.where(separated, below * above * gap**2, -1.0)
    # An empty valley between the classes is one plateau of equal variance: its middle is the fair cut.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1:-1][best].mean())


def baseline_masks(db: NDArray[np.float32]) -> dict[str, NDArray[np.bool_]]:
    """The mask of every baseline that the bands allow.

    Args:
        db: (bands, h, w) dB in order VV[, VH], NaN where not observed.

    Returns:
        (h, w) bool by name, True for water and never where a band is not observed. Without VH only the two of VV.
    """
    masks: dict[str, NDArray[np.bool_]] = {}
    observed = observed_everywhere(db)
    for name, band, fixed in zip(("vv", "vh"), db, (FIXED_VV_DB, FIXED_VH_DB), strict=False):
        smooth = median_filter(np.where(observed, band, np.float32(np.nan)))
        otsu = otsu_threshold(smooth)
        for method, threshold in (("otsu", otsu), ("fixed", fixed)):
            water = np.zeros(smooth.shape, np.bool_) if threshold is None else smooth < threshold
            masks[f"{method}_{name}"] = water
    return {name: masks[name] for name in BASELINES if name in masks}
