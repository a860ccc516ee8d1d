"""The stored backscatter of a scene, put together from its chips.

A chip holds the same float32 dB that a scene is read as, so the stored codes are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.products.chips import SCENE_VERSION_TAG
from drshym_pipeline.progress import Progress
from drshym_pipeline.sar.backscatter import BackscatterWriter
from drshym_pipeline.sar.codes import BACKSCATTER_FILE, NOT_OBSERVED_CODE, encode_db
from drshym_pipeline.sar.completeness import check_blocks
from drshym_pipeline.sar.safe_open import open_scene_file
from drshym_pipeline.tile_folders.listing import CUT_AGAIN, TiledFolder
from drshym_pipeline.tiling import Window

ASSEMBLE_STAGE: Final = "assemble"


def read_chip(path: Path, version: str, window: Window, bands: int) -> NDArray[np.uint16]:
    """Read one chip as stored codes, (bands, height, width) uint16, 0 in every band where any is not observed.

    Raises:
        InputError: It is damaged, no chip of `drshym tile`, of another version of the scene, or of another size.
    """
    with open_scene_file(path) as dataset:
        check_blocks(dataset, path)
        _check_chip(dataset, path, version, window, bands)
        codes = encode_db(dataset.read())
    codes[:, (codes == NOT_OBSERVED_CODE).any(axis=0)] = NOT_OBSERVED_CODE
    return codes


def _check_chip(dataset: Any, path: Path, version: str, window: Window, bands: int) -> None:
    found = dataset.tags().get(SCENE_VERSION_TAG)
    if found is None:
        raise InputError(path, "is no chip of this release of `drshym tile`", CUT_AGAIN)
    if found != version:
        raise InputError(
            path,
            f"is of another version of the scene ({found}) than its record ({version})",
            f"{CUT_AGAIN} into a new folder",
        )
    shape = (dataset.count, dataset.height, dataset.width)
    if shape != (bands, window.height, window.width) or set(dataset.dtypes) != {"float32"}:
        raise InputError(path, f"has {shape[0]} x {shape[1]} x {shape[2]} values, not those of its record", CUT_AGAIN)


def write_backscatter(chips: TiledFolder, folder: Path, progress: Progress) -> None:
    """Write the `backscatter.tif` of a scene from its chips; pixels of missing chips are not observed in it.

    Args:
        chips: The chips.
        folder: Where the file is written.
        progress: Called after every chip, as stage `assemble`.

    Raises:
        InputError: A chip cannot be used, or two chips differ where they overlap.
    """
    scene, grid = chips.scene, chips.grid
    bands = len(scene.bands)
    rows: dict[int, NDArray[np.uint16]] = {}
    progress(ASSEMBLE_STAGE, 0, len(chips.chips))
    with BackscatterWriter(folder / BACKSCATTER_FILE, bands) as writer:
        writer.open(scene.height, scene.width)
        done = 0
        for index in range(len(grid)):
            if index not in chips.chips:
                continue
            path, window = chips.chips[index], grid.window(index)
            codes = read_chip(path, scene.version, window, bands)
            _check_overlap(rows, index, codes, chips)
            rows[index] = codes
            rows = {kept: values for kept, values in rows.items() if kept >= index - len(grid.col_starts) - 1}
            writer.write(window, codes)
            done += 1
            progress(ASSEMBLE_STAGE, done, len(chips.chips))


def _check_overlap(
    before: Mapping[int, NDArray[np.uint16]], index: int, codes: NDArray[np.uint16], chips: TiledFolder
) -> None:
    """Compare a chip with its neighbours to the left and above, where they show the same pixels."""
    window = chips.grid.window(index)
    for other in (index - 1, index - len(chips.grid.col_starts)):
        if other not in before:
            continue
        beside = chips.grid.window(other)
        top, left = max(window.row, beside.row), max(window.col, beside.col)
        bottom = min(window.rows.stop, beside.rows.stop)
        right = min(window.cols.stop, beside.cols.stop)
        if top >= bottom or left >= right:
            continue
        mine = codes[:, top - window.row : bottom - window.row, left - window.col : right - window.col]
        theirs = before[other][:, top - beside.row : bottom - beside.row, left - beside.col : right - beside.col]
        if not np.array_equal(mine, theirs):
            raise InputError(
                chips.chips[index],
                f"differs from {chips.chips[other].name} where both show the same ground",
                f"{CUT_AGAIN}: a chip was changed",
            )
