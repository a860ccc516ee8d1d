"""The description of a layer's tiles for web maps and QGIS, as TileJSON 3.0.0."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from drshym_pipeline.products.rasters import LICENCE_NOTE
from drshym_pipeline.service.map_tiles.layers import Layer
from drshym_pipeline.service.map_tiles.scene import TileScene
from drshym_pipeline.service.map_tiles.web_map import WebMap


def tilejson_of(scene: TileScene, layer: Layer, place: WebMap, address: str) -> dict[str, Any]:
    """Return the description of a layer's tiles.

    Bounds must not wrap around the antimeridian, so those of a scene there go all around the earth; `center` is in the
    scene.

    Args:
        scene: The scene.
        layer: The layer.
        place: The place of the scene.
        address: The address of the service, such as `http://127.0.0.1:8080`. Programs that read the description from
            a file have no other way to know it.
    """
    middle = ((place.west + place.east) / 2.0 + 180.0) % 360.0 - 180.0
    return {
        "tilejson": "3.0.0",
        "name": f"{scene.record.scene_id}: {layer.title}",
        "scheme": "xyz",
        "tiles": [f"{address}/v1/scenes/{quote(scene.id, safe='')}/tiles/{layer.name}/{{z}}/{{x}}/{{y}}.png"],
        "bounds": place.tilejson_bounds,
        "center": [middle, (place.south + place.north) / 2.0, place.lowest_zoom],
        "minzoom": place.lowest_zoom,
        "maxzoom": place.highest_zoom,
        "attribution": LICENCE_NOTE,
    }
