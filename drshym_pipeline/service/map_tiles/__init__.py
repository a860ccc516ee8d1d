"""Map tiles, pictures and pixel values of finished maps.

rio-tiler draws them in processes of their own. It needs GDAL's VRT driver, which `sar.safe_open` switches off for the
whole process that has opened a scene. A crash of a raster library costs one request there, and not the service.

`server` answers requests and keeps the processes; `layers` says what a scene can show and in which colours; `web_map`
says where it is on a web map; `drawing` runs in the processes.
"""

from drshym_pipeline.service.map_tiles.errors import (
    NoWebMapError,
    PointOutsideError,
    TileAddressError,
    TileServerError,
    UnknownLayerError,
)
from drshym_pipeline.service.map_tiles.scene import TileScene
from drshym_pipeline.service.map_tiles.server import TileServer
from drshym_pipeline.service.map_tiles.state_texts import legend_states, state_texts
from drshym_pipeline.service.map_tiles.web_map import degree_bounds, web_map

__all__ = [
    "NoWebMapError",
    "PointOutsideError",
    "TileAddressError",
    "TileScene",
    "TileServer",
    "TileServerError",
    "UnknownLayerError",
    "degree_bounds",
    "legend_states",
    "state_texts",
    "web_map",
]
