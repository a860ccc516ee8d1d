"""`real_land`: small real patches of dry land and sea in dB, which come with the package.

A folder of the set has `<patch>.tif` (VV and VH in dB), `<patch>_label.tif` (1 water, 0 dry, -1 not certain) and
`patches.csv`, the table of its patches. The event of a patch is its place: patches of one place are near one another,
so a place is held out as a whole. `data/real_land/README.md` beside this module describes the patches and their labels.
"""

from __future__ import annotations

import csv
import logging
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.known_sets import REAL_LAND
from drshym_pipeline.datasets.labelled_set import Labels, no_split
from drshym_pipeline.errors import InputError
from drshym_pipeline.storage import sha256_files

_log = logging.getLogger(__name__)

PACKAGED = Path(__file__).with_name("data") / "real_land"
TABLE = "patches.csv"
TRAIN = "train"
COLUMNS = ("patch", "place", "country", "source", "licence", "land_cover")
_LABEL = "_label"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Patch:
    """One row of the table.

    Args:
        patch: Name of the patch and of its files.
        place: Name of the place; patches of one place are near one another.
        country: Country of the place.
        source: Name of the set that the patch was taken from.
        licence: SPDX name of the licence of the patch.
        land_cover: What the patch shows, in words.
    """

    patch: str
    place: str
    country: str
    source: str
    licence: str
    land_cover: str


def read_patches(table: Path) -> list[Patch]:
    """Read the table of a folder, in its order.

    Raises:
        InputError: The table cannot be read, lacks a column or a value, or names a patch twice.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.reader(handle, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(table, f"cannot be read as a CSV table ({error})", "Write it as CSV in UTF-8") from error
    head = f"Write the columns {','.join(COLUMNS)} into its first row"
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(table, "does not begin with the names of its columns", head)
    found: dict[str, Patch] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        patch = _patch(f"{table} row {number}", [cell.strip() for cell in row])
        if patch.patch in found:
            raise InputError(table, f"names the patch '{patch.patch}' twice", "Keep one row per patch")
        found[patch.patch] = patch
    if not found:
        raise InputError(table, "names no patch", "Write one row per patch")
    return list(found.values())


def _patch(subject: str, cells: list[str]) -> Patch:
    """Return the patch of a row, which `subject` names in errors."""
    if len(cells) != len(COLUMNS):
        raise InputError(
            subject,
            f"has {len(cells)} values, not {len(COLUMNS)}",
            f"Write {','.join(COLUMNS)}, with quotes around a value that contains a comma",
        )
    for column, cell in zip(COLUMNS, cells, strict=True):
        if not cell:
            raise InputError(subject, f"has no {column}", "Write a value: patches without one are not used")
    patch = Patch(*cells)
    for column, name in (("patch", patch.patch), ("place", patch.place)):
        if not _NAME.fullmatch(name) or name.endswith(_LABEL) or name == TRAIN:
            raise InputError(
                subject,
                f"'{name}' cannot be the name of a {column}",
                f"Use letters, digits, hyphens and underscores, not '{TRAIN}' and no '{_LABEL}' at the end",
            )
    return patch


class RealLand:
    """The patches of a folder of `real_land`.

    Args:
        root: The folder; by default the one of the package.
        named: The key or the option with which the user gives the folder, for errors.

    Raises:
        InputError: The folder has no table of patches.
    """

    layout = REAL_LAND
    has_lists = True

    def __init__(self, root: Path | None = None, *, named: str = "root") -> None:
        self.root = root or PACKAGED
        if not (self.root / TABLE).is_file():
            raise InputError(
                self.root,
                f"does not have the layout of {REAL_LAND}: there is no {TABLE}",
                "Install the package again" if root is None else f"Leave {named} out to use the set of the package",
            )

    @cached_property
    def patches(self) -> tuple[Patch, ...]:
        """The rows of the table, in its order."""
        return tuple(read_patches(self.root / TABLE))

    def splits(self) -> tuple[str, ...]:
        """Return `train`, which has all patches, and the places."""
        return (TRAIN, *self.events())

    def events(self) -> tuple[str, ...]:
        """Return the places, sorted."""
        return tuple(sorted({patch.place for patch in self.patches}))

    def chips(self, split: str, labels: Labels = "hand", *, present_only: bool = False) -> list[ChipRef]:
        """Return the patches of a place, or all patches.

        Args:
            split: `train` or the name of a place.
            labels: Ignored: this set has one kind of labels.
            present_only: Whether incomplete patches are left out with a log message. Otherwise they are refused.

        Raises:
            InputError: There is no such split, a patch or its label is missing, or a file is not in the table.
        """
        chosen = self._of(split)
        self._refuse_unlisted()
        refs: list[ChipRef] = []
        for patch in chosen:
            image, label = self._files(patch.patch)
            fault = self._fault(patch.patch)
            if fault is None:
                refs.append(
                    ChipRef(
                        patch.patch,
                        patch.place,
                        split,
                        image,
                        label,
                        derived_label=True,
                        mirrored=True,
                        check_units=True,
                    )
                )
            elif present_only:
                _log.warning("%s: the patch %s is not complete and is left out", self.root, patch.patch)
            else:
                raise fault
        return refs

    def absent(self, split: str) -> int:
        """Return how many patches of a place, or of all places, lack the image or the label.

        Raises:
            InputError: There is no such split.
        """
        return sum(self._fault(patch.patch) is not None for patch in self._of(split))

    def sha256(self) -> str:
        """Return one hash over the table, all images and labels; it is computed once and kept in memory."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        return sha256_files([self.root / TABLE, *sorted(self.root.glob("*.tif"))], self.root)

    def _of(self, split: str) -> list[Patch]:
        if split not in self.splits():
            raise no_split(self.root, split, self.splits(), "this set is divided by place only")
        return [patch for patch in self.patches if split in (TRAIN, patch.place)]

    def _files(self, patch: str) -> tuple[Path, Path]:
        """Return the image and the label of a patch."""
        return self.root / f"{patch}.tif", self.root / f"{patch}{_LABEL}.tif"

    def _fault(self, patch: str) -> InputError | None:
        """Return what is missing of a patch of the table; None when it is complete."""
        image, label = self._files(patch)
        remedy = f"Copy the file again, or delete the patch '{patch}': its row in {TABLE} and its files"
        if not image.is_file():
            return InputError(image, f"the patch '{patch}' that {TABLE} names is missing", remedy)
        if not label.is_file():
            return InputError(label, f"the patch '{patch}' has no label", remedy)
        return None

    def _refuse_unlisted(self) -> None:
        """Refuse files that belong to no row of the table: their origin and licence are not known."""
        listed = {file for patch in self.patches for file in self._files(patch.patch)}
        for file in sorted(self.root.glob("*.tif")):
            if file in listed:
                continue
            name = file.stem.removesuffix(_LABEL)
            image, _ = self._files(name)
            if file != image and not image.is_file():
                raise InputError(
                    file,
                    f"is a label without its patch '{name}'",
                    f"Copy {image.name} as well and add its row to {TABLE}, or delete the label",
                )
            raise InputError(
                file,
                f"the patch '{name}' is not in {TABLE}, so its origin and licence are not known",
                f"Add a row with {', '.join(COLUMNS)}, or delete its files",
            )
