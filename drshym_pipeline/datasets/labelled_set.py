"""What every labelled set offers, whatever its files look like, and how it is divided by event.

A set lists chips; pixels are read in `chips`. Folders are known to the loader of each set alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.errors import InputError

Labels = Literal["hand", "weak", "combined"]


class LabelledSet(Protocol):
    """Labelled chips in one folder, in the layout of a known data set."""

    root: Path

    @property
    def layout(self) -> str:
        """Name of its layout. It does not say where the chips come from: see `provenance`."""
        ...

    @property
    def has_lists(self) -> bool:
        """Whether lists of its own name its chips, so that one without any file is known to be absent."""
        ...

    def splits(self) -> tuple[str, ...]:
        """What `chips` can be asked for."""
        ...

    def events(self) -> tuple[str, ...]:
        """The flood events its chips were cut from, sorted."""
        ...

    def chips(self, split: str, labels: Labels = "hand", *, present_only: bool = False) -> list[ChipRef]:
        """The chips of a split; InputError where it is not there or a chip is not complete."""
        ...

    def absent(self, split: str) -> int:
        """How many chips of a split (of 8-bit sets: tiles) are not complete, and left out where that is asked for."""
        ...

    def sha256(self) -> str:
        """One hash over its lists, images and labels."""
        ...


def no_split(root: Path, split: str, splits: Sequence[str], why: str = "there is no such split") -> InputError:
    """The error for a split a set does not have."""
    return InputError(f"{root}: split '{split}'", why, f"Splits here: {', '.join(splits)}")


def leave_one_event_out(
    sets: Sequence[LabelledSet], groups: Mapping[str, str] | None = None
) -> Iterator[tuple[str, list[ChipRef], list[ChipRef]]]:
    """Hold every event of the sets out once.

    Whole events only: tiles of one event are neighbours, and a network that has seen one knows the other. An event that
    occurs in two sets is one event.

    Args:
        sets: Those that may be trained on; all chips of their split `train` take part.
        groups: Name of the group an event belongs to, for events too small to be held out alone.

    Yields:
        (event or group held out, chips of all others, its own chips), sorted by the first.
    """
    names = groups or {}
    chips = [(names.get(ref.event, ref.event), ref) for data in sets for ref in data.chips("train")]
    for held_out in sorted({name for name, _ in chips}):
        kept = [ref for name, ref in chips if name != held_out]
        yield held_out, kept, [ref for name, ref in chips if name == held_out]
