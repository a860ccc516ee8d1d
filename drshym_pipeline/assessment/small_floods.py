"""Which water bodies a map finds, by their size: recall of ponds and of lakes.

Scores pooled over pixels do not show that ponds were missed when there is one large flood. Here each connected body of
the truth is found or missed as a whole, and counted in a class by its size. Scores over all pixels are in `metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure
from scipy.ndimage import label as label_bodies

EDGES_HA = (1.0, 10.0, 100.0)
FOUND_SHARE = 0.5

_EIGHT_NEIGHBOURS = generate_binary_structure(2, 2)


@dataclass(frozen=True, slots=True)
class SizeRecall:
    """Water bodies of the truth by class of size; the last class has no upper limit.

    Args:
        edges_ha: Rising edges between the classes, in hectares; a body of exactly that size is in the upper class.
        bodies: Number of bodies in each class.
        found: Number of bodies of each class that were found: at least half of their pixels are mapped as water.
        pixels: Number of pixels of the bodies of each class.
        found_pixels: Number of those pixels that are mapped as water.
    """

    edges_ha: tuple[float, ...]
    bodies: tuple[int, ...]
    found: tuple[int, ...]
    pixels: tuple[int, ...]
    found_pixels: tuple[int, ...]

    def __add__(self, other: SizeRecall) -> SizeRecall:
        if self.edges_ha != other.edges_ha:
            raise ValueError(f"classes differ: {self.edges_ha}, {other.edges_ha}")
        return SizeRecall(
            self.edges_ha,
            _sum(self.bodies, other.bodies),
            _sum(self.found, other.found),
            _sum(self.pixels, other.pixels),
            _sum(self.found_pixels, other.found_pixels),
        )

    @classmethod
    def empty(cls, edges_ha: tuple[float, ...] = EDGES_HA) -> SizeRecall:
        """Return counts without any body, the start of a sum."""
        none = (0,) * (len(edges_ha) + 1)
        return cls(edges_ha, none, none, none, none)

    def table(self) -> pd.DataFrame:
        """Return one row per class, from small to large.

        Returns:
            `low_ha`, `high_ha` (infinite in the last row), `bodies`, `found`, `body_recall`, `pixels`, `found_pixels`
            and `pixel_recall`; recalls are Float64 and missing where a class is empty.
        """
        edges = (0.0, *self.edges_ha, float("inf"))
        frame = pd.DataFrame({"low_ha": edges[:-1], "high_ha": edges[1:]})
        for recall, part, whole in (("body", "found", "bodies"), ("pixel", "found_pixels", "pixels")):
            total, hit = np.array(getattr(self, whole)), np.array(getattr(self, part))
            frame[whole], frame[part] = total, hit
            frame[f"{recall}_recall"] = pd.array(hit / np.maximum(total, 1), dtype="Float64")
            frame.loc[total == 0, f"{recall}_recall"] = pd.NA
        return frame


def size_recall(
    prediction: NDArray[np.bool_],
    label: NDArray[np.int8],
    observed: NDArray[np.bool_],
    pixel_area_ha: float,
    edges_ha: tuple[float, ...] = EDGES_HA,
) -> SizeRecall:
    """Count the water bodies of one chip.

    Pixels of labelled and observed water that touch at a side or a corner are one body, because rivers also run
    diagonally. The size of a body that is cut by the edge of the chip or by unknown pixels is that of its known part.

    Args:
        prediction: (h, w) bool, True for water.
        label: (h, w) int8: 1 water, 0 dry, -1 unknown.
        observed: (h, w) bool, False where not observed.
        pixel_area_ha: Area of a pixel, in hectares (0.01 for 10 m).
        edges_ha: Rising edges between the classes of size.

    Raises:
        ValueError: The three arrays differ in shape, the area is not positive, or the edges do not rise from above 0.
    """
    if not prediction.shape == label.shape == observed.shape:
        raise ValueError(f"shapes differ: {prediction.shape}, {label.shape}, {observed.shape}")
    if not pixel_area_ha > 0.0:
        raise ValueError(f"a pixel must have an area: {pixel_area_ha} ha")
    if any(low >= high for low, high in zip((0.0, *edges_ha), edges_ha, strict=False)):
        raise ValueError(f"edges must rise from above 0: {edges_ha}")
    bodies, number = label_bodies((label == 1) & observed, _EIGHT_NEIGHBOURS)
    pixels = np.bincount(bodies.ravel(), minlength=number + 1)[1:]
    mapped = np.bincount(bodies[prediction], minlength=number + 1)[1:]
    found = mapped >= FOUND_SHARE * pixels
    size = np.searchsorted(np.asarray(edges_ha), pixels * pixel_area_ha, side="right")

    def by_class(weights: NDArray[np.int64] | NDArray[np.bool_]) -> tuple[int, ...]:
        return tuple(int(n) for n in np.bincount(size, weights=weights, minlength=len(edges_ha) + 1))

    return SizeRecall(edges_ha, by_class(np.ones_like(pixels)), by_class(found), by_class(pixels), by_class(mapped))


def _sum(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))
