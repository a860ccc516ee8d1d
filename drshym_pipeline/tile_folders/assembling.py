"""The stored backscatter of a scene, put together from its chips.

A chip holds the same float32 dB that a scene is read as, so the stored codes are the same to the last bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.products.chips import SCENE_VERSION_TAG
from drshym_pipeline.products.file_lists import check_file
from drshym_pipeline.progress import Progress
from drshym_pipeline.sar.backscatter import BackscatterWriter
from drshym_pipeline.sar.codes import BACKSCATTER_FILE, NOT_OBSERVED_CODE, encode_db
from drshym_pipeline.tile_folders.listing import CUT_AGAIN, TiledFolder
from drshym_pipeline.tile_folders.rasters import check_place, open_tile
from drshym_pipeline.tiling import Window

ASSEMBLE_STAGE: Final = "assemble"


def read_chip(chips: TiledFolder, index: int) -> NDArray[np.uint16]:
    """Read one chip as stored codes, (bands, height, width) uint16, 0 in every band where any is not observed.

    Raises:
        InputError: It is damaged, not the chip that the record of the scene lists, or at another place.
    """
    path, scene = chips.chips[index], chips.scene
    with open_tile(path, CUT_AGAIN) as dataset:
        _check_version(dataset, path, scene.version)
        check_file(path, scene.chips[index].raster_sha256, chips.meta_path.name, CUT_AGAIN)
        _check_pixels(dataset, path, len(scene.bands), chips.grid.window(index))
        check_place(dataset, path, scene, chips.grid.window(index), CUT_AGAIN)
        codes = encode_db(dataset.read())
    codes[:, (codes == NOT_OBSERVED_CODE).any(axis=0)] = NOT_OBSERVED_CODE
    return codes


def _check_version(dataset: Any, path: Path, version: str) -> None:
    found = dataset.tags().get(SCENE_VERSION_TAG)
    if found is None:
        raise InputError(path, "is not a chip of this release of `drshym tile`", CUT_AGAIN)
    if found != version:
        raise InputError(path, f"is of another version of the scene ({found}) than its record ({version})", CUT_AGAIN)


def _check_pixels(dataset: Any, path: Path, bands: int, window: Window) -> None:
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
        InputError: A chip cannot be used.
    """
    scene = chips.scene
    progress(ASSEMBLE_STAGE, 0, len(chips.chips))
    with BackscatterWriter(folder / BACKSCATTER_FILE, len(scene.bands)) as writer:
        writer.open(scene.height, scene.width)
        for done, index in enumerate(sorted(chips.chips), 1):
            writer.write(chips.grid.window(index), read_chip(chips, index))
            progress(ASSEMBLE_STAGE, done, len(chips.chips))
