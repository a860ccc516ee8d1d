"""Find out what the values of a scene are: dB, power, amplitude, digital numbers or their square.

The decision uses a sample of the scene, each band apart: the level, the spread, the difference between the bands and
the local statistics of `texture`. It also decides whether the values are radar backscatter at all. No file is read
here. docs/input_contract.md has the rules in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation, Units
from drshym_pipeline.sar.radiometry import to_db
from drshym_pipeline.sar.texture import Texture, texture
from drshym_pipeline.sar.validity import LEAST_DB, MOST_DB

_ORIGINAL: Final = "Give the original Sentinel-1 product (GRD or RTC) under its own name"
# Medians of a whole scene in dB that are possible. Calm lakes are near -25 dB in VV, cities near -3 dB.
_LEVELS: Final[dict[Polarisation, tuple[float, float]]] = {"VV": (-32.0, 3.0), "VH": (-45.0, -2.0)}
# Median and 1-99 % spread of VV in dB, the median difference between VV and VH and the local deviation of VV, over land
# and water scenes: (mean, deviation).
_MEDIAN, _SPREAD, _RATIO, _LOCAL = (-11.0, 6.0), (17.0, 8.0), (7.0, 2.5), (1.35, 0.25)
# A share of all products is filtered or averaged. Their local deviation can have any value up to that of speckle.
_FILTERED, _FILTERED_MOST = 0.1, 1.5
# Most floating point products are power: three of four.
_POWER_PRIOR: Final = math.log(3.0)
# The scenes of BigEarthNet and SEN12MS-CR have 3.2 or more as power, and 1.0 or less as amplitude.
_CLEAR: Final = math.log(10.0)
# Limits of the local statistics; `texture` says what they were chosen on.
_SPECKLE_DB: Final = 0.5  # from this deviation on, it is speckle
_SMOOTH_DB: Final = 0.03  # below this deviation nothing of a radar image is left
_MOST_UNEVEN: Final = 2.7
_LEAST_GROWTH: Final = 0.5
_NORMALISED_GROWTH: Final = 0.45
_LIMITED_FROM: Final = 0.9
_FEW: Final = 100  # values; fewer say little about a distribution
# No unit of backscatter has values beyond these limits.
_FILL_BELOW: Final = -90.0
_FILL_ABOVE: Final = 1e10

_CALIBRATED: Final[tuple[Units, ...]] = ("power", "amplitude")
_COUNTS: Final[tuple[Units, ...]] = ("intensity", "dn")
_NAMES: Final[dict[Units, str]] = {
    "db": "dB",
    "power": "linear power",
    "amplitude": "amplitude",
    "dn": "digital numbers",
    "intensity": "squared digital numbers",
}


@dataclass(frozen=True, slots=True)
class BandSample:
    """Values of one band from places all over the scene, without those that the file says are missing.

    Args:
        polarisation: The band.
        values: (n,) values in the units of the file, after scale and offset, any order.
        patches: Parts of the band as (height, width) values; NaN where missing.
    """

    polarisation: Polarisation
    values: NDArray[np.float64]
    patches: tuple[NDArray[np.float64], ...] = ()


@dataclass(frozen=True, slots=True)
class Claims:
    """What a file says about its values without its pixels.

    Args:
        dtype: Its data type, or `float32` when a scale or offset is applied.
        hint: The units that its name, its description or its tags state.
        named: Whether a name or a description says that it is Sentinel-1 or names a polarisation.
    """

    dtype: str
    hint: Units | None = None
    named: bool = False

    @property
    def integers(self) -> bool:
        """Return whether the file has whole numbers."""
        return "int" in self.dtype


@dataclass(frozen=True, slots=True)
class UnitsFound:
    """The units of a scene, the reason for them, and warnings for the user."""

    units: Units
    evidence: str
    warnings: tuple[str, ...] = field(default=())


def find_units(
    samples: Sequence[BandSample], claims: Claims, *, subject: str, given: Units | None = None
) -> UnitsFound:
    """Find the units of a scene and check that its values are backscatter.

    Args:
        samples: VV, and VH where there is one.
        claims: What the file says.
        subject: The file to name in an error.
        given: The units that the user or the side-car states. They are used, and checked like those that are found.

    Raises:
        InputError: The values fit no unit or two units, the bands have different units, the stated unit contradicts the
            values, or the values do not behave like backscatter.
    """
    if claims.dtype in ("uint8", "int8"):
        raise InputError(subject, "8-bit values are a stretched picture, not backscatter", _ORIGINAL)
    if samples[0].values.size == 0:
        units = given or claims.hint or ("dn" if claims.integers else "db")
        reason = "the name" if claims.hint and not given else "the given units" if given else claims.dtype
        return UnitsFound(units, f"no observed pixel to judge by; assumed from {reason}")
    samples = _without_fill(samples, subject)
    families = [_family(sample, subject) for sample in samples]
    if len(set(families)) > 1:
        seen = " and ".join(
            f"{sample.polarisation} like {_FAMILY_NAMES[name]}" for sample, name in zip(samples, families, strict=True)
        )
        raise InputError(subject, f"its bands have different units: {seen}", "Write both bands in the same units")
    found = (
        _found(samples, claims, families[0], subject)
        if given is None
        else _stated(samples, families[0], given, subject)
    )
    _check_levels(samples, found.units, subject)
    return _check_backscatter(samples, claims, found, subject)


_FAMILY_NAMES: Final = {"db": "dB", "calibrated": "linear power or amplitude", "counts": "digital numbers"}


def _seen(values: NDArray[np.float64]) -> str:
    p01, p50, p99 = (float(value) for value in np.percentile(values, (1, 50, 99)))
    return f"1 % {p01:.4g}, median {p50:.4g}, 99 % {p99:.4g}"


def _without_fill(samples: Sequence[BandSample], subject: str) -> tuple[BandSample, ...]:
    """Return the samples without numbers for "no data" that have no tag, such as -9999.

    Raises:
        InputError: Nothing is left.
    """
    usable = np.logical_and.reduce([(band.values > _FILL_BELOW) & (band.values < _FILL_ABOVE) for band in samples])
    if not usable.any():
        raise InputError(subject, f"none of its values is backscatter ({_seen(samples[0].values)})", _ORIGINAL)
    return tuple(replace(band, values=band.values[usable]) for band in samples)


def _family(sample: BandSample, subject: str) -> str:
    """Return `db`, `calibrated` (power or amplitude) or `counts` (digital numbers or their square)."""
    values = sample.values
    negative = float((values < 0).mean())
    if negative >= 0.5:
        p01, p99 = (float(value) for value in np.percentile(values, (1, 99)))
        if values.size >= _FEW and p01 >= -1.0 and p99 <= 1.0:
            raise InputError(subject, f"its values are between -1 and 1, like an index ({_seen(values)})", _ORIGINAL)
        return "db"
    positive = values[values > 0]
    if negative <= 0.01 and positive.size:
        middle = float(np.median(positive))
        if middle < 2.0:
            return "calibrated"
        if middle >= 5.0:
            return "counts"
    raise InputError(
        subject,
        f"its values fit no unit of backscatter ({_seen(values)}, {100.0 * negative:.0f} % negative)",
        _ORIGINAL,
    )


def _power_level_db(sample: BandSample) -> NDArray[np.float64]:
    """Return 10 log10 of the positive values."""
    level: NDArray[np.float64] = 10.0 * np.log10(sample.values[sample.values > 0])
    return level


def _local_density(deviation: float) -> float:
    """Return how probable a local deviation of VV in dB is."""
    mean, width = _LOCAL
    speckle = math.exp(-0.5 * ((deviation - mean) / width) ** 2) / (width * math.sqrt(2.0 * math.pi))
    filtered = 1.0 / _FILTERED_MOST if deviation < _FILTERED_MOST else 0.0
    return (1.0 - _FILTERED) * speckle + _FILTERED * filtered + 1e-4


def _log_likelihood(features: dict[str, float], scale: float) -> float:
    # `scale` is 2 for amplitude: its dB values are doubled, so the density of every feature is multiplied by two.
    total = 0.0
    for key, (mean, deviation) in {"median": _MEDIAN, "spread": _SPREAD, "ratio": _RATIO}.items():
        if key in features:
            total += math.log(scale) - 0.5 * ((features[key] * scale - mean) / deviation) ** 2
    if "local" in features:
        total += math.log(scale * _local_density(features["local"] * scale))
    return total


def _odds_of_power(samples: Sequence[BandSample], *, calibrated: bool) -> float:
    """Return the log-odds that values are proportional to power and not to amplitude.

    Args:
        samples: VV, and VH where there is one.
        calibrated: Whether the level of the values says something: that of digital numbers has no fixed zero.
    """
    level = _power_level_db(samples[0])
    p01, p50, p99 = (float(value) for value in np.percentile(level, (1, 50, 99)))
    features = {"spread": p99 - p01}
    if calibrated:
        features["median"] = p50
    if len(samples) > 1 and (vh := _power_level_db(samples[1])).size:
        features["ratio"] = p50 - float(np.median(vh))
    local = _texture(samples[0], "power")
    if local is not None:
        features["local"] = local.deviation_db
    return _log_likelihood(features, 1.0) + _POWER_PRIOR - _log_likelihood(features, 2.0)


def _texture(sample: BandSample, units: Units) -> Texture | None:
    """Return the local statistics of a band that is read in given units."""
    patches = []
    for patch in sample.patches:
        usable = (patch > _FILL_BELOW) & (patch < _FILL_ABOVE) & (patch != 0)
        patches.append(np.where(usable, to_db(patch, units), np.nan))
    return texture(patches)


def _kind(hint: Units | None) -> str | None:
    """Return whether a hint says that the values are proportional to power or to its root."""
    if hint in ("power", "intensity"):
        return "power"
    return "amplitude" if hint in ("amplitude", "dn") else None


def _found(samples: Sequence[BandSample], claims: Claims, family: str, subject: str) -> UnitsFound:
    """Choose the units from the values and the hint."""
    seen = _seen(samples[0].values)
    if family == "db":
        found = UnitsFound("db", f"distribution of dB: {seen}")
    elif family == "calibrated":
        _refuse_normalised(samples, subject)
        found = _calibrated(samples, claims, seen, subject)
    else:
        found = _counts(samples, claims, seen, subject)
    if claims.hint is not None and _kind(claims.hint) != _kind(found.units):
        note = f"the file's name or tags say {claims.hint}, but its values are {found.units}; read as {found.units}"
        found = UnitsFound(found.units, found.evidence, (*found.warnings, note))
    return found


def _calibrated(samples: Sequence[BandSample], claims: Claims, seen: str, subject: str) -> UnitsFound:
    kind = _kind(claims.hint)
    if kind is not None:
        units: Units = "power" if kind == "power" else "amplitude"
        return UnitsFound(units, f"the file's name or tags say {claims.hint}; {seen}")
    odds = _odds_of_power(samples, calibrated=True)
    if abs(odds) < _CLEAR:
        raise InputError(
            subject,
            f"its values may be power or amplitude ({seen})",
            "Look up in the product's documentation which one it is, and pass --units power or --units amplitude",
        )
    units = "power" if odds > 0 else "amplitude"
    return UnitsFound(units, f"positive floats like {units}: {seen}")


def _counts(samples: Sequence[BandSample], claims: Claims, seen: str, subject: str) -> UnitsFound:
    kind = _kind(claims.hint)
    if kind == "power":
        return UnitsFound("intensity", f"the file's name or tags say {claims.hint}; squared digital numbers: {seen}")
    if kind is None and not claims.integers:
        raise InputError(
            subject,
            f"its values may be digital numbers, their square, or no backscatter ({seen})",
            "If it is a Sentinel-1 GRD, pass --units dn for digital numbers or --units intensity for their square",
        )
    if kind is None and _odds_of_power(samples, calibrated=False) > _CLEAR:
        raise InputError(
            subject,
            f"its whole numbers behave like scaled power, not like digital numbers ({seen})",
            "Write their scale into the file (gdal_translate -a_scale), or give the original Sentinel-1 product",
        )
    return UnitsFound("dn", f"distribution of digital numbers: {seen}")


def _refuse_normalised(samples: Sequence[BandSample], subject: str) -> None:
    """Refuse values that are limited to 0 .. 1, such as scaled dB or a probability.

    Raises:
        InputError: All values are in 0 .. 1, and many are near 1 or the local deviation does not grow with the mean.
    """
    values = samples[0].values
    if values.size < _FEW or values.min() < 0 or values.max() > 1.0:
        return
    local = _texture(samples[0], "power")
    # Power that is near 1 in one of a hundred pixels is above 1 in others.
    limited = float(np.percentile(values, 99)) >= _LIMITED_FROM
    added = local is not None and local.growth is not None and local.growth < _NORMALISED_GROWTH
    if limited or added:
        raise InputError(
            subject,
            f"its values are normalised to 0 .. 1 ({_seen(values)}), so their dB is lost, or they are a probability",
            _ORIGINAL,
        )


def _stated(samples: Sequence[BandSample], family: str, given: Units, subject: str) -> UnitsFound:
    """Use the units that the user states, unless the values contradict them."""
    fitting: dict[str, tuple[Units, ...]] = {"db": ("db",), "calibrated": _CALIBRATED, "counts": _COUNTS}
    seen = _seen(samples[0].values)
    if given not in fitting[family]:
        raise InputError(
            subject,
            f"its values are not {_NAMES[given]} ({seen})",
            "Leave --units out, or correct the side-car",
        )
    if family == "calibrated":
        _refuse_normalised(samples, subject)
    if family != "db":
        odds = _odds_of_power(samples, calibrated=family == "calibrated")
        contradicted = odds < -_CLEAR if _kind(given) == "power" else odds > _CLEAR
        if contradicted:
            other = {"power": "amplitude", "amplitude": "power", "dn": "intensity", "intensity": "dn"}[given]
            raise InputError(
                subject,
                f"its values behave like {other}, not like {given} ({seen})",
                f"Pass --units {other}, or correct the side-car",
            )
    return UnitsFound(given, "given by the user")


def _check_levels(samples: Sequence[BandSample], units: Units, subject: str) -> None:
    """Refuse values whose dB no scene has.

    Raises:
        InputError: The median of a band is outside the possible levels.
    """
    for sample in samples:
        db = to_db(sample.values, units)
        db = db[(db >= LEAST_DB) & (db <= MOST_DB) & (sample.values != 0)]
        least, most = _LEVELS[sample.polarisation]
        middle = float(np.median(db)) if db.size else float("nan")
        if not least <= middle <= most:
            level = f"a median of {middle:.1f} dB" if db.size else "no value inside the physical limits"
            raise InputError(
                subject,
                f"read as {_NAMES[units]}, {sample.polarisation} has {level}, which is not backscatter "
                f"({least:g} to {most:g} dB are possible; {_seen(sample.values)})",
                _ORIGINAL,
            )


def _check_backscatter(samples: Sequence[BandSample], claims: Claims, found: UnitsFound, subject: str) -> UnitsFound:
    """Compare the local statistics of VV with those of a radar image.

    Raises:
        InputError: They contradict backscatter; or they are unclear, and nothing names the file as Sentinel-1.
    """
    local = _texture(samples[0], found.units)
    if local is None:
        note = "too few pixels to check that the values are backscatter"
        return UnitsFound(found.units, found.evidence, (*found.warnings, note))
    shown = f"the local deviation is {local.deviation_db:.2f} dB"
    if local.flat > 0.5 or local.deviation_db < _SMOOTH_DB:
        raise InputError(
            subject, f"not a radar image: no speckle, {shown}, as in elevation, angles or classes", _ORIGINAL
        )
    speckle = local.deviation_db >= _SPECKLE_DB and local.unevenness <= _MOST_UNEVEN
    grows = local.growth is None or local.growth >= _LEAST_GROWTH
    if speckle and grows:
        return found
    if found.units in _COUNTS and (claims.integers or claims.hint is None):
        # Digital numbers are delivered as they were measured. Filtered ones are floating point numbers with a name
        # such as Amplitude_VV.
        raise InputError(
            subject, f"not a radar image: {shown} and uneven, as in elevation or an optical band", _ORIGINAL
        )
    if not claims.named:
        raise InputError(
            subject,
            f"it is not clear that this is a radar image ({shown}; speckle has 0.5 dB or more), and neither its name "
            "nor its bands say that it is Sentinel-1",
            _ORIGINAL,
        )
    note = f"the values are smoother or less even than speckle ({shown}); a filtered image may be mapped less exactly"
    return UnitsFound(found.units, found.evidence, (*found.warnings, note))
