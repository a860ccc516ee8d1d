"""The sensor that watches the folder of scenes. `plan` decides what to do; this module carries it out."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

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
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import PipelineSettings
from resources.bucket import SceneBucket
from resources.run_limits import LONGEST_TAG, MAPPING_TAG, NEW_SCENE
from resources.sidecars import keep_sidecar
from resources.store import ArtefactStore
from sensors.deadline import scene_deadline
from sensors.jobs import map_scene
from sensors.layover_files import is_layover_file
from sensors.plan import Seen, TickPlan, plan_tick, seen_from_json, seen_to_json

SEEN = "seen-scenes"
IGNORED = "ignored-files"
_NAMED = 5  # scenes that wait, or files that are ignored, in one line
_LONGEST = 200  # characters of each


def _remembered(store: ArtefactStore, cursor: str | None) -> Seen:
    """Return what the last committed tick saw; nothing if the store no longer has it."""
    value = store.get_object(SEEN, cursor) if cursor else None
    return seen_from_json(value or {})


def _has_failed(store: ArtefactStore, partition: str) -> bool:
    try:
        return store.scenes.status(partition).state == "failed"
    except InputError:  # a damaged record must not stop the sensor
        return False


def _named(texts: Sequence[str]) -> str:
    shown = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..." for text in texts[:_NAMED]]
    more = len(texts) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _waiting_text(waiting: Mapping[str, str]) -> str:
    if not waiting:
        return "no new scenes"
    return "waiting for " + _named([f"{partition}: {reason}" for partition, reason in waiting.items()])


def _ignored_text(ignored: Sequence[str], plan: TickPlan, *, layers: bool) -> str | None:
    """Return one line of limited length that names the ignored files, or None if there are none.

    Args:
        ignored: Files that are neither scenes nor companions nor side-cars.
        plan: The plan of the tick.
        layers: Whether maps of layover beside the scenes are used.
    """
    unused = [
        one for one in plan.companions if one.scene is None or not (layers and is_layover_file(Path(one.key).name))
    ]
    names = [*plan.unclaimed, *sorted(ignored), *(companion.text for companion in unused)]
    if not names:
        return None
    return f"ignored, neither a scene (.tif, .tiff, .SAFE, .zip of a product) nor the side-car of one: {_named(names)}"


def _log_ignored(log: Callable[[str], None], store: ArtefactStore, text: str | None) -> None:
    """Log the ignored files if the last tick ignored other files. The skip reason names them every time."""
    if text == (store.find_record(IGNORED) or {}).get("text"):
        return
    store.write_record(IGNORED, {"text": text})
    if text is not None:
        log(text)


def new_scenes_sensor(settings: PipelineSettings) -> SensorDefinition:
    """Make the sensor with the interval and the limit of the settings."""

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
        ignored: list[str] = []
        listing = bucket.listing(context.log.warning, ignored.append)
        seen = _remembered(store, context.cursor)
        plan = plan_tick(listing, seen, settings.scenes_per_tick, partial(_has_failed, store))
        not_mapped = _ignored_text(ignored, plan, layers=settings.references.ancillary is not None)
        _log_ignored(context.log.warning, store, not_mapped)
        for request in plan.requests:
            sidecar = None if request.sidecar is None else bucket.path_of(request.sidecar)
            keep_sidecar(store.path, request.partition, request.sidecar, sidecar)
            store.scenes.write_sources(request.partition, {"files": list(request.files), "run_key": request.run_key})
        # The object is named after its content, and the cursor is committed together with the runs. A tick that is
        # killed before that leaves the old cursor. The next tick plans the same again, and because the run keys are the
        # same, no scene is started twice.
        cursor = store.put_object(SEEN, seen_to_json(plan.seen))
        if not plan.requests:
            context.update_cursor(cursor)
            return SkipReason(". ".join(text for text in (_waiting_text(plan.waiting), not_mapped) if text))
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
