"""Values of a layer on the blocks of a map grid: tiles are read by window and warped with rioxarray.

A tile that is missing, damaged, in another CRS or not where its name says leaves its pixels unknown, and what is wrong
with it is noted: a wrong number must never come from a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterWindow

from drshym_pipeline.ancillary.blocks import Block, blocks
from drshym_pipeline.ancillary.folder import AncillaryFolder, tile_record
from drshym_pipeline.ancillary.layers import Cell, Layer
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import LayerTile, MapGrid, counted
from drshym_pipeline.sar.completeness import check_blocks
from drshym_pipeline.sar.safe_open import open_raster, open_scene_file

_DEGREES: Final = "EPSG:4326"
_MARGIN: Final = 3  # pixels around a window: for the interpolation, and for the gradient of an elevation
_TOLERANCE: Final = 1.0  # pixels that a tile may be from its square
_APPROXIMATION: Final = 0.125  # pixels; the largest error of GDAL between computed places
_WARP_MEGABYTES: Final = 64
_SEA_PIXELS: Final = 64  # along the side of a square of sea
_NAMED: Final = 5  # tiles in a sentence
_DOWNLOAD: Final = "Download it again, or remove it"


@dataclass(frozen=True)
class TileWindow:
    """Some pixels of a tile.

    Args:
        values: (rows, columns) float32, NaN without a value.
        transform: From (column, row) to degrees.
        inner: The part that is to be used; the pixels around it are its neighbours in the same tile.
    """

    values: NDArray[np.float32]
    transform: Affine
    inner: tuple[slice, slice]


Preparation = Callable[[TileWindow], NDArray[np.float32]]
"""Returns what is warped, for all pixels of a window: float32, NaN where it is not known."""


class LayerReader:
    """Reads one layer for the blocks of one map, and notes the tiles that it used and missed.

    Args:
        folder: The folder of the tiles.
        layer: The layer.
        prepare: Computes what is warped from the values of a tile.
        resampling: How it is interpolated.
    """

    def __init__(
        self,
        folder: AncillaryFolder,
        layer: Layer,
        prepare: Preparation,
        resampling: Resampling = Resampling.bilinear,
    ) -> None:
        self.layer = layer
        self._folder, self._prepare, self._resampling = folder, prepare, resampling
        self._paths: dict[Cell, Path | None] = {}
        self._used: set[Path] = set()
        self._missing: set[str] = set()
        self._sea: set[str] = set()
        self._faults: dict[Path, str] = {}

    @property
    def has_tiles(self) -> bool:
        """Whether at least one tile gave a value so far."""
        return bool(self._used)

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the tiles that are not there."""
        return tuple(sorted(self._missing))

    @property
    def sea(self) -> tuple[str, ...]:
        """The names of the tiles that do not exist because there is only sea."""
        return tuple(sorted(self._sea))

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with the tiles that could not be used, as sentences."""
        return tuple(self._faults[path] for path in sorted(self._faults))

    def tiles(self) -> tuple[LayerTile, ...]:
        """Return the tiles that gave values, with their hashes."""
        return tuple(tile_record(path) for path in sorted(self._used))

    def is_there(self, grid: MapGrid) -> bool:
        """Return whether at least one tile of a map grid is in the folder, or is known to be sea."""
        cells = (cell for block in blocks(grid) for cell, _, touched in block.cells(self.layer.side) if touched)
        return any(self._path(cell) or self._folder.is_sea(self.layer, cell) for cell in cells)

    def warnings(self) -> tuple[str, ...]:
        """Return what is missing or could not be used, as sentences."""
        found = []
        if self._missing:
            names = list(self.missing)
            shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
            found.append(
                f"{self.layer.title}: {counted(len(names), 'tile')} not found in {self._folder.root} ({shown}); the "
                "layer is not known there."
            )
        if self._sea:
            found.append(
                f"{self.layer.title}: {counted(len(self._sea), 'square')} without a tile taken as sea at 0 m, because "
                "the list of tiles does not name them."
            )
        found += [f"{fault} The layer is not known there." for fault in self.faults]
        return tuple(found)

    def read(self, block: Block) -> NDArray[np.float32]:
        """Return the layer on a block: (rows, columns) float32, NaN where it is not known."""
        out = np.full((block.window.height, block.window.width), np.nan, np.float32)
        for cell, turns, touched in block.cells(self.layer.side):
            window = self._window(cell, turns, block, touched=touched)
            if window is None:
                continue
            warped = _warped(window, self._prepare(window), block, turns, self._resampling)
            known = np.isfinite(warped) & ~np.isfinite(out)
            out[known] = warped[known]
            if not known.any():
                continue
            if (path := self._path(cell)) is not None:
                self._used.add(path)
            else:
                self._sea.add(self.layer.place(cell).name)
        return out

    def _path(self, cell: Cell) -> Path | None:
        if cell not in self._paths:
            self._paths[cell] = self._folder.tile(self.layer, cell)
        return self._paths[cell]

    def _window(self, cell: Cell, turns: int, block: Block, *, touched: bool) -> TileWindow | None:
        """Return the pixels of a tile below a block; None when there are none."""
        path = self._path(cell)
        if path is None:
            if self._folder.is_sea(self.layer, cell):
                return _sea(cell, self.layer.side)
            if touched and self.layer.covers(cell):
                self._missing.add(self.layer.place(cell).name)
            return None
        if path in self._faults:
            return None
        try:
            return _read_tile(path, self.layer, cell, _shifted(block.bounds, turns))
        except InputError as error:
            self._faults[path] = str(error)
            return None


def _shifted(bounds: tuple[float, float, float, float], turns: int) -> tuple[float, float, float, float]:
    west, south, east, north = bounds
    return west - turns, south, east - turns, north


def _sea(cell: Cell, side: int) -> TileWindow:
    """Return a square of height 0."""
    step = side / _SEA_PIXELS
    whole = slice(0, _SEA_PIXELS)
    transform = Affine(step, 0.0, cell.west, 0.0, -step, cell.south + side)
    return TileWindow(np.zeros((_SEA_PIXELS, _SEA_PIXELS), np.float32), transform, (whole, whole))


def _read_tile(path: Path, layer: Layer, cell: Cell, bounds: tuple[float, float, float, float]) -> TileWindow | None:
    """Read the part of a tile inside bounds in degrees.

    Raises:
        InputError: The tile is damaged, in another CRS, or not where its name says.
    """
    with open_scene_file(path) as header:
        _check_place(header, path, layer, cell)
        check_blocks(header, path)
        fill = header.nodata
    with open_raster(path) as source:
        rows, cols = _inside(source, bounds)
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return None
        outer_rows, outer_cols = (
            slice(max(0, part.start - _MARGIN), min(size, part.stop + _MARGIN))
            for part, size in ((rows, source.height), (cols, source.width))
        )
        place = RasterWindow.from_slices(outer_rows, outer_cols)
        values = source.read(1, window=place).astype(np.float32)
        transform = source.transform @ Affine.translation(outer_cols.start, outer_rows.start)
    for empty in (fill, layer.fill):
        if empty is not None:
            values[values == np.float32(empty)] = np.nan
    values[~np.isfinite(values)] = np.nan
    inner = tuple(
        slice(part.start - outer.start, part.stop - outer.start)
        for part, outer in ((rows, outer_rows), (cols, outer_cols))
    )
    return TileWindow(values, transform, (inner[0], inner[1]))


def _check_place(source: Any, path: Path, layer: Layer, cell: Cell) -> None:
    """Check that a tile is in degrees and in the square that its name says.

    Raises:
        InputError: It is not.
    """
    if source.crs is None or not source.crs.is_geographic or source.crs != CRS.from_user_input(_DEGREES):
        found = "no CRS" if source.crs is None else f"the CRS {source.crs.to_string()[:60]}"
        raise InputError(path, f"has {found}, but tiles of {layer.title} are in {_DEGREES}", _DOWNLOAD)
    a, b, west, d, e, north = source.transform[:6]
    if b or d or a <= 0 or e >= 0:
        raise InputError(path, "is not on a grid of longitude and latitude with north at the top", _DOWNLOAD)
    ends = (
        (west, cell.west, a),
        (north, cell.south + layer.side, -e),
        (west + a * source.width, cell.west + layer.side, a),
        (north + e * source.height, cell.south, -e),
    )
    if any(abs(found - expected) > _TOLERANCE * pixel for found, expected, pixel in ends):
        raise InputError(path, "is not in the square of degrees that its name says", _DOWNLOAD)


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


def _warped(
    window: TileWindow, values: NDArray[np.float32], block: Block, turns: int, resampling: Resampling
) -> NDArray[np.float32]:
    """Return values of a tile on a block, NaN outside the tile and where they are not known."""
    import rioxarray  # noqa: F401  # adds `.rio`
    import xarray

    rows, cols = window.inner
    crs = CRS.from_user_input(block.grid.crs)
    # Degrees of a grid in degrees are compared as they are, and may be beyond 180; PROJ turns those of a projection.
    shift = turns if crs.is_geographic else 0
    transform = Affine.translation(shift, 0.0) @ window.transform @ Affine.translation(cols.start, rows.start)
    raster = xarray.DataArray(values[window.inner], dims=("y", "x"))
    raster = raster.rio.write_crs(_DEGREES).rio.write_transform(transform).rio.write_nodata(np.nan)
    moved = raster.rio.reproject(
        crs,
        transform=block.affine,
        shape=(block.window.height, block.window.width),
        resampling=resampling,
        nodata=np.nan,
        tolerance=_APPROXIMATION,
        warp_mem_limit=_WARP_MEGABYTES,
    )
    found: NDArray[np.float32] = moved.to_numpy()
    return found
