"""The figures of one map, gathered band by band while it is stitched.

Counts, areas and means only, with memory that does not grow with the scene beyond one number a row. Intervals come from
`assessment.area`, files from the neighbours of this module.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.inference import Precision
from drshym_pipeline.products.names import FLOODED, MASK_LEGEND, MASK_NOT_OBSERVED
from drshym_pipeline.records import AreaEstimate, BandMode, Calibration, ModelReference, Record

# Edges in dB of VV. Calm open water lies mostly below -17, wind-roughened water and wet bare soil between -17 and -11,
# vegetation and settlements above: the classes where a threshold is sure, unsure and sure again.
VV_EDGES: Final = (-23.0, -20.0, -17.0, -14.0, -11.0, -8.0)


class SliceRow(Record):
    """One class of VV backscatter: how many pixels, how many of them flooded, how sure. None where it is empty."""

    label: str
    pixels: int
    flooded_pixels: int
    flooded_share: float | None
    mean_confidence: float | None


class StitchSummary(Record):
    """The figures of one stitched scene. `flooded` and the means are None when nothing was observed.

    Confidence is max(p, 1 - p) of the calibrated probability. `files` maps the kind of a product to its file name.
    """

    reference: ModelReference
    calibration: Calibration
    mode: BandMode
    device: str
    precision: Precision
    tile: int
    overlap: int
    flooded: AreaEstimate | None
    observed_km2: float
    observed_fraction: float
    pixels: dict[str, int]
    mean_confidence: float | None
    mean_probability: float | None
    polygons: int
    slices: tuple[SliceRow, ...]
    caption: str
    warnings: tuple[str, ...]
    files: dict[str, str]


def slice_labels(edges: tuple[float, ...] = VV_EDGES) -> tuple[str, ...]:
    """Names of the VV classes between `edges`, the open ones at both ends included."""
    inner = (f"{low:g} to {high:g} dB" for low, high in pairwise(edges))
    return (f"below {edges[0]:g} dB", *inner, f"{edges[-1]:g} dB and above")


class MapStatistics:
    """Running figures of a map.

    Args:
        row_area_km2: (height,) area of one pixel of each row, in km2.
    """

    def __init__(self, row_area_km2: NDArray[np.float64]) -> None:
        self._row_area = row_area_km2
        self._histogram = np.zeros(256, np.int64)
        classes = len(VV_EDGES) + 1
        self._pixels = np.zeros(classes, np.int64)
        self._flooded = np.zeros(classes, np.int64)
        self._confidence = np.zeros(classes)
        self._probability = 0.0
        self.flooded_km2 = 0.0
        self.observed_km2 = 0.0

    def add(
        self,
        row: int,
        probability: NDArray[np.float32],
        mask: NDArray[np.uint8],
        vv: NDArray[np.float32],
    ) -> None:
        """Count one band of the scene.

        Args:
            row: First row of the band.
            probability: (rows, width) in [0, 1], NaN where not observed.
            mask: (rows, width), values of `MASK_LEGEND`.
            vv: (rows, width) VV in dB, NaN where not observed.
        """
        areas = self._row_area[row : row + mask.shape[0]]
        observed = mask != MASK_NOT_OBSERVED
        flooded = mask == FLOODED
        self._histogram += np.bincount(mask.ravel(), minlength=256)
        self.observed_km2 += float(areas @ observed.sum(axis=1))
        self.flooded_km2 += float(areas @ flooded.sum(axis=1))
        values = probability[observed].astype(np.float64)
        confidence = np.maximum(values, 1.0 - values)
        classes = np.digitize(vv[observed], VV_EDGES)
        count = len(self._pixels)
        self._pixels += np.bincount(classes, minlength=count)
        self._flooded += np.bincount(classes[flooded[observed]], minlength=count)
        self._confidence += np.bincount(classes, weights=confidence, minlength=count)
        self._probability += float(values.sum())

    @property
    def observed_pixels(self) -> int:
        """Pixels with a value."""
        return int(self._histogram.sum() - self._histogram[MASK_NOT_OBSERVED])

    @property
    def observed_fraction(self) -> float:
        """Observed pixels as a share of all."""
        return self.observed_pixels / max(int(self._histogram.sum()), 1)

    @property
    def pixels(self) -> dict[str, int]:
        """Pixels by the name of their mask value."""
        return {name: int(self._histogram[value]) for name, value in MASK_LEGEND.items()}

    @property
    def mean_confidence(self) -> float | None:
        """Mean of max(p, 1 - p) over observed pixels."""
        return float(self._confidence.sum() / self.observed_pixels) if self.observed_pixels else None

    @property
    def mean_probability(self) -> float | None:
        """Mean probability over observed pixels."""
        return self._probability / self.observed_pixels if self.observed_pixels else None

    def slices(self) -> tuple[SliceRow, ...]:
        """One row a class of VV backscatter."""
        return tuple(
            SliceRow(
                label=label,
                pixels=int(pixels),
                flooded_pixels=int(flooded),
                flooded_share=float(flooded / pixels) if pixels else None,
                mean_confidence=float(confidence / pixels) if pixels else None,
            )
            for label, pixels, flooded, confidence in zip(
                slice_labels(), self._pixels, self._flooded, self._confidence, strict=True
            )
        )
