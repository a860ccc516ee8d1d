"""The figures of one map, computed band by band while it is stitched.

Only counts, areas and means. The memory does not grow with the scene. `assessment.area`
computes the intervals; other modules of this package write the files.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.probabilities import NOT_OBSERVED, PROBABILITY_STEPS
from drshym_pipeline.records import SliceRow
from drshym_pipeline.sar.codes import decode_db
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.states import EXCLUDED, FLOODED, MASK_LEGEND, MASK_NOT_OBSERVED

# Edges in dB of VV. Calm open water is mostly below -17 dB, water with waves and wet bare soil between -17 and -11 dB,
# vegetation and settlements above. A threshold is reliable in the lowest and highest classes, less so between them.
VV_EDGES: Final = (-23.0, -20.0, -17.0, -14.0, -11.0, -8.0)


def slice_labels(edges: tuple[float, ...] = VV_EDGES) -> tuple[str, ...]:
    """Return the names of the VV classes between `edges`, including the open classes at both ends."""
    inner = (f"{low:g} to {high:g} dB" for low, high in pairwise(edges))
    return (f"below {edges[0]:g} dB", *inner, f"{edges[-1]:g} dB and above")


# Every stored value has a place in the joint histogram, including 65535 (not observed).
_PLACES: Final = 1 << 16


def _classes_of_codes() -> NDArray[np.uint32]:
    """Return the place in the joint histogram where the VV class of each stored backscatter value begins."""
    codes = np.arange(1 << 16, dtype=np.uint16)
    classes = np.digitize(np.nan_to_num(decode_db(codes), nan=-np.inf), VV_EDGES)
    return (classes * _PLACES).astype(np.uint32)


def statistics_tags(counts: NDArray[np.int64]) -> dict[str, str]:
    """Return GDAL's statistics tags of a band, empty without an observed pixel.

    The COG driver could compute them, but only with a virtual raster, and the environment in which scenes are opened
    removes that driver from the process.

    Args:
        counts: Observed pixels by value.
    """
    values = np.flatnonzero(counts)
    if not len(values):
        return {}
    pixels = counts[values]
    count = int(pixels.sum())
    # The sums are exact integers, so the tags do not depend on the bands in which the map was counted.
    mean = int(pixels @ values) / count
    deviation = math.sqrt(max(int(pixels @ values**2) / count - mean**2, 0.0))
    return {
        "STATISTICS_MINIMUM": str(values[0]),
        "STATISTICS_MAXIMUM": str(values[-1]),
        "STATISTICS_MEAN": f"{mean:.10g}",
        "STATISTICS_STDDEV": f"{deviation:.10g}",
    }


class MapStatistics:
    """Running figures of a map.

    Args:
        areas: The areas of the pixels of the map.
    """

    def __init__(self, areas: PixelAreas) -> None:
        self._areas = areas
        self._histogram = np.zeros(256, np.int64)
        self._place = _classes_of_codes()
        classes = len(VV_EDGES) + 1
        # Counts by VV class and stored probability; the other figures of a class follow from them.
        self._joint = np.zeros(classes * _PLACES, np.int64)
        self._excluded = np.zeros_like(self._joint)
        self._flooded = np.zeros(classes, np.int64)
        self.flooded_km2 = 0.0
        self.observed_km2 = 0.0

    def add(self, row: int, stored: NDArray[np.uint16], mask: NDArray[np.uint8], vv: NDArray[np.uint16]) -> None:
        """Count one band of the scene.

        Args:
            row: The first row of the band.
            stored: (rows, width) probability in steps of 1e-4, 65535 where not observed.
            mask: (rows, width), values of `MASK_LEGEND`.
            vv: (rows, width) VV as `sar.codes` stores it, 0 where not observed.
        """
        observed = mask != MASK_NOT_OBSERVED
        flooded = mask == FLOODED
        self._histogram += np.bincount(mask.ravel(), minlength=256)
        self.observed_km2 += self._areas.total(row, observed)
        self.flooded_km2 += self._areas.total(row, flooded)
        place = self._place[vv]
        self._flooded += np.bincount(place[flooded] // _PLACES, minlength=len(self._flooded))
        place += stored
        self._joint += np.bincount(place.ravel(), minlength=len(self._joint))
        excluded = mask == EXCLUDED
        if excluded.any():
            self._excluded += np.bincount(place[excluded], minlength=len(self._joint))

    def _by_class(self, joint: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the observed pixels and the summed probability of every class."""
        counts = joint.reshape(-1, _PLACES)[:, : PROBABILITY_STEPS + 1]
        values = np.arange(PROBABILITY_STEPS + 1) / PROBABILITY_STEPS
        pixels: NDArray[np.int64] = counts.sum(axis=1)
        return pixels, np.asarray(counts @ values, np.float64)

    @property
    def observed_pixels(self) -> int:
        """Return the number of observed pixels."""
        return int(self._histogram.sum() - self._histogram[MASK_NOT_OBSERVED])

    @property
    def observed_fraction(self) -> float:
        """Return the observed pixels as a share of all pixels, 0 to 1."""
        return self.observed_pixels / max(int(self._histogram.sum()), 1)

    @property
    def pixels(self) -> dict[str, int]:
        """Return the number of pixels by the name of their mask value."""
        return {name: int(self._histogram[value]) for name, value in MASK_LEGEND.items()}

    @property
    def mean_probability(self) -> float | None:
        """Return the mean probability of the observed pixels; None when there are none."""
        return float(self._by_class(self._joint)[1].sum()) / self.observed_pixels if self.observed_pixels else None

    def mask_tags(self) -> dict[str, str]:
        """Return the statistics of the mask, as GDAL's tags of its band."""
        counts = self._histogram.copy()
        counts[MASK_NOT_OBSERVED] = 0
        return statistics_tags(counts)

    def probability_tags(self) -> dict[str, str]:
        """Return the statistics of the stored probability, as GDAL's tags of its band."""
        counts = self._joint.reshape(-1, _PLACES).sum(axis=0)
        counts[NOT_OBSERVED] = 0
        return statistics_tags(counts)

    def slices(self) -> tuple[SliceRow, ...]:
        """Return one row per class of VV backscatter, without the ground that the terrain excludes."""
        counts, sums = self._by_class(self._joint - self._excluded)
        return tuple(
            SliceRow(
                label=label,
                pixels=int(pixels),
                flooded_pixels=int(flooded),
                flooded_share=float(flooded / pixels) if pixels else None,
                mean_probability=float(total / pixels) if pixels else None,
            )
            for label, pixels, flooded, total in zip(slice_labels(), counts, self._flooded, sums, strict=True)
        )
