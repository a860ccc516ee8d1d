"""Statistics of a whole scene in memory that does not grow with it: a histogram of dB with fine bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import BandStatistics

_LOW, _HIGH, _STEP = -90.0, 60.0, 0.01


class DecibelHistogram:
    """Counts of dB values in bins of 0.01 dB from -90 to 60 dB; values beyond fall into the outermost bins."""

    def __init__(self) -> None:
        self._counts = np.zeros(round((_HIGH - _LOW) / _STEP), dtype=np.int64)
        self._sum = 0.0

    def add(self, db: NDArray[np.float32]) -> None:
        """Count the finite values of an array of any shape, in dB."""
        values = db[np.isfinite(db)].astype(np.float64)
        bins = np.clip((values - _LOW) / _STEP, 0, self._counts.size - 1).astype(np.int64)
        self._counts += np.bincount(bins, minlength=self._counts.size)
        self._sum += float(values.sum())

    @property
    def count(self) -> int:
        """How many values were counted."""
        return int(self._counts.sum())

    def percentile(self, percent: float) -> float:
        """The value in dB below which `percent` of 100 of the counted values lie, to half a bin."""
        cumulative = np.cumsum(self._counts)
        index = int(np.searchsorted(cumulative, max(1.0, percent / 100.0 * cumulative[-1])))
        return round(_LOW + (index + 0.5) * _STEP, 3)

    def statistics(self) -> BandStatistics | None:
        """Mean and percentiles in dB; None when nothing was counted."""
        if not self.count:
            return None
        return BandStatistics(
            mean=round(self._sum / self.count, 3),
            p01=self.percentile(1),
            p50=self.percentile(50),
            p99=self.percentile(99),
        )
