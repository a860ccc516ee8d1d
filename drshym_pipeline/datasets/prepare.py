"""From the configuration to chips on the disk: the simulator is run when it has to be, a real set is only checked."""

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
        config: Where the chips come from. A simulated set without `root` goes to a folder of `cache` named after its
            settings; a `root` that already holds chips in the layout, without a simulator's marker, is taken as it is.
        cache: Folder for simulated sets.
        progress: Told of every simulated chip.

    Raises:
        InputError: The folder lacks the layout, a listed chip is missing, or it holds a set of other settings.
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
    """Whether a folder holds chips in the layout that no simulator is still writing or has written."""
    return (root / "splits").is_dir() and not any(root.glob(DONE_MARKER.replace(".json", "*.json")))
