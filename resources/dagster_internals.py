"""Every name of Dagster that this project uses and that is not part of its public interface, with its purpose.

Dagster may move or remove such a name in any release. `tests/resources/test_dagster_internals.py` has one test for each
name, which says what stops working without it. No other module of the project imports from a private module.
"""

from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256

from dagster import (
    AssetExecutionContext,
    AssetKey,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    EventLogRecord,
)

# Data versions and the tags that show staleness, for the materialisations that a run of many scenes reports itself.
# There is no public way to give each partition its own data version.
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

# The data of an engine event, which contain the process id of a run.
from dagster._core.events import EngineEventData

# The argument of a run launcher when it starts a run, and its answer when run monitoring asks whether the process of a
# run is alive.
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus

# The queue of runs, which is extended by the limits of this project.
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

# Tags that Dagster sets on runs, or reads from them.
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    GRPC_INFO_TAG,
    MAX_RUNTIME_SECONDS_TAG,
    PARTITION_NAME_TAG,
    RETRY_NUMBER_TAG,
    RETRY_STRATEGY_TAG,
    RUN_FAILURE_REASON_TAG,
    WILL_RETRY_TAG,
)

__all__ = [
    "AUTO_RETRY_RUN_ID_TAG",
    "CODE_VERSION_TAG",
    "DATA_VERSION_IS_USER_PROVIDED_TAG",
    "DATA_VERSION_TAG",
    "GRPC_INFO_TAG",
    "MAX_RUNTIME_SECONDS_TAG",
    "PARTITION_NAME_TAG",
    "RETRY_NUMBER_TAG",
    "RETRY_STRATEGY_TAG",
    "RUN_FAILURE_REASON_TAG",
    "WILL_RETRY_TAG",
    "CheckRunHealthResult",
    "EngineEventData",
    "LaunchRunContext",
    "QueuedRunCoordinator",
    "SubmitRunContext",
    "WorkerStatus",
    "add_run_tags",
    "input_version_tags",
    "pools_of",
    "processes_of",
    "remember_failures_from_now",
]


def add_run_tags(instance: DagsterInstance, run_id: str, tags: Mapping[str, str]) -> None:
    """Add tags to a stored run; a tag that it has already gets the new value."""
    instance.add_run_tags(run_id, tags)


def input_version_tags(context: AssetExecutionContext, key: AssetKey, partition: str) -> dict[str, str]:
    """Return the tags that record which inputs a materialisation was made from, as Dagster writes them itself.

    Args:
        context: The context of an asset in the run.
        key: The asset that was materialised.
        partition: The partition that was materialised. The inputs are unpartitioned, or have the same partitions.

    Returns:
        Two tags per input: its data version, and the id of its newest event.
    """
    tags: dict[str, str] = {}
    graph = context.job_def.asset_layer.asset_graph
    for parent in graph.get(key).parent_keys:
        partitioned = graph.get(parent).is_partitioned
        record = context.instance.get_latest_data_version_record(
            parent, is_source=False, partition_key=partition if partitioned else None
        )
        version = _data_version(record)
        # The version of a partitioned input is a hash over those of the partitions it was made from: here one.
        hashed = sha256(version.encode()).hexdigest() if record and partitioned else version
        tags[get_input_data_version_tag(parent)] = hashed
        tags[get_input_event_pointer_tag(parent)] = str(record.storage_id) if record else NULL_EVENT_POINTER
    return tags


def _data_version(record: EventLogRecord | None) -> str:
    event = record.asset_materialization if record else None
    return ((event.tags or {}).get(DATA_VERSION_TAG) if event else None) or DEFAULT_DATA_VERSION.value


def processes_of(instance: DagsterInstance, run_id: str) -> Iterator[tuple[int, float]]:
    """Yield the processes that a run has reported: (process id, time of the event in seconds since 1970)."""
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
        data = entry.dagster_event.event_specific_data if entry.dagster_event else None
        pid = data.metadata.get("pid") if isinstance(data, EngineEventData) else None
        if pid is not None:
            yield int(str(pid.value)), entry.timestamp


def pools_of(run: DagsterRun) -> Collection[str]:
    """Return the pools of all assets that a run executes."""
    found = run.run_op_concurrency
    return (found.all_pools or ()) if found else ()


def remember_failures_from_now(instance: DagsterInstance) -> None:
    """Make the daemon retry all failures from now on; does nothing if the daemon has retried failures before.

    By default the daemon retries only failures after its first check of the event log. At the same moment run
    monitoring reports the runs that it finds interrupted, so these could be missed and would not be retried. Call this
    before the daemon of a new home is started.
    """
    from dagster._daemon.auto_run_reexecution.event_log_consumer import DAGSTER_EVENT_TYPES, _create_cursor_key

    keys = {_create_cursor_key(kind) for kind in DAGSTER_EVENT_TYPES}
    cursors = instance.daemon_cursor_storage
    missing = keys - {key for key, value in cursors.get_cursor_values(keys).items() if value is not None}
    if missing:
        newest = instance.event_log_storage.get_maximum_record_id() or 0
        cursors.set_cursor_values({key: str(newest) for key in missing})
