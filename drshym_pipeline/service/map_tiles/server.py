"""Answer requests for tiles, pictures and points, with a small pool of processes and a cache of tiles."""

from __future__ import annotations

import threading
from typing import Any, Final

from cachetools import LRUCache

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import MapGrid
from drshym_pipeline.service.helper_pool import HelperPool, NoFreeProcessError
from drshym_pipeline.service.helper_process import ProcessEndedError, TimeLimitError
from drshym_pipeline.service.map_tiles.drawing import DrawRequest, ReadRequest
from drshym_pipeline.service.map_tiles.errors import TileServerError
from drshym_pipeline.service.map_tiles.layers import find_layer, layer_answers
from drshym_pipeline.service.map_tiles.points import point_answer, point_pixels, point_place
from drshym_pipeline.service.map_tiles.process import Failure, named_file, serve_drawings
from drshym_pipeline.service.map_tiles.scene import TileScene
from drshym_pipeline.service.map_tiles.tilejson import tilejson_of
from drshym_pipeline.service.map_tiles.web_map import check_tile, grid_of, place_of, tile_grid
from drshym_pipeline.service.schemas import LayerAnswer, PointAnswer

_PROCESSES: Final = 2
_SECONDS: Final = 20.0
_CACHE_BYTES: Final = 64 << 20


class TileServer:
    """Draws finished maps. Its calls block and may come from several threads.

    Args:
        processes: The number of processes.
        seconds: The time limit of one request, and of its wait for a process.
        cache_bytes: The size of the tiles that are kept.
    """

    def __init__(self, processes: int = _PROCESSES, seconds: float = _SECONDS, cache_bytes: int = _CACHE_BYTES) -> None:
        self._seconds = seconds
        self.pool = HelperPool(serve_drawings, "drshym-tiles", processes, seconds)
        self._lock = threading.Lock()
        self._tiles: LRUCache[tuple[Any, ...], bytes] = LRUCache(cache_bytes, getsizeof=len)

    def layers(self, scene: TileScene) -> list[LayerAnswer]:
        """Return the layers that a scene has, the lowest first."""
        return layer_answers(scene)

    def tile(self, scene: TileScene, layer: str, z: int, x: int, y: int) -> bytes:
        """Return a tile of the web map as a PNG of 256 x 256 pixels with opacity; transparent outside the scene.

        Raises:
            TileAddressError: There is no tile with these numbers.
            NoWebMapError: A web map cannot show the scene.
            UnknownLayerError: The scene has no such layer.
            TileServerError: No process answered in time.
        """
        check_tile(z, x, y)
        place = place_of(scene.record)
        found = find_layer(scene, layer)
        key = (scene.id, scene.folder, layer, z, x, y) if place.touches(z, x, y) else ("outside",)
        with self._lock:
            known: bytes | None = self._tiles.get(key)
        if known is not None:
            return known
        drawn: bytes = self._ask(
            DrawRequest(found.raster, found.style, tile_grid(z, x, y), 2.0 ** (place.highest_zoom - 1 - z))
        )
        with self._lock:
            self._tiles[key] = drawn
        return drawn

    def tilejson(self, scene: TileScene, layer: str, address: str = "") -> dict[str, Any]:
        """Return the description of a layer's tiles, as TileJSON 3.0.0.

        Args:
            scene: The scene.
            layer: The name of the layer.
            address: The address of the service, which that of the tiles begins with.

        Raises:
            NoWebMapError: A web map cannot show the scene.
            UnknownLayerError: The scene has no such layer.
        """
        place = place_of(scene.record)
        return tilejson_of(scene, find_layer(scene, layer), place, address)

    def image(self, scene: TileScene, layer: str, most_pixels: int = 2048) -> bytes:
        """Return a layer as one PNG with opacity, in the scene's own grid: its rows and columns, only fewer of them.

        Args:
            scene: The scene.
            layer: The name of the layer.
            most_pixels: The largest number of pixels of the long side.

        Raises:
            UnknownLayerError: The scene has no such layer.
            TileServerError: No process answered in time.
        """
        found = find_layer(scene, layer)
        whole = grid_of(scene.record)
        grid = _reduced(whole, most_pixels)
        drawn: bytes = self._ask(DrawRequest(found.raster, found.style, grid, whole.width / grid.width))
        return drawn

    def point(
        self,
        scene: TileScene,
        *,
        lon: float | None = None,
        lat: float | None = None,
        row: int | None = None,
        column: int | None = None,
    ) -> PointAnswer:
        """Return the values and the state of one pixel, by its longitude and latitude or by its row and column.

        Raises:
            PointOutsideError: It is outside the grid of the scene, or not given by one of both.
            TileServerError: No process answered in time.
        """
        place = point_place(scene.record, lon=lon, lat=lat, row=row, column=column)
        return point_answer(scene.record, place, self._ask(ReadRequest(point_pixels(scene, place))))

    def kept_bytes(self) -> int:
        """Return the size of the tiles that are kept."""
        with self._lock:
            return int(self._tiles.currsize)

    def _ask(self, request: DrawRequest | ReadRequest) -> Any:
        """Return the answer of a free process. If it has ended, another one is asked once.

        Raises:
            InputError: The file cannot be read.
            TileServerError: No process answered in time.
        """
        for _ in range(2):
            try:
                answer = self.pool.ask(request)
            except ProcessEndedError:
                continue
            except NoFreeProcessError:
                raise TileServerError("all processes that draw tiles are busy; try again later") from None
            except TimeLimitError:
                raise TileServerError(f"the picture was not drawn within {self._seconds:g} seconds") from None
            if isinstance(answer, Failure):
                raise InputError(named_file(request), f"cannot be read ({answer.text})", "Map the scene again")
            return answer
        raise TileServerError("the process that draws tiles has ended; try again later")


def _reduced(grid: MapGrid, most_pixels: int) -> MapGrid:
    """Return a grid of the same place with at most so many pixels on its long side."""
    factor = max(max(grid.shape) / most_pixels, 1.0)
    height, width = (max(1, round(side / factor)) for side in grid.shape)
    affine = grid.affine @ grid.affine.scale(grid.width / width, grid.height / height)
    return MapGrid(crs=grid.crs, transform=tuple(affine)[:6], height=height, width=width)
