"""Run the inference assets: one scene as Dagster's own steps, many scenes one after the other in one run.

In a run over many partitions (a backfill) the first asset of the run takes each scene through every step that was
asked for before it starts the next one. So the first maps are there early, a bad scene does not stop the others, the
model is loaded once, and the events of a scene (materialisations with their own data version, check results) reach
Dagster as soon as they happen. Scenes are mapped in a thread (`scene_work`), so that the next one does not wait for
Dagster's event log. The other assets of the run then have nothing left to do and are skipped. At the end the run fails
if a scene did, and names it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from threading import Event
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    DagsterRun,
    Failure,
    MaterializeResult,
    MetadataValue,
)

from assets.run_context import permanent_input_errors, run_name, run_progress
from assets.scene_stages import STAGES
from assets.scene_steps import SceneTools
from assets.scene_work import Checked, Ended, Made, SceneWork, until_left
from drshym_pipeline.prefetch import Prefetched
from drshym_pipeline.records import counted, now
from drshym_pipeline.scene_store import RunFailure
from resources.bucket import SceneBucket
from resources.dagster_internals import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    input_version_tags,
)
from resources.engine import InferenceEngine
from resources.progress import RunProgress
from resources.store import ArtefactStore

_NAMED = 10  # failed scenes named in the failure
_AHEAD = 8  # events that may wait for Dagster


def chain_from(name: str, selected: Sequence[str]) -> list[str]:
    """Return the assets of a run that follow one another without a gap, starting with `name`."""
    order = list(STAGES)
    chain: list[str] = []
    for step in order[order.index(name) :]:
        if step not in selected:
            break
        chain.append(step)
    return chain


def wanted_checks(run: DagsterRun) -> Callable[[str, str], bool]:
    """Return whether a run was asked to evaluate a check: all of them, unless it was started with a selection."""
    selection = run.asset_check_selection
    return lambda asset, check: selection is None or AssetCheckKey(AssetKey(asset), check) in selection


def run_scenes(
    context: AssetExecutionContext, bucket: SceneBucket, store: ArtefactStore, engine: InferenceEngine, name: str
) -> Iterator[MaterializeResult[Any] | AssetMaterialization]:
    """Run the body of an inference asset.

    Args:
        context: The context of the run.
        bucket: The folder that scenes come from.
        store: The artefact store, where the results go.
        engine: The inference engine.
        name: The name of the asset.

    Raises:
        Failure: A scene cannot be mapped; it is not retried.
    """
    partitions = context.partition_keys
    if len(partitions) == 1:
        tools = SceneTools(bucket, store, engine, run_progress(context, store), run_name(context.run))
        with permanent_input_errors():
            yield STAGES[name].step(tools, partitions[0])
        return
    selection = context.run.asset_selection
    # A run of the whole job names none.
    selected = [key.to_user_string() for key in selection] if selection else list(STAGES)
    left = Event()
    listener = until_left(RunProgress(store.progress_path(context.run_id), None), left)
    tools = SceneTools(bucket, store, engine, listener, run_name(context.run))
    work = SceneWork(tools, chain_from(name, selected), partitions, wanted_checks(context.run))
    with closing(iter(Prefetched(work, _AHEAD, left))) as events:
        yield from _emit_events(context, store, events, len(partitions))


def _emit_events(
    context: AssetExecutionContext, store: ArtefactStore, events: Iterable[Made | Checked | Ended], count: int
) -> Iterator[AssetMaterialization]:
    """Pass each event to Dagster when it comes; a materialisation is kept when the asset yields it.

    Raises:
        Failure: A scene failed.
    """
    failed: dict[str, str] = {}
    done = 0
    for event in events:
        if isinstance(event, Made):
            yield _materialised(context, event.name, event.partition, event.result)
        elif isinstance(event, Checked):
            _evaluated(context, event)
        else:
            done += 1
            if event.reason is not None:
                failed[event.partition] = event.reason
                _keep_failure(context, store, event)
            context.log.info("%d of %d scenes done, %d failed", done, count, len(failed))
    if failed:
        named = "; ".join(f"{partition}: {reason}" for partition, reason in list(failed.items())[:_NAMED])
        more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        raise Failure(
            description=f"{len(failed)} of {counted(count, 'scene')} failed, all others are done: {named}{more}",
            metadata={"failed": MetadataValue.json(failed)},
            allow_retries=False,
        )


def _keep_failure(context: AssetExecutionContext, store: ArtefactStore, event: Ended) -> None:
    if event.trace is not None:
        context.log.error(event.trace)
    context.log.error("%s: %s: %s", event.partition, event.name, event.reason)
    failure = RunFailure(
        reason=event.reason or "no reason given",
        at=now(),
        step=event.name,
        run_id=context.run_id,
        job=context.run.job_name,
        partition=event.partition,
    )
    store.scenes.write_failure(event.partition, failure)


def _materialised(
    context: AssetExecutionContext, name: str, partition: str, result: MaterializeResult[Any]
) -> AssetMaterialization:
    """Return the event of one scene, with the tags that Dagster sets in a run of one scene: they show staleness."""
    key = AssetKey(name)
    tags = {CODE_VERSION_TAG: STAGES[name].code_version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    if result.data_version is not None:
        tags[DATA_VERSION_TAG] = result.data_version.value
    tags |= input_version_tags(context, key, partition)
    return AssetMaterialization(asset_key=key, partition=partition, metadata=dict(result.metadata or {}), tags=tags)


def _evaluated(context: AssetExecutionContext, event: Checked) -> None:
    outcome, blocking = event.outcome, event.check.blocking
    context.log_event(
        AssetCheckEvaluation(
            asset_key=AssetKey(event.name),
            check_name=event.check.name,
            passed=outcome.passed,
            severity=AssetCheckSeverity.ERROR if blocking else AssetCheckSeverity.WARN,
            description=outcome.sentence,
            metadata=outcome.figures,
            partition=event.partition,
            blocking=blocking,
        )
    )
