"""How well the shores of a map agree with the shores of the truth: boundary precision, recall and F1.

A shore that is two pixels off changes IoU very little on a large flood and very much on a narrow river. A boundary
score compares the shores alone (G. Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC
2013). Areas are in `area`, counts of pixels in `metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, generate_binary_structure

TOLERANCE = 2.0

_FOUR_NEIGHBOURS = generate_binary_structure(2, 1)


@dataclass(frozen=True, slots=True)
class BoundaryCounts:
    """Shore pixels of map and truth, and how many of each are within the tolerance of the other's shore.

    Args:
        matched_predicted: Shore pixels of the map with a shore of the truth nearby.
        predicted: Shore pixels of the map.
        matched_true: Shore pixels of the truth with a shore of the map nearby.
        true: Shore pixels of the truth.
    """

    matched_predicted: int = 0
    predicted: int = 0
    matched_true: int = 0
    true: int = 0

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(
            self.matched_predicted + other.matched_predicted,
            self.predicted + other.predicted,
            self.matched_true + other.matched_true,
            self.true + other.true,
        )

    @property
    def precision(self) -> float | None:
        """The share of mapped shore that is a true shore; None without mapped shore."""
        return self.matched_predicted / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """The share of true shore that was mapped; None without true shore."""
        return self.matched_true / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; 0 when map or truth has no shore, None when both have none."""
        if not (self.predicted or self.true):
            return None
        precision, recall = self.precision or 0.0, self.recall or 0.0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary_counts(
    prediction: NDArray[np.bool_], label: NDArray[np.int8], observed: NDArray[np.bool_], tolerance: float = TOLERANCE
) -> BoundaryCounts:
    """Match the shores of one chip.

    A shore pixel is a water pixel with a dry pixel above, below, left or right of it; both are observed and have a
    known label. Shore pixels within the tolerance of an unknown pixel, or of the edge of the chip, do not count,
    because the matching shore may be in the unknown area.

    Args:
        prediction: (h, w) bool, True for water.
        label: (h, w) int8: 1 water, 0 dry, -1 unknown.
        observed: (h, w) bool, False where not observed.
        tolerance: Largest distance between the centres of two matching pixels, in pixels.

    Raises:
        ValueError: The three arrays differ in shape, or the tolerance is negative.
    """
    if not prediction.shape == label.shape == observed.shape:
        raise ValueError(f"shapes differ: {prediction.shape}, {label.shape}, {observed.shape}")
    if tolerance < 0:
        raise ValueError(f"a tolerance cannot be negative: {tolerance}")
    known = (label >= 0) & observed
    mapped, truth = _shore(prediction, known), _shore(label == 1, known)
    # The area outside the chip is unknown too: the matching shore may be just outside the chip.
    counted = distance_transform_edt(np.pad(known, 1))[1:-1, 1:-1] > tolerance
    return BoundaryCounts(
        int(np.count_nonzero(mapped & counted & _near(truth, tolerance))),
        int(np.count_nonzero(mapped & counted)),
        int(np.count_nonzero(truth & counted & _near(mapped, tolerance))),
        int(np.count_nonzero(truth & counted)),
    )


def _shore(water: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the known water pixels with a known dry pixel among their four neighbours."""
    # Unknown pixels count as water here, so that the border of the known area is not a shore.
    inner = binary_erosion(water | ~known, _FOUR_NEIGHBOURS, border_value=1)
    shore: NDArray[np.bool_] = water & known & ~inner
    return shore


def _near(shore: NDArray[np.bool_], tolerance: float) -> NDArray[np.bool_]:
    """Return which pixels are within the tolerance of a shore pixel."""
    if not shore.any():
        return np.zeros(shore.shape, dtype=bool)
    near: NDArray[np.bool_] = distance_transform_edt(~shore) <= tolerance
    return near
