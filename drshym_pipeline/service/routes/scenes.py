"""`/v1/scenes`: the finished maps and their files."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from drshym_pipeline.service.answers import scene_answer, scene_path, scene_summary, served_files
from drshym_pipeline.service.context import RunningService
from drshym_pipeline.service.file_responses import archive_response, file_response
from drshym_pipeline.service.problems import ProblemError, error_responses
from drshym_pipeline.service.routes.checks import ANY_REQUEST, FAULTS, FROM_PAGE, SceneId
from drshym_pipeline.service.schemas import SceneAnswer, SceneList

router = APIRouter(tags=["scenes"])

_MOST_LISTED: Final = 200
_ERRORS: Final = (*ANY_REQUEST, *FAULTS, "method_not_allowed")
_BYTES: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file", "content": {"*/*": _BYTES}},
    206: {"description": "A part of the file", "content": {"*/*": _BYTES}},
    304: {"description": "The client has the file already"},
}
_PICTURE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The picture", "content": {"image/png": _BYTES}},
    206: {"description": "A part of the picture", "content": {"image/png": _BYTES, "multipart/byteranges": _BYTES}},
    304: {"description": "The client has the picture already"},
}
FileName = Annotated[str, Path(description="name of a file of the scene", min_length=1, max_length=255)]


_FIRST: Final = {"id": "$response.body#/scenes/0/id"}
_LISTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "links": {
            "scene": {"operationId": "get_scene", "parameters": _FIRST},
            "thumbnail": {"operationId": "get_thumbnail", "parameters": _FIRST},
            "archive": {"operationId": "get_archive", "parameters": _FIRST},
            "point": {"operationId": "get_point", "parameters": _FIRST},
        }
    }
}


@router.get(
    "/v1/scenes",
    operation_id="list_scenes",
    summary="List maps",
    responses={**_LISTED, **error_responses(*_ERRORS)},
)
def list_scenes(
    service: RunningService,
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED, description="scenes per page")] = 50,
    offset: Annotated[int, Query(ge=0, le=10**9, description="scenes to leave out")] = 0,
) -> SceneList:
    """List the finished maps, the newest first."""
    scenes = service.catalogue.scenes()
    end = offset + limit
    following = f"/v1/scenes?limit={limit}&offset={end}" if end < len(scenes) else None
    return SceneList(scenes=tuple(map(scene_summary, scenes[offset:end])), total=len(scenes), next=following)


@router.get(
    "/v1/scenes/{id}",
    operation_id="get_scene",
    summary="Show a map",
    responses=error_responses(*_ERRORS, "unknown_scene"),
)
def get_scene(id: SceneId, service: RunningService) -> SceneAnswer:
    """Return all about a map: its files, its layers, its areas and how it was made."""
    scene = service.scene(id)
    return scene_answer(scene, service.tiles.layers(scene))


@router.delete(
    "/v1/scenes/{id}",
    operation_id="delete_scene",
    summary="Delete a map",
    status_code=204,
    response_class=Response,
    responses=error_responses(*_ERRORS, *FROM_PAGE, "unknown_scene", "read_only_scene"),
)
def delete_scene(id: SceneId, service: RunningService) -> None:
    """Delete a map of the service with all its files. Maps of the lineage are read-only."""
    scene = service.scene(id)
    if scene.origin != "service":
        raise ProblemError(
            "read_only_scene", "This map was made by Dagster, and the service only shows it. Delete it in the store."
        )
    if not service.catalogue.remove(id, active=service.folders_in_use()):
        raise ProblemError("unknown_scene", "The scene was deleted in the meantime.")


@router.get(
    "/v1/scenes/{id}/files/{name}",
    operation_id="get_file",
    summary="Read a file of a map",
    response_class=Response,
    responses={**_FILE, **error_responses(*_ERRORS, "unknown_scene", "unknown_file", "range_not_satisfiable")},
)
def get_file(id: SceneId, name: FileName, request: Request, service: RunningService) -> Response:
    """Return a file of a map, or a part of it. GDAL and QGIS read GeoTIFFs in this way."""
    scene = service.scene(id)
    if name not in served_files(scene).values():
        raise ProblemError("unknown_file", f"The scene has no such file. {scene_path(id)} lists its files.")
    return file_response(request, scene.folder / name, attachment=not name.endswith((".png", ".html", ".txt")))


@router.get(
    "/v1/scenes/{id}/thumbnail.png",
    operation_id="get_thumbnail",
    summary="Show the small picture of a map",
    response_class=Response,
    responses={**_PICTURE, **error_responses(*_ERRORS, "unknown_scene", "unknown_file", "range_not_satisfiable")},
)
def get_thumbnail(id: SceneId, request: Request, service: RunningService) -> Response:
    """Return the small picture of a map."""
    path = service.scene(id).file("thumbnail")
    if path is None:
        raise ProblemError("unknown_file", f"The scene has no small picture. {scene_path(id)} lists its files.")
    return file_response(request, path, attachment=False)


@router.get(
    "/v1/scenes/{id}/archive.zip",
    operation_id="get_archive",
    summary="Download all files of a map",
    response_class=Response,
    responses={
        200: {"description": "A zip of all files", "content": {"application/zip": _BYTES}},
        **error_responses(*_ERRORS, "unknown_scene"),
    },
)
def get_archive(id: SceneId, request: Request, service: RunningService) -> Response:
    """Return all files of a map in one zip."""
    scene = service.scene(id)
    return archive_response(request, f"{id}.zip", [scene.folder / name for name in served_files(scene).values()])
