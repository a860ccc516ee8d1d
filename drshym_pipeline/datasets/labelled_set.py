"""The common interface of all labelled sets, and how sets are divided by event.

A set lists chips; pixels are read in `chips`. Only the loader of each set knows its folders.
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
        """Name of the layout. It does not say where the chips come from: see `provenance`."""
        ...

    @property
    def has_lists(self) -> bool:
        """Whether the set has lists of its chips. With lists, a chip without any file is known to be absent."""
        ...

    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits that `chips` accepts."""
        ...

    def events(self) -> tuple[str, ...]:
        """Return the flood events that the chips were cut from, sorted."""
        ...

    def chips(self, split: str, labels: Labels = "hand", *, present_only: bool = False) -> list[ChipRef]:
        """Return the chips of a split.

        Raises:
            InputError: There is no such split, or a chip is not complete and `present_only` is not set.
        """
        ...

    def absent(self, split: str) -> int:
        """Return how many chips of a split (of 8-bit sets: tiles) are not complete; `present_only` leaves them out."""
        ...

    def sha256(self) -> str:
        """Return one hash over all lists, images and labels."""
        ...


def no_split(root: Path, split: str, splits: Sequence[str], why: str = "there is no such split") -> InputError:
    """Return the error for a split that a set does not have."""
    return InputError(f"{root}: split '{split}'", why, f"Splits here: {', '.join(splits)}")


def leave_one_event_out(
    sets: Sequence[LabelledSet], groups: Mapping[str, str] | None = None
) -> Iterator[tuple[str, list[ChipRef], list[ChipRef]]]:
    """Hold out every event of the sets once.

    Only whole events are held out: tiles of one event are neighbours, and a network that was trained on one tile has
    information about the next. An event that occurs in two sets is one event.

    Args:
        sets: The sets that may be trained on; all chips of their split `train` are used.
        groups: Name of the group that an event belongs to, for events that are too small to be held out alone.

    Yields:
        (event or group that is held out, chips of all others, its own chips), sorted by the name of the event or group.
    """
    names = groups or {}
    chips = [(names.get(ref.event, ref.event), ref) for data in sets for ref in data.chips("train")]
    for held_out in sorted({name for name, _ in chips}):
        kept = [ref for name, ref in chips if name != held_out]
        yield held_out, kept, [ref for name, ref in chips if name == held_out]
