"""Draw rasters and read their pixels; runs in the processes of the tile server.

Nothing else of this program may be done in these processes: see the package.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from drshym_pipeline.records import MapGrid
from drshym_pipeline.service.map_tiles.layers import RasterFile, Style
from drshym_pipeline.service.map_tiles.turns import turn_of
from drshym_pipeline.service.map_tiles.web_map import WEB_MERCATOR, degrees_east

_OPEN_FILES: Final = 16
_CACHE_MEGABYTES: Final = 64
_REDUCTION: Final = 8  # of the copy that small scales of a large raster without overviews are drawn from
_LARGE_PIXELS: Final = 1 << 22
_REDUCED_COPIES: Final = 4  # of 2 bytes per 64 pixels of the raster
_TURNS: Final = (0, -1, 1)
_TOLERANCE: Final = 0.125  # pixels; the largest error when GDAL approximates the transformation


@dataclass(frozen=True)
class DrawRequest:
    """Draw a raster on a grid, as a PNG with opacity.

    Args:
        raster: The raster.
        style: Its colours.
        grid: The grid of the picture.
        reduction: How many pixels of the raster one of the picture has along a side, approximately.
    """

    raster: RasterFile
    style: Style
    grid: MapGrid
    reduction: float = 1.0


@dataclass(frozen=True)
class ReadRequest:
    """Read one pixel of some rasters: by name, the raster with row and column."""

    pixels: dict[str, tuple[RasterFile, int, int]]


@contextmanager
def drawing_environment() -> Iterator[None]:
    """Set a GDAL environment with little memory, which reads only the files that are named."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    # The stored backscatter of a scene has no georeference; its record has it.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    with rasterio.Env(
        GDAL_CACHEMAX=_CACHE_MEGABYTES,
        GDAL_NUM_THREADS="1",
        GDAL_PAM_ENABLED="NO",
        GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR",
        GDAL_GEOREF_SOURCES="INTERNAL",
        CPL_VSIL_CURL_ALLOWED_EXTENSIONS=".never",
    ):
        yield


class Drawing:
    """Draws and reads; keeps the last files open."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[Path, int, int], Any] = OrderedDict()
        self._reduced: OrderedDict[str, tuple[Any, Any]] = OrderedDict()

    def answer(self, request: DrawRequest | ReadRequest) -> bytes | dict[str, tuple[int | None, ...]]:
        """Return the PNG of a `DrawRequest`, or the values of a `ReadRequest` by name, one per band.

        A value is as the file stores it, None for the file's nodata value.
        """
        if isinstance(request, DrawRequest):
            return self._draw(request)
        return {name: self._read(*place) for name, place in request.pixels.items()}

    def _dataset(self, path: Path) -> Any:
        import rasterio

        facts = path.stat()
        key = (path, facts.st_mtime_ns, facts.st_size)
        if key not in self._open:
            self._open[key] = rasterio.open(path, driver="GTiff", sharing=False)
            while len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return self._open[key]

    def _source(self, request: DrawRequest) -> Any:
        """Return the open raster of a request, or a reduced copy of it.

        The stored backscatter of a scene has no overviews: each picture of all of it would read all of its pixels.
        """
        dataset = self._dataset(request.raster.path)
        is_small = dataset.width * dataset.height < _LARGE_PIXELS
        if is_small or request.reduction < _REDUCTION or dataset.overviews(1):
            return dataset
        if dataset.name not in self._reduced:
            memory = _reduced_copy(dataset)
            self._reduced[dataset.name] = memory, memory.open()
            while len(self._reduced) > _REDUCED_COPIES:
                for unused in reversed(self._reduced.popitem(last=False)[1]):
                    unused.close()
        self._reduced.move_to_end(dataset.name)
        return self._reduced[dataset.name][1]

    def _read(self, raster: RasterFile, row: int, col: int) -> tuple[int | None, ...]:
        dataset = self._dataset(raster.path)
        values = dataset.read(window=((row, row + 1), (col, col + 1)))[:, 0, 0].tolist()
        return tuple(None if value == dataset.nodata else int(value) for value in values)

    def _draw(self, request: DrawRequest) -> bytes:
        from rio_tiler.utils import render

        dataset, style = self._source(request), request.style
        colours = _colour_table(style, dataset.dtypes[0])
        picture = np.zeros((request.grid.height, request.grid.width, 4), np.uint8)
        for options in _sources(dataset, request):
            values, seen = _values(dataset, options, smooth=style.smooth)
            drawn = colours[values.view(f"u{values.itemsize}")]
            place = seen & (picture[..., 3] == 0)
            picture[place] = drawn[place]
        layers = np.moveaxis(picture, -1, 0)
        png: bytes = render(layers[:3], layers[3], img_format="PNG", ZLEVEL=1)
        return png


def _reduced_copy(dataset: Any) -> Any:
    """Return a file in memory with a copy of the first band of a raster, with means of its observed pixels."""
    from rasterio.enums import Resampling
    from rasterio.io import MemoryFile

    height, width = (-(-side // _REDUCTION) for side in dataset.shape)
    values = dataset.read(1, out_shape=(height, width), resampling=Resampling.average)
    profile = {"driver": "GTiff", "count": 1, "height": height, "width": width, "tiled": True}
    memory = MemoryFile()
    with memory.open(**profile, dtype=dataset.dtypes[0], nodata=dataset.nodata) as copy:
        copy.write(values, 1)
    return memory


@lru_cache(maxsize=64)
def _colour_table(style: Style, dtype: str) -> NDArray[np.uint8]:
    """Return the colour of every value that an integer of this type can have, (values, 4).

    The index is the value, or for a negative value the unsigned integer of the same bits.
    """
    size = np.dtype(dtype).itemsize
    values = np.arange(1 << 8 * size, dtype=f"u{size}").view(dtype).astype(np.float64)
    last = len(style.colours) - 1
    steps = np.rint((values - style.low) * (last / (style.high - style.low)))
    table = np.array(style.colours, np.uint8)[np.clip(steps, 0, last).astype(np.int32)]
    table[table[:, 3] == 0] = 0
    return table


def _sources(dataset: Any, request: DrawRequest) -> Iterator[dict[str, Any]]:
    """Yield the options of rasterio's `WarpedVRT` for a grid, one for each turn of the longitudes that may touch it."""
    from rasterio.crs import CRS

    grid = request.raster.grid
    crs = dataset.crs if grid is None else CRS.from_user_input(grid.crs)
    affine = dataset.transform if grid is None else _affine_on(grid, dataset)
    target = {
        "crs": CRS.from_user_input(request.grid.crs),
        "transform": request.grid.affine,
        "width": request.grid.width,
        "height": request.grid.height,
        "tolerance": _TOLERANCE,
    }
    # The picture of a map in its own grid has the coordinates of the raster.
    own = crs == target["crs"] and request.grid.crs != WEB_MERCATOR
    turn = None if own else turn_of(crs.to_wkt())
    if turn is None:
        yield target | {"src_crs": crs, "src_transform": affine}
        return
    west, east = _longitudes(request.grid)
    for across in (number * turn.width for number in _TURNS):
        ends = [turn.degrees(affine.c + affine.a * column + across) for column in (0, dataset.width)]
        if min(ends) <= east and max(ends) >= west:
            yield target | {"src_crs": crs, "src_transform": affine.translation(across, 0) @ affine}


def _affine_on(grid: MapGrid, dataset: Any) -> Affine:
    """Return the affine of a raster that covers a grid, with as many pixels or fewer."""
    return grid.affine @ Affine.scale(grid.width / dataset.width, grid.height / dataset.height)


def _longitudes(grid: MapGrid) -> tuple[float, float]:
    """Return the longitudes of the left and of the right side of a tile; those of the earth for any other grid."""
    if grid.crs != WEB_MERCATOR:
        return -180.0, 180.0
    left, right = (degrees_east(grid.affine.c + grid.affine.a * column) for column in (0, grid.width))
    return left, right


def _values(dataset: Any, options: dict[str, Any], *, smooth: bool) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the values of the first band on a grid, and where they are known."""
    from rio_tiler.reader import read

    if not smooth:
        # The nodata value is a state like the others; outside the raster the value is 0, which has no colour.
        near = read(dataset, indexes=1, vrt_options=options | {"src_nodata": None, "nodata": None}).array
        return near.data[0], np.ones(near.shape[1:], bool)
    near = read(dataset, indexes=1, vrt_options=options).array
    seen = ~np.ma.getmaskarray(near)[0]
    if not seen.any():
        return near.data[0], seen
    # Interpolated values reach half a pixel into what was not observed; there the nearest pixel decides.
    between = read(dataset, indexes=1, vrt_options=options, reproject_method="bilinear").array
    return between.data[0], seen & ~np.ma.getmaskarray(between)[0]
