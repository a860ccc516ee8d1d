"""The orbit of a Sentinel-1 scene, from the number in the name of its product; no file is opened here.

A satellite repeats its track over the ground after 175 orbits, which are 12 days. Images of the same relative orbit
show a place from the same side and under the same angle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

ORBITS = 175
# The absolute orbit that begins a cycle, by satellite: relative orbit = (absolute orbit - first) mod 175 + 1.
# Source: ESA's naming convention of the products (sentiwiki.copernicus.eu, "S1 Products", "SAR Naming Convention"); for
# S1C from June 2026 and for S1D isce2 (github.com/isce-framework/isce2, pull requests 28130 and 28123), as presented at
# FRINGE 2026.
_FIRST = {"S1A": 73, "S1B": 27, "S1C": 172, "S1D": 42}
# S1C was moved to another track in June 2026. 8018 is the last orbit before it.
_S1C_LAST_BEFORE_MOVE = 8018
_S1C_FIRST_AFTER_MOVE = 99
_START_STOP = r"\d{8}T\d{6}[_-]\d{8}T\d{6}"
# `S1A_IW_GRDH_1SDV_<start>_<stop>_038206_04823D_...` and `s1a-iw-grd-vv-<start>-<stop>-038206-04823d-001`.
_NAMED = re.compile(
    rf"(?<![A-Za-z0-9])(?P<mission>S1[A-D])[_-].*?{_START_STOP}[_-](?P<orbit>\d{{6}})[_-][0-9A-F]{{6}}(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def relative_orbit(name: str) -> int | None:
    """Return the relative orbit of a product, 1 to 175; None if its name has no absolute orbit.

    Args:
        name: The name of a product or of one of its images, with or without extension and folder.
    """
    if (match := _NAMED.search(name)) is None:
        return None
    mission, absolute = match["mission"].upper(), int(match["orbit"])
    moved = mission == "S1C" and absolute > _S1C_LAST_BEFORE_MOVE
    first = _S1C_FIRST_AFTER_MOVE if moved else _FIRST[mission]
    return (absolute - first) % ORBITS + 1


def common_relative_orbit(names: Iterable[str]) -> int | None:
    """Return the relative orbit that the names of a scene's files state; None if they state none, or several."""
    found = {orbit for name in names if (orbit := relative_orbit(name)) is not None}
    return found.pop() if len(found) == 1 else None
