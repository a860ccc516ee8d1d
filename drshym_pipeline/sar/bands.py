"""Which band of which file is VV and which is VH.

Descriptions and tags are used first, then the file's name, then the order (VV first). `ingest` reads the pixels and
checks whether they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation, Units
from drshym_pipeline.sar.file_names import is_horizontal, named_polarisations, names_radar, parse_name, units_of
from drshym_pipeline.sar.raster_band import data_bands

_NEEDS_VV = "This program needs VV (alone or with VH); give the file that contains VV"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the header of one file says about its bands; no pixel is read.

    Args:
        path: The file.
        bands: The numbers of its bands, without alpha.
        dtype: The data type of the stored numbers.
        scaled: Whether a scale or an offset turns the stored numbers into values.
        nodata: The nodata tag, a stored number.
        described: One entry per band: the polarisation in its description or tags, None when there is none.
        units_hint: The units that a description, a tag or the name states.
        named: Whether the name, a description or a tag says that the file is Sentinel-1 or names a polarisation.
    """

    path: Path
    bands: tuple[int, ...]
    dtype: str
    scaled: bool
    nodata: float | None
    described: tuple[str | None, ...]
    units_hint: Units | None
    named: bool

    @property
    def count(self) -> int:
        """Return the number of bands without alpha."""
        return len(self.bands)


@dataclass(frozen=True, slots=True)
class BandRole:
    """One polarisation and its file and band; `stated` is False when it follows only from the order of the bands."""

    polarisation: Polarisation
    path: Path
    band: int
    stated: bool


def file_facts(dataset: Any, path: Path) -> FileFacts:
    """Read the header of an open dataset.

    Raises:
        InputError: The values are complex, or there is no band but alpha.
    """
    dtype = str(dataset.dtypes[0])
    if "complex" in dtype:
        raise InputError(path, f"complex values ({dtype}): a single-look complex SLC", "Use a GRD or RTC product")
    bands = data_bands(dataset)
    if not bands:
        raise InputError(path, "its only band is alpha", "Give a GeoTIFF with Sentinel-1 backscatter")
    described: list[str | None] = []
    texts: list[str] = []
    for band in bands:
        parts = [dataset.descriptions[band - 1] or "", *map(str, dataset.tags(band).values())]
        text = " ".join(parts)
        found = set(named_polarisations(text))
        described.append(found.pop() if len(found) == 1 else None)
        texts.extend((text, str(dataset.units[band - 1] or "")))
    if len(bands) == 1 and described == [None]:
        tags = {key.lower(): str(value) for key, value in dataset.tags().items()}
        found = set(named_polarisations(tags.get("polarisation", tags.get("polarization", ""))))
        described = [found.pop() if len(found) == 1 else None]
    stated = {units for text in texts if (units := units_of(text)) is not None}
    return FileFacts(
        path=path,
        bands=bands,
        dtype=dtype,
        scaled=any((dataset.scales[band - 1], dataset.offsets[band - 1]) != (1.0, 0.0) for band in bands),
        nodata=None if dataset.nodata is None else float(dataset.nodata),
        described=tuple(described),
        units_hint=stated.pop() if len(stated) == 1 else parse_name(path.name).units,
        named=any(found is not None for found in described) or any(map(names_radar, (path.name, *texts))),
    )


def _roles_of_one(facts: FileFacts) -> dict[str, BandRole]:
    """Return the polarisations in one file; one band without a name is VV, more bands without names are VV and VH."""
    described = {name: band for band, name in reversed(list(zip(facts.bands, facts.described, strict=True))) if name}
    if described:
        return {
            name: BandRole(name, facts.path, band, True)  # type: ignore[arg-type]  # HH and HV are refused by callers
            for name, band in described.items()
        }
    named = [name for name in named_polarisations(facts.path.stem) if name in ("VV", "VH")]
    if facts.count == 1:
        name = named[0] if len(set(named)) == 1 else "VV"
        return {name: BandRole(name, facts.path, facts.bands[0], len(set(named)) == 1)}  # type: ignore[arg-type]
    first, second = facts.bands[:2]
    return {"VV": BandRole("VV", facts.path, first, False), "VH": BandRole("VH", facts.path, second, False)}


def assign_roles(files: Sequence[FileFacts]) -> tuple[list[BandRole], list[str]]:
    """Decide which band is which.

    Args:
        files: One file with VV or VV and VH, or two files of one polarisation each.

    Returns:
        The roles, VV first, and warnings for the user.

    Raises:
        InputError: There is no VV, a polarisation is there twice, or the files contain something else.
    """
    warnings: list[str] = []
    found: dict[str, BandRole] = {}
    for facts in files:
        names = [name for name in facts.described if name]
        horizontal = bool(names) and not {"VV", "VH"} & set(names)
        if horizontal or (not names and is_horizontal(facts.path.name)):
            shown = " and ".join(dict.fromkeys(names)) or "HH or HV"
            raise InputError(facts.path, f"contains {shown}, sent horizontally, and no VV", _NEEDS_VV)
        roles = {key: role for key, role in _roles_of_one(facts).items() if key in ("VV", "VH")}
        if len(files) > 1:
            roles = _one_of_pair(facts, roles, found)
        for key, role in roles.items():
            if key in found:
                raise InputError(facts.path, f"a second {key} band", "Give one file per polarisation: one VV, one VH")
            found[key] = role
        if facts.count > 2 and not names:
            warnings.append(f"{facts.path.name} has {facts.count} unnamed bands; the first two are read as VV and VH")
    if "VV" not in found:
        raise InputError(files[0].path, "it contains only VH, and no VV band", _NEEDS_VV)
    roles_in_order = [found[key] for key in ("VV", "VH") if key in found]
    if not any(role.stated for role in roles_in_order) and len(roles_in_order) == 1:
        warnings.append("no polarisation is named in the file; its band is read as VV")
    return roles_in_order, warnings


def _one_of_pair(facts: FileFacts, roles: dict[str, BandRole], found: dict[str, BandRole]) -> dict[str, BandRole]:
    """Return the one polarisation that a file adds to a pair."""
    if len(roles) > 1:
        raise InputError(
            facts.path, f"{facts.count} bands, but one file per polarisation is expected", "Give this file alone"
        )
    ((key, role),) = roles.items()
    if not role.stated and key in found:
        return {"VH": BandRole("VH", role.path, role.band, False)}
    return roles
