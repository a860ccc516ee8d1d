"""A few measures of the backscatter of a tile, from which `novelty` decides how unlike the training chips it is.

They describe the level of each band, its spread, its grain (the difference of neighbouring pixels, along a row and down
a column), how far the grain reaches, and the ratio of VV and VH. All of them are medians and quantiles of stored
integers: they do not depend on the order of the pixels, and a few strange pixels do not change them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import BandMode
from drshym_pipeline.sar.codes import CODES_PER_DB, LOWEST_DB, NOT_OBSERVED_CODE

FEWEST_PIXELS: Final = 1024  # of those that are used; with fewer, quantiles of a tile are too uncertain
_ROWS = 64  # of each tile that are used
_REACH = 4  # pixels between two pixels, further than the grain of a product of 10 m
_SHARES = (0.05, 0.5, 0.95)  # of the pixels below a dark, a middle and a bright value
# Added to a spread in dB before its logarithm: so a band with one value has a measure too.
_SPREAD_FLOOR_DB = 0.1
_GRAIN_FLOOR_DB = 0.05

_OF_A_BAND = ("dark", "median", "bright", "spread", "grain along", "grain down", "reach along", "reach down")


def measure_names(mode: BandMode) -> tuple[str, ...]:
    """Return the names of the measures of a band mode, in their order."""
    bands = ("VV",) if mode == "vv" else ("VV", "VH")
    ratio = () if mode == "vv" else ("VV - VH: median", "VV - VH: spread")
    return (*(f"{band}: {name}" for band in bands for name in _OF_A_BAND), *ratio)


class _Rows(NamedTuple):
    """Some rows of one band, the rows below them and the rows `_REACH` below them: (rows, width) int32 codes."""

    here: NDArray[np.int32]
    below: NDArray[np.int32]
    far_below: NDArray[np.int32]


def _quantiles(values: NDArray[np.int32], shares: tuple[float, ...]) -> list[float]:
    """Return quantiles of whole numbers; each of them is one of the numbers."""
    places = [round(share * (len(values) - 1)) for share in shares]
    parted = np.partition(values, places)
    return [float(parted[place]) for place in places]


def _steps(first: NDArray[np.int32], second: NDArray[np.int32]) -> float:
    """Return the median difference in dB of pairs of codes in which both are observed; 0 where there is none."""
    both = (first != NOT_OBSERVED_CODE) & (second != NOT_OBSERVED_CODE)
    differences = np.abs(first[both] - second[both])
    return _quantiles(differences, (0.5,))[0] / CODES_PER_DB if len(differences) else 0.0


def _of_band(rows: _Rows, seen: NDArray[np.bool_]) -> list[float]:
    dark, middle, bright = _quantiles(rows.here[seen], _SHARES)
    along, down = _steps(rows.here[:, :-1], rows.here[:, 1:]), _steps(rows.here, rows.below)
    far_along, far_down = _steps(rows.here[:, :-_REACH], rows.here[:, _REACH:]), _steps(rows.here, rows.far_below)
    return [
        *(code / CODES_PER_DB + LOWEST_DB for code in (dark, middle, bright)),
        float(np.log((bright - dark) / CODES_PER_DB + _SPREAD_FLOOR_DB)),
        *(float(np.log(step + _GRAIN_FLOOR_DB)) for step in (along, down)),
        float(np.log((far_along + _GRAIN_FLOOR_DB) / (along + _GRAIN_FLOOR_DB))),
        float(np.log((far_down + _GRAIN_FLOOR_DB) / (down + _GRAIN_FLOOR_DB))),
    ]


def tile_measures(codes: NDArray[np.uint16]) -> NDArray[np.float64] | None:
    """Return the measures of a tile, in the order of `measure_names`.

    Only some rows are used, evenly spaced: more pixels would not change the measures much, but take more time.

    Args:
        codes: (bands, height, width) uint16 of `sar.codes`, VV first; 0 in every band where not observed.

    Returns:
        (measures,) float64; None for a tile with too few observed pixels.
    """
    height, width = codes.shape[1:]
    if min(height, width) <= _REACH:
        return None
    usable = height - _REACH  # rows that have a row `_REACH` below them
    every = max(1, usable // _ROWS)
    bands = [
        _Rows(*(band[start : usable + start : every].astype(np.int32) for start in (0, 1, _REACH))) for band in codes
    ]
    seen = bands[0].here != NOT_OBSERVED_CODE
    if np.count_nonzero(seen) < FEWEST_PIXELS:
        return None
    found = [value for rows in bands for value in _of_band(rows, seen)]
    if len(bands) > 1:
        low, middle, high = _quantiles((bands[0].here - bands[1].here)[seen], _SHARES)
        found += [middle / CODES_PER_DB, float(np.log((high - low) / CODES_PER_DB + _SPREAD_FLOOR_DB))]
    return np.array(found)
