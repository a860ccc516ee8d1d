"""`/health`, `/ready`, `/metrics` and `/v1/model`: for supervisors, and for the version of the model."""

from __future__ import annotations

from fastapi import APIRouter, Response

from drshym_pipeline.service.answers import model_answer
from drshym_pipeline.service.context import AnyService, RunningService
from drshym_pipeline.service.metrics import METRICS_TYPE
from drshym_pipeline.service.problems import error_responses
from drshym_pipeline.service.routes.checks import ANY_REQUEST, FAULTS
from drshym_pipeline.service.schemas import ModelAnswer, StateAnswer

router = APIRouter(tags=["status"])


@router.get(
    "/health",
    operation_id="health",
    summary="Whether the service runs",
    responses=error_responses("malformed_request", "unknown_host", "invalid_request", "method_not_allowed", "fault"),
)
async def health() -> StateAnswer:
    """Answer at once, whatever the workers do."""
    return StateAnswer(status="ok")


@router.get(
    "/ready",
    operation_id="ready",
    summary="Whether the service maps scenes",
    responses=error_responses(
        "malformed_request", "unknown_host", "invalid_request", "method_not_allowed", "fault", "not_ready"
    ),
)
def ready(service: AnyService) -> StateAnswer:
    """Answer 200 when every worker has loaded the model and mapped a small scene, and 503 before."""
    if not (service.started and service.engine.ready):
        raise service.not_ready()
    return StateAnswer(status="ready")


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {"description": "The figures", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **error_responses(*ANY_REQUEST, *FAULTS, "method_not_allowed"),
    },
)
def metrics(service: RunningService) -> Response:
    """Return the figures of requests, jobs, workers and disk in the text format of Prometheus."""
    return Response(service.metrics.page(), media_type=METRICS_TYPE)


@router.get(
    "/v1/model",
    operation_id="get_model",
    summary="The model in use",
    responses=error_responses(*ANY_REQUEST, *FAULTS, "method_not_allowed"),
)
def get_model(service: RunningService) -> ModelAnswer:
    """Return the model that the workers have loaded."""
    model = service.engine.model
    if model is None:
        raise service.not_ready()
    return model_answer(model)
