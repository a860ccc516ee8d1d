"""Tiles of 8-bit sets: which files belong together, and the base class of the loaders.

The names of the tiles are collected from all folders, so a picture that is missing in one folder is noticed. Pictures
are read in `eight_bit`.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.labelled_set import Labels, no_split
from drshym_pipeline.errors import InputError
from drshym_pipeline.storage import sha256_files

_log = logging.getLogger(__name__)

TRAIN = "train"


Folders = Mapping[str, tuple[Path, str, str]]
"""By kind of picture: the folder, and the prefix and suffix of its file names before and after the tile's name."""


def _files_of_tiles(folders: Folders) -> dict[str, dict[str, Path]]:
    """Return the existing files by tile name and kind."""
    found: dict[str, dict[str, Path]] = {}
    for kind, (folder, prefix, suffix) in folders.items():
        for path in folder.glob(f"{prefix}*{suffix}"):
            found.setdefault(path.name.removeprefix(prefix).removesuffix(suffix), {})[kind] = path
    return found


def match_tiles(folders: Folders, *, present_only: bool = False) -> dict[str, dict[str, Path]]:
    """Find the files of every tile.

    Args:
        folders: The folders of each kind.
        present_only: Whether incomplete tiles are left out with a log message. Otherwise they are refused.

    Returns:
        The file of each kind, by tile name in sorted order.

    Raises:
        InputError: A tile is in one folder but not in another.
    """
    found = _files_of_tiles(folders)
    whole: dict[str, dict[str, Path]] = {}
    for tile in sorted(found):
        absent = next((kind for kind in folders if kind not in found[tile]), None)
        if absent is None:
            whole[tile] = found[tile]
            continue
        folder, prefix, suffix = folders[absent]
        if not present_only:
            raise InputError(
                folder / f"{prefix}{tile}{suffix}",
                f"the tile '{tile}' has no such file, but has {', '.join(found[tile])}",
                "Fetch the whole data set, or ask for the tiles that are present",
            )
        _log.warning("%s: the tile %s has no %s and is left out", folder.parent, tile, absent)
    return whole


class PictureSet(ABC):
    """A set of 8-bit tiles by event: the split `train` has all tiles, and every event is a split of its own.

    The set is not divided by tile: neighbouring tiles would be in different splits.

    Args:
        root: The folder of the set.
    """

    has_lists = False

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def events(self) -> tuple[str, ...]:
        """Return the flood events, sorted."""

    @abstractmethod
    def _tile_folders(self, event: str) -> Iterator[Folders]:
        """Yield the folders of each place where tiles of an event are."""

    @abstractmethod
    def _event_chips(self, event: str, split: str, *, present_only: bool) -> list[ChipRef]:
        """Return all chips of one event."""

    def splits(self) -> tuple[str, ...]:
        """Return `train` and the events."""
        return (TRAIN, *self.events())

    def chips(self, split: str, labels: Labels = "hand", *, present_only: bool = False) -> list[ChipRef]:
        """Return the chips of an event, or of all events.

        Args:
            split: `train` or the name of an event.
            labels: Ignored: this set has one kind of labels.
            present_only: Whether incomplete tiles are left out with a log message. Otherwise they are refused.

        Raises:
            InputError: There is no such split, or a tile is not complete.
        """
        chips = (self._event_chips(event, split, present_only=present_only) for event in self._events_of(split))
        return [ref for found in chips for ref in found]

    def absent(self, split: str) -> int:
        """Return how many tiles of an event, or of all events, lack a picture.

        Raises:
            InputError: There is no such split.
        """
        places = (folders for event in self._events_of(split) for folders in self._tile_folders(event))
        return sum(len(files) < len(folders) for folders in places for files in _files_of_tiles(folders).values())

    def _events_of(self, split: str) -> tuple[str, ...]:
        if split not in self.splits():
            raise no_split(self.root, split, self.splits(), "this set is divided by event only")
        return self.events() if split == TRAIN else (split,)

    def sha256(self) -> str:
        """Return one hash over all pictures; it is computed once and kept in memory."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        return sha256_files(sorted(self.root.rglob("*.png")), self.root)
