"""Move the results of an image with control points to its map grid, in strips of rows.

The network works on the image in radar geometry; this module moves its results. The mask and the backscatter are moved
by nearest neighbour, the probability is interpolated between its four neighbours. The mask of the image is moved; it is
not computed again from the moved probability, because interpolated probabilities would create false shores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject

from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.products.bands import Band
from drshym_pipeline.records import MapGrid, SceneMeta
from drshym_pipeline.sar.ground_control import gdal_points
from drshym_pipeline.states import MASK_NOT_OBSERVED
from drshym_pipeline.stitching import band_rows

_STRIP_PIXELS = 1 << 23  # moved together; with smaller strips, parts of the image are read more often
_BLOCK = 512
_UNSEEN = 0  # not observed, in the moved classes and in the moved backscatter
_WARP_MEGABYTES = 64
_THREADS = 2
_TOLERANCE = 0.125  # pixels; the largest error when GDAL approximates the spline between computed pixels


def _open(path: Path, meta: SceneMeta, count: int, nodata: int) -> Any:
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="uint16",
        count=count,
        height=meta.height,
        width=meta.width,
        nodata=nodata,
        tiled=True,
        blockxsize=_BLOCK,
        blockysize=_BLOCK,
        interleave="band",
        crs=meta.map_grid.crs,
        gcps=gdal_points(meta.control_points, meta.map_grid.crs),
        BIGTIFF="IF_SAFER",
    )


def _write_image(bands: Iterable[Band], meta: SceneMeta, exact: Path, smooth: Path) -> None:
    """Write the bands of the image to two rasters with control points: one for exact values, one to interpolate."""
    with _open(exact, meta, 2, _UNSEEN) as classes, _open(smooth, meta, 1, NOT_OBSERVED) as probability:
        for band in bands:
            window = ((band.row, band.row + len(band.mask)), (0, meta.width))
            # Both bands of a raster have the same nodata value 0, so the classes begin at 1.
            shifted = np.where(band.mask == MASK_NOT_OBSERVED, _UNSEEN, band.mask.astype(np.uint16) + 1)
            classes.write(np.stack([shifted.astype(np.uint16), band.vv]), window=window)
            probability.write(band.stored, 1, window=window)


def _moved(source: Any, grid: MapGrid, rows: range, resampling: Resampling) -> NDArray[np.uint16]:
    """Return all bands of a raster on some rows of the map grid: (bands, rows, width)."""
    nodata = int(source.nodata)
    out = np.full((source.count, len(rows), grid.width), nodata, np.uint16)
    reproject(
        rasterio.band(source, list(source.indexes)),
        out,
        src_crs=grid.crs,
        src_nodata=nodata,
        dst_transform=grid.affine @ Affine.translation(0, rows.start),
        dst_crs=grid.crs,
        dst_nodata=nodata,
        resampling=resampling,
        num_threads=_THREADS,
        tolerance=_TOLERANCE,
        warp_mem_limit=_WARP_MEGABYTES,
        SRC_METHOD="GCP_TPS",
    )
    return out


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
        most = max(1, _STRIP_PIXELS // grid.width)
        for row in range(0, grid.height, most):
            rows = range(row, min(row + most, grid.height))
            shifted, vv = _moved(classes, grid, rows, Resampling.nearest)
            (stored,) = _moved(probability, grid, rows, Resampling.bilinear)
            unseen = (shifted == _UNSEEN) | (stored == NOT_OBSERVED)
            stored[unseen], vv[unseen] = NOT_OBSERVED, _UNSEEN
            shifted -= 1
            mask = shifted.astype(np.uint8)
            mask[unseen] = MASK_NOT_OBSERVED
            low = band_rows(grid.width)
            for part in range(0, len(rows), low):
                yield Band(row + part, *(values[part : part + low] for values in (stored, mask, vv)))
