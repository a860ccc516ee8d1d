"""Move the results of an image with control points to its map grid, in strips of rows.

The network works on the image in radar geometry; this module moves its results. The mask and the backscatter are moved
by nearest neighbour, the probability is interpolated between its four neighbours. The mask of the image is moved; it is
not computed again from the moved probability, because interpolated probabilities would create false shores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling

from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.products.bands import Band
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.reprojection import moved, new_image_raster, strips
from drshym_pipeline.states import MASK_NOT_OBSERVED
from drshym_pipeline.stitching import band_rows

_UNSEEN = 0  # not observed, in the moved classes and in the moved backscatter


def _write_image(bands: Iterable[Band], meta: SceneMeta, exact: Path, smooth: Path) -> None:
    """Write the bands of the image to two rasters with control points: one for exact values, one to interpolate."""
    with (
        new_image_raster(exact, meta, 2, _UNSEEN) as classes,
        new_image_raster(smooth, meta, 1, NOT_OBSERVED) as probability,
    ):
        for band in bands:
            window = ((band.row, band.row + len(band.mask)), (0, meta.width))
            # Both bands of a raster have the same nodata value 0, so the classes begin at 1.
            shifted = np.where(band.mask == MASK_NOT_OBSERVED, _UNSEEN, band.mask.astype(np.uint16) + 1)
            classes.write(np.stack([shifted.astype(np.uint16), band.vv]), window=window)
            probability.write(band.stored, 1, window=window)


def geocoded(bands: Iterable[Band], meta: SceneMeta, scratch: Path) -> Iterator[Band]:
    """Yield the bands of an image with control points on the scene's map grid.

    Args:
        bands: The bands of the whole image.
        meta: The scene, with control points and product grid.
        scratch: An existing folder for two rasters of the image's size.

    Yields:
        Bands of the map grid, from its first row to its last; not observed outside the image.
    """
    exact, smooth = scratch / "image_classes.tif", scratch / "image_probability.tif"
    _write_image(bands, meta, exact, smooth)
    grid = meta.map_grid
    with ExitStack() as stack:
        classes, probability = (stack.enter_context(rasterio.open(path)) for path in (exact, smooth))
        for rows in strips(grid):
            shifted, vv = moved(classes, grid, rows, Resampling.nearest)
            (stored,) = moved(probability, grid, rows, Resampling.bilinear)
            unseen = (shifted == _UNSEEN) | (stored == NOT_OBSERVED)
            stored[unseen], vv[unseen] = NOT_OBSERVED, _UNSEEN
            shifted -= 1
            mask = shifted.astype(np.uint8)
            mask[unseen] = MASK_NOT_OBSERVED
            low = band_rows(grid.width)
            for part in range(0, len(rows), low):
                yield Band(rows.start + part, *(values[part : part + low] for values in (stored, mask, vv)))
