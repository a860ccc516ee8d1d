"""Checks that routes share: unknown parameters, the content type of a body, and the options of a form."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Path, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from drshym_pipeline.service.invalid_requests import describe_invalid, shown_value
from drshym_pipeline.service.problems import ProblemError

ANY_REQUEST: Final = ("malformed_request", "unknown_host", "token_needed", "invalid_request", "too_many_requests")
"""Codes of the errors that every route may answer with."""
FROM_PAGE: Final = ("foreign_origin",)
"""Codes of the errors of routes that change something."""
FAULTS: Final = ("fault", "not_ready")
"""Codes of the errors that the request has not caused."""

SceneId = Annotated[str, Path(description="id of a mapped scene", min_length=1, max_length=255, examples=["S1_scene"])]
JobId = Annotated[str, Path(description="id of a job", min_length=1, max_length=100, examples=["0123456789abcdef"])]

ModelT = TypeVar("ModelT", bound=BaseModel)


def head_routes(router: APIRouter) -> APIRouter:
    """Return a route for HEAD beside each one for GET. The server sends its headers alone."""
    added = APIRouter()
    for route in router.routes:
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            added.add_api_route(
                route.path,
                route.endpoint,
                methods=["HEAD"],
                response_class=route.response_class,
                response_model=route.response_model,
                dependencies=route.dependencies,
                include_in_schema=False,
            )
    return added


def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a parameter in the address that the route does not have.

    Raises:
        ProblemError: There is one; it is named.
    """
    dependant = getattr(request.scope.get("route"), "dependant", None)
    known = [parameter.alias for parameter in getattr(dependant, "query_params", ())]
    for name in request.query_params:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            names = f"Known parameters: {', '.join(known)}." if known else "This address has no parameters."
            advice = f"Did you mean '{near[0]}'?" if near else names
            raise ProblemError("invalid_request", f"query: unknown parameter {shown_value(name)}. {advice}")


def own_address(request: Request) -> str:
    """Return the address of the service as the client wrote it, such as `http://127.0.0.1:8080`.

    `Guards` has checked the header `Host`: it is the name of this service with or without a port, and nothing else.
    """
    return f"{request.url.scheme}://{request.url.netloc.lower()}"


def require_json(request: Request) -> None:
    """Refuse a body that is not JSON.

    Raises:
        ProblemError: The header says another content type, or none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise ProblemError(
            "unsupported_media_type", "The body must be JSON. Send it with the header `Content-Type: application/json`."
        )


def parsed_text(model: type[ModelT], field: str, text: str) -> ModelT:
    """Return the value of a field of a form that is JSON.

    Raises:
        ProblemError: It is not JSON, or not of this model.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        faults: list[Any] = [{**fault, "loc": (f"form: {field}", *fault["loc"])} for fault in error.errors()]
        raise ProblemError("invalid_request", describe_invalid(faults, model)) from error
