"""Write the short hashes that identify chips of published sets: `python -m experiments known-chips --data DIR`.

For Sen1Floods11 the names in its official lists are hashed, for the other sets the files of every chip in the folder.
The set `real_land` is the one of the package.
The hashes are used in `drshym_pipeline.datasets.known_sets`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from drshym_pipeline.datasets.emsr763 import Emsr763
from drshym_pipeline.datasets.etci2021 import Etci2021
from drshym_pipeline.datasets.known_sets import KNOWN_CHIPS, SEN1FLOODS11, chip_digest, name_digest
from drshym_pipeline.datasets.labelled_set import LabelledSet
from drshym_pipeline.datasets.ombria import Ombria
from drshym_pipeline.datasets.real_land import RealLand
from drshym_pipeline.datasets.sen1floods11 import HAND_SPLITS, listed_chips, split_file
from drshym_pipeline.datasets.stac_overflow import StacOverflow
from drshym_pipeline.errors import InputError
from drshym_pipeline.storage import write_json

LISTS = ("train", "valid", "test", "bolivia")
_FOLDERS: dict[str, Callable[[Path], LabelledSet]] = {
    "stac_overflow": StacOverflow,
    "etci2021": Etci2021,
    "ombria": Ombria,
    "emsr763": Emsr763,
}


def known_chips(root: Path) -> dict[str, dict[str, str]]:
    """Compute the short hashes by set and list, sorted and joined by spaces.

    Args:
        root: Folder of the real data.

    Raises:
        InputError: A list or a set is missing.
    """
    splits = root / "sen1floods11" / "v1.1" / HAND_SPLITS
    names = {name: listed_chips(splits / split_file(name)) for name in LISTS}
    found = {SEN1FLOODS11: {name: " ".join(sorted(map(name_digest, chips))) for name, chips in names.items()}}
    for data in (*(loader(root / folder) for folder, loader in _FOLDERS.items()), RealLand()):
        refs = [ref for split in data.splits()[:1] for ref in data.chips(split)]
        files = {(ref.image, ref.vh, ref.label) for ref in refs}
        found[data.layout] = {"checksums": " ".join(sorted(chip_digest(*paths) for paths in files))}
    return found


def main(arguments: list[str]) -> None:
    """Write `known_chips.json` into the package."""
    parser = argparse.ArgumentParser(prog="python -m experiments known-chips", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    given = parser.parse_args(arguments)
    try:
        found = known_chips(given.data)
    except (InputError, OSError) as error:
        parser.error(str(error))
    write_json(KNOWN_CHIPS, found)
    for title, lists in found.items():
        print(f"{title}: " + ", ".join(f"{len(digests.split())} in {name}" for name, digests in lists.items()))
