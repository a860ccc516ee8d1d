"""From folders and splits to the chips a benchmark scores, each set under a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drshym_pipeline.benchmark.suite import Sample
from drshym_pipeline.datasets.labelled_set import LabelledSet
from drshym_pipeline.datasets.open_set import detect_set
from drshym_pipeline.datasets.simulator.writer import DONE_MARKER
from drshym_pipeline.errors import InputError

PARTIAL = "Only those present are scored: these are not the figures of the whole split."


def open_samples(folders: Sequence[Path], splits: Sequence[str], *, present_only: bool = False) -> list[Sample]:
    """The chips to be scored.

    Args:
        folders: Labelled sets, told by their layout.
        splits: Of each set those that it has; it must have one of them.
        present_only: Take what is there of an incomplete copy, and say how much is not.

    Raises:
        InputError: A folder holds no known set, has none of the splits, or lacks a chip.
    """
    samples: list[Sample] = []
    for folder in folders:
        data = detect_set(folder)
        known = [split for split in dict.fromkeys(splits) if split in data.splits()]
        if not known:
            raise InputError(folder, f"has no split {' or '.join(splits)}", f"Splits here: {', '.join(data.splits())}")
        name = _name(data, folder)
        for split in known:
            refs = tuple(data.chips(split, present_only=present_only))
            samples.append(Sample(name, split, refs, note_on_absent(data, split) if present_only else ""))
    return samples


def note_on_absent(data: LabelledSet, split: str) -> str:
    """How many chips of a split are not there, for the card; empty where its list says that none is missing."""
    absent = data.absent(split)
    if not data.has_lists:
        return f"{absent:,} chips are incomplete and left out; no list tells how many others are absent. {PARTIAL}"
    return f"{absent:,} of the chips that the split lists are absent. {PARTIAL}" if absent else ""


def _name(data: LabelledSet, folder: Path) -> str:
    """The set's own name; a simulated set, which looks like Sen1Floods11, goes by its folder's."""
    if not (data.root / DONE_MARKER).is_file():
        return data.title
    name = folder.resolve().name
    return name if name.startswith("simulated") else f"simulated {name}"
