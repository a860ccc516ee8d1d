"""What the name of a Sentinel-1 file says: mission, time, polarisation, units, and which scene it belongs to.

Names are only hints: they come from many producers, and people rename files. No file is opened here.

Known patterns: native GRD products and their measurement files, ASF HyP3 RTC
(`S1x_yy_..._RTCzz_G_defklm_ssss`, e = p/d/a), OPERA RTC-S1, the RTC collection of the Planetary Computer, Sen1Floods11
chips, and any name with a polarisation or a date in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import PurePath
from typing import Literal, cast

from drshym_pipeline.records import Polarisation, Units
from drshym_pipeline.sar.named_times import named_time

OrbitDirection = Literal["ascending", "descending"]

_EDGE = r"(?:^|(?<=[^A-Za-z0-9]))"
_END = r"(?=[^A-Za-z0-9]|$)"
_POLARISATION = re.compile(rf"{_EDGE}(VV|VH|HH|HV){_END}", re.IGNORECASE)
# In `Sentinel-1_IW_VV+VH_VH_-_decibel` the first two are the mode of the product, and the third is the band.
_OWN_POLARISATION = re.compile(rf"(?<![+&]){_EDGE}(VV|VH|HH|HV){_END}(?![+&])", re.IGNORECASE)
# A polarisation without a separator, as in `sigma0VV`, `VV10m`, `intensityVV`, `VVdB`. Each letter may begin one.
_CLOSE_POLARISATION = re.compile(r"(?<![+&])(?=(VV|VH|HH|HV|vv|vh|hh|hv)(?![+&]))")
_WORD_BEFORE = re.compile(
    r"(?<![A-Z])(?:sigma|gamma|beta|nought|naught|grd[fhm]?|rtc|s1[a-d]|db|lin|pol|band)$", re.IGNORECASE
)
_WORD_AFTER = re.compile(
    r"(?:db|decibel|lin|linear|pow|power|pwr|amp|amplitude|int|intensity|sigma|gamma|beta|grd[fhm]?|rtc|pol|band)"
    r"(?![A-Z])",
    re.IGNORECASE,
)
_EXTENSION = re.compile(r"\.(tiff?|safe|zip)$", re.IGNORECASE)
_MEASUREMENT = re.compile(r"^s1[a-d]-[a-z0-9]{2}-grd-(?P<pol>vv|vh|hh|hv)-.+-(?P<image>\d{3})(?:-cog)?$", re.IGNORECASE)
_NATIVE = re.compile(
    r"^(?P<product>S1[A-D]_[A-Z0-9]{2}_(?:GRD[FHM]|SLC)_+[0-9A][SA](?P<pol>[SDVH]{2})_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6})"
    r"_[0-9A-F]{4}(?:_COG)?",
    re.IGNORECASE,
)
_HYP3 = re.compile(
    r"S1[A-D]_[A-Z0-9]{2}_\d{8}T\d{6}_[SD][VH][A-Z]_RTC\d{2}_[A-Z]_[gs](?P<scale>[pda])[a-z]{4}_[0-9A-F]{4}",
    re.IGNORECASE,
)
_OPERA = re.compile(r"^OPERA_L2_RTC-S1_", re.IGNORECASE)
_PLANETARY = re.compile(r"\.rtc$|_rtc$", re.IGNORECASE)
_SEN1FLOODS11 = re.compile(r"_S1(Hand|Weak)$", re.IGNORECASE)
_MISSION = re.compile(rf"(?:{_EDGE}|_)(S1[A-D]){_END}", re.IGNORECASE)
_ORBIT = re.compile(rf"{_EDGE}(ascending|descending|asc|desc){_END}", re.IGNORECASE)
_UNITS: tuple[tuple[re.Pattern[str], Units], ...] = (
    (re.compile(rf"{_EDGE}(db|decibel){_END}", re.IGNORECASE), "db"),
    (re.compile(rf"{_EDGE}(power|pwr){_END}", re.IGNORECASE), "power"),
    (re.compile(rf"{_EDGE}(amplitude|amp){_END}", re.IGNORECASE), "amplitude"),
    (re.compile(rf"{_EDGE}intensity{_END}", re.IGNORECASE), "intensity"),
    (re.compile(rf"{_EDGE}dn{_END}", re.IGNORECASE), "dn"),
)
_LINEAR = re.compile(rf"{_EDGE}(linear|lin){_END}", re.IGNORECASE)
# Words that only radar products have. `units` accepts an image with unclear local statistics only if it has one.
_RADAR = re.compile(
    rf"{_EDGE}(S1[A-D]?(?:Hand|Weak)?|sentinel[-_ ]?1[a-d]?|(?:sigma|gamma|beta)[-_]?(?:0|nought|naught)|GRD[FHM]?"
    rf"|RTC\d*|VV|VH){_END}",
    re.IGNORECASE,
)
_HYP3_UNITS: dict[str, Units] = {"p": "power", "d": "db", "a": "amplitude"}


@dataclass(frozen=True, slots=True)
class NameFacts:
    """What a file name says; None for everything it does not say."""

    mission: str | None = None
    acquired_at: datetime | None = None
    orbit_direction: OrbitDirection | None = None
    polarisation: Polarisation | None = None
    units: Units | None = None


def stem(filename: str) -> str:
    """Return the last part of a path without the extensions of a raster or product."""
    return _EXTENSION.sub("", PurePath(filename).name)


def named_polarisations(text: str) -> tuple[str, ...]:
    """Return the polarisations (VV, VH, HH, HV) that are separate words in a name or description, in order."""
    return tuple(match.upper() for match in _POLARISATION.findall(text))


def is_horizontal(filename: str) -> bool:
    """Return whether the name says that the product was sent horizontally (HH, HV), and so has no VV."""
    name = stem(filename)
    if native := _NATIVE.match(name):
        return native["pol"].upper() in {"SH", "DH", "HH", "HV"}
    found = named_polarisations(name) or {name[place : place + 2].upper() for place in _close_places(name)}
    return bool(found) and not {"VV", "VH"} & set(found)


def names_radar(text: str) -> bool:
    """Return whether a name or description says Sentinel-1, names a polarisation or a radar product."""
    return _RADAR.search(text) is not None or _NATIVE.search(stem(text)) is not None


def units_of(text: str) -> Units | None:
    """Return the units that a name or description states by a word such as `dB` or `power`.

    None when it states none or several. `linear` alone means power, but there is linear amplitude too.
    """
    found = {units for pattern, units in _UNITS if pattern.search(text)}
    if not found and _LINEAR.search(text):
        return "power"
    return found.pop() if len(found) == 1 else None


def _named_units(name: str) -> Units | None:
    if hyp3 := _HYP3.search(name):
        return _HYP3_UNITS[hyp3["scale"].lower()]
    if units := units_of(name):
        return units
    if _MEASUREMENT.match(name):
        return "dn"
    if _OPERA.match(name) or _PLANETARY.search(name):
        return "power"
    return "db" if _SEN1FLOODS11.search(name) else None


def _close_places(name: str) -> list[int]:
    """Return where the polarisations without a separator begin.

    On both sides there must be a digit, a change of case as between two words (`intensityVV`, `VVIntensity`, but not
    `VVitebsk`), a separator, or a word that radar products have. So `savvy` and `1SVV` contain none.
    """
    places = []
    for match in _CLOSE_POLARISATION.finditer(name):
        before, after = name[: match.start()], name[match.start() + 2 :]
        upper = match[1].isupper()
        begins = re.search(r"[a-z]$" if upper else r"(?!)", before) or not re.search(r"[A-Za-z]$", before)
        ends = re.match(r"[A-Z][a-z]" if upper else r"(?!)", after) or not re.match(r"[A-Za-z]", after)
        if (begins or _WORD_BEFORE.search(before)) and (ends or _WORD_AFTER.match(after)):
            places.append(match.start())
    return places


def _own_places(name: str) -> list[int]:
    """Return where the polarisations of a file begin in its name; those without a separator if there are no others."""
    return [match.start() for match in _OWN_POLARISATION.finditer(name)] or _close_places(name)


def _single_polarisation(name: str) -> Polarisation | None:
    found = {name[place : place + 2].upper() for place in _own_places(name)} & {"VV", "VH"}
    return cast("Polarisation", found.pop()) if len(found) == 1 else None


def may_mean_vh(filename: str) -> bool:
    """Return whether the letters VH are anywhere in a name, so that its file may be VH although it is not clear."""
    return "vh" in stem(filename).lower()


def parse_name(filename: str) -> NameFacts:
    """Read what a file or product name says.

    Args:
        filename: A name or path; only its last part is read.

    Returns:
        The facts; times are UTC, a date without a time of day is its midnight.
    """
    name = stem(filename)
    mission = _MISSION.search(name)
    orbit = _ORBIT.search(name)
    direction: OrbitDirection | None = None
    if orbit is not None:
        direction = "ascending" if orbit[1].lower().startswith("asc") else "descending"
    return NameFacts(
        mission=mission[1].upper() if mission else None,
        acquired_at=named_time(name),
        orbit_direction=direction,
        polarisation=_single_polarisation(name),
        units=_named_units(name),
    )


def _without_number(name: str) -> str:
    """Return a name without the number that the images of a product have, one for each polarisation."""
    if (measurement := _MEASUREMENT.match(name)) is None:
        return name
    return name[: measurement.start("image") - 1] + name[measurement.end("image") :]


def _named_as_vv(name: str) -> str:
    """Return the name that the VV file has if this is a name of a VH file, in the same letter case."""
    for place in _own_places(name):
        if name[place : place + 2].upper() == "VH":
            name = name[: place + 1] + ("V" if name[place + 1].isupper() else "v") + name[place + 2 :]
    return name


@lru_cache(maxsize=1 << 16)  # the sensor asks for every file at every tick
def twin_key(filename: str) -> str:
    """Return the text that the two files of a scene share if their names differ only by the polarisation.

    Unlike in `pair_key` the place of the polarisation, its separators and its letter case count: it is the name of the
    VV file without extension. The number of an image in a product does not count.

    Args:
        filename: A file name such as `pxs10_vh.tif`, for which the result is `pxs10_vv`.
    """
    name = stem(filename)
    return _without_number(name if _single_polarisation(name) is None else _named_as_vv(name))


@lru_cache(maxsize=1 << 16)  # the sensor asks for every file at every tick
def pair_key(filename: str) -> tuple[str, Polarisation | None]:
    """Return the part that the file names of one scene have in common, and the polarisation of this file.

    Args:
        filename: A file name such as `pxs10_vv.tif`.

    Returns:
        A pair such as `("pxs10", "VV")`; the polarisation is None when the name has none or several. A mode such as
        `VV+VH` in the name does not count. A polarisation without a separator, as in `S1_VH10m`, is not
        a word that could be left out: the common part is then the name of the VV file, `S1_VV10m`.
    """
    name = stem(filename)
    polarisation = _single_polarisation(name)
    if native := _NATIVE.match(name):
        # The COG copy of a product differs in the last four digits: it is the same scene.
        rest = name[native.end() :]
        name = native["product"] + rest
    elif measurement := _MEASUREMENT.match(name):
        # The files of a product are numbered by polarisation.
        name = name[: measurement.start("image") - 1]
    if polarisation is None:
        return name, None
    if _OWN_POLARISATION.search(name) is None:
        return _named_as_vv(name), polarisation
    parts = [part for part in _OWN_POLARISATION.split(name) if part.upper() != polarisation]
    key = parts[0]
    for part in parts[1:]:
        # The separator before the polarisation is removed with it.
        key = key.rstrip("_-. ") + part if part[:1] in "_-. " or not part else key + part
    # A leading "_" belongs to the name, unless it stood after the polarisation. Without any other word both files of a
    # scene have the same key.
    key = key.rstrip("_-. ")
    return (key if parts[0] else key.lstrip("_-. ")) or "VV", polarisation
