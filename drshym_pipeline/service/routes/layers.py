"""The pictures of a map for the page: map tiles, plain pictures, and the values of one pixel."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from drshym_pipeline.service.context import RunningService
from drshym_pipeline.service.problems import ProblemError, error_responses
from drshym_pipeline.service.routes.checks import ANY_REQUEST, FAULTS, SceneId, own_address
from drshym_pipeline.service.schemas import PointAnswer

router = APIRouter(tags=["pictures"])

_ERRORS: Final = (
    *ANY_REQUEST,
    *FAULTS,
    "unknown_scene",
    "unknown_layer",
    "scene_refused",
    "pictures_late",
    "method_not_allowed",
)
_PNG: Final = "image/png"
_PICTURE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The picture", "content": {_PNG: {"schema": {"type": "string", "format": "binary"}}}}
}
# A picture belongs to the current map of its scene, which may be made again.
_HEADERS: Final = {"Cache-Control": "private, max-age=60"}
LayerName = Annotated[str, Path(description="name of a layer", min_length=1, max_length=50, examples=["mask"])]
_Zoom = Annotated[int, Path(ge=0, le=30)]
_Index = Annotated[int, Path(ge=0, le=2**30)]


@router.get(
    "/v1/scenes/{id}/tiles/{layer}.json",
    operation_id="get_tilejson",
    summary="Describe the tiles of a layer",
    responses=error_responses(*_ERRORS, "no_web_map"),
)
def get_tilejson(id: SceneId, layer: LayerName, request: Request, service: RunningService) -> dict[str, Any]:
    """Return the TileJSON of a layer. Its addresses are complete: they begin with scheme and host of the request."""
    return service.tiles.tilejson(service.scene(id), layer, own_address(request))


@router.get(
    "/v1/scenes/{id}/tiles/{layer}/{z}/{x}/{y}.png",
    operation_id="get_tile",
    summary="Draw a tile of a layer",
    response_class=Response,
    responses={**_PICTURE, **error_responses(*_ERRORS, "no_web_map", "unknown_tile")},
)
def get_tile(
    *,
    id: SceneId,
    layer: LayerName,
    z: _Zoom,
    x: _Index,
    y: _Index,
    service: RunningService,
) -> Response:
    """Return a map tile of 256 x 256 pixels; it is transparent outside the scene."""
    return Response(service.tiles.tile(service.scene(id), layer, z, x, y), media_type=_PNG, headers=_HEADERS)


@router.get(
    "/v1/scenes/{id}/images/{layer}.png",
    operation_id="get_image",
    summary="Draw a layer as one picture",
    response_class=Response,
    responses={**_PICTURE, **error_responses(*_ERRORS)},
)
def get_image(id: SceneId, layer: LayerName, service: RunningService) -> Response:
    """Return a layer in the scene's own grid, reduced to 2,048 pixels."""
    return Response(service.tiles.image(service.scene(id), layer), media_type=_PNG, headers=_HEADERS)


@router.get(
    "/v1/scenes/{id}/point",
    operation_id="get_point",
    summary="Read the values of one pixel",
    responses=error_responses(*_ERRORS, "outside_scene"),
)
def get_point(
    *,
    id: SceneId,
    service: RunningService,
    lon: Annotated[float | None, Query(ge=-180, le=180, allow_inf_nan=False, description="degrees east")] = None,
    lat: Annotated[float | None, Query(ge=-90, le=90, allow_inf_nan=False, description="degrees north")] = None,
    row: Annotated[int | None, Query(ge=0, le=2**31, description="row of the map, from the top")] = None,
    column: Annotated[int | None, Query(ge=0, le=2**31, description="column of the map, from the left")] = None,
) -> PointAnswer:
    """Return the state and the values of one pixel, by `lon` and `lat` or by `row` and `column`."""
    scene = service.scene(id)
    if lon is not None and lat is not None and row is None and column is None:
        return service.tiles.point(scene, lon=lon, lat=lat)
    if row is not None and column is not None and lon is None and lat is None:
        return service.tiles.point(scene, row=row, column=column)
    raise ProblemError("invalid_request", "query: a point has lon and lat, or row and column. Give one of both pairs.")
