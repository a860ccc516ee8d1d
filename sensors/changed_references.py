"""The sensor that has maps made again when their reference has changed. `renewal_plan` decides; this carries it out."""

from collections.abc import Iterable
from pathlib import Path

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.scene_references import ScenesBeside, open_layers
from drshym_pipeline.errors import InputError, UnavailableError, one_line
from drshym_pipeline.records import counted
from drshym_pipeline.scene_folder import MapFolder
from drshym_pipeline.settings import PipelineSettings, ReferenceOptions
from drshym_pipeline.storage import sha256_json
from resources.dagster_internals import PARTITION_NAME_TAG
from resources.store import ArtefactStore
from sensors.jobs import renew_maps
from sensors.layover_files import layover_files, scenes_of_layover
from sensors.renewal_plan import MapState, affected_scenes, plan_renewals
from sensors.retention import NOT_ENDED

MEMORY = "map-renewals"
INTERVAL_SECONDS = 60
# A tick must end within a minute; so many references are planned in some seconds.
MOST_IN_A_TICK = 500


def _running(instance: DagsterInstance) -> set[str]:
    """Return the scenes whose map is being made again, or will be by a run in the queue."""
    runs = instance.get_runs(RunsFilter(job_name=renew_maps.name, statuses=NOT_ENDED))
    return {run.tags[PARTITION_NAME_TAG] for run in runs if PARTITION_NAME_TAG in run.tags}


def _common(options: ReferenceOptions) -> str:
    """Return what changes with the settings and the files of the layers."""
    files = [] if options.ancillary is None else open_layers(options.ancillary).fingerprint()
    return sha256_json([options.reference, options.limits.model_dump(mode="json"), files])


def _map_state(beside: ScenesBeside, partition: str, options: ReferenceOptions) -> MapState | None:
    """Return the state of the newest map of a scene; None if it has none that can be compared."""
    mapped = beside.mapped(partition)
    if mapped is None or mapped.reference_key is None:
        return None
    plan = beside.plan(partition, mapped.meta, mapped.model.sha256, options)
    return MapState(partition, beside.stamps[partition], mapped.reference_key, plan.note.key)


def _can_be_renewed(store: ArtefactStore, partition: str, *, layers: bool) -> bool:
    """Return whether the newest map can be made again from its stored probabilities, by its own model.

    A scene that waits for a map of newer files, or whose last run failed, is left alone; so is one whose probabilities
    retention has deleted: the network is not run again only because a reference has changed. With layers, the files of
    the scene must be there too: a map of layover may be beside them, and the map would lose it.
    """
    scenes = store.scenes
    try:
        newest = scenes.current(partition)
        predicted = scenes.newest_prediction(partition)
        if newest is None or predicted is None or scenes.status(partition).state != "mapped":
            return False
        if layers and not all(
            Path(path).is_file() for path in newest.scene.meta().source_paths if Path(path).is_absolute()
        ):
            return False
        return _are_one(newest, predicted.scene.directory.name, predicted.read().summary.reference.sha256)
    except InputError:
        return False


def _are_one(newest: MapFolder, version: str, model_sha256: str) -> bool:
    return newest.scene.directory.name == version and newest.stitched().reference.sha256 == model_sha256


def _states(
    store: ArtefactStore, beside: ScenesBeside, partitions: Iterable[str], options: ReferenceOptions
) -> list[MapState]:
    found = [_map_state(beside, partition, options) for partition in partitions]
    states = [state for state in found if state is not None]
    return [
        state
        for state in states
        if not state.is_outdated or _can_be_renewed(store, state.partition, layers=options.ancillary is not None)
    ]


def changed_references_sensor(settings: PipelineSettings) -> SensorDefinition:
    """Make the sensor with the options of the settings."""

    @sensor(
        name="changed_references",
        job=renew_maps,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Makes a map again when its reference has changed: an earlier scene was mapped later, or the "
        "pre-event scene of its side-car, or its map of layover has arrived. The network is not run again.",
    )
    def changed_references(context: SensorEvaluationContext, store: ArtefactStore) -> SensorResult | SkipReason:
        if settings.reference == "none":
            return SkipReason("references are switched off (DRSHYM_REFERENCE=none)")
        memory = (store.get_object(MEMORY, context.cursor) if context.cursor else None) or {}
        beside = ScenesBeside.of(store.scenes)
        running = _running(context.instance)
        try:
            common = _common(settings.references)
        except (InputError, UnavailableError) as error:
            # The cursor stays, so what has changed is seen when the layers are back.
            return SkipReason(one_line(error))
        # A change of the settings or of a layer concerns every scene.
        before = memory["seen"] if memory.get("common") == common else {}
        layover = {} if settings.references.ancillary is None else layover_files(settings.inbox_path)
        changed = {
            *affected_scenes(before, beside.stamps, beside.may_use),
            *scenes_of_layover(beside, memory.get("layover", {}), layover),
        }
        due = {*memory.get("open", ()), *changed} & beside.stamps.keys()
        seen = {"common": common, "seen": dict(beside.stamps), "layover": layover}
        if not due:
            if any(memory.get(name) != value for name, value in seen.items()):
                context.update_cursor(store.put_object(MEMORY, {**memory, **seen}))
            return SkipReason("no reference has changed")
        now, later = sorted(due)[:MOST_IN_A_TICK], sorted(due)[MOST_IN_A_TICK:]
        try:
            states = _states(store, beside, now, settings.references)
        except (InputError, UnavailableError) as error:  # the layers are lost in this moment: likewise
            return SkipReason(one_line(error))
        plan = plan_renewals(states, memory.get("requested", {}), running, settings.renewals_per_tick)
        cursor = store.put_object(MEMORY, {**seen, "open": [*plan.open, *later], "requested": dict(plan.requested)})
        if not plan.requests:
            context.update_cursor(cursor)
            return SkipReason(
                f"{len(plan.open)} of {counted(len(now), 'map')} to be made again later, {len(later)} to be looked at "
                f"later, {len(plan.given_up)} given up after a run (see its log)"
            )
        return SensorResult(
            run_requests=[
                RunRequest(run_key=request.run_key, partition_key=request.partition) for request in plan.requests
            ],
            cursor=cursor,
        )

    return changed_references
