"""Open the GeoTIFF of a tile, and compare its place with that of the tile in the grid of its scene."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import TiledScene
from drshym_pipeline.sar.completeness import check_blocks
from drshym_pipeline.sar.safe_open import open_scene_file
from drshym_pipeline.tiling import Window

# Of each number of the transform: far below a pixel, and far above the precision of any notation.
_SAME_PLACE: Final = 1e-9


@contextmanager
def open_tile(path: Path, remedy: str) -> Iterator[Any]:
    """Open a tile; it must have all its bytes.

    Args:
        path: Its GeoTIFF.
        remedy: How the tile is made again.

    Yields:
        The `DatasetReader` of rasterio.

    Raises:
        InputError: The file is missing or damaged. An error raised in the block gets the same remedy.
    """
    try:
        with open_scene_file(path) as dataset:
            check_blocks(dataset, path)
            yield dataset
    except InputError as error:
        raise InputError(error.subject, error.problem, remedy) from error


def check_place(dataset: Any, path: Path, scene: TiledScene, window: Window, remedy: str) -> None:
    """Compare CRS and transform of an open tile with its window in the scene.

    Raises:
        InputError: The tile is at another place.
    """
    expected = scene.affine @ Affine.translation(window.col, window.row)
    if dataset.crs != CRS.from_user_input(scene.crs) or not np.allclose(
        tuple(dataset.transform), tuple(expected), rtol=_SAME_PLACE, atol=0
    ):
        raise InputError(
            path,
            f"is not at the place of its window (row {window.row}, column {window.col}) in the scene {scene.scene_id}",
            remedy,
        )
