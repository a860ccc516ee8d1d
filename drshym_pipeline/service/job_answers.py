"""The answers about jobs, which need the queue and the finished maps."""

from __future__ import annotations

from drshym_pipeline.service.answers import job_answer
from drshym_pipeline.service.context import Service
from drshym_pipeline.service.jobs import Job
from drshym_pipeline.service.problems import ProblemError
from drshym_pipeline.service.schemas import JobAnswer
from drshym_pipeline.service.user_texts import for_user


def answer_of(job: Job, service: Service) -> JobAnswer:
    """Return the answer about a job, with its place in the queue and its map."""
    position = service.engine.position(job.id) if job.state == "queued" else None
    return job_answer(_for_users(job), position, service.map_of(job), service.note_on(job))


def failure_problem(job: Job) -> ProblemError:
    """Return the error answer for a job without a map."""
    failure = _for_users(job).failure
    assert failure is not None
    return ProblemError(failure.code, failure.detail)


def _for_users(job: Job) -> Job:
    """Return a job whose failure is in the words of its user."""
    if job.failure is None:
        return job
    detail = for_user(job.failure.detail, job.spec)
    return job.model_copy(update={"failure": job.failure.model_copy(update={"detail": detail})})
