"""Published data sets whose chips the program can recognise, and the description of each set.

A chip of Sen1Floods11 is recognised by its name (one of the official lists), its size and its place: its centre must be
inside the area of its event. A chip of the other sets is recognised by the checksum of its files. Names and checksums
are stored as short hashes in `known_chips.json`, which `python -m experiments known-chips` writes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import counted
from drshym_pipeline.storage import read_json, sha256_file

if TYPE_CHECKING:
    from drshym_pipeline.datasets.chips import ChipRef

SEN1FLOODS11, STAC_OVERFLOW, ETCI2021, OMBRIA, EMSR763, REAL_LAND = (
    "Sen1Floods11",
    "STAC-Overflow",
    "ETCI 2021",
    "OMBRIA",
    "EMSR763",
    "real_land",
)
KNOWN_CHIPS = Path(__file__).with_name("known_chips.json")
_WEAK = "weak"
_WEAK_CHIPS = 4384  # of release 1.1
_DIGITS = 10  # of a hash; a chip of another set matches one of two thousand known chips once in 500 million
_SIDE = 512
_CRS = "EPSG:4326"

# West, south, east and north of the area of each event, in degrees, from the metadata of the data set.
_AREAS: Mapping[str, tuple[float, float, float, float]] = {
    "Bolivia": (-65.64, -15.96, -64.36, -11.39),
    "Colombia": (-69.0, 2.11, -66.7, 7.1),
    "Ghana": (-2.3, 6.31, 0.22, 11.93),
    "India": (92.15, 24.85, 94.16, 28.28),
    "Mekong": (104.08, 10.57, 106.43, 14.27),
    "Nigeria": (4.54, 4.12, 6.95, 10.54),
    "Pakistan": (68.99, 28.04, 72.55, 34.35),
    "Paraguay": (-58.59, -28.19, -54.65, -21.64),
    "Somalia": (44.21, 1.31, 46.58, 6.55),
    "Spain": (-1.11, 37.66, 1.22, 39.41),
    "Sri-Lanka": (80.13, 5.14, 82.09, 9.79),
    "USA": (-95.69, 38.36, -94.36, 41.06),
}
_AREA_TOLERANCE = 0.1  # degrees, the width of two chips


@dataclass(frozen=True)
class KnownSet:
    """Description of a published set.

    Args:
        title: Name of the set.
        source: The publishers of the images and the truth.
        form: What the pixel values are.
        truth: How the labels were made.
        licence: Terms of use, as far as they were found.
        limits: What a model cannot learn from the set.
        is_whole: Whether the checksums are those of all chips of the set; otherwise the number of its chips is not
            known.
    """

    title: str
    source: str
    form: str
    truth: str
    licence: str
    limits: tuple[str, ...]
    is_whole: bool = False


_EIGHT_BIT = (
    "Grey values have no dB: they were mapped to the usual levels of land and water, which is a modelling choice."
)

KNOWN_SETS: Mapping[str, KnownSet] = {
    SEN1FLOODS11: KnownSet(
        title=SEN1FLOODS11,
        source="Bonafilia, Tellman, Anderson and Issenberg (2020), release 1.1: 446 hand-labelled chips of 11 events, "
        "and over 4,000 weakly labelled ones.",
        form="VV and VH in dB, float32 GeoTIFF, 512 x 512 pixels of about 10 m, EPSG:4326",
        truth="Drawn by people on Sentinel-2 images of nearly the same time; weak labels are an Otsu threshold on "
        "Sentinel-1. 1 water, 0 dry, -1 not known.",
        licence="said to be CC-BY 4.0; no licence file beside the chips",
        limits=(
            "Labels are all water, permanent water included, not flood alone.",
            "Clouds hid part of the optical images: what they covered is labelled -1.",
            "Weak labels are wrong where a threshold is wrong: wind, shadow, flooded vegetation.",
            "Bolivia is left out of training and kept as an unseen event.",
        ),
    ),
    STAC_OVERFLOW: KnownSet(
        title=STAC_OVERFLOW,
        source="DrivenData and Cloud to Street, STAC Overflow: Map Floodwater from Radar Imagery (2021)",
        form="VV and VH in dB, float32 GeoTIFF, 512 x 512 pixels of 10 m, 0 where not observed",
        truth="1 water, 0 dry, 255 missing",
        licence="none found beside the chips",
        limits=("For reporting only: no model is trained on it here.",),
    ),
    ETCI2021: KnownSet(
        title=ETCI2021,
        source="NASA-IMPACT, Emerging Techniques in Computational Intelligence flood detection challenge (2021)",
        form="VV and VH, 8-bit PNG, 256 x 256 pixels, no coordinates",
        truth="Masks of flood and of water bodies; either is water.",
        licence="none found beside the tiles",
        limits=(_EIGHT_BIT, "Filled rectangles in some flood masks are ignored."),
    ),
    OMBRIA: KnownSet(
        title=OMBRIA,
        source="Drakonakis et al., OmbriaNet, IEEE JSTARS 15 (2022); truth of the Copernicus Emergency Management "
        "Service",
        form="VV, 8-bit PNG, 256 x 256 pixels, each stretched alone, no coordinates",
        truth="Rapid mapping of the Copernicus Emergency Management Service; river channels are left out.",
        licence="none found beside the tiles",
        limits=(_EIGHT_BIT, "About a tenth of the masks contradict what the radar shows."),
    ),
    EMSR763: KnownSet(
        title=EMSR763,
        source="Copernicus Emergency Management Service activation EMSR763; Sentinel-1 of Copernicus",
        form="VV and VH before and after, 8-bit PNG, 2000 x 2000 pixels, no coordinates",
        truth="Flood of the Copernicus Emergency Management Service; the river is left out.",
        licence="terms of Sentinel data and of the Copernicus Emergency Management Service (free use)",
        limits=(_EIGHT_BIT, "One flood alone."),
    ),
    REAL_LAND: KnownSet(
        title=REAL_LAND,
        source="Real Sentinel-1 patches of two published sets, which come with this package. BigEarthNet v2: Clasen et "
        "al. (2024), reBEN: Refined BigEarthNet Dataset for Remote Sensing Image Analysis. SEN12MS-CR: Ebel, Meraner, "
        "Schmitt and Zhu (2021), Multisensor Data Fusion for Cloud Removal in Global and All-Season Sentinel-2 Imagery",
        form="VV and VH in dB, float32 GeoTIFF, 120 x 120 or 256 x 256 pixels of 10 m, UTM, NaN where not observed",
        truth="Computed from the Sentinel-2 image of the same sample, which is some days from the radar image: 1 water "
        "and 0 dry where the water indices NDWI and MNDWI are both clear of 0, -1 where they are not.",
        licence="CDLA-Permissive-1.0 (patches of BigEarthNet v2) and CC BY 4.0 (patches of SEN12MS-CR); the texts of "
        "the licences are beside the patches",
        limits=(
            "There is no flood in it, and most of its water is sea.",
            "No label was drawn by a person, and radar and optical image are of different days: believe shares of an "
            "area, not single pixels.",
            "Twelve places, eleven of them in Europe.",
        ),
        is_whole=True,
    ),
}


@dataclass(frozen=True)
class Recognition:
    """How many chips of a list are known chips of a published set.

    Args:
        known: The set.
        chips: Number of chips (of 8-bit sets: tiles) that were checked.
        matched: Number of them that are known.
        of: Number of chips in the official lists that these chips belong to, or of the whole set where it has no lists;
            None where this is not known.
        by: The features by which they were recognised.
        lists: The official lists that they belong to.
        moved: Number of chips that are used in another split than that of their official list.
    """

    known: KnownSet
    chips: int
    matched: int
    of: int | None
    by: str
    lists: tuple[str, ...] = ()
    moved: int = 0

    @property
    def is_whole_list(self) -> bool:
        """Whether all chips are known."""
        return 0 < self.matched == self.chips

    @property
    def title(self) -> str:
        """The name of the set; for a partial copy, the name and its share."""
        if self.of is None:
            return f"{self.known.title} ({counted(self.matched, 'image')})"
        if self.matched == self.of:
            return self.known.title
        return f"{self.known.title} ({self.matched:,} of {self.of:,} chips)"

    def sentence(self) -> str:
        """Return sentences that say how the chips were recognised and what share of the set they are."""
        known = "The only chip is a known chip" if self.chips == 1 else f"All {self.chips:,} chips are known chips"
        text = f"{known} of {self.known.title}, by {self.by}."
        if self.of is None:
            text += " How many the whole set has is not known to the program."
        elif not self.lists:
            text += f" The whole set has {self.of:,}."
        else:
            share = "all" if self.matched == self.of else f"{100 * self.matched / self.of:.1f} % of"
            named = f"official list{'s' if len(self.lists) > 1 else ''} {' and '.join(self.lists)}"
            text += f" They are {share} the {self.of:,} chips of the {named}."
        if _WEAK in self.lists:
            text += (
                " The weakly labelled ones are known by event, size and place alone: their names are not listed here."
            )
        if self.moved:
            used = (
                "1 chip is used in another split than its own"
                if self.moved == 1
                else (f"{self.moved:,} chips are used in another split than theirs")
            )
            text += f" The splits are not the official ones: {used}."
        return text

    def known_part(self) -> str:
        """Return how many chips are known, as a sentence without a full stop about chips of unknown origin."""
        if self.chips == 1:
            known = f"The only chip is {'a' if self.matched else 'no'} known chip"
        elif not self.matched:
            known = f"None of these {self.chips:,} chips is a known chip"
        else:
            verb = "is a known chip" if self.matched == 1 else "are known chips"
            known = f"Of these {self.chips:,} chips, {self.matched:,} {verb}"
        return f"{known} of {self.known.title} (by {self.by})"


def recognise(layout: str, refs: Sequence[ChipRef]) -> Recognition | None:
    """Count the known chips of the set whose layout the chips have.

    Args:
        layout: Name of the layout, as its loader gives it.
        refs: The chips.

    Returns:
        The counts; None for a layout of which no set is known.

    Raises:
        InputError: A file of a chip cannot be read.
    """
    known = KNOWN_SETS.get(layout)
    if known is None:
        return None
    if layout == SEN1FLOODS11:
        return _by_name_and_place(known, refs)
    tiles = {(ref.image, ref.vh, ref.label) for ref in refs}
    checksums = _known_chips()[layout]["checksums"]
    matched = sum(chip_digest(*tile) in checksums for tile in tiles)
    whole = len(checksums) if known.is_whole else None
    return Recognition(known, len(tiles), matched, whole, "the checksums of their files")


def name_digest(chip_id: str) -> str:
    """Return the short hash of a chip's name."""
    return hashlib.sha256(chip_id.encode()).hexdigest()[:_DIGITS]


def chip_digest(*files: Path | None) -> str:
    """Return the short hash of a chip's files, in the order image, VH, label; None for a file that it does not have."""
    parts = [sha256_file(file) if file is not None else "" for file in files]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:_DIGITS]


@cache
def _known_chips() -> dict[str, dict[str, frozenset[str]]]:
    """Read the short hashes, by set and list."""
    return {
        title: {name: frozenset(digests.split()) for name, digests in lists.items()}
        for title, lists in read_json(KNOWN_CHIPS).items()
    }


def _by_name_and_place(known: KnownSet, refs: Sequence[ChipRef]) -> Recognition:
    lists = _known_chips()[known.title]
    sizes = {name: len(digests) for name, digests in lists.items()} | {_WEAK: _WEAK_CHIPS}
    found: Counter[str] = Counter()
    moved = 0
    for ref in refs:
        official = _WEAK if ref.split == _WEAK else _list_of(ref.chip_id, lists)
        if official is None or not _is_in_place(ref):
            continue
        found[official] += 1
        moved += ref.split in sizes and ref.split != official
    used = tuple(name for name in sizes if found[name])
    return Recognition(
        known=known,
        chips=len(refs),
        matched=found.total(),
        of=sum(sizes[name] for name in used),
        by="name, size and place",
        lists=used,
        moved=moved,
    )


def _list_of(chip_id: str, lists: Mapping[str, frozenset[str]]) -> str | None:
    digest = name_digest(chip_id)
    return next((name for name, digests in lists.items() if digest in digests), None)


def _is_in_place(ref: ChipRef) -> bool:
    """Return whether an image has the size of the official chips and its centre is in the area of its event."""
    from drshym_pipeline.sar.safe_open import open_raster

    area = _AREAS.get(ref.event)
    if area is None:
        return False
    try:
        with open_raster(ref.image) as dataset:
            crs = dataset.crs.to_string() if dataset.crs else ""
            shape, bounds = dataset.shape, dataset.bounds
    except InputError:
        # A chip that cannot be read is not recognised. The reader of the pixels raises the error.
        return False
    if crs != _CRS or shape != (_SIDE, _SIDE):
        return False
    west, south, east, north = area
    x, y = (bounds.left + bounds.right) / 2, (bounds.bottom + bounds.top) / 2
    margin = _AREA_TOLERANCE
    return bool(west - margin <= x <= east + margin and south - margin <= y <= north + margin)
