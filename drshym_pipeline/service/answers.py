"""What the service answers about maps and jobs, made from their records.

Only records are read here. Addresses in answers are paths without a host, so they are right behind a proxy too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Final
from urllib.parse import quote

from drshym_pipeline.progress import stage_text
from drshym_pipeline.records import AreaEstimate, MapRecord, ModelReference
from drshym_pipeline.scene_folder import ProductKind, product_name
from drshym_pipeline.service.jobs import Job
from drshym_pipeline.service.map_tiles import degree_bounds, legend_states, state_texts
from drshym_pipeline.service.problems import problem_detail
from drshym_pipeline.service.scenes import ServedScene
from drshym_pipeline.service.schemas import (
    AreaAnswer,
    JobAnswer,
    LayerAnswer,
    ModelAnswer,
    SceneAnswer,
    SceneSummary,
    SegmentOutputs,
    SegmentPolicy,
    SegmentProvenance,
    SegmentResponse,
    StateShare,
)
from drshym_pipeline.states import MASK_LEGEND, WATER_BEFORE, flooded_state
from drshym_pipeline.storage import to_uri

_MOVED_STEP: Final = "georeference:gcps->"  # an image with control points is mapped on a grid of its own


def job_path(id: str) -> str:
    """Return the address of a job."""
    return f"/v1/jobs/{quote(id, safe='')}"


def scene_path(id: str) -> str:
    """Return the address of a scene."""
    return f"/v1/scenes/{quote(id, safe='')}"


def file_path(id: str, name: str) -> str:
    """Return the address of a file of a scene."""
    return f"{scene_path(id)}/files/{quote(name, safe='')}"


def thumbnail_path(id: str) -> str:
    """Return the address of the small picture of a scene."""
    return f"{scene_path(id)}/thumbnail.png"


def served_files(scene: ServedScene) -> dict[str, str]:
    """Return the names of the files of a map that can be read, by what they are."""
    own = scene.record.scene_id
    names = {**scene.record.files, "report": product_name(own, "report"), "record": product_name(own, "record")}
    return {kind: name for kind, name in names.items() if _is_there(scene.folder, name)}


def _is_there(folder: Path, name: str) -> bool:
    """Return whether a file is in a folder itself. A record that says otherwise is damaged."""
    return PurePath(name).name == name and (folder / name).is_file()


def area_answer(area: AreaEstimate | None) -> AreaAnswer | None:
    """Return an area with its interval and its text; None where there is no area."""
    if area is None:
        return None
    return AreaAnswer(
        km2=area.km2,
        low_km2=area.low_km2,
        high_km2=area.high_km2,
        level=area.level,
        text=area.text(),
        expected_km2=area.expected_km2,
    )


def provenance_answer(record: MapRecord) -> SegmentProvenance:
    """Return which model made a map, and how."""
    return SegmentProvenance(
        model=record.model.label,
        threshold=record.calibration.threshold,
        calibration=record.calibration.text(),
        model_sha256=record.model.sha256,
        source_sha256=record.source_sha256,
        map_version=record.map_version,
        processing=record.processing,
        software=record.software,
        threshold_note=record.threshold_note,
    )


def segment_response(scene: ServedScene) -> SegmentResponse:
    """Return the answer for a finished map."""
    record, names = scene.record, served_files(scene)

    def uri(kind: ProductKind) -> str | None:
        return to_uri(scene.folder / names[kind]) if kind in names else None

    def certain(kind: ProductKind) -> str:
        return to_uri(scene.folder / product_name(record.scene_id, kind))

    outputs = SegmentOutputs(
        mask_uri=certain("mask"),
        proba_uri=certain("proba"),
        overlay_png=certain("overlay"),
        geojson_uri=uri("flood"),
        reference_uri=uri("reference"),
        flood_proba_uri=uri("flood_proba"),
        exclusion_uri=uri("exclusion"),
        report_html=uri("report"),
        links={"scene": scene_path(scene.id), **{kind: file_path(scene.id, name) for kind, name in names.items()}},
    )
    return SegmentResponse(
        scene_id=scene.id,
        outputs=outputs,
        caption=record.caption,
        provenance=provenance_answer(record),
        policy=SegmentPolicy(
            crs_kept=not any(step.startswith(_MOVED_STEP) for step in record.processing),
            geojson_exported="flood" in names,
        ),
        flooded=area_answer(record.flooded),
        water_separated=record.water_separated,
        warnings=record.warnings,
    )


def job_answer(job: Job, position: int | None, scene: ServedScene | None, note: str | None = None) -> JobAnswer:
    """Return the answer about a job.

    Args:
        job: The job.
        position: How many jobs are before it in the queue; None if it does not wait.
        scene: Its map when it is done and the map is still there.
        note: Why there is no map when it is done.
    """
    problem = None
    if job.failure is not None:
        problem = problem_detail(job.failure.code, job.failure.detail, job_path(job.id))
    return JobAnswer(
        id=job.id,
        state=job.state,
        scene_name=job.spec.scene_name,
        stage=job.stage,
        stage_text=None if job.stage is None else stage_text(job.stage),
        done=job.done,
        total=job.total,
        position=position,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        result=None if scene is None else segment_response(scene),
        note=note,
        problem=problem,
    )


def scene_summary(scene: ServedScene) -> SceneSummary:
    """Return a scene as it is in the list."""
    record = scene.record
    return SceneSummary(
        id=scene.id,
        scene_id=record.scene_id,
        origin=scene.origin,
        created_at=record.created_at,
        acquired_at=record.acquired_at,
        bounds=degree_bounds(record),
        caption=record.caption,
        flooded=area_answer(record.flooded),
        water_separated=record.water_separated,
        thumbnail=thumbnail_path(scene.id),
    )


def scene_answer(scene: ServedScene, layers: Iterable[LayerAnswer]) -> SceneAnswer:
    """Return all about a scene.

    Args:
        scene: The scene.
        layers: The layers that the page can show.
    """
    record, shown = scene.record, tuple(layers)
    return SceneAnswer(
        summary=scene_summary(scene),
        files={kind: file_path(scene.id, name) for kind, name in served_files(scene).items()},
        layers=shown,
        web_map=any(layer.tilejson is not None for layer in shown),
        shape=record.shape,
        crs=record.crs,
        provenance=provenance_answer(record),
        areas=_areas(record),
        shares=_shares(record),
        intervals=_intervals(record),
        warnings=record.warnings,
        record=file_path(scene.id, product_name(record.scene_id, "record")),
    )


def model_answer(model: ModelReference) -> ModelAnswer:
    """Return the answer about the model."""
    return ModelAnswer(name=model.name, version=model.version, sha256=model.sha256, source=model.source)


def _intervals(record: MapRecord) -> dict[str, AreaAnswer]:
    """Return the areas of water with their intervals, by what the water is, as on the report page."""
    found = {flooded_state(record.separation): record.flooded}
    if record.separation is not None:
        found |= {WATER_BEFORE: record.separation.other_water, "all water": record.separation.water}
    return {name: answer for name, area in found.items() if (answer := area_answer(area)) is not None}


def _areas(record: MapRecord) -> dict[str, float | None]:
    """Return the area of each state of a mask in km2, None where the record does not have it."""
    known: dict[str, float] = {}
    if record.separation is not None:
        known = record.separation.areas_km2
    elif record.flooded is not None:
        excluded = 0.0 if record.exclusion is None else record.exclusion.km2
        dry = max(record.observed_km2 - record.flooded.km2 - excluded, 0.0)
        known = {"dry": dry, "flooded": record.flooded.km2, "excluded": excluded}
    return {name: known.get(name) for name in MASK_LEGEND}


def _shares(record: MapRecord) -> tuple[StateShare, ...]:
    """Return the share of each state of a mask in all its pixels; a state without pixels only if the legend has it."""
    whole = sum(record.pixels.values())
    texts, possible = state_texts(record), legend_states(record)
    counted = {name: record.pixels.get(name, 0) for name in MASK_LEGEND}
    return tuple(
        StateShare(state=name, text=texts[MASK_LEGEND[name]], pixels=pixels, share=pixels / whole)
        for name, pixels in counted.items()
        if pixels or (whole and MASK_LEGEND[name] in possible)
    )
