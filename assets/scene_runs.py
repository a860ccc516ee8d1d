"""Carrying out the inference assets: one scene as Dagster's own steps, many scenes one after the other in one run.

In a run over many partitions (a backfill) the first asset of the run takes each scene through every step that was
asked for before it turns to the next one. So the first maps are there early, a bad scene stops nothing but itself, the
model is loaded once, and what Dagster is told of a scene (materialisations with their own data version, check results)
is told when it is true. The other assets of the run then have nothing left to do and are skipped. At the end the run
fails if a scene did, and names it.
"""

import traceback
from collections.abc import Generator, Iterator, Sequence
from hashlib import sha256

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    EventLogRecord,
    Failure,
    MaterializeResult,
    MetadataValue,
)
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from assets.currency import currency
from assets.running import permanent_input_errors
from assets.scene_steps import BLOCKING, STEPS, STEPS_VERSION, SceneTools
from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.records import now

_NAMED = 10  # failed scenes named in the failure


def chain_from(name: str, selected: Sequence[str]) -> list[str]:
    """The assets of a run that follow one another without a gap, from `name` on."""
    order = list(STEPS)
    chain: list[str] = []
    for step in order[order.index(name) :]:
        if step not in selected:
            break
        chain.append(step)
    return chain


def run_scenes(tools: SceneTools, name: str) -> Iterator[MaterializeResult | AssetMaterialization]:
    """The body of an inference asset.

    Args:
        tools: What its steps are handed.
        name: Of the asset.

    Raises:
        Failure: A scene cannot be mapped; it is not retried.
    """
    context = tools.context
    partitions = context.partition_keys
    if len(partitions) == 1:
        with permanent_input_errors():
            yield STEPS[name](tools, partitions[0])
        return
    selection = context.run.asset_selection
    # A run of the whole job names none.
    selected = [key.to_user_string() for key in selection] if selection else list(STEPS)
    chain = chain_from(name, selected)
    failed: dict[str, str] = {}
    for done, partition in enumerate(partitions, 1):
        reason = yield from _map_one(tools, chain, partition)
        if reason is not None:
            failed[partition] = reason
        context.log.info("%d of %d scenes done, %d failed", done, len(partitions), len(failed))
    if failed:
        named = "; ".join(f"{partition}: {reason}" for partition, reason in list(failed.items())[:_NAMED])
        more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        raise Failure(
            description=f"{len(failed)} of {len(partitions)} scenes failed, the others are done: {named}{more}",
            metadata={"failed": MetadataValue.json(failed)},
            allow_retries=False,
        )


def _map_one(
    tools: SceneTools, chain: Sequence[str], partition: str
) -> Generator[AssetMaterialization, None, str | None]:
    """Take one scene through the steps and report each; returns why it failed, or None.

    Dagster keeps an event when the asset yields it; what is only logged waits until then.
    """
    context = tools.context
    for name in chain:
        try:
            yield _materialised(context, name, partition, STEPS[name](tools, partition))
            _check(tools, name, partition)
        except Exception as error:
            # Whatever it is, the next scene has nothing to do with it; what nobody expected goes to the log whole.
            if not isinstance(error, DrShymError):
                context.log.error(traceback.format_exc())
            reason = " ".join(str(error).split()) or type(error).__name__
            context.log.error("%s: %s: %s", partition, name, reason)
            tools.store.write_failure(
                partition,
                {
                    "run_id": context.run_id,
                    "job": context.run.job_name,
                    "step": name,
                    "reason": reason,
                    "at": now().isoformat(),
                    "partition": partition,
                },
            )
            return reason
    return None


def _materialised(
    context: AssetExecutionContext, name: str, partition: str, result: MaterializeResult
) -> AssetMaterialization:
    """The event of one scene, tagged as Dagster tags that of a run of one: staleness is told by these tags."""
    key = AssetKey(name)
    tags = {CODE_VERSION_TAG: STEPS_VERSION, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    if result.data_version is not None:
        tags[DATA_VERSION_TAG] = result.data_version.value
    graph = context.job_def.asset_layer.asset_graph
    for parent in graph.get(key).parent_keys:
        of_scenes = graph.get(parent).is_partitioned
        record = context.instance.get_latest_data_version_record(
            parent, is_source=False, partition_key=partition if of_scenes else None
        )
        version = _data_version(record)
        # The version of a partitioned input is a hash over those of the partitions it was made from: here one.
        hashed = sha256(version.encode()).hexdigest() if record and of_scenes else version
        tags[get_input_data_version_tag(parent)] = hashed
        tags[get_input_event_pointer_tag(parent)] = str(record.storage_id) if record else NULL_EVENT_POINTER
    return AssetMaterialization(asset_key=key, partition=partition, metadata=dict(result.metadata or {}), tags=tags)


def _data_version(record: EventLogRecord | None) -> str:
    event = record.asset_materialization if record else None
    return ((event.tags or {}).get(DATA_VERSION_TAG) if event else None) or DEFAULT_DATA_VERSION.value


def _check(tools: SceneTools, name: str, partition: str) -> None:
    """Evaluate the checks of an asset for one scene.

    Raises:
        InputError: The blocking one fails: the scene goes no further.
    """
    folder = tools.store.staged(partition)
    if name == "stitched_scenes":
        passed, used, served = currency(tools.store, folder)
        figures = {"map": used, "in service": served}
        _evaluated(tools.context, "model_is_current", name, partition, passed=passed, metadata=figures)
    if name in BLOCKING:
        check, faults_of = BLOCKING[name]
        faults = faults_of(folder)
        _evaluated(tools.context, check, name, partition, passed=not faults, metadata={})
        if faults:
            raise InputError(partition, f"{check} failed: {'; '.join(faults[:3])}", "See the files of the scene")


def _evaluated(
    context: AssetExecutionContext, check: str, name: str, partition: str, *, passed: bool, metadata: dict[str, str]
) -> None:
    blocking = name in BLOCKING and BLOCKING[name][0] == check
    context.log_event(
        AssetCheckEvaluation(
            asset_key=AssetKey(name),
            check_name=check,
            passed=passed,
            severity=AssetCheckSeverity.ERROR if blocking else AssetCheckSeverity.WARN,
            metadata={key: MetadataValue.text(value) for key, value in metadata.items()},
            partition=partition,
            blocking=blocking,
        )
    )
