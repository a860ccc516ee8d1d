"""`POST /v1/segment` and `POST /v1/segment/upload`: receive a scene and answer with a map or a job."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import anyio
from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from drshym_pipeline.service.answers import job_path, segment_response
from drshym_pipeline.service.context import RunningService, Service
from drshym_pipeline.service.invalid_requests import shown_value
from drshym_pipeline.service.job_answers import answer_of, failure_problem
from drshym_pipeline.service.jobs import Job
from drshym_pipeline.service.mapping_requests import SceneToMap, addressed_scene, submit, uploaded_scene
from drshym_pipeline.service.problems import ProblemError, error_responses
from drshym_pipeline.service.routes.checks import ANY_REQUEST, FAULTS, FROM_PAGE, parsed_text, require_json
from drshym_pipeline.service.schemas import JobAnswer, SegmentOptions, SegmentRequest, SegmentResponse
from drshym_pipeline.service.uploads import UploadLimits, received_upload

router = APIRouter(tags=["mapping"])

_ERRORS: Final = (
    *ANY_REQUEST,
    *FROM_PAGE,
    *FAULTS,
    "method_not_allowed",
    "upload_stalled",
    "too_large",
    "scene_too_large",
    "unsupported_media_type",
    "scene_refused",
    "queue_full",
    "cancelled",
    "input_unavailable",
    "worker_ended",
    "memory_limit",
    "time_limit",
    "disk_full",
)
_ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "model": JobAnswer,
        "description": "The scene is large, slow, or `wait` is false: a job. `Location` is its address.",
        "headers": {
            "Location": {"description": "address of the job", "required": True, "schema": {"type": "string"}},
            "Retry-After": {"description": "seconds until it is worth asking", "schema": {"type": "string"}},
        },
        "links": {
            "follow": {"operationId": "get_job", "parameters": {"id": "$response.body#/id"}},
            "cancel": {"operationId": "cancel_job", "parameters": {"id": "$response.body#/id"}},
        },
    }
}
_EXAMPLES: Final[dict[str, Any]] = {
    "scene": {
        "summary": "one file",
        "value": {
            "domain": "flood_sar",
            "image_uri": "file:///data/scenes/S1_scene_001.tif",
            "options": {"tile": 512, "overlap": 64, "explain": True},
        },
    },
    "pair": {
        "summary": "one file per polarisation, a scene from before, and a job in any case",
        "value": {
            "domain": "flood_sar",
            "image_uri": ["/data/scenes/now_VV.tif", "/data/scenes/now_VH.tif"],
            "pre_image_uri": ["/data/scenes/before_VV.tif", "/data/scenes/before_VH.tif"],
            "wait": False,
        },
    },
}
_FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 2,
                            "items": {"type": "string", "format": "binary"},
                            "description": "the scene: a GeoTIFF, the zip of a .SAFE folder, or a VV and a VH file",
                        },
                        "pre_file": {
                            "type": "array",
                            "maxItems": 2,
                            "items": {"type": "string", "format": "binary"},
                            "description": "the scene from before the event, in the same way",
                        },
                        "domain": {"type": "string", "enum": ["flood_sar"]},
                        "options": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "description": "JSON of `SegmentOptions`",
                            "examples": ['{"tile": 512, "overlap": 64}'],
                        },
                        "name": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 200,
                            "description": "name of the scene: letters, digits, '_', '-' and '.', at most 200 bytes; "
                            "taken from the files by default",
                        },
                        "wait": {
                            "type": "string",
                            "enum": ["true", "false"],
                            "description": "false: the answer is always a job",
                        },
                    },
                },
                "encoding": {
                    "file": {"contentType": "image/tiff, application/zip"},
                    "pre_file": {"contentType": "image/tiff, application/zip"},
                },
            }
        },
    }
}


@router.post(
    "/v1/segment",
    operation_id="segment",
    summary="Map the scene at an address",
    response_model=SegmentResponse,
    responses={**_ACCEPTED, **error_responses(*_ERRORS, "forbidden_address")},
    dependencies=[Depends(require_json)],
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": _EXAMPLES}}}},
)
async def segment(body: SegmentRequest, service: RunningService) -> Response:
    """Map a scene that the machine of the service can read.

    Small scenes are answered with the map. Other scenes become a job (202).
    """
    scene = await run_in_threadpool(addressed_scene, body, service.settings, service.sizes)
    return await _mapped(scene, body.options, body.wait, service)


@router.post(
    "/v1/segment/upload",
    operation_id="segment_upload",
    summary="Map an uploaded scene",
    response_model=SegmentResponse,
    responses={**_ACCEPTED, **error_responses(*_ERRORS, "too_many_uploads")},
    openapi_extra=_FORM,
)
async def segment_upload(request: Request, service: RunningService) -> Response:
    """Map a scene from the files of a form. The files are deleted when the job has ended."""
    with service.gate.admitted():
        async with received_upload(request, service.uploads, _upload_limits(service)) as upload:
            texts = upload.texts
            if texts.get("domain", "flood_sar") != "flood_sar":
                raise ProblemError(
                    "invalid_request",
                    f"form: the domain {shown_value(texts['domain'])} is not known. This service maps 'flood_sar'.",
                )
            options = parsed_text(SegmentOptions, "options", texts.get("options", "{}"))
            wait = _flag(texts.get("wait", "true"))
            name = texts.get("name")
            scene = await run_in_threadpool(uploaded_scene, upload, name, service.settings, service.sizes)
            job = await _submitted(scene, options, service)
    # From here on the files belong to the job.
    return await _answered(job, scene.pixels, wait, service)


def _upload_limits(service: Service) -> UploadLimits:
    settings = service.settings
    return UploadLimits(settings.upload_bytes, settings.upload_seconds, settings.upload_rate)


def _flag(text: str) -> bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    raise ProblemError(
        "invalid_request", f"form: wait: must be true or false, got {shown_value(text)}. Correct the value."
    )


async def _submitted(scene: SceneToMap, options: SegmentOptions, service: Service) -> Job:
    most = service.settings.scene_pixels
    return await run_in_threadpool(submit, scene, options, service.engine, service.catalogue, most)


async def _mapped(scene: SceneToMap, options: SegmentOptions, wait: bool, service: Service) -> Response:
    job = await _submitted(scene, options, service)
    return await _answered(job, scene.pixels, wait, service)


async def _answered(job: Job, pixels: int, wait: bool, service: Service) -> Response:
    """Return the map if it is ready soon enough, else the job."""
    if wait and pixels <= service.settings.at_once_pixels and service.waiting.available_tokens:
        # A thread that waits is left alone when the service stops; it ends when the engine has stopped.
        job = await anyio.to_thread.run_sync(
            partial(service.engine.wait, job.id, service.settings.at_once_seconds),
            limiter=service.waiting,
            abandon_on_cancel=True,
        )
    if job.failure is not None:
        raise failure_problem(job)
    if job.state == "done":
        scene = await run_in_threadpool(service.map_of, job)
        if scene is not None:
            return JSONResponse(segment_response(scene).model_dump(mode="json"))
    answer = await run_in_threadpool(answer_of, job, service)
    return JSONResponse(answer.model_dump(mode="json"), 202, headers={"Location": job_path(job.id), "Retry-After": "1"})
