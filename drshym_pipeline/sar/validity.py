"""Which values of a band are measurements: one rule for all files, units and bands. Arrays only.

A value is a measurement if it is finite, if neither the nodata tag nor a mask of the file excludes it, and if it is
inside the physical limits after the conversion to dB. The two bands of a pixel are judged separately.
docs/input_contract.md has the rules in words.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import Units

FILL_VALUE: Final = -32768.0
# Physical limits in dB. The noise of the instrument is near -30 dB, and noise removal leaves values down to -50 dB.
# Ships and cities reach 35 dB. 9999 as power and 65535 as a digital number are above the upper limit.
LEAST_DB: Final = -50.0
MOST_DB: Final = 39.0
# Noise removal cuts at zero. The band gets this value there; the noise-equivalent sigma nought of the IW mode is -22 to
# -32 dB, and the network does not distinguish values below -30 dB.
FLOOR_DB: Final = -30.0
# From this level on, noise removal does not cut the other band to zero: their difference would be more than 20 dB.
BRIGHT_DB: Final = -10.0
# Zeros that fill a square of this many pixels are a border, and no measurement that was cut at zero.
SOLID_SIDE: Final = 21
# In a file in dB, a logarithm of almost zero is above this value; what is below it is a number for "no data".
_LEAST_LOGARITHM_DB: Final = -150.0
# Noise removal that does not cut at zero leaves power that is a little less than zero.
_LEAST_NEGATIVE_POWER: Final = -0.01
# The lower limit in linear units: 10^(-50/10) and 10^(-50/20). Only zero is below it in digital numbers.
_LEAST_LINEAR: Final[dict[Units, float]] = {"power": 1e-5, "amplitude": 10.0**-2.5, "dn": 0.5, "intensity": 0.25}


def not_filled(values: NDArray[np.generic], nodata: float | None) -> NDArray[np.bool_]:
    """Return which raw values are numbers and no declared or usual fill.

    Args:
        values: Any shape, any real dtype, as the file has them.
        nodata: The file's nodata tag.

    Returns:
        Same shape; False for NaN, -32768 and the tag. Infinities are outside the physical limits (`measured`), and
        minus infinity may be the logarithm of a power that noise removal cut at zero (`below_floor`).
    """
    mask: NDArray[np.bool_] = values != FILL_VALUE
    floating = np.issubdtype(values.dtype, np.floating)
    if floating:
        mask &= ~np.isnan(values)
    if nodata is not None and not math.isnan(nodata):
        with np.errstate(over="ignore"):
            mask &= values != (values.dtype.type(nodata) if floating else nodata)
    return mask


def observed(values: NDArray[np.generic], nodata: float | None) -> NDArray[np.bool_]:
    """Return which raw values of a labelled chip were measured: finite, `not_filled` and not exactly zero.

    Exact zero is the usual fill of every unit: no power is zero, and exactly 0 dB does not occur among measurements.
    """
    mask: NDArray[np.bool_] = not_filled(values, nodata) & np.isfinite(values) & (values != 0)
    return mask


def measured(values: NDArray[np.generic], db: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which values are inside the physical limits.

    Args:
        values: Any shape, in the units of the file.
        db: The same values in dB, NaN where there is no logarithm.

    Returns:
        Same shape; False for zero, NaN and everything outside `LEAST_DB` to `MOST_DB`.
    """
    mask: NDArray[np.bool_] = (db >= LEAST_DB) & (db <= MOST_DB) & (values != 0)
    return mask


def below_floor(values: NDArray[Any], units: Units) -> NDArray[np.bool_]:
    """Return which values may be measurements that noise removal cut at zero.

    Args:
        values: Any shape, in `units`.
        units: The units of the values.

    Returns:
        Same shape; True for zero, for smaller power than `LEAST_DB` and, in dB, for the logarithm of such power. Power
        that is far below zero is never True: it is a number for "no data".
    """
    low: NDArray[np.bool_]
    if units == "db":
        low = (values == 0) | (values < LEAST_DB)
        if not low.any():  # most windows; the rest of the rule need not be computed
            return low
        low &= (values > _LEAST_LOGARITHM_DB) | (values == -np.inf)
        return low
    low = values < _LEAST_LINEAR[units]
    low &= values >= (_LEAST_NEGATIVE_POWER if units == "power" else 0.0)
    return low


def solid(missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pixels are in a square of `SOLID_SIDE` pixels in which all are missing.

    Args:
        missing: (height, width) the pixels without a measurement, with `SOLID_SIDE - 1` pixels around the window that
            is needed.
    """
    from scipy import ndimage  # loaded for a scene with such pixels only

    # An opening with a square, as one filter per axis: a square of 441 pixels at once takes a hundred times as long.
    options = {"size": SOLID_SIDE, "mode": "constant", "cval": 0}
    eroded = ndimage.minimum_filter(missing.astype(np.uint8), **options)
    found: NDArray[np.bool_] = ndimage.maximum_filter(eroded, **options) > 0
    return found
