"""Classical water maps to compare a network with: thresholds per chip, fixed thresholds, a pixel classifier.

No network, no torch; every method is a function from backscatter to a mask. Thresholds are applied after a 5 x 5
median, because a threshold on raw speckle would be too easy to beat. The pixel classifier is in `pixel_classifier`, the
median in `smoothing`; masks are scored in `evaluate`.

N. Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE Transactions on Systems, Man, and Cybernetics 9
(1979). J. Kittler and J. Illingworth, Minimum Error Thresholding, Pattern Recognition 19 (1986). The fixed thresholds
are the usual ones for Sentinel-1 on the events of Sen1Floods11.

The oracle thresholds are not baselines: they are chosen with the truth of the scored chip, and show the best score that
any threshold could have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.evaluation.smoothing import smooth_bands

FIXED_VV_DB = -13.45
FIXED_VH_DB = -23.5

BASELINES: tuple[str, ...] = (
    "otsu_vv",
    "otsu_vh",
    "kittler_vv",
    "kittler_vh",
    "fixed_vv",
    "fixed_vh",
    "pixel_vv",
    "pixel_vv_vh",
)
CEILINGS: tuple[str, ...] = ("oracle_vv", "oracle_vh")
TITLES: dict[str, str] = {
    "otsu_vv": "Otsu on VV, per chip",
    "otsu_vh": "Otsu on VH, per chip",
    "kittler_vv": "Kittler-Illingworth on VV, per chip",
    "kittler_vh": "Kittler-Illingworth on VH, per chip",
    "fixed_vv": f"VV < {FIXED_VV_DB} dB",
    "fixed_vh": f"VH < {FIXED_VH_DB} dB",
    "pixel_vv": "pixel classifier, VV",
    "pixel_vv_vh": "pixel classifier, VV and VH",
    "oracle_vv": "best threshold on VV of each chip, chosen with its truth",
    "oracle_vh": "best threshold on VH of each chip, chosen with its truth",
}

_HISTOGRAM_BINS = 256


def otsu_threshold(values: NDArray[np.float32]) -> float | None:
    """Compute Otsu's threshold, which gives the largest variance between two classes.

    Args:
        values: Backscatter in dB, any shape; NaN is left out.

    Returns:
        The threshold in dB; None without two different values.
    """
    histogram = _histogram(values)
    if histogram is None:
        return None
    counts, edges = histogram
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    separated = (below > 0) & (above > 0)
    gap = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = np.where(separated, below * above * gap**2, -1.0)
    # Empty bins between the classes all have the same variance: the middle of them is used.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1:-1][best].mean())


def kittler_threshold(values: NDArray[np.float32]) -> float | None:
    """Compute the threshold with the lowest classification error for two normally distributed classes.

    Args:
        values: Backscatter in dB, any shape; NaN is left out.

    Returns:
        The threshold in dB; None where the criterion has no minimum inside the range, which means that there is only
        one class.
    """
    histogram = _histogram(values)
    if histogram is None:
        return None
    counts, edges = histogram
    centres = (edges[:-1] + edges[1:]) / 2
    width = edges[1] - edges[0]
    weights = np.stack([counts, counts * centres, counts * centres**2]).astype(np.float64)
    below = np.cumsum(weights, axis=1)[:, :-1]
    above = weights.sum(axis=1, keepdims=True) - below
    criterion = np.ones(len(centres) - 1)
    for share, total, squares in (below, above):
        held = np.maximum(share, 1.0)
        # Values in one bin are spread over its width and have a variance (Sheppard's correction).
        variance = np.maximum(squares / held - (total / held) ** 2, 0.0) + width**2 / 12
        part = share / counts.sum()
        criterion += part * np.log(variance) - 2 * part * np.log(np.where(share > 0, part, 1.0))
    criterion[(below[0] == 0) | (above[0] == 0)] = np.inf
    lowest = criterion.min()
    best = np.flatnonzero(criterion <= lowest + 1e-12)
    if best[0] == 0 or best[-1] == len(criterion) - 1:
        return None
    return float(edges[1:-1][best].mean())


def oracle_threshold(values: NDArray[np.float32], label: NDArray[np.int8], observed: NDArray[np.bool_]) -> float | None:
    """Compute the threshold with the best IoU on the pixels that it is scored on.

    Args:
        values: (h, w) dB, NaN where not observed.
        label: (h, w) int8: 1 water, 0 dry, -1 unknown.
        observed: (h, w) bool, where the chip is scored.

    Returns:
        The threshold for which `values < threshold` is the best mask; None without a labelled water pixel.
    """
    scored = observed & (label >= 0) & np.isfinite(values)
    levels, index = np.unique(values[scored], return_inverse=True)
    water = np.cumsum(np.bincount(index, weights=label[scored] == 1, minlength=len(levels)))
    dry = np.cumsum(np.bincount(index, weights=label[scored] == 0, minlength=len(levels)))
    if len(levels) == 0 or water[-1] == 0:
        return None
    best = int(np.argmax(water / (water[-1] + dry)))
    return float(np.nextafter(levels[best], np.float32(np.inf)))


def baseline_masks(db: NDArray[np.float32], smooth: NDArray[np.float32] | None = None) -> dict[str, NDArray[np.bool_]]:
    """Compute the masks of all baselines that are possible with the bands.

    Args:
        db: (bands, h, w) dB in order VV[, VH], NaN where not observed.
        smooth: Result of `smooth_bands(db)`, where the caller has it already.

    Returns:
        (h, w) bool by name, True for water, never True where a band is not observed. Without VH only the masks of VV.
    """
    from drshym_pipeline.evaluation.pixel_classifier import shipped_classifier

    smooth = smooth_bands(db) if smooth is None else smooth
    masks: dict[str, NDArray[np.bool_]] = {}
    for name, band, fixed in zip(("vv", "vh"), smooth, (FIXED_VV_DB, FIXED_VH_DB), strict=False):
        thresholds = {"otsu": otsu_threshold(band), "kittler": kittler_threshold(band), "fixed": fixed}
        masks |= {f"{method}_{name}": _below(band, threshold) for method, threshold in thresholds.items()}
    masks |= {f"pixel_{mode}": mask for mode, mask in shipped_classifier().masks(db, smooth).items()}
    return {name: masks[name] for name in BASELINES if name in masks}


def ceiling_masks(
    smooth: NDArray[np.float32], label: NDArray[np.int8], observed: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """Compute the masks of the oracle thresholds; a chip without water has no water in its mask."""
    return {
        name: _below(band, oracle_threshold(band, label, observed))
        for name, band in zip(CEILINGS, smooth, strict=False)
    }


def _below(values: NDArray[np.float32], threshold: float | None) -> NDArray[np.bool_]:
    return np.zeros(values.shape, np.bool_) if threshold is None else values < threshold


def _histogram(values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Return counts and edges over the range of the observed values; None without two different values."""
    observed = values[np.isfinite(values)].astype(np.float64)
    if len(observed) == 0 or observed.min() == observed.max():
        return None
    counts, edges = np.histogram(observed, bins=_HISTOGRAM_BINS)
    return counts.astype(np.int64), edges
