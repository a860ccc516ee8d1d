"""Which band of which file is VV and which is VH.

The user's choice comes first, then descriptions and tags, then the file's name, then the order (VV first). A band that
its description calls an angle, a mask or another layer is never one of them. `file_facts` reads the headers; `ingest`
reads the pixels and checks whether they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation
from drshym_pipeline.sar.file_facts import FileFacts
from drshym_pipeline.sar.file_names import is_horizontal, may_mean_vh, parse_name
from drshym_pipeline.sar.named_times import file_moment, several_moments
from drshym_pipeline.sar.scene_names import telling_name

NEEDS_VV = "This program needs VV (alone or with VH); give the file that contains VV"
_FEWEST, _MOST = 1, 2


@dataclass(frozen=True, slots=True)
class BandRole:
    """One polarisation and its file and band; `stated` is False when it follows only from the order of the bands."""

    polarisation: Polarisation
    path: Path
    band: int
    stated: bool


def choose_bands(example: Sequence[int]) -> str:
    """Return the advice how to choose bands, with band numbers that can be chosen, VV first."""
    numbers = ",".join(map(str, example))
    return f'choose with --bands {numbers} (VV first), or with "bands": [{numbers}] in the side-car'


def check_choice(chosen: Sequence[int]) -> tuple[int, ...]:
    """Return chosen band numbers.

    Args:
        chosen: The number of the VV band, and that of the VH band if there is one; empty without a choice.

    Raises:
        InputError: There are more than two, or one is below 1.
    """
    if len(chosen) > _MOST or any(number < 1 for number in chosen):
        shown = ",".join(map(str, chosen))
        raise InputError("--bands", f"cannot be {shown}", "Give one or two band numbers from 1 on, VV first: 1 or 1,2")
    return tuple(chosen)


def assign_roles(files: Sequence[FileFacts], chosen: Sequence[int] = ()) -> tuple[list[BandRole], list[str]]:
    """Decide which band is which.

    Args:
        files: One file with VV or VV and VH, or two files of one polarisation each.
        chosen: The numbers of the bands to read, VV first. With two files, one number for each.

    Returns:
        The roles, VV first, and warnings for the user.

    Raises:
        InputError: There is no VV, a polarisation is there twice, the bands are of several dates, a chosen band does
            not exist, or the files contain something else.
    """
    if chosen:
        roles_in_order = _chosen_roles(files, check_choice(chosen))
        _check_dates_of_pair(files, roles_in_order)
        return roles_in_order, []
    warnings: list[str] = []
    found: dict[Polarisation, BandRole] = {}
    for facts in files:
        _check_polarised(facts)
        roles = _roles_of_one(facts, alone=len(files) == 1)
        if len(files) > 1:
            roles = _one_of_pair(facts, roles, found)
        for key, role in roles.items():
            if key in found:
                raise InputError(facts.path, f"a second {key} band", "Give one file per polarisation: one VV, one VH")
            found[key] = role
        warnings.extend(_unnamed_warnings(facts, len(roles)))
    if "VV" not in found:
        raise InputError(files[0].path, "it contains only VH, and no VV band", NEEDS_VV)
    roles_in_order = [found[key] for key in ("VV", "VH") if key in found]
    _check_dates_of_pair(files, roles_in_order)
    if not any(role.stated for role in roles_in_order) and len(roles_in_order) == 1:
        unclear = ', although its name contains "VH"' if may_mean_vh(files[0].path.name) else ""
        warnings.append(f"no polarisation is named in the file; its band is read as VV{unclear}")
    return roles_in_order, warnings


def _chosen_roles(files: Sequence[FileFacts], chosen: tuple[int, ...]) -> list[BandRole]:
    """Return the roles of the bands that the user has chosen."""
    if len(files) > 1:
        if len(chosen) != len(files):
            raise InputError(
                files[0].path,
                f"is one of {len(files)} files, but --bands has {len(chosen)} number",
                "Give one band number for each file, VV first: --bands 1,1",
            )
        if parse_name(files[0].path.name).polarisation == "VH":
            files = files[::-1]
        return [_chosen_role(*each) for each in zip(("VV", "VH"), files, chosen, strict=True)]
    facts = files[0]
    if len(set(chosen)) < len(chosen):
        raise InputError(
            facts.path,
            f"band {chosen[0]} is chosen twice",
            f"Choose two bands, or VV alone with --bands {chosen[0]}",
        )
    return [_chosen_role(name, facts, number) for name, number in zip(("VV", "VH"), chosen, strict=False)]


def _chosen_role(name: str, facts: FileFacts, number: int) -> BandRole:
    if number not in facts.bands:
        bands = ", ".join(map(str, facts.bands))
        raise InputError(facts.path, f"has no band {number} with values (its bands are {bands})", "Choose one of these")
    return BandRole(cast("Polarisation", name), facts.path, number, True)


def _check_polarised(facts: FileFacts) -> None:
    """Refuse a file without a band that may be VV or VH."""
    names = [name for name in facts.described if name]
    horizontal = bool(names) and not {"VV", "VH"} & set(names)
    if horizontal or (not names and is_horizontal(facts.path.name)):
        shown = " and ".join(dict.fromkeys(names)) or "HH or HV"
        raise InputError(facts.path, f"contains {shown}, sent horizontally, and no VV", NEEDS_VV)
    if not facts.candidates:
        raise InputError(
            facts.path, f"no band is backscatter, as their names say: {facts.shown(facts.bands)}", NEEDS_VV
        )


def _roles_of_one(facts: FileFacts, *, alone: bool) -> dict[Polarisation, BandRole]:
    """Return the polarisations in one file; one band without a name is VV, more bands without names are VV and VH."""
    named = parse_name(facts.path.name).polarisation
    described: dict[str, list[int]] = {}
    for band in facts.candidates:
        if (name := facts.described[facts.bands.index(band)]) is not None:
            described.setdefault(name, []).append(band)
    wanted = {name: bands for name, bands in described.items() if name in ("VV", "VH")}
    if not alone and named in wanted:
        wanted = {str(named): wanted[str(named)]}
    _check_dates(facts, wanted)
    for name, bands in wanted.items():
        if len(bands) > 1:
            raise InputError(
                facts.path,
                f"several bands are {name}: {facts.shown(bands)}",
                f"Give a file of one date, or {choose_bands(_example(wanted))}",
            )
    if wanted:
        return {
            cast("Polarisation", name): BandRole(cast("Polarisation", name), facts.path, bands[0], True)
            for name, bands in wanted.items()
        }
    if named is not None or len(facts.candidates) == 1:
        role = BandRole(named or "VV", facts.path, facts.candidates[0], named is not None)
        return {role.polarisation: role}
    first, second = facts.candidates[:2]
    return {"VV": BandRole("VV", facts.path, first, False), "VH": BandRole("VH", facts.path, second, False)}


def _example(wanted: dict[str, list[int]]) -> list[int]:
    """Return bands that can be chosen: the first ones, VV before VH."""
    bands = [wanted[name][0] for name in ("VV", "VH") if name in wanted]
    return bands if "VV" in wanted else bands[:1]


def _check_dates(facts: FileFacts, wanted: dict[str, list[int]]) -> None:
    """Refuse bands that were acquired at several dates, as their descriptions say."""
    bands = [band for name in ("VV", "VH") for band in wanted.get(name, [])] or list(facts.candidates)
    moments = {band: facts.moments[facts.bands.index(band)] for band in bands}
    if not several_moments(moments.values()):
        return
    first = moments[bands[0]]
    same = _example({name: found for name in wanted if (found := [b for b in wanted[name] if moments[b] == first])})
    raise InputError(
        facts.path,
        f"its bands have several dates: {facts.shown(bands)}",
        f"Give a file of one date, or {choose_bands(same or bands[:1])}",
    )


def _check_dates_of_pair(files: Sequence[FileFacts], roles: Sequence[BandRole]) -> None:
    """Refuse two files of different dates, as their names, or the descriptions of their bands, say."""
    if len(files) < 2 or len(roles) < 2:
        return
    used = [next(facts for facts in files if facts.path == role.path) for role in roles]
    names = [telling_name(role.path) for role in roles]
    texts = None
    if several_moments(map(file_moment, names)):
        texts = names
    elif several_moments(facts.moments[facts.bands.index(role.band)] for facts, role in zip(used, roles, strict=True)):
        texts = [facts.shown([role.band]) for facts, role in zip(used, roles, strict=True)]
    if texts is not None:
        raise InputError(
            roles[1].path,
            f"VV and VH have different dates: {' and '.join(texts)}",
            "Give the VV and VH of one date, or the VV file alone",
        )


def _unnamed_warnings(facts: FileFacts, read: int) -> list[str]:
    """Return a warning when bands without a polarisation are left unread."""
    more = len(facts.candidates)
    if any(facts.described) or more <= read:
        return []
    if read == _FEWEST:
        name = parse_name(facts.path.name).polarisation
        return [f"{facts.path.name} has {more} unnamed bands; its name says {name}, so only the first is read"]
    return [f"{facts.path.name} has {more} unnamed bands; the first two are read as VV and VH (--bands reads others)"]


def _one_of_pair(
    facts: FileFacts, roles: dict[Polarisation, BandRole], found: dict[Polarisation, BandRole]
) -> dict[Polarisation, BandRole]:
    """Return the one polarisation that a file adds to a pair."""
    if len(roles) > 1:
        raise InputError(
            facts.path, f"{facts.count} bands, but one file per polarisation is expected", "Give this file alone"
        )
    ((key, role),) = roles.items()
    if not role.stated and key in found:
        return {"VH": BandRole("VH", role.path, role.band, False)}
    return roles
