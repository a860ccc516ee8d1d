"""From folders and splits to the chips a benchmark scores, each set under a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drshym_pipeline.datasets.labelled_set import LabelledSet
from drshym_pipeline.datasets.open_set import detect_set
from drshym_pipeline.datasets.provenance import Provenance, provenance_of
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.suite import Sample

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
        for split in known:
            refs = tuple(data.chips(split, present_only=present_only))
            found = provenance_of(data, refs)
            notes = (found.evidence, note_on_absent(data, split) if present_only else "")
            samples.append(Sample(_name(found, folder), split, refs, tuple(filter(None, notes))))
    return samples


def note_on_absent(data: LabelledSet, split: str) -> str:
    """How many chips of a split are not there, for the card; empty where its list says that none is missing."""
    absent = data.absent(split)
    if not data.has_lists:
        return f"{absent:,} chips are incomplete and left out; no list tells how many others are absent. {PARTIAL}"
    return f"{absent:,} of the chips that the split lists are absent. {PARTIAL}" if absent else ""


def _name(found: Provenance, folder: Path) -> str:
    """What the chips are, by their provenance; a simulated set goes by the name of its folder."""
    if found.origin != "simulated":
        return found.title
    name = folder.resolve().name
    return name if name.startswith("simulated") else f"simulated {name}"
