"""Tiles of 8-bit sets: which files belong together, and a set of them as its loader sees it.

A tile is named by the union of all its folders, so a picture that is missing in one of them is found. How pictures are
read is decided in `eight_bit`.
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
"""By what it holds, a folder with the prefix and the suffix of its file names around a tile's own name."""


def _files_of_tiles(folders: Folders) -> dict[str, dict[str, Path]]:
    """By tile name: the files there are, by kind."""
    found: dict[str, dict[str, Path]] = {}
    for kind, (folder, prefix, suffix) in folders.items():
        for path in folder.glob(f"{prefix}*{suffix}"):
            found.setdefault(path.name.removeprefix(prefix).removesuffix(suffix), {})[kind] = path
    return found


def match_tiles(folders: Folders, *, present_only: bool = False) -> dict[str, dict[str, Path]]:
    """The files of every tile.

    Args:
        folders: Where they are.
        present_only: Leave incomplete tiles out, which is logged, instead of refusing them.

    Returns:
        By tile name, sorted: the file of each kind.

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
    """A set of 8-bit tiles by event: `train` is all of it, and every event is a split of its own.

    There is no division by tile: neighbours would be on both sides of it.

    Args:
        root: Its folder.
    """

    has_lists = False

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def events(self) -> tuple[str, ...]:
        """The flood events, sorted."""

    @abstractmethod
    def _tile_folders(self, event: str) -> Iterator[Folders]:
        """Where the tiles of an event are, place by place."""

    @abstractmethod
    def _event_chips(self, event: str, split: str, *, present_only: bool) -> list[ChipRef]:
        """All chips of one event."""

    def splits(self) -> tuple[str, ...]:
        """`train`, and the events."""
        return (TRAIN, *self.events())

    def chips(self, split: str, labels: Labels = "hand", *, present_only: bool = False) -> list[ChipRef]:
        """The chips of an event, or of all.

        Args:
            split: `train` or an event.
            labels: There is one kind of label only.
            present_only: Leave incomplete tiles out, which is logged, instead of refusing them.

        Raises:
            InputError: There is no such split, or a tile is not complete.
        """
        chips = (self._event_chips(event, split, present_only=present_only) for event in self._events_of(split))
        return [ref for found in chips for ref in found]

    def absent(self, split: str) -> int:
        """How many tiles of an event, or of all, lack a picture.

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
        """One hash over all pictures; computed once and kept in memory."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        return sha256_files(sorted(self.root.rglob("*.png")), self.root)
