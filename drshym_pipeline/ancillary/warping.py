"""Values of a layer on the blocks of a map grid: tiles are read by window and warped with rioxarray.

A tile that is missing, damaged, in another CRS or not where its name says leaves its pixels unknown, and what is wrong
with it is noted: a wrong number must never come from a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling

from drshym_pipeline.ancillary.blocks import Block, blocks
from drshym_pipeline.ancillary.layers import Cell, Layer
from drshym_pipeline.ancillary.tile_files import DEGREES, DOWNLOAD, TileWindow, check_tile, read_tile, sea_window
from drshym_pipeline.ancillary.tile_store import Tile, TileStore
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import LayerTile, MapGrid, counted
from drshym_pipeline.worker_threads import check_needed

_APPROXIMATION: Final = 0.125  # pixels; the largest error of GDAL between computed places
_WARP_MEGABYTES: Final = 64
_NAMED: Final = 5  # tiles in a sentence

Preparation = Callable[[TileWindow], NDArray[Any]]
"""Returns what is warped, for all pixels of a window: float32, NaN where it is not known, or classes as uint8, 0 where
they are not known. Classes are warped by nearest neighbour."""

Meaning = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Returns the values of warped classes: float32, NaN where they are not known."""


def _as_it_is(values: NDArray[Any]) -> NDArray[np.float32]:
    return values


class LayerReader:
    """Reads one layer for the blocks of one map, and notes the tiles that it used and missed.

    Args:
        folder: The tiles.
        layer: The layer.
        prepare: Computes what is warped from the values of a tile.
        meaning: Computes the values of the layer from what was warped, if these are classes.
    """

    def __init__(
        self,
        folder: TileStore,
        layer: Layer,
        prepare: Preparation,
        meaning: Meaning = _as_it_is,
    ) -> None:
        self.layer = layer
        self._folder, self._prepare, self._meaning = folder, prepare, meaning
        self._tiles: dict[Cell, Tile | None] = {}
        self._used: set[Tile] = set()
        self._checked: set[Tile] = set()
        self._missing: set[str] = set()
        self._sea: set[str] = set()
        self._faults: dict[Tile, str] = {}

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
        return tuple(self._faults[tile] for tile in _ordered(self._faults))

    def tiles(self) -> tuple[LayerTile, ...]:
        """Return the tiles that gave values, with their hashes."""
        return tuple(tile.record() for tile in _ordered(self._used))

    def is_there(self, grid: MapGrid) -> bool:
        """Return whether at least one tile of a map grid is there, or is known to be sea."""
        cells = (cell for block in blocks(grid) for cell, _, touched in block.cells(self.layer.side) if touched)
        return any(self._tile(cell) is not None or self._folder.is_sea(self.layer, cell) for cell in cells)

    def identity(self, grid: MapGrid) -> dict[str, list[str]]:
        """Return what decides the values on a map grid, without reading a pixel.

        Returns:
            The hashes of the tiles that are there and that the grid may touch, and the names of those that are sea.
        """
        cells = {cell for block in blocks(grid) for cell, _, _ in block.cells(self.layer.side)}
        tiles = _ordered({tile for cell in cells if (tile := self._tile(cell)) is not None})
        gaps = (cell for cell in cells if self._tile(cell) is None and self._folder.is_sea(self.layer, cell))
        sea = (self.layer.place(cell).name for cell in gaps)
        found = {"tiles": [tile.record().sha256 for tile in tiles], "sea": sorted(sea)}
        return {name: values for name, values in found.items() if values}

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
        check_needed()
        out = np.full((block.window.height, block.window.width), np.nan, np.float32)
        for cell, turns, touched in block.cells(self.layer.side):
            window = self._window(cell, turns, block, touched=touched)
            if window is None:
                continue
            warped = self._meaning(_warped(window, self._prepare(window)[window.inner], block, turns))
            known = np.isfinite(warped) & ~np.isfinite(out)
            out[known] = warped[known]
            if not known.any():
                continue
            if (tile := self._tile(cell)) is not None:
                self._used.add(tile)
            else:
                self._sea.add(self.layer.place(cell).name)
        return out

    def _tile(self, cell: Cell) -> Tile | None:
        if cell not in self._tiles:
            self._tiles[cell] = self._folder.tile(self.layer, cell)
        return self._tiles[cell]

    def _window(self, cell: Cell, turns: int, block: Block, *, touched: bool) -> TileWindow | None:
        """Return the pixels of a tile below a block; None when there are none."""
        tile = self._tile(cell)
        if tile is None:
            if self._folder.is_sea(self.layer, cell):
                return sea_window(cell, self.layer.side)
            if touched and self.layer.covers(cell):
                self._missing.add(self.layer.place(cell).name)
            return None
        if tile in self._faults:
            return None
        path = tile.path
        try:
            if tile not in self._checked:
                check_tile(path, self.layer, cell)
                self._checked.add(tile)
            return read_tile(path, self.layer, _shifted(block.bounds, turns))
        except InputError as error:
            # The reader of scenes may say to give a scene instead, and names the copy of a tile of a bucket.
            self._faults[tile] = str(InputError(tile.name, error.problem, DOWNLOAD))
            return None


def _ordered(tiles: Iterable[Tile]) -> list[Tile]:
    return sorted(tiles, key=lambda tile: tile.parts)


def _shifted(bounds: tuple[float, float, float, float], turns: int) -> tuple[float, float, float, float]:
    west, south, east, north = bounds
    return west - turns, south, east - turns, north


def _warped(window: TileWindow, inner: NDArray[Any], block: Block, turns: int) -> NDArray[Any]:
    """Return the inner part of a window on a block, in the form of a preparation; not known outside the tile."""
    import rioxarray  # noqa: F401  # adds `.rio`
    import xarray

    rows, cols = window.inner
    crs = CRS.from_user_input(block.grid.crs)
    # Degrees of a grid in degrees are compared as they are, and may be beyond 180; PROJ turns those of a projection.
    shift = turns if crs.is_geographic else 0
    transform = Affine.translation(shift, 0.0) @ window.transform @ Affine.translation(cols.start, rows.start)
    is_class = inner.dtype == np.uint8
    # GDAL is three times as fast without a value for gaps. Then pixels outside the tile are 0, so all others are not.
    has_gaps = not is_class and not np.isfinite(inner).all()
    raised = np.float32(0.0) if is_class or has_gaps else np.float32(1.0) - inner.min()
    raster = xarray.DataArray(inner + raised if raised else inner, dims=("y", "x"))
    # In place, because a copy is made otherwise.
    raster.rio.write_crs(DEGREES, inplace=True).rio.write_transform(transform, inplace=True)
    if has_gaps:
        raster.rio.write_nodata(np.nan, inplace=True)
    moved = raster.rio.reproject(
        crs,
        transform=block.affine,
        shape=(block.window.height, block.window.width),
        resampling=Resampling.nearest if is_class else Resampling.bilinear,
        nodata=0 if is_class else np.nan,
        init_dest_nodata=has_gaps,
        tolerance=_APPROXIMATION,
        warp_mem_limit=_WARP_MEGABYTES,
    )
    found: NDArray[Any] = moved.to_numpy()
    if not is_class and not has_gaps:
        found[found == 0.0] = np.nan
        found -= raised
    return found
