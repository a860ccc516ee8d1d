"""The sensor that watches the folder of scenes. What a tick decides is in `plan`; this carries it out."""

from collections.abc import Mapping

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.partitions import scenes
from drshym_pipeline.settings import PipelineSettings
from resources.bucket import SceneBucket
from resources.run_limits import LONGEST_TAG, MAPPING_TAG, NEW_SCENE
from resources.store import ArtefactStore
from sensors.deadline import scene_deadline
from sensors.jobs import map_scene
from sensors.plan import Seen, plan_tick, seen_from_json, seen_to_json

SEEN = "seen-scenes"


def _remembered(store: ArtefactStore, cursor: str | None) -> Seen:
    """What the last tick that was committed saw; nothing when the store no longer has it."""
    value = store.get_object(SEEN, cursor) if cursor else None
    return seen_from_json(value or {})


def _waiting_text(waiting: Mapping[str, str]) -> str:
    if not waiting:
        return "no new scenes"
    shown = [f"{partition}: {reason}" for partition, reason in list(waiting.items())[:5]]
    more = len(waiting) - len(shown)
    return "waiting for " + "; ".join(shown) + (f"; and {more} more" if more else "")


def new_scenes_sensor(settings: PipelineSettings) -> SensorDefinition:
    """The sensor with the interval and the limit of the settings."""

    @sensor(
        name="new_scenes",
        job=map_scene,
        minimum_interval_seconds=settings.new_scenes_interval,
        default_status=DefaultSensorStatus.RUNNING,
        description="Maps every Sentinel-1 GeoTIFF that is copied into the watched folder.",
    )
    def new_scenes(
        context: SensorEvaluationContext, bucket: SceneBucket, store: ArtefactStore
    ) -> SensorResult | SkipReason:
        plan = plan_tick(
            bucket.listing(context.log.warning), _remembered(store, context.cursor), settings.scenes_per_tick
        )
        for request in plan.requests:
            store.scenes.write_sources(request.partition, {"files": list(request.files), "run_key": request.run_key})
        # The object is named by its content and the cursor is committed with the runs: a tick that dies in between
        # leaves the old cursor, plans the same again, and the run keys keep a scene from being launched twice.
        cursor = store.put_object(SEEN, seen_to_json(plan.seen))
        if not plan.requests:
            context.update_cursor(cursor)
            return SkipReason(_waiting_text(plan.waiting))
        return SensorResult(
            run_requests=[
                RunRequest(
                    run_key=request.run_key,
                    partition_key=request.partition,
                    tags={MAPPING_TAG: NEW_SCENE, LONGEST_TAG: str(scene_deadline(request.size))},
                )
                for request in plan.requests
            ],
            dynamic_partitions_requests=[
                scenes.build_add_request([request.partition for request in plan.requests]),
            ],
            cursor=cursor,
        )

    return new_scenes
