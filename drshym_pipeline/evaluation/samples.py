"""From folders and splits to the chips that a benchmark scores, with a name for every set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drshym_pipeline.datasets.labelled_set import LabelledSet
from drshym_pipeline.datasets.open_set import detect_set
from drshym_pipeline.datasets.provenance import Provenance, provenance_of
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.suite import Sample
from drshym_pipeline.records import counted

PARTIAL = "Only those present are scored: these are not the figures of the whole split."


def open_samples(folders: Sequence[Path], splits: Sequence[str], *, present_only: bool = False) -> list[Sample]:
    """Collect the chips to be scored.

    Args:
        folders: Folders of labelled sets, recognised by their layout.
        splits: Splits to score. Splits that a set does not have are skipped; it must have at least one of them.
        present_only: Whether the present chips of an incomplete copy are scored, with a note on the absent ones.

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
    """Return a note for the card on the absent chips of a split; empty where a list shows that no chip is absent."""
    absent = data.absent(split)
    if not data.has_lists:
        return f"{counted(absent, 'incomplete chip')} left out; no list shows how many others are absent. {PARTIAL}"
    verb = "is" if absent == 1 else "are"
    return f"{absent:,} of the chips that the split lists {verb} absent. {PARTIAL}" if absent else ""


def _name(found: Provenance, folder: Path) -> str:
    """Return the title of the provenance of the chips; a simulated set is named after its folder."""
    if found.origin != "simulated":
        return found.title
    name = folder.resolve().name
    return name if name.startswith("simulated") else f"simulated {name}"
