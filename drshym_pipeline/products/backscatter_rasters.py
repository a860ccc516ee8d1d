"""The backscatter of a map as a cloud-optimised GeoTIFF on its grid: what the page of the service shows below the map.

The scene of the event and the scene from before it have one form: whole steps of 0.01 dB, -32768 where not observed. A
scene that is on another grid, or has only control points, is moved by nearest neighbour: every pixel then has a value
that was measured, and no mean of decibels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from drshym_pipeline.observation import row_windows
from drshym_pipeline.products.rasters import LICENCE_NOTE, copy_cog, raster_profile
from drshym_pipeline.records import MapGrid, SceneMeta
from drshym_pipeline.reprojection import moved, new_image_raster, strips
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.codes import CODES_PER_DB, LOWEST_DB, NOT_OBSERVED_CODE
from drshym_pipeline.sar.completeness import check_written
from drshym_pipeline.scene_folder import ProductKind, product_name
from drshym_pipeline.storage import temporary_directory
from drshym_pipeline.version import __version__

STEPS_PER_DB: Final = 100
NOT_OBSERVED_STEP: Final = -32_768
_CODES_PER_STEP: Final = CODES_PER_DB // STEPS_PER_DB
_LOWEST_STEP: Final = int(LOWEST_DB) * STEPS_PER_DB


def as_steps(codes: NDArray[np.uint16]) -> NDArray[np.int16]:
    """Return stored backscatter as whole steps of 0.01 dB.

    Args:
        codes: Any shape, uint16 as `sar.codes` stores it, 0 where not observed.

    Returns:
        Same shape, int16, -32768 where not observed; exact to half a step, a value in the middle is rounded up.
    """
    halves = codes.astype(np.int32) + (_CODES_PER_STEP // 2 - 1)
    steps = (halves // _CODES_PER_STEP + _LOWEST_STEP).astype(np.int16)
    steps[codes == NOT_OBSERVED_CODE] = NOT_OBSERVED_STEP
    return steps


def write_backscatter(reader: BackscatterReader, grid: MapGrid, target: Path) -> None:
    """Write the backscatter of a scene on a map grid; the file appears complete or not at all.

    Args:
        reader: The open scene: that of the map, or another one.
        grid: The grid of the map.
        target: The COG: one band per polarisation, with its name as description, VV first.
    """
    meta = reader.meta
    with temporary_directory(target.parent) as scratch:
        raster = scratch / "backscatter.tif"
        profile = raster_profile(grid, "int16", NOT_OBSERVED_STEP) | {"count": len(meta.bands), "interleave": "band"}
        with rasterio.open(raster, "w", **profile) as written:
            written.descriptions = tuple(band.polarisation for band in meta.bands)
            written.scales = (1.0 / STEPS_PER_DB,) * len(meta.bands)
            written.units = ("dB",) * len(meta.bands)
            written.update_tags(**_tags(meta))
            with _rows_on(reader, grid, scratch) as parts:
                for rows, codes in parts:
                    written.write(as_steps(codes), window=((rows.start, rows.stop), (0, grid.width)))
        check_written(raster)
        # The mean of the steps is a geometric mean of the power, which is only looked at.
        copy_cog(raster, target, resampling="AVERAGE", predictor="YES")


class BackscatterFiles:
    """Writes the backscatter of a map to its products, if it is wanted.

    Args:
        meta: The scene of the map.
        products: The folder of the products.
        wanted: Whether anything is written.
    """

    def __init__(self, meta: SceneMeta, products: Path, *, wanted: bool) -> None:
        self._meta, self._products, self._wanted = meta, products, wanted
        self.names: dict[ProductKind, str] = {}

    def add(self, kind: ProductKind, scene: SceneMeta, folder: Path) -> None:
        """Write the backscatter of a scene as one product.

        Args:
            kind: The product.
            scene: The scene of the map, or that from before.
            folder: The folder of its stored backscatter.
        """
        if self._wanted:
            self._products.mkdir(exist_ok=True)
            self.names[kind] = product_name(self._meta.scene_id, kind)
            with BackscatterReader(scene, folder) as reader:
                write_backscatter(reader, self._meta.map_grid, self._products / self.names[kind])


def _tags(meta: SceneMeta) -> dict[str, str]:
    """Return the TIFF tags, which say what the values are of."""
    tags = {
        "TIFFTAG_SOFTWARE": f"drshym-pipeline {__version__}",
        "TIFFTAG_COPYRIGHT": LICENCE_NOTE,
        "DRSHYM_SCENE": meta.scene_id,
        "DRSHYM_SOURCE": " ".join(meta.source_uris),
        "DRSHYM_SOURCE_SHA256": meta.sha256,
    }
    return tags if meta.acquired_at is None else tags | {"DRSHYM_ACQUIRED_AT": meta.acquired_at.isoformat()}


Rows = tuple[range, NDArray[np.uint16]]


@contextmanager
def _rows_on(reader: BackscatterReader, grid: MapGrid, scratch: Path) -> Iterator[Iterator[Rows]]:
    """Give the rows of a map grid from the first to the last, with the stored backscatter, (bands, rows, width)."""
    meta = reader.meta
    if meta.product_grid is None and meta.map_grid == grid:
        yield _rows_of(reader)
        return
    image = scratch / "image.tif"
    with new_image_raster(image, meta, len(meta.bands), NOT_OBSERVED_CODE) as target:
        for rows, codes in _rows_of(reader):
            target.write(codes, window=((rows.start, rows.stop), (0, meta.width)))
    with rasterio.open(image) as source:
        yield _moved_rows(source, grid)


def _rows_of(reader: BackscatterReader) -> Iterator[Rows]:
    windows = row_windows(reader.meta.shape)
    return ((range(window.row, window.row + window.height), reader.read(window)) for window in windows)


def _moved_rows(source: Any, grid: MapGrid) -> Iterator[Rows]:
    return ((rows, moved(source, grid, rows, Resampling.nearest)) for rows in strips(grid))
