"""One test for each name of Dagster that is not public: what the project loses if the name or its meaning changes."""

import ast
import inspect
from pathlib import Path

import pytest
from dagster import (
    AssetExecutionContext,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    StaticPartitionsDefinition,
    asset,
    job,
    materialize,
    op,
)

from resources import dagster_internals
from tests.lineage import Lineage
from tests.test_layers import LAYERS, ROOT


@op
def nothing() -> None: ...


@job
def some_job() -> None:
    nothing()


@op
def broken() -> None:
    raise RuntimeError("cut")


@job
def broken_job() -> None:
    broken()


def private_imports(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in found if name.startswith("dagster") and "._" in name]


def test_no_other_module_imports_private_names_of_dagster():
    files = [path for folder in LAYERS for path in (ROOT / folder).rglob("*.py")] + list(ROOT.glob("*.py"))
    assert len(files) > 100
    users = {path.relative_to(ROOT).as_posix() for path in files if private_imports(path)}
    assert users == {"resources/dagster_internals.py"}


def test_every_name_has_a_test_here():
    text = Path(__file__).read_text("utf-8")
    assert [name for name in dagster_internals.__all__ if f"dagster_internals.{name}" not in text] == []


@pytest.mark.parametrize(
    ("tag", "value", "loses"),
    [
        (dagster_internals.AUTO_RETRY_RUN_ID_TAG, "dagster/auto_retry_run_id", "no retry is recognised as started"),
        (dagster_internals.GRPC_INFO_TAG, ".dagster/grpc_info", "runs of other machines are mistaken for dead ones"),
        (dagster_internals.MAX_RUNTIME_SECONDS_TAG, "dagster/max_runtime", "a run that hangs is never ended"),
        (dagster_internals.PARTITION_NAME_TAG, "dagster/partition", "failures are not kept under their scene"),
        (dagster_internals.RETRY_NUMBER_TAG, "dagster/retry_number", "a failure counts its attempts wrongly"),
        (dagster_internals.RETRY_STRATEGY_TAG, "dagster/retry_strategy", "retries continue in the middle"),
        (dagster_internals.RUN_FAILURE_REASON_TAG, "dagster/failure_reason", "an interruption is reported as a fault"),
        (dagster_internals.WILL_RETRY_TAG, "dagster/will_retry", "failures are kept although a retry follows"),
        (dagster_internals.CODE_VERSION_TAG, "dagster/code_version", "maps of a backfill look outdated"),
        (dagster_internals.DATA_VERSION_TAG, "dagster/data_version", "maps of a backfill have no data version"),
        (
            dagster_internals.DATA_VERSION_IS_USER_PROVIDED_TAG,
            "dagster/data_version_is_user_provided",
            "data versions of a backfill are mistaken for computed ones",
        ),
    ],
)
def test_tags_in_stored_runs_keep_their_names(tag: str, value: str, loses: str):
    assert tag == value, loses


def test_a_materialisation_carries_the_tags_that_a_backfill_writes_itself():
    """Names: CODE_VERSION_TAG, DATA_VERSION_TAG, DATA_VERSION_IS_USER_PROVIDED_TAG.

    Without them the materialisations of a backfill would look outdated from the start.
    """

    @asset(code_version="7")
    def first() -> None: ...

    @asset(deps=[first], code_version="8")
    def second(context: AssetExecutionContext) -> None: ...

    with DagsterInstance.ephemeral() as instance:
        result = materialize([first, second], instance=instance)
        events = result.asset_materializations_for_node("second")
        tags = events[0].tags or {}
    assert tags[dagster_internals.CODE_VERSION_TAG] == "8"
    assert dagster_internals.DATA_VERSION_TAG in tags
    alone = result.asset_materializations_for_node("first")[0].tags or {}
    assert dagster_internals.DATA_VERSION_IS_USER_PROVIDED_TAG not in alone


def test_the_tags_of_inputs_are_those_that_dagster_writes_itself():
    """Name: dagster_internals.input_version_tags. Without it the maps of a backfill look outdated from the start.

    It uses the asset graph of the running job and the newest data version of an asset; neither is public.
    """
    parts = StaticPartitionsDefinition(["a", "b"])
    found: dict[str, str] = {}

    @asset
    def whole() -> None: ...

    @asset(partitions_def=parts)
    def part() -> None: ...

    @asset(partitions_def=parts)
    def absent() -> None: ...

    @asset(partitions_def=parts, deps=[whole, part, absent])
    def made(context: AssetExecutionContext) -> None:
        found.update(dagster_internals.input_version_tags(context, context.asset_key, context.partition_key))

    with DagsterInstance.ephemeral() as instance:
        materialize([whole], instance=instance)
        for partition in ("a", "b"):
            materialize([part], instance=instance, partition_key=partition)
        everything = [whole, part, absent, made]
        result = materialize(everything, selection=[made], instance=instance, partition_key="a")
    tags = result.asset_materializations_for_node("made")[0].tags or {}
    written = {name: value for name, value in tags.items() if "input_" in name}
    assert found.keys() == written.keys()
    assert len(found) == 6, "a data version and an event for each of the three inputs"
    assert len(set(found.values())) == 6, "whole, part and absent differ"
    # Dagster names the newest event of any partition here, and the backfill that of the scene. Staleness follows from
    # the data versions.
    event = "dagster/input_event_pointer/part"
    assert int(found.pop(event)) < int(written.pop(event))
    assert found == written


def test_a_stored_run_gets_more_tags():
    """Name: dagster_internals.add_run_tags.

    Without it a run that was started from the lineage page has no limit, and a retry continues in the middle.
    """
    with DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(some_job, tags={"old": "1", "kept": "1"})
        dagster_internals.add_run_tags(instance, run.run_id, {"old": "2", "new": "3"})
        stored = instance.get_run_by_id(run.run_id)
    assert stored is not None
    assert {name: stored.tags.get(name) for name in ("old", "kept", "new")} == {"old": "2", "kept": "1", "new": "3"}


def test_a_run_names_its_process():
    """Names: dagster_internals.EngineEventData, dagster_internals.processes_of. Without them no dead run is found."""
    import os

    with DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(some_job, status=DagsterRunStatus.STARTED)
        data = dagster_internals.EngineEventData.in_process(os.getpid())
        instance.report_engine_event("Started process for run", run, data)
        found = list(dagster_internals.processes_of(instance, run.run_id))
    assert [pid for pid, _ in found] == [os.getpid()]


def test_the_default_launcher_reports_the_process_that_it_starts():
    from dagster._grpc import impl

    assert "EngineEventData.in_process(pid)" in inspect.getsource(impl._run_in_subprocess)


def test_run_monitoring_ends_a_run_by_the_launchers_answer():
    """Names: CheckRunHealthResult, WorkerStatus, LaunchRunContext. Without them dead runs block the limits forever."""
    from dagster._core.launcher import RunLauncher
    from dagster._daemon.monitoring import run_monitoring

    source = inspect.getsource(run_monitoring.monitor_started_run)
    assert "supports_check_run_worker_health" in source
    answer = dagster_internals.CheckRunHealthResult(dagster_internals.WorkerStatus.FAILED, "gone")
    assert (answer.status.value, answer.msg) == ("FAILED", "gone")
    assert dagster_internals.LaunchRunContext in RunLauncher.launch_run.__annotations__.values()


def test_runs_come_into_the_queue_through_the_coordinator():
    """Names: dagster_internals.QueuedRunCoordinator, dagster_internals.SubmitRunContext, dagster_internals.pools_of.

    Without them a run that was started from the lineage page has no limit.
    """
    assert dagster_internals.SubmitRunContext._fields == ("dagster_run", "workspace")
    parameters = inspect.signature(dagster_internals.QueuedRunCoordinator.submit_run).parameters
    assert list(parameters) == ["self", "context"]
    assert dagster_internals.pools_of(DagsterRun("some_job")) == ()


def test_the_pools_of_a_run_are_those_of_its_assets(tmp_path: Path):
    repository = Lineage(tmp_path).repository
    with DagsterInstance.ephemeral() as instance:
        pools = {
            name: set(dagster_internals.pools_of(instance.create_run_for_job(repository.get_job(name))))
            for name in ("train_model", "map_scene", "put_in_service")
        }
    assert pools == {"train_model": {"training"}, "map_scene": {"mapping"}, "put_in_service": set()}


def test_a_failure_says_whether_a_retry_follows(tmp_path: Path):
    """Names: WILL_RETRY_TAG, RUN_FAILURE_REASON_TAG: of a failed step nothing follows, of an interruption a retry."""
    overrides = {"run_retries": {"enabled": True, "max_retries": 3, "retry_on_asset_or_op_failure": False}}
    with DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        done = broken_job.execute_in_process(instance=instance, raise_on_error=False)
        failed = instance.get_run_by_id(done.run_id)
        interrupted = instance.create_run_for_job(some_job, status=DagsterRunStatus.STARTED)
        instance.report_run_failed(interrupted, "gone")
        ended = instance.get_run_by_id(interrupted.run_id)
    assert failed is not None
    assert ended is not None
    assert failed.tags[dagster_internals.RUN_FAILURE_REASON_TAG] == "STEP_FAILURE"
    assert failed.tags[dagster_internals.WILL_RETRY_TAG] == "false"
    assert ended.tags[dagster_internals.WILL_RETRY_TAG] == "true"


def test_failures_are_remembered_from_the_first_moment_on_and_never_forgotten_again(tmp_path: Path):
    """Name: dagster_internals.remember_failures_from_now. Without it a run found dead at the first start is lost."""
    import logging

    from dagster._daemon.auto_run_reexecution.event_log_consumer import (
        DAGSTER_EVENT_TYPES,
        _fetch_persisted_cursors,
    )

    def cursors() -> set[int | None]:
        return set(_fetch_persisted_cursors(instance, DAGSTER_EVENT_TYPES, logging.getLogger()).values())

    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert cursors() == {None}
        instance.report_run_failed(instance.create_run_for_job(some_job), "of an earlier release")
        dagster_internals.remember_failures_from_now(instance)
        (first,) = cursors()
        assert first is not None
        assert first > 0
        instance.report_run_failed(instance.create_run_for_job(some_job), "gone")
        dagster_internals.remember_failures_from_now(instance)
        assert cursors() == {first}
