"""Sen1Floods11 in its official folder layout: which chips there are, by split and kind of label.

The layout is that of release 1.1 of the data set. The simulator writes the same layout, so this loader reads both:

    data/flood_events/HandLabeled/{S1Hand,LabelHand,JRCWaterHand,...}/<Event>_<number>_<folder>.tif
    data/flood_events/WeaklyLabeled/{S1Weak,S1OtsuLabelWeak}/<Event>_<number>_<folder>.tif
    splits/flood_handlabeled/flood_{train,valid,test,bolivia}_data.csv

Split lists have one chip per row (image, label) and no header. A header row and chip names without the rest of the file
name are accepted too. Pixels are read in `chips`.
"""

from __future__ import annotations

import csv
import logging
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.known_sets import SEN1FLOODS11
from drshym_pipeline.datasets.labelled_set import Labels
from drshym_pipeline.errors import InputError
from drshym_pipeline.storage import sha256_files

_log = logging.getLogger(__name__)

EVENTS_FOLDER = Path("data/flood_events")
HAND_FOLDER = EVENTS_FOLDER / "HandLabeled"
HAND_SPLITS = Path("splits/flood_handlabeled")
_WEAK_FOLDERS = (EVENTS_FOLDER / "WeaklyLabeled", EVENTS_FOLDER / "WeakLabeled")  # names in the bucket and the paper
_WEAK_SPLITS = (Path("splits/flood_weaklylabeled"), Path("splits/flood_weaklabeled"))
WEAK = "weak"
UNNAMED_EVENT = "unnamed"
HELD_OUT_EVENT = "Bolivia"  # the data set's unseen event; with its weak chips the event would be trained on

# Additional rasters by kind: the folders (and file suffixes) that hold them, in the order of preference.
_ANCILLARY: dict[str, tuple[str, ...]] = {
    "dem": ("DEMSim",),
    "landcover": ("LandCoverSim",),
    "permanent_water": ("PermanentWaterSim", "JRCWaterHand"),
    "pre_event": ("S1PreSim",),
}
_SPLIT_FILE = re.compile(r"^flood_(?P<split>.+)_data\.csv$")
_CHIP_ID = re.compile(r"^[A-Za-z][A-Za-z0-9-]*_[A-Za-z0-9]+$")


def split_file(split: str) -> str:
    """Return the file name of a split's list, such as `flood_train_data.csv`."""
    return f"flood_{split}_data.csv"


def event_of(chip_id: str) -> str:
    """Return the flood event of a chip: the part before the last underscore, as in `Sri-Lanka_534068`.

    Chips without such a part may all be of one event, so they have the same event.
    """
    return chip_id.rpartition("_")[0] or UNNAMED_EVENT


def _chip_ids(table: Path, suffix: str) -> list[str]:
    """Read the chips that a list names, in the order of the list.

    Args:
        table: CSV with (image, label) rows or with chip names; a header row is skipped.
        suffix: The part of an image's file name after the chip's name, such as `_S1Hand.tif`.

    Raises:
        InputError: A row names no chip, or a chip is named twice.
    """
    found: list[str] = []
    with table.open(newline="", encoding="utf-8-sig") as handle:
        for number, row in enumerate(csv.reader(handle), start=1):
            cells = [Path(cell.strip()).name for cell in row if cell.strip()]
            if not cells:
                continue
            image = next((cell for cell in cells if cell.endswith(suffix)), None)
            if image is not None:
                chip_id = image.removesuffix(suffix)
            elif len(cells) == 1 and _CHIP_ID.match(cells[0]):
                chip_id = cells[0]
            elif number == 1 and not any(cell.endswith(".tif") for cell in cells):
                continue
            else:
                raise InputError(
                    f"{table} row {number}",
                    f"names no chip ('{','.join(row)}')",
                    f"Write rows such as Ghana_103272{suffix},Ghana_103272_LabelHand.tif",
                )
            found.append(chip_id)
    repeated = {chip_id for chip_id in found if found.count(chip_id) > 1} if len(set(found)) < len(found) else set()
    if repeated:
        raise InputError(table, f"names the chip '{min(repeated)}' twice", "Keep one row per chip")
    return found


def listed_chips(table: Path) -> list[str]:
    """Read the hand-labelled chips that a split list names, in the order of the list.

    Raises:
        InputError: A row names no chip, or a chip is named twice.
    """
    return _chip_ids(table, "_S1Hand.tif")


@dataclass(frozen=True)
class _ChipList:
    """The chips of a list, and the places of their files.

    Args:
        names: Names of the chips in the order of the list.
        split: Split that the chips are listed in.
        folder: Folder that holds one folder per kind.
        kinds: Kind of the images and kind of the labels.
        table: The list; without a list, the folder whose files were listed.
    """

    names: list[str]
    split: str
    folder: Path
    kinds: tuple[str, str]
    table: Path

    def files(self, chip_id: str) -> tuple[Path, Path]:
        """Return image and label of a chip."""
        image, label = (self.folder / kind / f"{chip_id}_{kind}.tif" for kind in self.kinds)
        return image, label

    def absent(self, chip_id: str) -> Path | None:
        """Return the first file of a chip that is not on the disk, None when all are there."""
        return next((file for file in self.files(chip_id) if not file.is_file()), None)


class Sen1Floods11:
    """The chips of a folder in Sen1Floods11's layout.

    Args:
        root: The folder that holds `data/` and `splits/`, or the one that holds `v1.1/`.

    Raises:
        InputError: The folder does not have the layout.
    """

    layout = SEN1FLOODS11
    has_lists = True

    def __init__(self, root: Path) -> None:
        candidates = (root, root / "v1.1")
        for candidate in candidates:
            if (candidate / HAND_FOLDER / "S1Hand").is_dir() and (candidate / HAND_SPLITS).is_dir():
                self.root = candidate
                break
        else:
            raise InputError(
                root,
                "does not have the layout of Sen1Floods11",
                f"Expected {HAND_FOLDER}/S1Hand, {HAND_FOLDER}/LabelHand and {HAND_SPLITS}/{split_file('train')} in it",
            )
        if not self._split_tables:
            raise InputError(
                self.root / HAND_SPLITS,
                "holds no split list",
                f"Expected {split_file('train')}, {split_file('valid')} and {split_file('test')}",
            )

    @cached_property
    def _split_tables(self) -> dict[str, Path]:
        tables = sorted((self.root / HAND_SPLITS).glob("flood_*_data.csv"))
        return {match["split"]: table for table in tables if (match := _SPLIT_FILE.match(table.name))}

    @cached_property
    def _weak_folder(self) -> Path | None:
        folders = (self.root / folder for folder in _WEAK_FOLDERS)
        return next((folder for folder in folders if (folder / "S1Weak").is_dir()), None)

    def splits(self) -> tuple[str, ...]:
        """Return the splits that have a list, and `weak` where there are weakly labelled chips."""
        return (*self._split_tables, *((WEAK,) if self._weak_folder else ()))

    def events(self) -> tuple[str, ...]:
        """Return the events of all hand-labelled chips in the lists, sorted, whether the chips are present or not."""
        chips = (name for table in self._split_tables.values() for name in listed_chips(table))
        return tuple(sorted({event_of(name) for name in chips}))

    def chips(self, split: str, labels: Labels = "hand", *, present_only: bool = False) -> list[ChipRef]:
        """Return the chips of a split, in the order of its list.

        Args:
            split: `train`, `valid`, `test`, `bolivia`, `hard` (simulated sets) or `weak`.
            labels: Labels to train on: `hand`, `weak` or `combined` (hand-labelled, then weak). Only the training split
                has weak labels; every other split is always judged on its hand labels.
            present_only: Whether chips that are not on the disk are left out and their number is logged. Otherwise an
                incomplete copy is refused. Scores of such a subset are not the scores of the split.

        Raises:
            InputError: There is no such split, or a chip of its list is missing on the disk.
        """
        if split == "train" and labels != "hand":
            weak = self._refs(self._weak_list(), present_only=present_only)
            return weak if labels == "weak" else self._refs(self._list(split), present_only=present_only) + weak
        return self._refs(self._list(split), present_only=present_only)

    def absent(self, split: str) -> int:
        """Return how many chips of a split's list are not on the disk with image and label.

        Raises:
            InputError: There is no such split.
        """
        chips = self._list(split)
        return sum(chips.absent(chip_id) is not None for chip_id in chips.names)

    def _list(self, split: str) -> _ChipList:
        """Return the hand-labelled chips of a split, or all weakly labelled chips for the split `weak`."""
        if split == WEAK:
            return self._weak_list()
        table = self._split_tables.get(split)
        if table is None:
            raise InputError(
                self.root / HAND_SPLITS / split_file(split),
                "the split list does not exist",
                f"Splits here: {', '.join(self.splits())}",
            )
        names = listed_chips(table)
        folder = self.root / HAND_FOLDER
        return _ChipList(names, split, folder, ("S1Hand", "LabelHand"), table)

    def _weak_list(self) -> _ChipList:
        """Return the weakly labelled chips.

        They are the chips of a list where there is one, else all chips of the folder except those of the unseen event.
        """
        folder = self._weak_folder
        if folder is None:
            raise InputError(
                self.root / _WEAK_FOLDERS[0],
                "there are no weakly labelled chips",
                f"Put S1Weak and S1OtsuLabelWeak into {_WEAK_FOLDERS[0]}, or train on labels: hand",
            )
        tables = [
            self.root / splits / split_file(name)
            for splits in (*_WEAK_SPLITS, HAND_SPLITS)
            for name in ("weak", "train")
            if (splits, name) != (HAND_SPLITS, "train")
        ]
        table = next((table for table in tables if table.is_file()), None)
        if table is not None:
            names = _chip_ids(table, "_S1Weak.tif")
        else:
            table = folder / "S1Weak"
            files = sorted(file.name for file in table.glob("*_S1Weak.tif"))
            names = [name.removesuffix("_S1Weak.tif") for name in files]
            names = [name for name in names if event_of(name) != HELD_OUT_EVENT]
        return _ChipList(names, WEAK, folder, ("S1Weak", "S1OtsuLabelWeak"), table)

    def _refs(self, chips: _ChipList, *, present_only: bool) -> list[ChipRef]:
        refs: list[ChipRef] = []
        for chip_id in chips.names:
            absent = chips.absent(chip_id)
            if absent is not None:
                if present_only:
                    continue
                raise InputError(
                    absent,
                    f"the chip '{chip_id}' named by {chips.table} is missing",
                    "Fetch the whole data set, or ask for the chips that are present",
                )
            image, label = chips.files(chip_id)
            ancillary = self._ancillary(chips.folder, chip_id)
            refs.append(ChipRef(chip_id, event_of(chip_id), chips.split, image, label, ancillary))
        listed = len(chips.names)
        if len(refs) < listed:
            _log.warning("%s: absent and left out: %d of the %d chips listed", chips.table, listed - len(refs), listed)
        return refs

    @staticmethod
    def _ancillary(folder: Path, chip_id: str) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for kind, suffixes in _ANCILLARY.items():
            files = (folder / suffix / f"{chip_id}_{suffix}.tif" for suffix in suffixes)
            if (file := next((file for file in files if file.is_file()), None)) is not None:
                found[kind] = file
        return found

    def sha256(self) -> str:
        """Return one hash over the split lists and all images and labels on the disk.

        It is computed once and kept in memory.
        """
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        files = list(self._split_tables.values())
        folders = [self.root / HAND_FOLDER / kind for kind in ("S1Hand", "LabelHand")]
        if self._weak_folder:
            folders += [self._weak_folder / kind for kind in ("S1Weak", "S1OtsuLabelWeak")]
        for folder in folders:
            files.extend(sorted(folder.glob("*.tif")))
        for splits in _WEAK_SPLITS:
            files.extend(sorted((self.root / splits).glob("*.csv")))
        return sha256_files(files, self.root)
