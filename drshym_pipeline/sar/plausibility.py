"""Whether values are plausible as radar backscatter: their level, their limits and their speckle. Arrays only.

docs/input_contract.md has the rules in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation, Units
from drshym_pipeline.sar.radiometry import to_db
from drshym_pipeline.sar.texture import has_no_speckle
from drshym_pipeline.sar.unit_evidence import (
    COUNTS,
    FEW,
    FILL_ABOVE,
    OR_ORIGINAL,
    ORIGINAL,
    UNIT_NAMES,
    WEAK_SPECKLE,
    BandSample,
    Claims,
    UnitsFound,
    patches_as,
    shown_values,
    speckle_strength,
    texture_as,
)
from drshym_pipeline.sar.validity import LEAST_DB, MOST_DB

# Medians of a whole scene in dB that are possible. Calm lakes are near -25 dB in VV, cities near -3 dB.
_LEVELS: Final[dict[Polarisation, tuple[float, float]]] = {"VV": (-32.0, 3.0), "VH": (-45.0, -2.0)}
_COUNTS_LESS: Final = 4.0  # digital numbers contain the noise of the instrument
# Digital numbers are calibrated later, so their level is less certain; but no scene is so bright.
_COUNTS_MOST: Final[dict[Polarisation, float]] = {"VV": 0.0, "VH": -5.0}
# Limits of the local statistics; `texture` says what they were chosen on.
_SPECKLE_DB: Final = 0.5  # from this deviation on, it is speckle
_MOST_UNEVEN: Final = 2.0
_LEAST_GROWTH: Final = 0.5
# In 33 real scenes as digital numbers the growth is 0.85 or more. Of |dB| that are read as digital numbers it is 0.48
# to 0.87, of (dB + 35) x 10 it is 0.74 or less.
_LEAST_COUNTS_GROWTH: Final = 0.7
_UNSIGNED_GROWTH: Final = 0.9
_UNSIGNED: Final = (-36.0, -4.0)  # medians of VV or VH in dB
# For values in 0 .. 1.
_NORMALISED_GROWTH: Final = 0.55
_NORMALISED_THOUGH_NAMED: Final = 0.3  # a name that states the units is some evidence for them
_LARGEST: Final = 99.5  # percentile; single bright targets are above 1 in scaled dB too
_AT_LIMIT_FROM, _AT_LIMIT = 0.995, 0.005
# Backscatter that is smoother than speckle is accepted only at a level that is usual.
_USUAL: Final = (-28.0, -4.0)
_USUAL_COUNTS: Final = (-22.0, -3.0)
_USUAL_LEVEL: Final = (-28.0, -3.0)
_USUAL_RATIO: Final = (2.5, 14.0)  # of the medians of VV and VH in dB; 4 to 12 in real scenes
_COPIED: Final = 0.5  # the share of equal values from which on a band is a copy
# The correlation in dB from which on a band was computed from the other. Real scenes have at most 0.79, and 0.983 after
# a mean filter of 25 x 25 pixels.
_DERIVED: Final = 0.999
_ENOUGH_TO_CHECK: Final = 1000  # values; with fewer, a scene is too small for local statistics


def refuse_normalised(
    whole: BandSample, cleaned: BandSample, units: Units, subject: str, *, named: bool = False
) -> None:
    """Refuse values that are limited to 0 .. 1, such as scaled dB or a probability.

    Args:
        whole: VV with the values that were cut at 1.
        cleaned: VV without them.
        units: How the values would be read.
        subject: The file to name in an error.
        named: Whether the name or the tags state these units.

    Raises:
        InputError: Nearly all values are in 0 .. 1, and many are near the largest or the local deviation does not grow
            with the mean.
    """
    values = whole.values[(whole.values >= 0.0) & (whole.values < FILL_ABOVE)]
    if values.size < FEW or np.percentile(values, _LARGEST) > 1.0:
        return
    local = texture_as(cleaned, units)
    largest = float(values.max())
    limited = 0.9 < largest <= 1.0 and float((values >= _AT_LIMIT_FROM * largest).mean()) >= _AT_LIMIT
    least = _NORMALISED_THOUGH_NAMED if named else _NORMALISED_GROWTH
    added = local is not None and local.growth is not None and local.growth < least
    if limited or added:
        raise InputError(
            subject,
            f"its values are normalised to 0 .. 1 ({shown_values(values)}), so their dB is lost, or they are a "
            "probability",
            ORIGINAL,
        )


def check_levels(samples: Sequence[BandSample], units: Units, subject: str) -> None:
    """Refuse values whose dB no scene has.

    Raises:
        InputError: The median of a band is outside the possible levels.
    """
    for sample in samples:
        db = to_db(sample.values, units)
        db = db[(db >= LEAST_DB) & (db <= MOST_DB) & (sample.values != 0)]
        least, most = _LEVELS[sample.polarisation]
        if units in COUNTS:
            least, most = least + _COUNTS_LESS, _COUNTS_MOST[sample.polarisation]
        middle = float(np.median(db)) if db.size else float("nan")
        if not least <= middle <= most:
            level = f"a median of {middle:.1f} dB" if db.size else "no value inside the physical limits"
            raise InputError(
                subject,
                f"read as {UNIT_NAMES[units]}, {sample.polarisation} has {level}, which is not backscatter "
                f"({least:g} to {most:g} dB are possible; {shown_values(sample.values)})",
                ORIGINAL,
            )


def refuse_unsigned(vv: BandSample, claims: Claims, subject: str) -> None:
    """Refuse dB that lost their sign and would be read as digital numbers.

    Args:
        vv: VV, or the first band.
        claims: What the file says. Nothing is refused if it states units.
        subject: The file to name in an error.

    Raises:
        InputError: The values are no whole numbers, their opposite is a possible level of VV or VH (as digital
            numbers, that is below -18 dB), and the local deviation grows less than that of digital numbers or is
            weaker.
    """
    values = vv.values
    if claims.hint is not None or values.size < FEW or bool((values == np.round(values)).all()):
        return
    if not _UNSIGNED[0] <= -float(np.median(values)) <= _UNSIGNED[1]:
        return
    local = texture_as(vv, "dn")
    grows = local is not None and local.growth is not None and local.growth >= _UNSIGNED_GROWTH
    strength = speckle_strength(local)
    if not grows or strength is None or strength < WEAK_SPECKLE:
        raise InputError(
            subject,
            f"its values may be dB that lost their sign ({shown_values(values)})",
            f"If they are, multiply them by -1; otherwise {OR_ORIGINAL}",
        )


def check_backscatter(samples: Sequence[BandSample], claims: Claims, found: UnitsFound, subject: str) -> UnitsFound:
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
    local = texture_as(samples[0], found.units)
    if local is None:
        if samples[0].values.size >= _ENOUGH_TO_CHECK and found.units in COUNTS:
            raise InputError(
                subject,
                "its valid pixels are too scattered: digital numbers and elevation or optical bands look alike",
                ORIGINAL,
            )
        note = "too few neighbouring valid pixels to check that the values are backscatter"
        return UnitsFound(found.units, found.evidence, (*found.warnings, note))
    shown = f"the local deviation is {local.deviation_db:.2f} dB"
    if local.smooth:
        raise InputError(
            subject, f"not a radar image: no speckle, {shown}, as in elevation, angles or classes", ORIGINAL
        )
    speckle = local.deviation_db >= _SPECKLE_DB and local.unevenness <= _MOST_UNEVEN
    least = _LEAST_COUNTS_GROWTH if found.units in COUNTS else _LEAST_GROWTH
    grows = local.growth is None or local.growth >= least
    if speckle and grows:
        return _with_level_note(samples, found)
    if found.units in COUNTS and (claims.integers or claims.hint is None):
        # An elevation model has the level and the texture of filtered digital numbers.
        raise InputError(
            subject,
            f"not a radar image, or filtered digital numbers: {shown}, as in elevation or optical bands",
            ORIGINAL,
        )
    if not claims.named:
        raise InputError(
            subject,
            f"it is not clear that this is a radar image ({shown}; speckle has 0.5 dB or more), and neither its name "
            "nor its bands say that it is Sentinel-1",
            ORIGINAL,
        )
    middle = float(np.median(to_db(samples[0].values, found.units)))
    if not _USUAL[0] <= middle <= _USUAL[1]:
        raise InputError(
            subject,
            f"smoother than a radar image ({shown}) and, with a median of {middle:.1f} dB in VV, at an unusual level",
            ORIGINAL,
        )
    note = f"the values are smoother or less even than speckle ({shown}); a filtered image may be mapped less exactly"
    return UnitsFound(found.units, found.evidence, (*found.warnings, note))


def _with_level_note(samples: Sequence[BandSample], found: UnitsFound) -> UnitsFound:
    """Add a warning when the level of VV is unusual: other numbers may look like these units."""
    least, most = _USUAL_COUNTS if found.units in COUNTS else _USUAL_LEVEL
    middle = float(np.nanmedian(to_db(samples[0].values, found.units)))
    if least <= middle <= most:
        return found
    note = f"read as {UNIT_NAMES[found.units]}, VV has an unusual median of {middle:.1f} dB: is it an original product?"
    return UnitsFound(found.units, found.evidence, (*found.warnings, note))


def check_second_band(samples: Sequence[BandSample], found: UnitsFound, subject: str) -> UnitsFound:
    """Compare VH with VV.

    Raises:
        InputError: VH is a copy of VV, or was computed from it.
    """
    if len(samples) < 2 or samples[0].values.size < FEW:
        return found
    if float((samples[0].values == samples[1].values).mean()) > _COPIED:
        raise InputError(subject, "its VH is a copy of its VV", "Give a file with VV, or with VV and VH")
    if _computed_from(*(to_db(sample.values, found.units) for sample in samples)):
        raise InputError(
            subject,
            "its VH was computed from its VV: their dB are a linear function of each other",
            "Give a file with VV, or with VV and VH",
        )
    notes = []
    vv, vh = (float(np.nanmedian(to_db(sample.values, found.units))) for sample in samples)
    if not _USUAL_RATIO[0] <= vv - vh <= _USUAL_RATIO[1]:
        notes.append(
            f"VV is {vv - vh:.1f} dB above VH in the median; {_USUAL_RATIO[0]:g} to {_USUAL_RATIO[1]:g} dB are usual: "
            "are the bands VV and VH?"
        )
    if has_no_speckle(patches_as(samples[1], found.units)):
        notes.append("VH has no speckle, as if it were no backscatter, or cut at a limit")
    return UnitsFound(found.units, found.evidence, (*found.warnings, *notes))


def _computed_from(vv_db: NDArray[np.floating], vh_db: NDArray[np.floating]) -> bool:
    """Return whether the dB of one band are a linear function of those of the other."""
    both = np.isfinite(vv_db) & np.isfinite(vh_db)
    vv, vh = vv_db[both], vh_db[both]
    if vv.size < FEW or np.ptp(vv) == 0 or np.ptp(vh) == 0:
        return False
    return abs(float(np.corrcoef(vv, vh)[0, 1])) > _DERIVED
