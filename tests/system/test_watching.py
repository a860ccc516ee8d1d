"""A user who follows an interrupted run is shown its retry."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, job, op

from deploy.watch import RunError, RunView, bars, follow, newest_attempt, tried_again
from drshym_pipeline.settings import PipelineSettings
from resources.dagster_internals import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG


@op
def nothing() -> None: ...


@job
def some_job() -> None:
    nothing()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


def run(instance: DagsterInstance, status: DagsterRunStatus, **tags: str) -> DagsterRun:
    return instance.create_run_for_job(some_job, status=status, tags=tags)


def test_the_newest_attempt_is_found_over_all_retries(instance: DagsterInstance):
    last = run(instance, DagsterRunStatus.STARTED)
    second = run(instance, DagsterRunStatus.FAILURE, **{AUTO_RETRY_RUN_ID_TAG: last.run_id})
    first = run(instance, DagsterRunStatus.FAILURE, **{AUTO_RETRY_RUN_ID_TAG: second.run_id})
    assert [newest_attempt(instance, each.run_id) for each in (first, second, last)] == [last] * 3
    deleted = run(instance, DagsterRunStatus.FAILURE, **{AUTO_RETRY_RUN_ID_TAG: "deleted"})
    assert newest_attempt(instance, deleted.run_id) == deleted
    assert newest_attempt(instance, "no such run") is None


@pytest.mark.parametrize(
    ("status", "tag", "expected"),
    [
        (DagsterRunStatus.FAILURE, "true", True),
        (DagsterRunStatus.FAILURE, "false", False),
        (DagsterRunStatus.CANCELED, "true", False),
        (DagsterRunStatus.SUCCESS, "true", False),
    ],
)
def test_only_a_failed_run_with_dagsters_retry_tag_is_retried(
    instance: DagsterInstance, status: DagsterRunStatus, tag: str, expected: bool
):
    assert tried_again(run(instance, status, **{WILL_RETRY_TAG: tag})) is expected


def test_an_interrupted_run_is_waited_for_and_a_failed_one_is_reported(instance: DagsterInstance, tmp_path: Path):
    settings = PipelineSettings(home=tmp_path)
    interrupted = run(instance, DagsterRunStatus.FAILURE, **{WILL_RETRY_TAG: "true"})
    succeeded = run(instance, DagsterRunStatus.SUCCESS)
    answers = iter([interrupted, interrupted, succeeded])
    with bars() as progress:
        view = {"map": RunView(progress, "map", ["nothing"])}
        assert follow(instance, settings, view, lambda: {"map": next(answers)}, lambda: None) == {"map": succeeded}
        failed = run(instance, DagsterRunStatus.FAILURE, **{WILL_RETRY_TAG: "false"})
        with pytest.raises(RunError, match="map failed"):
            follow(instance, settings, view, lambda: {"map": failed}, lambda: None)
