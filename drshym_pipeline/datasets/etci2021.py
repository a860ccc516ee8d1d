"""ETCI 2021: flood tiles of NASA-IMPACT's challenge, 8-bit VV and VH with flood and water-body masks.

    <event>_<time>/tiles/{vv,vh}/<event>_<time>_x-<row>_y-<column>_{vv,vh}.png
    <event>_<time>/tiles/{flood_label,water_body_label}/<event>_<time>_x-<row>_y-<column>.png

In a name x is the row and y the column. Tiles of a scene are adjacent, do not overlap and share one stretch. A pixel is
water where at least one of the two masks marks it. Swath borders are white (255 in both bands) and count as not
observed; water is often cut off at 0, so 0 counts as observed. Some flood masks, mainly those of Nebraska, hold filled
rectangles of thousands of pixels over fields; they are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.eight_bit import EightBitForm, check_sizes, read_picture, unobserved
from drshym_pipeline.datasets.grey_levels import Scale, find_scale
from drshym_pipeline.datasets.known_sets import ETCI2021
from drshym_pipeline.datasets.picture_tiles import Folders, PictureSet, match_tiles
from drshym_pipeline.errors import InputError


class Etci2021(PictureSet):
    """The tiles of a folder of ETCI 2021.

    Args:
        root: The folder that holds one folder per scene.

    Raises:
        InputError: The folder does not have the layout.
    """

    layout = ETCI2021

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._scales: dict[tuple[Path, bool], Scale] = {}
        self._scenes = sorted(folder.parent.parent for folder in root.glob("*/tiles/vv") if folder.is_dir())
        if not self._scenes:
            raise InputError(
                root,
                "does not have the layout of ETCI 2021",
                "Expected <event>_<time>/tiles/ with vv, vh, flood_label and water_body_label",
            )

    def events(self) -> tuple[str, ...]:
        """Return the event names: the scene folders' names up to the time. Scenes of one region are one event."""
        return tuple(sorted({_event(scene) for scene in self._scenes}))

    def _tile_folders(self, event: str) -> Iterator[Folders]:
        return (_folders(scene) for scene in self._scenes if _event(scene) == event)

    def _event_chips(self, event: str, split: str, *, present_only: bool) -> list[ChipRef]:
        refs = []
        for scene in self._scenes:
            if _event(scene) != event:
                continue
            tiles = match_tiles(_folders(scene), present_only=present_only)
            if not tiles:
                continue
            # The scale is kept, because finding it reads every tile of the scene.
            if (scene, present_only) not in self._scales:
                self._scales[scene, present_only] = _scene_scale(tiles)
            scale = self._scales[scene, present_only]
            for tile, files in tiles.items():
                form = EightBitForm(scale, more_water=(files["water-body mask"],), box_faults=True)
                refs.append(
                    ChipRef(tile, event, split, files["VV"], files["flood mask"], vh=files["VH"], eight_bit=form)
                )
        return refs


def _event(scene: Path) -> str:
    return scene.name.partition("_")[0]


def _folders(scene: Path) -> Folders:
    folder = scene / "tiles"
    return {
        "VV": (folder / "vv", "", "_vv.png"),
        "VH": (folder / "vh", "", "_vh.png"),
        "flood mask": (folder / "flood_label", "", ".png"),
        "water-body mask": (folder / "water_body_label", "", ".png"),
    }


def _scene_scale(tiles: Mapping[str, Mapping[str, Path]]) -> Scale:
    """Return the common mapping of a scene's tiles."""

    def read() -> Iterator[tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]]:
        for files in tiles.values():
            bands = [read_picture(files["VV"]), read_picture(files["VH"])]
            check_sizes(bands, [files["VV"], files["VH"]])
            yield bands, ~unobserved(bands, zero_is_border=False)

    return find_scale(read())
