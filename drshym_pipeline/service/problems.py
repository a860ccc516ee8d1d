"""Every error answer of the service: its code, its status, and how an exception becomes one.

Errors are `application/problem+json` (RFC 9457). Codes never change, so programs can rely on them; `docs/service.md`
lists them. A text never contains a traceback. A fault of the program has an id that is in the log.
"""

from __future__ import annotations

import errno
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Route

from drshym_pipeline.errors import DrShymError
from drshym_pipeline.sar.pixel_limit import TooManyPixelsError
from drshym_pipeline.service.invalid_requests import describe_invalid
from drshym_pipeline.service.schemas import ProblemDetail
from drshym_pipeline.service.user_texts import in_request_words

PROBLEM_JSON: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:drshym:problem:"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of error: the HTTP status and a short title."""

    status: int
    title: str


PROBLEMS: Final[dict[str, ProblemKind]] = {
    "malformed_request": ProblemKind(400, "The request cannot be read"),
    "unknown_host": ProblemKind(400, "The request is for another host"),
    "token_needed": ProblemKind(401, "A token is needed"),
    "forbidden_address": ProblemKind(403, "The address is not allowed"),
    "foreign_origin": ProblemKind(403, "The request comes from another site"),
    "not_found": ProblemKind(404, "There is no such page"),
    "unknown_job": ProblemKind(404, "There is no such job"),
    "unknown_scene": ProblemKind(404, "There is no such scene"),
    "unknown_file": ProblemKind(404, "The scene has no such file"),
    "unknown_layer": ProblemKind(404, "The scene has no such layer"),
    "unknown_tile": ProblemKind(404, "There is no such tile"),
    "no_web_map": ProblemKind(404, "A web map cannot show the scene"),
    "outside_scene": ProblemKind(404, "The place is outside the scene"),
    "method_not_allowed": ProblemKind(405, "The method is not allowed here"),
    "upload_stalled": ProblemKind(408, "The request arrived too slowly"),
    "job_ended": ProblemKind(409, "The job has ended"),
    "cancelled": ProblemKind(409, "The job was cancelled"),
    "read_only_scene": ProblemKind(409, "The scene is read-only"),
    "too_large": ProblemKind(413, "The request is too large"),
    "scene_too_large": ProblemKind(413, "The scene is too large"),
    "unsupported_media_type": ProblemKind(415, "The content type is not supported"),
    "range_not_satisfiable": ProblemKind(416, "The range is outside the file"),
    "invalid_request": ProblemKind(422, "The request is not valid"),
    "scene_refused": ProblemKind(422, "The scene or an option cannot be used"),
    "too_many_requests": ProblemKind(429, "Too many requests"),
    "too_many_uploads": ProblemKind(429, "Too many uploads at the same time"),
    "queue_full": ProblemKind(429, "The queue is full"),
    "fault": ProblemKind(500, "A fault of the service"),
    "input_unavailable": ProblemKind(503, "An input of the map cannot be reached now"),
    "worker_ended": ProblemKind(500, "The process that mapped the scene ended"),
    "memory_limit": ProblemKind(500, "The scene needs too much memory"),
    "time_limit": ProblemKind(500, "The scene takes too long"),
    "not_ready": ProblemKind(503, "The service is not ready"),
    "pictures_late": ProblemKind(503, "The picture was not drawn in time"),
    "disk_full": ProblemKind(507, "The disk is full"),
}
_BY_STATUS: Final = {
    400: "malformed_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "upload_stalled",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
}
_DETAILS: Final = {
    "not_found": "There is nothing at this address. /openapi.json lists all addresses.",
    "method_not_allowed": "This address does not support this method. The header Allow lists those that it supports.",
    "malformed_request": "The request cannot be read. Check its headers and its body.",
    "upload_stalled": "The body of the request arrived too slowly. Send it again.",
    "too_large": "The body of the request is larger than this address accepts.",
}


class ProblemError(DrShymError):
    """An error answer.

    Args:
        code: One of `PROBLEMS`.
        detail: What is wrong and what to do, as a sentence.
        headers: More headers of the answer.
    """

    def __init__(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(detail)


def problem_detail(code: str, detail: str, instance: str | None = None) -> ProblemDetail:
    """Return the body of an error answer."""
    kind = PROBLEMS[code]
    return ProblemDetail(
        type=f"{TYPE_PREFIX}{code}", title=kind.title, status=kind.status, code=code, detail=detail, instance=instance
    )


def problem_response(code: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error answer."""
    body = problem_detail(code, detail)
    return Response(
        body.model_dump_json(exclude_none=True), body.status, headers=dict(headers or {}), media_type=PROBLEM_JSON
    )


def fault_response(error: BaseException, request_line: str) -> Response:
    """Log an unexpected error with its traceback under a new id, and return an answer that has only the id."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        _log.error("%s: the disk is full", request_line)
        return problem_response("disk_full", "The disk of the service is full. Ask its operator to make space.")
    fault = uuid.uuid4().hex
    _log.error("fault %s in %s", fault, request_line, exc_info=error)
    detail = f"The service has a fault. Its log has the reason under the id {fault}. Send this id to the operator."
    return problem_response("fault", detail)


def error_responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the error answers of a route for its OpenAPI description, by status."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in sorted({PROBLEMS[code].status for code in codes}):
        names = [code for code in codes if PROBLEMS[code].status == status]
        found[status] = {
            "description": "; ".join(f"`{name}`: {PROBLEMS[name].title.lower()}" for name in names),
            "content": {
                PROBLEM_JSON: {
                    "schema": {"$ref": "#/components/schemas/ProblemDetail"},
                    "examples": {name: {"value": _example(name)} for name in names},
                }
            },
        }
    return found


def _example(code: str) -> dict[str, Any]:
    detail = _DETAILS.get(code, f"{PROBLEMS[code].title}.")
    return problem_detail(code, detail).model_dump(exclude_none=True)


async def handle_problem(_: Request, error: Exception) -> Response:
    """Return the answer for a `ProblemError`."""
    assert isinstance(error, ProblemError)
    return problem_response(error.code, error.detail, error.headers)


async def handle_input_error(_: Request, error: Exception) -> Response:
    """Return the answer for an `InputError`, with its own sentence in the words of a user of the service."""
    code = "scene_too_large" if isinstance(error, TooManyPixelsError) else "scene_refused"
    return problem_response(code, in_request_words(str(error)))


async def handle_http_error(request: Request, error: Exception) -> Response:
    """Return the answer for an error of the framework, such as an unknown address."""
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, "malformed_request")
    headers = dict(error.headers or {})
    if code == "method_not_allowed" and (methods := _methods_of(request)):
        headers["Allow"] = ", ".join(methods)
    return problem_response(code, _DETAILS.get(code, PROBLEMS[code].title + "."), headers)


def _methods_of(request: Request) -> list[str]:
    """Return all methods of an address. The framework knows only those of the first route that fits it."""
    found: set[str] = set()
    for route in request.app.state.routes:
        if isinstance(route, Route) and route.path_regex.match(request.url.path):
            found |= route.methods or set()
    return sorted(found)


async def handle_validation(request: Request, error: Exception) -> Response:
    """Return the answer for a request that does not have the form that its address asks for."""
    assert isinstance(error, RequestValidationError)
    return problem_response("invalid_request", describe_invalid(error.errors(), _body_model(request)))


def _body_model(request: Request) -> type[BaseModel] | None:
    """Return the model of the body of the route that a request was for, None if it has none."""
    field = getattr(request.scope.get("route"), "body_field", None)
    model = getattr(getattr(field, "field_info", None), "annotation", None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None
