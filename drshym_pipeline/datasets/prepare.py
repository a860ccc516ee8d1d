"""From the configuration to chips on the disk: a simulated set is written if missing, a real set is checked."""

from __future__ import annotations

from pathlib import Path

from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import DONE_MARKER, settings_digest, write_dataset
from drshym_pipeline.errors import InputError
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.settings import DataConfig


def prepare(config: DataConfig, cache: Path, progress: Progress = silent) -> Sen1Floods11:
    """Make the labelled chips of a configuration ready to read.

    Args:
        config: Configuration of the data. A simulated set without `root` is written to a folder of `cache` named after
            its settings. A `root` that already holds chips in the layout, without a simulator's marker, is used as it
            is.
        cache: Folder for simulated sets.
        progress: Called after every simulated chip.

    Raises:
        InputError: The folder lacks the layout, a listed chip is missing, or the folder holds a set of other settings.
    """
    if config.kind == "sen1floods11":
        if config.root is None:
            raise InputError("data.root", "is not set", "Name the folder that holds data/ and splits/ of Sen1Floods11")
        data = Sen1Floods11(config.root)
    else:
        root = config.root or cache / f"simulated-{settings_digest(config.simulated)}"
        if config.root is None or not _is_foreign_set(root):
            write_dataset(root, config.simulated, progress)
        data = Sen1Floods11(root)
    for split in ("train", "valid", "test"):
        data.chips(split, config.labels)
    return data


def _is_foreign_set(root: Path) -> bool:
    """Return whether a folder holds chips in the layout without a marker of the simulator."""
    return (root / "splits").is_dir() and not any(root.glob(DONE_MARKER.replace(".json", "*.json")))
