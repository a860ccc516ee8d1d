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

_LOWER: Final = "give the original Sentinel-1 product (GRD or RTC) under its own name"
_ORIGINAL: Final = _LOWER[0].upper() + _LOWER[1:]
# Medians of a whole scene in dB that are possible. Calm lakes are near -25 dB in VV, cities near -3 dB.
_LEVELS: Final[dict[Polarisation, tuple[float, float]]] = {"VV": (-32.0, 3.0), "VH": (-45.0, -2.0)}
_COUNTS_LESS: Final = 4.0  # digital numbers contain the noise of the instrument
# Median and 1-99 % spread of VV in dB, the median difference between VV and VH and the local deviation of VV, over land
# and water scenes: (mean, deviation).
_MEDIAN, _SPREAD, _RATIO, _LOCAL = (-11.0, 6.0), (17.0, 8.0), (7.0, 2.5), (1.35, 0.25)
# Half of all products is filtered or averaged. Their local deviation can have any value up to that of speckle.
_FILTERED, _FILTERED_MOST = 0.5, 1.5
# Most floating point products are power: three of four.
_POWER_PRIOR: Final = math.log(3.0)
# In 34 real scenes, as they are or after a mean filter, no wrong choice was clearer than this.
_CLEAR: Final = math.log(15.0)
_HINT: Final = math.log(1000.0)  # how much a name or a tag counts
# Amplitude that is read as power has a local deviation of VV of 1.1 dB or less.
_NO_AMPLITUDE_DB: Final = 1.2
# In dB, the local deviation of VV is 1.8 dB or less. More comes from a logarithm with the wrong factor.
_MOST_SPECKLE_DB: Final = 2.4
# Limits of the local statistics; `texture` says what they were chosen on.
_SPECKLE_DB: Final = 0.5  # from this deviation on, it is speckle
_SMOOTH_DB: Final = 0.03  # below this deviation nothing of a radar image is left
_MOST_UNEVEN: Final = 2.0
_LEAST_GROWTH: Final = 0.5
# For values in 0 .. 1.
_NORMALISED_GROWTH: Final = 0.55
_AT_LIMIT_FROM, _AT_LIMIT = 0.995, 0.005
# Backscatter that is smoother than speckle is believed only at a level that is usual.
_USUAL: Final = (-28.0, -4.0)
_USUAL_COUNTS: Final = (-22.0, -3.0)
_MOST_OUTSIDE: Final = 0.02
_LEAST_NEGATIVE: Final = -0.01  # power after noise removal may be a little less than zero
_FEW: Final = 100  # values; fewer say little about a distribution
# No unit of backscatter has values beyond these limits.
_FILL_BELOW: Final = -150.0
_FILL_ABOVE: Final = 1e10
_MOST_FILLS: Final = 3  # different numbers for "no data" in one file
_REPEATED, _FEW_REPEATED = 0.002, 20  # the share and the number of equal extreme values that are no chance

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
        polarised: Whether there are two bands, of which one is usually above the other, or the name of the band is
            stated.
    """

    dtype: str
    hint: Units | None = None
    named: bool = False
    polarised: bool = True

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
    whole = samples
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
    if found.units == "db" and _odds_of_power(_as_power(samples), calibrated=True) < -_CLEAR:
        raise InputError(
            subject,
            f"its dB behave like 10 log10 of amplitude ({_seen(samples[0].values)})",
            "Write 10 log10 of power or 20 log10 of amplitude, or " + _LOWER,
        )
    if found.units in _CALIBRATED:
        _refuse_normalised(whole[0], samples[0], found.units, subject)
    _check_levels(samples, found.units, subject)
    return _check_backscatter(samples, claims, found, subject)


_FAMILY_NAMES: Final = {"db": "dB", "calibrated": "linear power or amplitude", "counts": "digital numbers"}


def _seen(values: NDArray[np.float64]) -> str:
    p01, p50, p99 = (float(value) for value in np.percentile(values, (1, 50, 99)))
    return f"1 % {p01:.4g}, median {p50:.4g}, 99 % {p99:.4g}"


def _without_fill(samples: Sequence[BandSample], subject: str) -> tuple[BandSample, ...]:
    """Return the samples without numbers for "no data" that have no tag, such as -9999.

    Such a number is the same in many pixels and less or more than all other values. A sample loses values that were cut
    at a limit in the same way; they say nothing about units or speckle.

    Raises:
        InputError: Nothing is left.
    """
    cleaned = [_without_extremes(band) for band in samples]
    usable = np.logical_and.reduce([np.isfinite(band.values) for band in cleaned])
    if not usable.any():
        raise InputError(subject, f"none of its values is backscatter ({_seen(samples[0].values)})", _ORIGINAL)
    return tuple(replace(band, values=band.values[usable]) for band in cleaned)


def _without_extremes(band: BandSample) -> BandSample:
    """Return a sample with NaN instead of extreme values that are repeated, or that no unit has."""
    values = np.where((band.values > _FILL_BELOW) & (band.values < _FILL_ABOVE), band.values, np.nan)
    patches = [np.where((patch > _FILL_BELOW) & (patch < _FILL_ABOVE), patch, np.nan) for patch in band.patches]
    for _ in range(_MOST_FILLS):
        if np.isfinite(values).sum() < _FEW:
            break
        for extreme in (float(np.nanmin(values)), float(np.nanmax(values))):
            repeated = values == extreme
            if (
                repeated.sum() >= max(_FEW_REPEATED, _REPEATED * values.size)
                and not repeated[np.isfinite(values)].all()
            ):
                values = np.where(repeated, np.nan, values)
                patches = [np.where(patch == extreme, np.nan, patch) for patch in patches]
    return replace(band, values=values, patches=tuple(patches))


def _family(sample: BandSample, subject: str) -> str:
    """Return `db`, `calibrated` (power or amplitude) or `counts` (digital numbers or their square)."""
    values = sample.values
    negative = float((values < 0).mean())
    if negative >= 0.5:
        p01, p99 = (float(value) for value in np.percentile(values, (1, 99)))
        if values.size >= _FEW and p01 >= -1.0 and p99 <= 1.0:
            raise InputError(subject, f"its values are between -1 and 1, like an index ({_seen(values)})", _ORIGINAL)
        outside = float(((values < LEAST_DB) | (values > MOST_DB)).mean())
        if outside > _MOST_OUTSIDE and np.unique(values[values < LEAST_DB]).size > _FEW:
            raise InputError(
                subject, f"{outside:.0%} of its values are outside the limits of dB ({_seen(values)})", _ORIGINAL
            )
        return "db"
    positive = values[values > 0]
    if positive.size and (negative <= 0.01 or np.percentile(values, 1) > _LEAST_NEGATIVE):
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
        if local.deviation_db > _NO_AMPLITUDE_DB:
            return 2.0 * _HINT  # speckle of amplitude is never so strong
    return _log_likelihood(features, 1.0) + _POWER_PRIOR - _log_likelihood(features, 2.0)


def _as_power(samples: Sequence[BandSample]) -> list[BandSample]:
    """Return samples in dB as linear power."""
    return [
        replace(
            band, values=10.0 ** (band.values / 10.0), patches=tuple(10.0 ** (patch / 10.0) for patch in band.patches)
        )
        for band in samples
    ]


def _texture(sample: BandSample, units: Units) -> Texture | None:
    """Return the local statistics of a band that is read in given units."""
    patches = []
    for patch in sample.patches:
        db = to_db(patch, units)
        # Amplitude that is read as power, or the other way round, is beyond the limits by up to a factor of two.
        usable = (db > 2 * LEAST_DB) & (db < 2 * MOST_DB) & (patch != 0)
        patches.append(np.where(usable, db, np.nan))
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
        if claims.integers:
            raise InputError(subject, f"its values are negative whole numbers without a scale ({seen})", _ORIGINAL)
        found = UnitsFound("db", f"distribution of dB: {seen}")
    elif family == "calibrated":
        found = _calibrated(samples, claims, seen, subject)
    else:
        found = _counts(samples, claims, seen, subject)
    if claims.hint == "db" and found.units != "db":
        raise InputError(
            subject, f"its name or tags say dB, but its values are not dB ({seen})", "Correct the name, or " + _LOWER
        )
    if claims.hint is not None and _kind(claims.hint) != _kind(found.units):
        note = f"the file's name or tags say {claims.hint}, but its values are {found.units}; read as {found.units}"
        found = UnitsFound(found.units, found.evidence, (*found.warnings, note))
    return found


def _calibrated(samples: Sequence[BandSample], claims: Claims, seen: str, subject: str) -> UnitsFound:
    kind = _kind(claims.hint)
    hint = 0.0 if kind is None else _HINT if kind == "power" else -_HINT
    odds = _odds_of_power(samples, calibrated=True) + hint
    if abs(odds) < _CLEAR:
        raise InputError(
            subject,
            f"its values may be power or amplitude ({seen})",
            "Look up in the product's documentation which one it is, and pass --units power or --units amplitude",
        )
    units: Units = "power" if odds > 0 else "amplitude"
    says = f"; the file's name or tags say {claims.hint}" if kind is not None else ""
    return UnitsFound(units, f"positive floats like {units}: {seen}{says}")


def _counts(samples: Sequence[BandSample], claims: Claims, seen: str, subject: str) -> UnitsFound:
    kind = _kind(claims.hint)
    if kind == "power":
        return UnitsFound("intensity", f"the file's name or tags say {claims.hint}; squared digital numbers: {seen}")
    if kind is None and not (claims.integers and claims.named):
        raise InputError(
            subject,
            f"its values may be the digital numbers of a Sentinel-1 GRD, their square, other numbers without their "
            f"scale, or no backscatter ({seen})",
            f"If it is a Sentinel-1 GRD, pass --units dn or, for the square, --units intensity; otherwise {_LOWER}",
        )
    if kind is None and _odds_of_power(samples, calibrated=False) > _CLEAR:
        raise InputError(subject, f"its whole numbers behave like power that lost its scale ({seen})", _ORIGINAL)
    return UnitsFound("dn", f"distribution of digital numbers: {seen}")


def _refuse_normalised(whole: BandSample, cleaned: BandSample, units: Units, subject: str) -> None:
    """Refuse values that are limited to 0 .. 1, such as scaled dB or a probability.

    Args:
        whole: VV with the values that were cut at 1.
        cleaned: VV without them.
        units: How the values would be read.
        subject: The file to name in an error.

    Raises:
        InputError: All values are in 0 .. 1, and many are near the largest or the local deviation does not grow with
            the mean.
    """
    values = whole.values[(whole.values >= 0.0) & (whole.values < _FILL_ABOVE)]
    if values.size < _FEW or values.max() > 1.0:
        return
    local = _texture(cleaned, units)
    limited = float((values >= _AT_LIMIT_FROM * values.max()).mean()) >= _AT_LIMIT and values.max() > 0.9
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
    local = _texture(samples[0], "power")
    if given in ("amplitude", "dn") and local is not None and local.deviation_db > _NO_AMPLITUDE_DB:
        other = "power" if given == "amplitude" else "intensity"
        raise InputError(
            subject,
            f"its values behave like {other}, not like {given} ({seen})",
            f"Pass --units {other}, or correct the side-car"
            if given == "amplitude"
            else f"If they are the square of digital numbers, pass --units intensity; otherwise {_LOWER}",
        )
    if family == "db":
        return UnitsFound(given, "given by the user")
    odds = _odds_of_power(samples, calibrated=family == "calibrated")
    if (odds if _kind(given) == "power" else -odds) >= -_CLEAR:
        return UnitsFound(given, "given by the user")
    other = {"power": "amplitude", "amplitude": "power", "dn": "intensity", "intensity": "dn"}[given]
    note = f"read as {given}, as stated, but the values look more like {other}; those of a filtered product may do so"
    return UnitsFound(given, "given by the user", (note,))


def _check_levels(samples: Sequence[BandSample], units: Units, subject: str) -> None:
    """Refuse values whose dB no scene has.

    Raises:
        InputError: The median of a band is outside the possible levels.
    """
    for sample in samples:
        db = to_db(sample.values, units)
        db = db[(db >= LEAST_DB) & (db <= MOST_DB) & (sample.values != 0)]
        least, most = _LEVELS[sample.polarisation]
        least += _COUNTS_LESS if units in _COUNTS else 0.0
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
    if not claims.named and not claims.polarised:
        raise InputError(
            subject,
            "neither its name nor its one band says that it is Sentinel-1",
            "If it is VV backscatter, say so in the file's name (scene_VV.tif) or in the band's description",
        )
    local = _texture(samples[0], found.units)
    if local is None:
        note = "too few pixels to check that the values are backscatter"
        return UnitsFound(found.units, found.evidence, (*found.warnings, note))
    shown = f"the local deviation is {local.deviation_db:.2f} dB"
    if local.flat > 0.5 or local.deviation_db < _SMOOTH_DB:
        raise InputError(
            subject, f"not a radar image: no speckle, {shown}, as in elevation, angles or classes", _ORIGINAL
        )
    if found.units == "db" and local.deviation_db > _MOST_SPECKLE_DB:
        raise InputError(
            subject,
            f"its dB vary too much ({shown}; speckle has 1.8 dB or less), as after 20 log10 of power",
            "Write 10 log10 of power or 20 log10 of amplitude, or " + _LOWER,
        )
    speckle = local.deviation_db >= _SPECKLE_DB and local.unevenness <= _MOST_UNEVEN
    grows = local.growth is None or local.growth >= _LEAST_GROWTH
    if speckle and grows:
        return _with_level_note(samples, found)
    if found.units in _COUNTS and (claims.integers or claims.hint is None):
        # An elevation model has the level and the texture of filtered digital numbers.
        raise InputError(
            subject,
            f"not a radar image, or filtered digital numbers: {shown}, as in elevation or optical bands",
            _ORIGINAL,
        )
    if not claims.named:
        raise InputError(
            subject,
            f"it is not clear that this is a radar image ({shown}; speckle has 0.5 dB or more), and neither its name "
            "nor its bands say that it is Sentinel-1",
            _ORIGINAL,
        )
    middle = float(np.median(to_db(samples[0].values, found.units)))
    if not _USUAL[0] <= middle <= _USUAL[1]:
        raise InputError(
            subject,
            f"smoother than a radar image ({shown}) and, with a median of {middle:.1f} dB in VV, at an unusual level",
            _ORIGINAL,
        )
    note = f"the values are smoother or less even than speckle ({shown}); a filtered image may be mapped less exactly"
    return UnitsFound(found.units, found.evidence, (*found.warnings, note))


def _with_level_note(samples: Sequence[BandSample], found: UnitsFound) -> UnitsFound:
    """Add a warning when digital numbers are at an unusual level: other whole numbers look like them."""
    if found.units not in _COUNTS:
        return found
    middle = float(np.nanmedian(to_db(samples[0].values, found.units)))
    if _USUAL_COUNTS[0] <= middle <= _USUAL_COUNTS[1]:
        return found
    note = f"read as {_NAMES[found.units]}, VV has an unusual median of {middle:.1f} dB: is it an original GRD?"
    return UnitsFound(found.units, found.evidence, (*found.warnings, note))
