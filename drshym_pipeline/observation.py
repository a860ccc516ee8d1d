"""Which pixels of a map are observed, before the map is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from drshym_pipeline.reprojection import moved, new_image_raster, strips
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.codes import NOT_OBSERVED_CODE
from drshym_pipeline.stitching import band_rows
from drshym_pipeline.tiling import Window


def row_windows(shape: tuple[int, int]) -> Iterator[Window]:
    """Yield windows of some whole rows, from the first row to the last."""
    height, width = shape
    most = band_rows(width)
    return (Window(row, 0, min(most, height - row), width) for row in range(0, height, most))


def observed_rows(now: BackscatterReader, work: Path) -> Iterator[tuple[range, NDArray[np.bool_]]]:
    """Yield rows of a scene's map grid, and where its map is observed in them.

    An image with control points is moved there by the rule of its products: see `products.geocode`.
    """
    grid = now.meta.map_grid
    if now.meta.product_grid is None:
        for rows in strips(grid):
            (codes,) = now.read(Window(rows.start, 0, len(rows), grid.width), 1)
            yield rows, codes != NOT_OBSERVED_CODE
        return
    image = work / "observed.tif"
    with new_image_raster(image, now.meta, 1, NOT_OBSERVED_CODE) as target:
        for window in row_windows(now.meta.shape):
            place = ((window.row, window.row + window.height), (0, window.width))
            target.write(now.read(window, 1), window=place)
    with rasterio.open(image) as source:
        for rows in strips(grid):
            (near,), (smooth,) = (moved(source, grid, rows, how) for how in (Resampling.nearest, Resampling.bilinear))
            yield rows, (near != NOT_OBSERVED_CODE) & (smooth != NOT_OBSERVED_CODE)
