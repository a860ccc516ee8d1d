"""`create_app`: the application of the service, which `drshym serve` gives to uvicorn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from drshym_pipeline.errors import InputError
from drshym_pipeline.service.access import ForbiddenError
from drshym_pipeline.service.context import Service
from drshym_pipeline.service.engine import QueueFullError
from drshym_pipeline.service.guards import Guards
from drshym_pipeline.service.jobs import JobsNotStoredError
from drshym_pipeline.service.map_tiles import (
    NoWebMapError,
    PointOutsideError,
    TileAddressError,
    TileServerError,
    UnknownLayerError,
)
from drshym_pipeline.service.page_routes import add_page
from drshym_pipeline.service.problems import (
    ProblemError,
    handle_http_error,
    handle_input_error,
    handle_problem,
    handle_validation,
    problem_response,
)
from drshym_pipeline.service.routes import jobs, layers, scenes, segment, status
from drshym_pipeline.service.routes.checks import head_routes, refuse_unknown_parameters
from drshym_pipeline.service.settings import ServiceSettings
from drshym_pipeline.version import __version__

_DESCRIPTION: Final = """\
Flood maps from Sentinel-1 scenes, with calibrated probabilities and an interval for each area.

Errors are `application/problem+json`. The key `code` never changes; the key `detail` is a sentence for people.
"""
# The framework can send traces, figures and logs to collectors that another library has configured. Nothing is sent.
_NO_TELEMETRY: Final[Any] = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}


async def _handle_forbidden(_: Request, error: Exception) -> Response:
    return problem_response("forbidden_address", str(error))


async def _handle_queue_full(_: Request, error: Exception) -> Response:
    assert isinstance(error, QueueFullError)
    return problem_response("queue_full", str(error), {"Retry-After": str(error.retry_after)})


async def _handle_not_stored(_: Request, error: Exception) -> Response:
    return problem_response("disk_full", str(error))


# What the drawing of pictures raises, and the code of its answer.
_PICTURE_CODES: Final[dict[type[Exception], str]] = {
    UnknownLayerError: "unknown_layer",
    TileAddressError: "unknown_tile",
    NoWebMapError: "no_web_map",
    PointOutsideError: "outside_scene",
    TileServerError: "pictures_late",
}


async def _handle_no_picture(_: Request, error: Exception) -> Response:
    code = _PICTURE_CODES[type(error)]
    return problem_response(code, str(error), {"Retry-After": "2"} if code == "pictures_late" else None)


def create_app(settings: ServiceSettings) -> FastAPI:
    """Return the application of a service. It starts its workers when it is served, and ends them afterwards.

    Args:
        settings: Folders, limits and access.

    Raises:
        InputError: A setting cannot be used.
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(service.start)
        try:
            yield
        finally:
            await run_in_threadpool(service.stop)

    app = FastAPI(
        title="DrShym Climate",
        summary="Flood maps from Sentinel-1",
        description=_DESCRIPTION,
        version=__version__,
        license_info={"name": "MIT", "identifier": "MIT"},
        # The pages that the framework has for the description load scripts from other sites.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry=_NO_TELEMETRY,
        dependencies=[Depends(refuse_unknown_parameters)],
        middleware=[Middleware(Guards, settings=settings, rate=service.rate, metrics=service.metrics)],
        exception_handlers={
            ProblemError: handle_problem,
            InputError: handle_input_error,
            ForbiddenError: _handle_forbidden,
            QueueFullError: _handle_queue_full,
            JobsNotStoredError: _handle_not_stored,
            HTTPException: handle_http_error,
            RequestValidationError: handle_validation,
            **dict.fromkeys(_PICTURE_CODES, _handle_no_picture),
        },
    )
    app.state.service = service
    routers = [module.router for module in (segment, jobs, scenes, layers, status)]
    routers += [head_routes(router) for router in routers]
    app.state.routes = [route for router in routers for route in router.routes]
    for router in routers:
        app.include_router(router)
    add_page(app)
    if settings.token is not None:
        _describe_token(app)
    return app


def _describe_token(app: FastAPI) -> None:
    """Add the token to the OpenAPI description."""
    describe = app.openapi

    def with_token() -> dict[str, Any]:
        described = describe()
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
        for path in ("/health", "/ready"):
            described["paths"][path]["get"]["security"] = []
        return described

    app.openapi = with_token  # type: ignore[method-assign]
