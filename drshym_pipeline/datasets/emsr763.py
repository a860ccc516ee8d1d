"""EMSR763: one flood of the Copernicus Emergency Management Service, 8-bit VV and VH before and after.

    PRE_S1/{VV_pre,VH_pre}/<tile>.png  POST_S1/{VV_post,VH_post}/<tile>.png  Labels/<tile>.png

The 2000 x 2000 tiles of one date share one stretch. They show an area of interest with an irregular outline; outside it
all four pictures are 0. The tiles are cut into chips, and chips with hardly any observed pixel are not listed. The
flood mask does not contain the river. A pixel that is outside the mask and was dark before and after the flood is
neither reliably dry nor reliably flooded, so it is ignored. Fields that were dark before and are bright after stay dry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.eight_bit import EightBitForm, check_sizes, read_picture, unobserved
from drshym_pipeline.datasets.grey_levels import Scale, find_scale
from drshym_pipeline.datasets.known_sets import EMSR763
from drshym_pipeline.datasets.picture_tiles import Folders, PictureSet, match_tiles
from drshym_pipeline.errors import InputError

EVENT = "emsr763"
SIDE = 512
_LEAST_OBSERVED = 0.05
_FOLDERS = {
    "VV after": "POST_S1/VV_post",
    "VH after": "POST_S1/VH_post",
    "VV before": "PRE_S1/VV_pre",
    "VH before": "PRE_S1/VH_pre",
    "mask": "Labels",
}
_BANDS = ("VV after", "VH after", "VV before", "VH before")


class Emsr763(PictureSet):
    """The chips of a folder of EMSR763.

    Args:
        root: The folder that holds `PRE_S1`, `POST_S1` and `Labels`.

    Raises:
        InputError: The folder does not have the layout.
    """

    layout = EMSR763

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._surveys: dict[bool, _Survey] = {}
        absent = [folder for folder in _FOLDERS.values() if not (root / folder).is_dir()]
        if absent:
            raise InputError(
                root,
                f"does not have the layout of EMSR763 ({absent[0]} is missing)",
                f"Expected {', '.join(_FOLDERS.values())}",
            )

    def events(self) -> tuple[str, ...]:
        """Return the name of the one flood."""
        return (EVENT,)

    def _kinds(self) -> Folders:
        return {kind: (self.root / folder, "", ".png") for kind, folder in _FOLDERS.items()}

    def _tile_folders(self, event: str) -> Iterator[Folders]:
        yield self._kinds()

    def _event_chips(self, event: str, split: str, *, present_only: bool) -> list[ChipRef]:
        tiles = match_tiles(self._kinds(), present_only=present_only)
        if not tiles:
            return []
        # The result is kept, because the survey reads all tiles.
        if present_only not in self._surveys:
            self._surveys[present_only] = _survey(tiles)
        found = self._surveys[present_only]
        dark = (found.before[0].land + found.before[0].water) / 2
        refs = []
        for tile, files in tiles.items():
            for window in found.windows[tile]:
                form = EightBitForm(
                    scale=found.after,
                    zero_is_border=True,
                    before=(files["VV before"], files["VH before"]),
                    dark_before=dark,
                    window=window,
                )
                name = f"{EVENT}_{tile}_{window[0]}_{window[1]}"
                refs.append(
                    ChipRef(name, event, split, files["VV after"], files["mask"], vh=files["VH after"], eight_bit=form)
                )
        return refs


@dataclass(frozen=True)
class _Survey:
    """What is computed from all tiles: levels after and before, and the windows with observed pixels, by tile."""

    after: Scale
    before: Scale
    windows: Mapping[str, list[tuple[int, int, int]]]


def _survey(tiles: Mapping[str, Mapping[str, Path]]) -> _Survey:
    after: list[tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]] = []
    before: list[tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]] = []
    windows = {}
    for tile, files in tiles.items():
        paths = [files[kind] for kind in _BANDS]
        pictures = [read_picture(path) for path in paths]
        check_sizes(pictures, paths)
        seen = ~unobserved(pictures, zero_is_border=True)
        after.append((pictures[:2], seen))
        before.append((pictures[2:], seen))
        height, width = seen.shape
        windows[tile] = [
            (row, col, SIDE)
            for row, col in product(range(0, height, SIDE), range(0, width, SIDE))
            if seen[row : row + SIDE, col : col + SIDE].mean() >= _LEAST_OBSERVED
        ]
    return _Survey(find_scale(after), find_scale(before), windows)
