"""Statistics of a whole scene, from a count of each stored value; the memory does not grow with the scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import BandStatistics
from drshym_pipeline.sar.codes import CODES_PER_DB, LOWEST_DB, NOT_OBSERVED_CODE

_VALUES = 1 << 16


class BackscatterHistogram:
    """Counts of backscatter as `sar.codes` stores it, in steps of 1/400 dB."""

    def __init__(self) -> None:
        self._counts = np.zeros(_VALUES, np.int64)

    def add(self, codes: NDArray[np.uint16]) -> None:
        """Count the observed values of an array of any shape."""
        self._counts += np.bincount(codes.ravel(), minlength=_VALUES)
        self._counts[NOT_OBSERVED_CODE] = 0

    def statistics(self) -> BandStatistics | None:
        """Return mean and percentiles in dB; None when nothing was counted."""
        count = int(self._counts.sum())
        if not count:
            return None
        db = (np.arange(_VALUES) - 1) / CODES_PER_DB + LOWEST_DB
        cumulative = np.cumsum(self._counts)

        def percentile(percent: float) -> float:
            """Return the lowest value that `percent` % of the counted values do not exceed."""
            return round(float(db[np.searchsorted(cumulative, max(1.0, percent / 100.0 * count))]), 3)

        mean = round(float(self._counts @ db) / count, 3)
        return BandStatistics(mean=mean, p01=percentile(1), p50=percentile(50), p99=percentile(99))
