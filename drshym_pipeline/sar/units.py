"""Find out what the values of a scene are: dB, power, amplitude, digital numbers or their square.

The decision uses a sample of the scene, each band separately (`unit_evidence`). `plausibility` then decides whether the
values are radar backscatter at all. No file is read here. docs/input_contract.md has the rules in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Units
from drshym_pipeline.sar.plausibility import (
    check_backscatter,
    check_levels,
    check_second_band,
    refuse_normalised,
    refuse_unsigned,
)
from drshym_pipeline.sar.unit_evidence import (
    CLEAR_AMPLITUDE,
    CLEAR_POWER,
    COUNTS,
    DOUBTFUL_ODDS,
    FEW,
    HINT_ODDS,
    OR_ORIGINAL,
    ORIGINAL,
    UNIT_NAMES,
    WEAK_SPECKLE,
    BandSample,
    Claims,
    UnitsFound,
    odds_of_other_factor,
    odds_of_power,
    only_power,
    shown_values,
    speckle_strength,
    texture_as,
    without_fill,
)
from drshym_pipeline.sar.validity import LEAST_DB, MOST_DB

_MOST_OUTSIDE: Final = 0.02
_PICTURE_LIMIT: Final = 255
_MANY, _MANY_OF = 20, 0.001  # the number and the share of equal values that are not equal by chance
_LEAST_NEGATIVE: Final = -0.01  # power after noise removal may be a little less than zero
_CALIBRATED: Final[tuple[Units, ...]] = ("power", "amplitude")
_FAMILY_NAMES: Final = {"db": "dB", "calibrated": "linear power or amplitude", "counts": "digital numbers"}


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
    if claims.dtype in ("uint8", "int8") or _is_picture(samples[0], claims):
        raise InputError(subject, "8-bit values are a stretched picture, not backscatter", ORIGINAL)
    if samples[0].values.size == 0:
        units = given or claims.hint or ("dn" if claims.integers else "db")
        reason = "the name" if claims.hint and not given else "the given units" if given else claims.dtype
        return UnitsFound(units, f"no observed pixel to judge by; assumed from {reason}")
    whole = samples
    samples = without_fill(samples, subject)
    families = [_family(sample, subject) for sample in samples]
    if len(set(families)) > 1:
        seen = " and ".join(
            f"{sample.polarisation} like {_FAMILY_NAMES[name]}" for sample, name in zip(samples, families, strict=True)
        )
        raise InputError(subject, f"its bands have different units: {seen}", "Write both bands in the same units")
    if families[0] == "counts":
        refuse_unsigned(samples[0], claims, subject)
    found = (
        _found(samples, claims, families[0], subject, whole[0])
        if given is None
        else _stated(samples, families[0], given, subject)
    )
    if found.units == "db":
        found = _with_right_factor(samples, found, subject)
    if found.units in _CALIBRATED:
        refuse_normalised(whole[0], samples[0], found.units, subject, named=claims.hint == found.units)
    check_levels(samples, found.units, subject)
    return check_second_band(samples, check_backscatter(samples, claims, found, subject), subject)


def _is_picture(sample: BandSample, claims: Claims) -> bool:
    """Return whether whole numbers end at 255 in many pixels, as in an 8-bit picture that was stored with more bits."""
    values = sample.values
    return (
        claims.integers
        and values.size > 0
        and float(values.max()) == _PICTURE_LIMIT
        and int((values == _PICTURE_LIMIT).sum()) >= max(_MANY, _MANY_OF * values.size)
    )


def _with_right_factor(samples: Sequence[BandSample], found: UnitsFound, subject: str) -> UnitsFound:
    """Refuse or warn of dB that behave like 20 log10 of power or like 10 log10 of amplitude."""
    if samples[0].values.size < FEW:
        return found
    double, half = odds_of_other_factor(samples)
    shown = shown_values(samples[0].values)
    odds, clear, other, change = (
        (double, CLEAR_POWER, "20 log10 of power", "half of")
        if double > half
        else (half, CLEAR_AMPLITUDE, "10 log10 of amplitude", "twice")
    )
    if odds > clear:
        raise InputError(
            subject,
            f"its dB behave like {other} ({shown})",
            f"If they are, write {change} each value; otherwise {OR_ORIGINAL}",
        )
    strength = speckle_strength(texture_as(samples[0], "db"))
    if odds >= DOUBTFUL_ODDS:
        note = f"the dB are unusual: they may be {other} ({shown})"
    elif strength is not None and strength < WEAK_SPECKLE:
        note = "the speckle is weak: the image is filtered or averaged, or its dB are 10 log10 of amplitude"
    else:
        return found
    return UnitsFound(found.units, found.evidence, (*found.warnings, note))


def other_than_db(samples: Sequence[BandSample]) -> str | None:
    """Return what is wrong with values that must be dB, as the problem of an error; None if they look like dB.

    Only the range of the values decides. Small patches have too few pixels for the other checks of `find_units`.

    Args:
        samples: The bands; a band with fewer than `FEW` values is not checked.
    """
    for sample in samples:
        if sample.values.size < FEW:
            continue
        try:
            family = _family(sample, sample.polarisation)
        except InputError as error:
            return error.problem
        if family != "db":
            shown = shown_values(sample.values)
            return f"its {sample.polarisation} is not in dB but like {_FAMILY_NAMES[family]} ({shown})"
    return None


def _family(sample: BandSample, subject: str) -> str:
    """Return `db`, `calibrated` (power or amplitude) or `counts` (digital numbers or their square)."""
    values = sample.values
    negative = float((values < 0).mean())
    if negative >= 0.5:
        p01, p99 = (float(value) for value in np.percentile(values, (1, 99)))
        if values.size >= FEW and p01 >= -1.0 and p99 <= 1.0:
            raise InputError(
                subject, f"its values are between -1 and 1, like an index ({shown_values(values)})", ORIGINAL
            )
        outside = float(((values < LEAST_DB) | (values > MOST_DB)).mean())
        if outside > _MOST_OUTSIDE and np.unique(values[values < LEAST_DB]).size > FEW:
            raise InputError(
                subject, f"{outside:.0%} of its values are outside the limits of dB ({shown_values(values)})", ORIGINAL
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
        f"its values fit no unit of backscatter ({shown_values(values)}, {100.0 * negative:.0f} % negative)",
        ORIGINAL,
    )


_OTHER_KIND: Final[dict[Units, Units]] = {
    "power": "amplitude",
    "amplitude": "power",
    "dn": "intensity",
    "intensity": "dn",
}


def _kind(hint: Units | None) -> str | None:
    """Return whether a hint says that the values are proportional to power or to its root."""
    if hint in ("power", "intensity"):
        return "power"
    return "amplitude" if hint in ("amplitude", "dn") else None


def _found(samples: Sequence[BandSample], claims: Claims, family: str, subject: str, whole: BandSample) -> UnitsFound:
    """Choose the units from the values and the hint; `whole` is VV with its extreme values."""
    seen = shown_values(samples[0].values)
    if family == "db":
        if claims.integers:
            raise InputError(subject, f"its values are negative whole numbers without a scale ({seen})", ORIGINAL)
        found = UnitsFound("db", f"distribution of dB: {seen}")
    elif family == "calibrated":
        found = _calibrated(samples, claims, seen, subject, whole)
    else:
        found = _counts(samples, claims, seen, subject)
    if claims.hint == "db" and found.units != "db":
        raise InputError(
            subject,
            f"its name or tags say dB, but its values are not dB ({seen})",
            "Correct the name, or " + OR_ORIGINAL,
        )
    if claims.hint is not None and _kind(claims.hint) != _kind(found.units):
        note = f"the file's name or tags say {claims.hint}, but its values are {found.units}; read as {found.units}"
        found = UnitsFound(found.units, found.evidence, (*found.warnings, note))
    return found


def _calibrated(
    samples: Sequence[BandSample], claims: Claims, seen: str, subject: str, whole: BandSample
) -> UnitsFound:
    kind = _kind(claims.hint)
    hint = 0.0 if kind is None else HINT_ODDS if kind == "power" else -HINT_ODDS
    odds = odds_of_power(samples, calibrated=True) + hint
    if -CLEAR_AMPLITUDE < odds < CLEAR_POWER:
        # The advice below is wrong for values that are neither of the two.
        refuse_normalised(whole, samples[0], "power", subject)
        raise InputError(
            subject,
            f"its values may be power or amplitude ({seen})",
            "Look up in the product's documentation which one it is, and pass --units power or --units amplitude",
        )
    units: Units = "power" if odds > 0 else "amplitude"
    says = f"; the file's name or tags say {claims.hint}" if kind is not None else ""
    return UnitsFound(units, f"positive floats like {units}: {seen}{says}")


def _counts(samples: Sequence[BandSample], claims: Claims, seen: str, subject: str) -> UnitsFound:
    hint = claims.hint
    if hint == "intensity":
        return UnitsFound("intensity", f"the file's name or tags say {hint}; squared digital numbers: {seen}")
    values = samples[0].values
    # SNAP calls the digital numbers of a GRD `Amplitude`. Other amplitude with such values has lost its scale.
    if hint == "power" or (hint == "amplitude" and not bool((values == np.round(values)).all())):
        raise InputError(
            subject,
            f"its name or tags say {hint}, but its values are too large for it ({seen}): their scale is not known",
            f"If they are the digital numbers of a Sentinel-1 GRD, pass --units dn; otherwise {OR_ORIGINAL}",
        )
    if hint is None and not (claims.integers and claims.named):
        raise InputError(
            subject,
            "its values may be the digital numbers of a Sentinel-1 GRD, their square, other numbers without their "
            f"scale, or no backscatter ({seen})",
            "If it is a Sentinel-1 GRD, pass --units dn or, for the square, --units intensity; "
            f"otherwise {OR_ORIGINAL}",
        )
    if hint is None and odds_of_power(samples, calibrated=False) > CLEAR_POWER:
        raise InputError(subject, f"its whole numbers behave like power that lost its scale ({seen})", ORIGINAL)
    return UnitsFound("dn", f"distribution of digital numbers: {seen}")


def _stated(samples: Sequence[BandSample], family: str, given: Units, subject: str) -> UnitsFound:
    """Use the units that the user states, unless the values contradict them."""
    fitting: dict[str, tuple[Units, ...]] = {"db": ("db",), "calibrated": _CALIBRATED, "counts": COUNTS}
    seen = shown_values(samples[0].values)
    if given not in fitting[family]:
        raise InputError(
            subject,
            f"its values are not {UNIT_NAMES[given]} ({seen})",
            "Leave --units out, or correct the side-car",
        )
    if family == "db":
        return UnitsFound(given, "given by the user")
    likelier: Units = _OTHER_KIND[given]
    odds = odds_of_power(samples, calibrated=family == "calibrated")
    odds, clear = (odds, CLEAR_AMPLITUDE) if _kind(given) == "power" else (-odds, CLEAR_POWER)
    local = texture_as(samples[0], "power")
    # Of a filtered product this is not certain: a filter changes the deviation and the spread of a scene.
    if odds < -clear and (only_power(local) or speckle_strength(local) is not None):
        raise InputError(
            subject,
            f"its values behave like {likelier}, not like {given} ({seen})",
            f"If the product's documentation says {UNIT_NAMES[likelier]}, pass --units {likelier}; "
            f"otherwise {OR_ORIGINAL}",
        )
    if odds >= -DOUBTFUL_ODDS:
        return UnitsFound(given, "given by the user")
    note = (
        f"read as {given}, as stated, but the values look more like {likelier}; those of a filtered product may do so"
    )
    return UnitsFound(given, "given by the user", (note,))
