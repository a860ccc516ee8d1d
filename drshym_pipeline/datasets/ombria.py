"""OMBRIA: VV tiles of over twenty floods before and after, 8-bit, with rapid-mapping masks as truth.

    OmbriaS1/{train,test}/{BEFORE,AFTER,MASK}/S1_{before,after,mask}_<number>.png
    2021/<EVENT>/Sentinel1/{BEFORE,AFTER,MASK}/{imbefore,imafter,gt}_<number>.png

Every tile was stretched separately, so each tile has its own mapping to dB. Tiles of `OmbriaS1` do not say which flood
they show, and its test tiles touch its training tiles: here all of them are one event, `unnamed`. The truth does not
contain river channels, so dark water beside the flood may be labelled dry. The truth was also drawn by other people
from data of other times, so it agrees poorly with the radar image in about a tenth of the tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.eight_bit import EightBitForm
from drshym_pipeline.datasets.known_sets import OMBRIA
from drshym_pipeline.datasets.picture_tiles import Folders, PictureSet, match_tiles
from drshym_pipeline.errors import InputError

UNNAMED = "unnamed"
_PICTURES = ("AFTER", "BEFORE", "MASK")


class Ombria(PictureSet):
    """The tiles of a folder of OMBRIA.

    Args:
        root: The folder that holds `OmbriaS1` or `2021`.

    Raises:
        InputError: The folder does not have the layout.
    """

    layout = OMBRIA

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        found = [
            (UNNAMED, root / "OmbriaS1" / part, ("S1_after", "S1_before", "S1_mask")) for part in ("test", "train")
        ]
        found += [
            (folder.parent.name.lower(), folder, ("imafter", "imbefore", "gt"))
            for folder in sorted((root / "2021").glob("*/Sentinel1"))
        ]
        self._folders = [entry for entry in found if any((entry[1] / name).is_dir() for name in _PICTURES)]
        if not self._folders:
            raise InputError(
                root,
                "does not have the layout of OMBRIA",
                "Expected OmbriaS1/train/ or 2021/<EVENT>/Sentinel1/ with BEFORE, AFTER and MASK",
            )

    def events(self) -> tuple[str, ...]:
        """Return the floods of 2021 in lower case, and `unnamed` for all others."""
        return tuple(sorted({event for event, _, _ in self._folders}))

    def _tile_folders(self, event: str) -> Iterator[Folders]:
        return (_kinds(folder, prefixes) for own, folder, prefixes in self._folders if own == event)

    def _event_chips(self, event: str, split: str, *, present_only: bool) -> list[ChipRef]:
        refs = []
        for own, folder, prefixes in self._folders:
            if own != event:
                continue
            for tile, files in match_tiles(_kinds(folder, prefixes), present_only=present_only).items():
                name = f"{folder.name}-{tile}" if event == UNNAMED else tile
                form = EightBitForm(zero_is_border=True)
                refs.append(
                    ChipRef(f"ombria_{event}_{name}", event, split, files["AFTER"], files["MASK"], eight_bit=form)
                )
        return refs


def _kinds(folder: Path, prefixes: tuple[str, ...]) -> Folders:
    return {kind: (folder / kind, f"{prefix}_", ".png") for kind, prefix in zip(_PICTURES, prefixes, strict=True)}
