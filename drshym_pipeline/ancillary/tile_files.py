"""Read the tiles of layers by window, as files of unknown origin.

A tile must be in degrees and in the square that its name says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window as RasterWindow

from drshym_pipeline.ancillary.layers import Cell, Layer
from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.completeness import check_blocks
from drshym_pipeline.sar.safe_open import open_raster, open_scene_file

DEGREES: Final = "EPSG:4326"
_MARGIN: Final = 3  # pixels around a window: for the interpolation, and for the gradient of an elevation
_TOLERANCE: Final = 1.0  # pixels that a tile may be from its square
_SEA_PIXELS: Final = 64  # along the side of a square of sea
DOWNLOAD: Final = "Download it again, or remove it"


@dataclass(frozen=True)
class TileWindow:
    """Some pixels of a tile.

    Args:
        values: (rows, columns) as they are stored.
        transform: Affine transform from (column, row) to degrees.
        inner: The part that is to be used; the pixels around it are its neighbours in the same tile.
        fills: The values of pixels without a value.
    """

    values: NDArray[Any]
    transform: Affine
    inner: tuple[slice, slice]
    fills: tuple[float, ...] = ()

    def numbers(self) -> NDArray[np.float32]:
        """Return the values as float32, NaN without a value."""
        found = self.values.astype(np.float32)
        for fill in self.fills:
            found[found == np.float32(fill)] = np.nan
        found[~np.isfinite(found)] = np.nan
        return found


def sea_window(cell: Cell, side: int) -> TileWindow:
    """Return a square of height 0."""
    step = side / _SEA_PIXELS
    whole = slice(0, _SEA_PIXELS)
    transform = Affine(step, 0.0, cell.west, 0.0, -step, cell.south + side)
    return TileWindow(np.zeros((_SEA_PIXELS, _SEA_PIXELS), np.float32), transform, (whole, whole))


def check_tile(path: Path, layer: Layer, cell: Cell) -> None:
    """Check a tile before its pixels are read.

    Raises:
        InputError: The tile is damaged, in another CRS, or not where its name says.
    """
    with open_scene_file(path) as header:
        _check_place(header, path, layer, cell)
        check_blocks(header, path)


def read_tile(path: Path, layer: Layer, bounds: tuple[float, float, float, float]) -> TileWindow | None:
    """Read the part of a tile inside bounds in degrees.

    Raises:
        InputError: The tile is damaged.
    """
    with open_raster(path) as source:
        fill = source.nodata
        rows, cols = _inside(source, bounds)
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return None
        outer_rows, outer_cols = (
            slice(max(0, part.start - _MARGIN), min(size, part.stop + _MARGIN))
            for part, size in ((rows, source.height), (cols, source.width))
        )
        place = RasterWindow.from_slices(outer_rows, outer_cols)
        values = source.read(1, window=place)
        transform = source.transform @ Affine.translation(outer_cols.start, outer_rows.start)
    inner = tuple(
        slice(part.start - outer.start, part.stop - outer.start)
        for part, outer in ((rows, outer_rows), (cols, outer_cols))
    )
    fills = tuple(float(empty) for empty in (fill, layer.fill) if empty is not None)
    return TileWindow(values, transform, (inner[0], inner[1]), fills)


def _check_place(source: Any, path: Path, layer: Layer, cell: Cell) -> None:
    """Check that a tile is in degrees and in the square that its name says.

    Raises:
        InputError: It is not.
    """
    if source.crs is None or not source.crs.is_geographic or source.crs != CRS.from_user_input(DEGREES):
        found = "no CRS" if source.crs is None else f"the CRS {source.crs.to_string()[:60]}"
        raise InputError(path, f"has {found}, but tiles of {layer.title} are in {DEGREES}", DOWNLOAD)
    a, b, west, d, e, north = source.transform[:6]
    if b or d or a <= 0 or e >= 0:
        raise InputError(path, "is not on a grid of longitude and latitude with north at the top", DOWNLOAD)
    ends = (
        (west, cell.west, a),
        (north, cell.south + layer.side, -e),
        (west + a * source.width, cell.west + layer.side, a),
        (north + e * source.height, cell.south, -e),
    )
    if any(abs(found - expected) > _TOLERANCE * pixel for found, expected, pixel in ends):
        raise InputError(path, "is not in the square of degrees that its name says", DOWNLOAD)


def _inside(source: Any, bounds: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """Return the rows and columns of a tile inside bounds in degrees, a little more than needed."""
    west, south, east, north = bounds
    a, _, left, _, e, top = source.transform[:6]
    low, high = math.floor((west - left) / a) - _MARGIN, math.ceil((east - left) / a) + _MARGIN
    first, last = math.floor((north - top) / e) - _MARGIN, math.ceil((south - top) / e) + _MARGIN
    return (
        slice(max(0, first), min(source.height, last)),
        slice(max(0, low), min(source.width, high)),
    )
