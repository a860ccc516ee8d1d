"""Backscatter: finding the units, converting to dB, which values count as observed, and the network's scale.

All functions take and return arrays; no file is read here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Units

FILL_VALUE = -32768.0
DB_FLOOR = -30.0
DB_RANGE = 30.0
# sigma0 = (DN / A)^2 with A = 237 / sqrt(sin(incidence)) for IW ground range products: 237 is their constant
# beta-nought calibration, 39 degrees the middle of the swath; over the swath A moves by less than 1 dB.
DN_OFFSET_DB = 20.0 * math.log10(237.0) - 10.0 * math.log10(math.sin(math.radians(39.0)))

_UNITS_REMEDY = "Pass --units db, power, amplitude or dn"
# Median and 1-99 % spread of VV in dB and the median VV-VH difference over land and water scenes: (mean, deviation).
_MEDIAN, _SPREAD, _RATIO = (-11.0, 4.0), (17.0, 8.0), (7.0, 2.5)
_POWER_PRIOR = math.log(5.0)


@dataclass(frozen=True, slots=True)
class UnitsFound:
    """The units of a raster, the reason for them, and warnings for the user."""

    units: Units
    evidence: str
    warnings: tuple[str, ...] = ()


def observed(values: NDArray[np.generic], nodata: float | None) -> NDArray[np.bool_]:
    """Return which raw values were measured.

    Args:
        values: Any shape, any real dtype, in the units of the file.
        nodata: The file's nodata tag.

    Returns:
        Same shape; False for NaN, infinities, exact zero, -32768 and the tag. Exact zero is the usual fill of every
        unit: no power is zero, and exactly 0 dB does not occur among measurements.
    """
    mask: NDArray[np.bool_] = (values != 0) & (values != FILL_VALUE)
    if np.issubdtype(values.dtype, np.floating):
        mask &= np.isfinite(values)
        if nodata is not None and math.isfinite(nodata):
            with np.errstate(over="ignore"):
                mask &= values != values.dtype.type(nodata)
    elif nodata is not None and math.isfinite(nodata):
        mask &= values != nodata
    return mask


def to_db(
    values: NDArray[np.generic], units: Units, offset_db: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return backscatter in dB.

    Args:
        values: Any shape, in `units`; NaN where not observed.
        units: The units of the values.
        offset_db: For `dn`, the number subtracted from 20 log10(DN), same shape; a nominal constant (see
            `DN_OFFSET_DB`) when None.

    Returns:
        Same shape, float32 dB; NaN where the value is NaN, infinite, or has no logarithm.
    """
    data = values.astype(np.float32, copy=False) if units == "db" else values.astype(np.float64, copy=False)
    if units != "db":
        with np.errstate(divide="ignore", invalid="ignore"):
            data = (10.0 if units == "power" else 20.0) * np.log10(data)
        if units == "dn":
            data = data - (DN_OFFSET_DB if offset_db is None else offset_db)
    result: NDArray[np.float32] = data.astype(np.float32)
    if not np.isfinite(result).all():
        result = np.where(np.isfinite(result), result, np.float32(np.nan))
    return result


def normalise(db: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return backscatter on the network's scale: clip((dB + 30) / 30, 0, 1), NaN kept.

    Args:
        db: Any shape, float32 dB, NaN where not observed.
    """
    scaled: NDArray[np.float32] = np.clip((db.astype(np.float32, copy=False) - DB_FLOOR) / DB_RANGE, 0.0, 1.0)
    return scaled.astype(np.float32, copy=False)


def _loglik(values: dict[str, float], scale: float) -> float:
    # `scale` is 2 for amplitude: its dB values are doubled, so the density of every feature is multiplied by two.
    total = 0.0
    for key, (mean, deviation) in {"median": _MEDIAN, "spread": _SPREAD, "ratio": _RATIO}.items():
        if key in values:
            total += math.log(scale) - 0.5 * ((values[key] * scale - mean) / deviation) ** 2
    return total


def _power_or_amplitude(vv: NDArray[np.float64], vh: NDArray[np.float64] | None, hint: Units | None) -> UnitsFound:
    p01, p50, p99 = np.percentile(10.0 * np.log10(vv[vv > 0]), (1, 50, 99))
    features = {"median": float(p50), "spread": float(p99 - p01)}
    positive = vh[vh > 0] if vh is not None else np.empty(0)
    if positive.size:
        features["ratio"] = float(p50 - np.median(10.0 * np.log10(positive)))
    odds = _loglik(features, 1.0) + _POWER_PRIOR - _loglik(features, 2.0)
    seen = f"median {10 ** (p50 / 10):.3g}, 1 % {10 ** (p01 / 10):.3g}, 99 % {10 ** (p99 / 10):.3g}"
    if hint in ("power", "amplitude"):
        return UnitsFound(hint, f"the file's name or tags say {hint}; {seen}")
    units: Units = "power" if odds > 0 else "amplitude"
    # A wrong choice halves or doubles every dB value, so the user is warned when the choice is not clear.
    close = (
        (
            f"units read as {units}, but they could be {'amplitude' if units == 'power' else 'power'}; "
            "say which with --units",
        )
        if abs(odds) < math.log(20.0)
        else ()
    )
    return UnitsFound(units, f"positive floats like {units}: {seen}", close)


def detect_units(
    vv: NDArray[np.generic],
    vh: NDArray[np.generic] | None,
    dtype: str,
    *,
    subject: str,
    given: Units | None = None,
    hint: Units | None = None,
) -> UnitsFound:
    """Find out whether values are dB, linear power, amplitude or digital numbers.

    Args:
        vv: (n,) sample of observed raw VV values, any order.
        vh: (m,) sample of observed raw VH values, if there is VH.
        dtype: The file's data type.
        subject: The file to name in an error.
        given: The units that the user states; they are used without a check.
        hint: The units that the file's name or tags state.

    Raises:
        InputError: The values fit no unit.
    """
    if given is not None:
        return UnitsFound(given, "given by the user")
    if dtype in ("uint8", "int8"):
        raise InputError(
            subject,
            "units cannot be recognised (8-bit values are a stretched picture, not backscatter)",
            _UNITS_REMEDY,
        )
    is_float = dtype.startswith("float")
    if vv.size == 0:
        units: Units = hint or ("db" if is_float else "dn")
        return UnitsFound(units, f"no observed pixel to judge by; assumed from {'the name' if hint else dtype}")
    sample = vv.astype(np.float64)
    p01, p50, p99 = (float(value) for value in np.percentile(sample, (1, 50, 99)))
    negative = float((sample < 0).mean())
    seen = f"1 % {p01:.4g}, median {p50:.4g}, 99 % {p99:.4g}, {negative:.0%} negative".replace("%,", " %,")
    found: UnitsFound | None = None
    # Speckle alone spreads dB by more than 2; an index between -1 and 1 stays below.
    if negative >= 0.5 and p01 > -80 and -45 <= p50 <= 1 and p99 < 40 and p99 - p01 > 2:
        found = UnitsFound("db", f"distribution of dB: {seen}")
    elif negative <= 0.01 and p50 >= 5 and p99 <= 65535 and p99 > p01:
        found = UnitsFound("dn", f"distribution of digital numbers: {seen}")
    elif is_float and negative <= 0.01 and 1e-5 < p50 < 2 and p99 < 1000 and p99 > p01:
        found = _power_or_amplitude(sample, None if vh is None else vh.astype(np.float64), hint)
    if found is None:
        raise InputError(subject, f"units cannot be recognised ({seen})", _UNITS_REMEDY)
    if hint is not None and hint != found.units:
        note = f"the file's name or tags say {hint}, but its values are {found.units}; read as {found.units}"
        found = UnitsFound(found.units, found.evidence, (*found.warnings, note))
    return found
