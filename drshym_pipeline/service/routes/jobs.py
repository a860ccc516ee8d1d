"""`/v1/jobs`: the scenes that are being mapped, and those that were."""

from __future__ import annotations

from fastapi import APIRouter

from drshym_pipeline.service.context import RunningService
from drshym_pipeline.service.job_answers import answer_of
from drshym_pipeline.service.problems import ProblemError, error_responses
from drshym_pipeline.service.routes.checks import ANY_REQUEST, FAULTS, FROM_PAGE, JobId
from drshym_pipeline.service.schemas import JobAnswer, JobList

router = APIRouter(tags=["jobs"])


@router.get(
    "/v1/jobs",
    operation_id="list_jobs",
    summary="List jobs",
    responses=error_responses(*ANY_REQUEST, *FAULTS, "method_not_allowed"),
)
def list_jobs(service: RunningService) -> JobList:
    """List the jobs of the service, the newest first. Old ones are forgotten."""
    jobs = sorted(service.engine.jobs(), key=lambda job: (job.created_at, job.id), reverse=True)
    return JobList(jobs=tuple(answer_of(job, service) for job in jobs))


@router.get(
    "/v1/jobs/{id}",
    operation_id="get_job",
    summary="Follow a job",
    responses=error_responses(*ANY_REQUEST, *FAULTS, "unknown_job", "method_not_allowed"),
)
def get_job(id: JobId, service: RunningService) -> JobAnswer:
    """Return the state of a job: its stage and progress while it runs, its map or its error when it has ended."""
    return answer_of(service.job(id), service)


@router.delete(
    "/v1/jobs/{id}",
    operation_id="cancel_job",
    summary="Cancel a job",
    responses=error_responses(*ANY_REQUEST, *FROM_PAGE, *FAULTS, "unknown_job", "job_ended", "method_not_allowed"),
)
def cancel_job(id: JobId, service: RunningService) -> JobAnswer:
    """Cancel a job that waits or runs. Its files are deleted."""
    job = service.job(id)
    if job.ended and job.state != "cancelled":
        raise ProblemError(
            "job_ended", f"The job has ended ({job.state}), so it cannot be cancelled. Delete its scene instead."
        )
    return answer_of(service.engine.cancel(id) or job, service)
