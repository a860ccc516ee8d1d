"""Find one value that very many pixels of a band have: it may be fill without a nodata tag.

Such a value is inside the physical limits, so it is read as a measurement (`validity`). A cut at a limit leaves such
values too, so this is a warning only. It counts the sample of the scene that the units are found from (`sample`); no
pixel is read again.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import Polarisation, Units
from drshym_pipeline.sar.radiometry import to_db
from drshym_pipeline.sar.raster_band import RasterBand
from drshym_pipeline.sar.unit_evidence import FEW, BandSample
from drshym_pipeline.sar.validity import FILL_VALUE, LEAST_DB, MOST_DB

_SHARE: Final = 0.05  # of the valid pixels, from which on one value is named
_LEVELS: Final = 20  # different values; with fewer, large shares are usual
# The share of the value is at least this many times that of each of its neighbours in order. Rounded backscatter has
# less: its histogram is smooth.
_TIMES: Final = 5.0
_NEIGHBOURS: Final = 2  # on each side
# Levels of open water and of land, for the warning: (water up to, land from) in dB.
_WATER_LAND: Final[dict[Polarisation, tuple[float, float]]] = {"VV": (-18.0, -13.0), "VH": (-25.0, -20.0)}


@dataclass(frozen=True, slots=True)
class RepeatedValue:
    """A value in the units of the file, after scale and offset, and its share of the values, 0 to 1."""

    value: float
    share: float


def repeated_value(values: NDArray[np.float64]) -> RepeatedValue | None:
    """Find the one value that many others of a continuous or finely rounded distribution do not explain.

    Args:
        values: (n,) finite values of one band, any order.

    Returns:
        The most frequent value, if it has 5 % or more of all values and five times as many as each of its neighbours in
        order; None otherwise, and if there are fewer than 100 values or 20 different ones.
    """
    if values.size < FEW:
        return None
    numbers, counts = np.unique(values, return_counts=True)
    place = int(counts.argmax())
    share = float(counts[place]) / values.size
    if numbers.size < _LEVELS or share < _SHARE:
        return None
    around = np.concatenate([counts[max(0, place - _NEIGHBOURS) : place], counts[place + 1 : place + 1 + _NEIGHBOURS]])
    if counts[place] < _TIMES * around.max():
        return None
    return RepeatedValue(float(numbers[place]), share)


def repeated_warnings(samples: Sequence[BandSample], bands: Sequence[RasterBand], units: Units) -> list[str]:
    """Return a warning for each value that may be fill.

    Args:
        samples: VV, and VH where there is one, as `sample_scene` reads them.
        bands: The bands of the samples.
        units: The units of the values.
    """
    by_number: dict[tuple[RasterBand, str], list[str]] = {}
    shares: dict[tuple[RasterBand, str], tuple[float, str]] = {}
    for sample, band in zip(samples, bands, strict=True):
        level = to_db(sample.values, units)
        found = repeated_value(sample.values[(level >= LEAST_DB) & (level <= MOST_DB)])
        if found is None:
            continue
        number = _stored(found.value, band)
        # The value is the same fill in both bands of a file: one warning names them.
        same = next((key for key in by_number if key[0].path == band.path and key[1] == number), (band, number))
        by_number.setdefault(same, []).append(sample.polarisation)
        db = float(to_db(np.array([found.value]), units)[0])
        shares.setdefault(same, (found.share, _meaning(db, sample.polarisation)))
    return [
        f"about {share:.0%} of the valid pixels of {' and '.join(by_number[band, number])} have exactly the value "
        f"{number}: they may be fill without a nodata tag. They are read as {meaning}. {_remedy(band, number)}"
        for (band, number), (share, meaning) in shares.items()
    ]


def _stored(value: float, band: RasterBand) -> str:
    """Return the number that the file stores for a value, with all digits that its data type needs."""
    factor, offset = band.scale
    number = (value - offset) / factor
    dtype = np.dtype(band.dataset.dtypes[band.index - 1])
    return str(round(number)) if dtype.kind in "iu" else str(dtype.type(number)).removesuffix(".0")


def _meaning(db: float, polarisation: Polarisation) -> str:
    """Return how a level is read, in words."""
    water, land = _WATER_LAND[polarisation]
    likely = ", probably as open water" if db <= water else ", probably as land" if db >= land else ""
    return f"backscatter of {db:.1f} dB and mapped{likely}"


def _remedy(band: RasterBand, number: str) -> str:
    """Return what to do if the value means "no data". A file has one nodata tag, and the tag it has may be needed."""
    tag = band.nodata
    if tag is not None and math.isfinite(tag) and tag not in (0.0, FILL_VALUE):
        return f"If they mean no data, write them as {tag:g}, the nodata value that the file has"
    return f"If they mean no data, run: rio edit-info --nodata {number} {shlex.quote(band.path.name)}"
