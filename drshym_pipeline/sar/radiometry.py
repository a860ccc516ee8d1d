"""Backscatter: the conversion to dB, and the network's scale. Arrays only.

`units` finds the units, `validity` decides which values are measurements.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import Units

DB_FLOOR = -30.0
DB_RANGE = 30.0
# sigma0 = (DN / A)^2 with A = 237 / sqrt(sin(incidence)) for IW ground range products: 237 is their constant
# beta-nought calibration, 39 degrees the middle of the swath; over the swath A moves by less than 1 dB.
DN_OFFSET_DB = 20.0 * math.log10(237.0) - 10.0 * math.log10(math.sin(math.radians(39.0)))


def to_db(
    values: NDArray[np.generic], units: Units, offset_db: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return backscatter in dB.

    Args:
        values: Any shape, in `units`; NaN where not observed.
        units: The units of the values.
        offset_db: For `dn` and `intensity`, the number subtracted from 20 log10(DN) or from 10 log10 of the squared DN,
            same shape; a nominal constant (see `DN_OFFSET_DB`) when None.

    Returns:
        Same shape, float32 dB; NaN where the value is NaN, infinite, or has no logarithm.
    """
    data = values.astype(np.float32, copy=False) if units == "db" else values.astype(np.float64, copy=False)
    if units != "db":
        with np.errstate(divide="ignore", invalid="ignore"):
            data = (10.0 if units in ("power", "intensity") else 20.0) * np.log10(data)
        if units in ("dn", "intensity"):
            data = data - (DN_OFFSET_DB if offset_db is None else offset_db)
    result: NDArray[np.float32] = data.astype(np.float32)
    if not np.isfinite(result).all():
        result = np.where(np.isfinite(result), result, np.float32(np.nan))
    return result


def power_of_counts(values: NDArray[np.generic], units: Units) -> NDArray[np.float32]:
    """Return squared digital numbers; a float32 has them to 1e-7, and thermal noise is some hundred.

    Args:
        values: Any shape, in `dn` or `intensity`.
        units: The units of the values.
    """
    power = values.astype(np.float32)
    return np.square(power, out=power) if units == "dn" else power


def without_noise(power: NDArray[np.float32], noise: NDArray[np.float32], units: Units) -> NDArray[np.float32]:
    """Return digital numbers after the thermal noise is subtracted from their power; zero where the noise is larger.

    Args:
        power: Any shape, squared digital numbers.
        noise: Same shape, in the same units.
        units: The units of the result: `dn` or `intensity`.
    """
    rest = power - noise
    np.maximum(rest, np.float32(0.0), out=rest)
    return np.sqrt(rest, out=rest) if units == "dn" else rest


def normalise(db: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return backscatter on the network's scale: clip((dB + 30) / 30, 0, 1), NaN kept.

    Args:
        db: Any shape, float32 dB, NaN where not observed.
    """
    scaled: NDArray[np.float32] = np.clip((db.astype(np.float32, copy=False) - DB_FLOOR) / DB_RANGE, 0.0, 1.0)
    return scaled.astype(np.float32, copy=False)
