"""STAC-Overflow: the labelled chips of a flood-mapping competition; for reporting only, so all of them are `test`.

Chips are `<chip>_vv.tif` and `<chip>_vh.tif` in dB, 0 where not observed, with `<chip>.tif` as label (0 dry, 1 water,
255 missing). Names of chips of one flood begin with the same three letters. Images without a label are not listed.
"""

from __future__ import annotations

import logging
import re
from functools import cached_property
from pathlib import Path

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.known_sets import STAC_OVERFLOW
from drshym_pipeline.datasets.labelled_set import Labels, no_split
from drshym_pipeline.errors import InputError
from drshym_pipeline.storage import sha256_files

_log = logging.getLogger(__name__)

SPLIT = "test"
_FILE = re.compile(r"^(?P<chip>(?P<event>[a-z]{3})\d{2})(?:_(?P<band>vv|vh))?\.tif$")


class StacOverflow:
    """The chips of a folder of STAC-Overflow.

    Args:
        root: The folder that holds the GeoTIFFs.

    Raises:
        InputError: The folder has none of them.
    """

    layout = STAC_OVERFLOW
    has_lists = False

    def __init__(self, root: Path) -> None:
        self.root = root
        if not any("vv" in files for files in self._files.values()):
            raise InputError(
                root,
                "does not have the layout of STAC-Overflow",
                "Expected <chip>_vv.tif, <chip>_vh.tif and <chip>.tif",
            )

    @cached_property
    def _files(self) -> dict[str, dict[str, Path]]:
        """Files by chip and by kind: `vv`, `vh`, `label`."""
        found: dict[str, dict[str, Path]] = {}
        for path in sorted(self.root.glob("*.tif")):
            if match := _FILE.match(path.name):
                found.setdefault(match["chip"], {})[match["band"] or "label"] = path
        return found

    def splits(self) -> tuple[str, ...]:
        """Return `test`, the only split."""
        return (SPLIT,)

    def events(self) -> tuple[str, ...]:
        """Return the first three letters of the labelled chips, sorted."""
        return tuple(sorted({chip[:3] for chip, files in self._files.items() if "label" in files}))

    def chips(self, split: str, labels: Labels = "hand", *, present_only: bool = False) -> list[ChipRef]:
        """Return the labelled chips.

        Args:
            split: `test`, the only split.
            labels: Ignored: this set has hand labels only.
            present_only: Whether incomplete chips are left out with a log message. Otherwise they are refused.

        Raises:
            InputError: Another split was requested, or a band of a labelled chip is missing.
        """
        if split == "train":
            raise no_split(self.root, split, self.splits(), "these chips are for reporting only, none is trained on")
        if split != SPLIT:
            raise no_split(self.root, split, self.splits())
        refs: list[ChipRef] = []
        for chip, files in self._files.items():
            if "label" not in files:
                continue
            absent = next((band for band in ("vv", "vh") if band not in files), None)
            if absent is None:
                refs.append(ChipRef(chip, chip[:3], SPLIT, files["vv"], files["label"], vh=files["vh"]))
            elif present_only:
                _log.warning("%s: the chip %s has no %s and is left out", self.root, chip, absent.upper())
            else:
                raise InputError(
                    self.root / f"{chip}_{absent}.tif",
                    f"the {absent.upper()} band of the chip '{chip}' is missing",
                    "Fetch the whole data set, or ask for the chips that are present",
                )
        return refs

    def absent(self, split: str) -> int:
        """Return how many labelled chips lack a band.

        Raises:
            InputError: Another split than `test` was requested.
        """
        labelled = sum("label" in files for files in self._files.values())
        return labelled - len(self.chips(split, present_only=True))

    def sha256(self) -> str:
        """Return one hash over all images and labels; it is computed once and kept in memory."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        return sha256_files([path for files in self._files.values() for path in files.values()], self.root)
