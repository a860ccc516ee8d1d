"""Statistics of a whole scene and of the values that are not measurements; the memory does not grow with the scene."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import BandStatistics, Polarisation
from drshym_pipeline.sar.codes import CODES_PER_DB, LOWEST_DB, NOT_OBSERVED_CODE
from drshym_pipeline.sar.raster_band import BandValues
from drshym_pipeline.sar.validity import FLOOR_DB, SOLID_SIDE

_VALUES = 1 << 16
_MOST_NUMBERS = 16  # different numbers for "no data" in one window; more are noise
# A smaller share of values outside the physical limits is normal and not worth a warning.
_LEAST_SHARE = 0.001
# VV below this level is less than the noise of the instrument: the dark fringe at the border of a product.
_FAINT_DB = -35.0
# Zeros inside a scene are searched in each eighth row: they cover areas.
_ROW_STEP = 8


class BackscatterHistogram:
    """Counts of backscatter as `sar.codes` stores it, in steps of 1/400 dB."""

    def __init__(self) -> None:
        self._counts = np.zeros(_VALUES, np.int64)

    def add(self, codes: NDArray[np.uint16]) -> None:
        """Count the observed values of an array of any shape."""
        self._counts += np.bincount(codes.ravel(), minlength=_VALUES)
        self._counts[NOT_OBSERVED_CODE] = 0

    def below(self, db: float) -> int:
        """Return how many of the counted values are below a level in dB."""
        return int(self._counts[: round((db - LOWEST_DB) * CODES_PER_DB) + 1].sum())

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


class ExcludedValues:
    """Counts the values of one band that the file gives as data, but that are not measurements.

    Args:
        polarisation: The band.
    """

    def __init__(self, polarisation: Polarisation) -> None:
        self._polarisation = polarisation
        self._numbers: Counter[float] = Counter()
        self._outside = self._floor = self._below_noise = self._zeros = 0
        self._faint: int | None = None

    def add(self, db: NDArray[np.float32], layer: BandValues) -> None:
        """Count one window.

        Args:
            db: (height, width) dB, NaN where there is no measurement.
            layer: The values of the same window.
        """
        if layer.floor is not None:
            self._floor += int((layer.floor & (db == FLOOR_DB)).sum())
        if layer.subtracted is not None:
            self._below_noise += int(np.count_nonzero(layer.subtracted & (db == FLOOR_DB)))
            self._faint = (self._faint or 0) + layer.faint
        missing = np.isnan(db)
        if not missing.any():
            return
        zeros = missing & (layer.values == 0)
        if self._polarisation == "VV" and zeros.any():
            self._zeros += _ROW_STEP * _scattered(zeros[::_ROW_STEP])
        outside = missing & layer.given & (layer.values != 0)
        if outside.any():
            self._outside += int(outside.sum())
            numbers, counts = np.unique(layer.values[outside], return_counts=True)
            for place in np.argsort(counts, kind="stable")[::-1][:_MOST_NUMBERS]:
                self._numbers[float(numbers[place])] += int(counts[place])

    def warnings(self, total: int, histogram: BackscatterHistogram) -> list[str]:
        """Return what the user must know.

        Args:
            total: The number of pixels of the scene.
            histogram: The observed values of the band.
        """
        notes = []
        if self._outside >= _LEAST_SHARE * total:
            (number, count), *_ = self._numbers.most_common(1)
            value = f", most often the value {number:.6g}" if count > 0.5 * self._outside else ""
            notes.append(
                f"{self._outside / total:.1%} of {self._polarisation} is outside the limits of backscatter{value}: "
                "not observed"
            )
        if self._floor >= _LEAST_SHARE * total:
            notes.append(
                f"{self._floor / total:.1%} of {self._polarisation} is zero, as after noise removal: "
                f"read as {FLOOR_DB:g} dB"
            )
        if self._zeros >= _LEAST_SHARE * total:
            notes.append(
                f"about {self._zeros / total:.1%} of VV is exactly zero inside the scene: not "
                "observed; noise removal cuts calm water to zero"
            )
        if self._below_noise >= _LEAST_SHARE * total:
            notes.append(
                f"{self._below_noise / total:.1%} of {self._polarisation} is not above the thermal noise of the "
                f"product: read as {FLOOR_DB:g} dB"
            )
        # After the noise is subtracted, open water has such values too.
        found = histogram.below(_FAINT_DB) if self._faint is None else self._faint
        faint = found if self._polarisation == "VV" else 0
        if faint >= _LEAST_SHARE * total:
            level = f"below {_FAINT_DB:g} dB" if self._faint is None else "far below the thermal noise"
            notes.append(
                f"{faint / total:.1%} of VV is {level}, less than Sentinel-1 measures; it may be "
                "the noise at the border of a product, and it is mapped like water"
            )
        return notes


def _scattered(zeros: NDArray[np.bool_]) -> int:
    """Return how many of the zeros in rows are not part of a long run, or of one that reaches the end of its row."""
    from scipy import ndimage  # loaded for a scene with zeros only

    options = {"size": SOLID_SIDE, "axis": 1, "mode": "constant"}
    eroded = ndimage.minimum_filter1d(zeros.view(np.uint8), cval=1, **options)
    runs = ndimage.maximum_filter1d(eroded, cval=0, **options)
    return int(zeros.sum()) - int((zeros & (runs > 0)).sum())
