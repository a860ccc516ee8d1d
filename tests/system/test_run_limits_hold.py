"""The limits hold for runs that are started from the lineage page, and their failures are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from dagster import DagsterRun, DagsterRunStatus

from resources.run_limits import ARCHIVE, LONGEST_SCENE, LONGEST_TAG, LONGEST_TRAINING, MAPPING_TAG, TRAINING_TAG
from tests.system.pipeline_runs import Pipeline, pipeline, quick_home, wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]

LAUNCH = """
mutation Materialize($parameters: ExecutionParams!) {
  launchPipelineExecution(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
    ... on InvalidSubsetError { message }
  }
}
"""
LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "definitions.py"}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    home = tmp_path_factory.mktemp("home")
    quick_home(home, {})
    with pipeline(home) as services:
        yield services


def materialize(services: Pipeline, assets: list[str], partition: str | None = None) -> str:
    """Start a run of single assets, as the button on the lineage page does; return its id."""
    tags = [{"key": "dagster/partition", "value": partition}] if partition else []
    parameters: dict[str, Any] = {
        "mode": "default",
        "runConfigData": "{}",
        "executionMetadata": {"tags": tags},
        "selector": {**LOCATION, "pipelineName": "__ASSET_JOB", "assetSelection": [{"path": [key]} for key in assets]},
    }
    answer = services.ask(LAUNCH, {"parameters": parameters})["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def run_of(services: Pipeline, run_id: str) -> DagsterRun:
    run = services.instance.get_run_by_id(run_id)
    assert run is not None
    return run


def test_a_failed_run_of_single_assets_is_limited_and_its_reason_is_kept(services: Pipeline):
    """Only one archive run at a time: of two runs by hand the second waits, and a review does not."""
    services.instance.add_dynamic_partitions("scenes", ["S1_unknown", "S1_other"])
    first = materialize(services, ["raw_scenes", "tiles"], "S1_unknown")
    second = materialize(services, ["raw_scenes", "tiles"], "S1_other")
    for run_id in (first, second):
        tags = run_of(services, run_id).tags
        assert (tags[MAPPING_TAG], tags[LONGEST_TAG]) == (ARCHIVE, str(LONGEST_SCENE))
    ended = wait_until(
        lambda: all(run_of(services, run_id).is_finished for run_id in (first, second)), "the end of both runs"
    )
    assert ended
    spans = sorted(
        (record.start_time or 0.0, record.end_time or 0.0)
        for record in services.instance.get_run_records()
        if record.dagster_run.run_id in (first, second)
    )
    assert spans[0][1] <= spans[1][0], "the two runs were carried out at the same time"
    for run_id, partition in ((first, "S1_unknown"), (second, "S1_other")):
        assert run_of(services, run_id).status == DagsterRunStatus.FAILURE
        file = services.home / "store" / "failures" / f"{partition}.json"
        wait_until(file.is_file, f"the failure of {partition}")
        kept = json.loads(file.read_text("utf-8"))
        assert (kept["job"], kept["step"], kept["run_id"]) == ("__ASSET_JOB", "raw_scenes", run_id)
        assert "no source files are known for this scene" in kept["reason"]


def test_a_training_by_hand_counts_as_a_training_and_a_review_does_not_wait(services: Pipeline):
    first = materialize(services, ["labelled_tiles", "trained_checkpoint"])
    second = materialize(services, ["labelled_tiles"])
    review = materialize(services, ["flood_model"])
    for run_id in (first, second):
        tags = run_of(services, run_id).tags
        assert (tags[TRAINING_TAG], tags[LONGEST_TAG]) == ("true", str(LONGEST_TRAINING))
    assert TRAINING_TAG not in run_of(services, review).tags
    begun = {DagsterRunStatus.STARTED, DagsterRunStatus.SUCCESS}
    wait_until(lambda: run_of(services, review).status in begun, "the review")
    # The training of the demo's recipe takes minutes: it is still running, and the second one waits for it.
    statuses = run_of(services, first).status, run_of(services, second).status
    assert statuses == (DagsterRunStatus.STARTED, DagsterRunStatus.QUEUED)
    terminate = """mutation Terminate($id: String!) { terminateRun(runId: $id) { __typename } }"""
    for run_id in (second, first):
        services.ask(terminate, {"id": run_id})
    wait_until(lambda: run_of(services, first).is_finished, "the end of the terminated training")
    assert run_of(services, second).status == DagsterRunStatus.CANCELED
