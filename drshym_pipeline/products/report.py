"""The map record and the report page of one scene.

The page is one HTML file that needs no other file: it contains the overlay. Jinja2 escapes every text on it, because
names and tags come from files that others have written. The figures are computed in `map_statistics`.
"""

from __future__ import annotations

import base64
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from drshym_pipeline.change import FLOOD_METHOD, flood_threshold
from drshym_pipeline.products.caption import area_text, uncompared_text
from drshym_pipeline.products.connected import CONNECTIVITY
from drshym_pipeline.products.exclusion_texts import exclusion_provenance, exclusion_text
from drshym_pipeline.products.rasters import LICENCE_NOTE
from drshym_pipeline.products.reference_texts import reference_provenance, reference_text
from drshym_pipeline.progress import Progress
from drshym_pipeline.records import (
    FloodSeparation,
    MapRecord,
    Modality,
    PolygonCounts,
    PredictionSummary,
    SceneMeta,
    SliceRow,
    StitchSummary,
    counted,
    no_area_text,
    threshold_text,
)
from drshym_pipeline.references.reference import ReferenceIdentity
from drshym_pipeline.sar.named_times import day_or_time
from drshym_pipeline.scene_folder import PRODUCT_KINDS, product_name
from drshym_pipeline.states import WATER_BEFORE, flooded_state
from drshym_pipeline.storage import sha256_json, write_text
from drshym_pipeline.version import software_versions

REPORT_STAGE: Final = "scene_reports"
# Raised when the same scene and prediction would give other files: a map of an earlier number is made again.
MAP_FORMAT: Final = 2
_VERSION_DIGITS: Final = 12
# The libraries that decide the content of a map.
_LIBRARIES = ("torch", "segmentation-models-pytorch", "rasterio", "numpy", "zarr")


def map_version(
    meta: SceneMeta,
    prediction_key: str,
    summary: PredictionSummary,
    *,
    min_area_ha: float = 0.0,
    reference: ReferenceIdentity | None = None,
    exclusion: Mapping[str, Any] | None = None,
) -> str:
    """Return the version of the map that follows from a prediction: 12 hexadecimal digits.

    It covers the scene's version (its bytes and how they are read), the model, the arithmetic and the grid, the form of
    the products and their options, and everything that the probability of water before and the exclusion come from.

    Args:
        meta: The scene.
        prediction_key: Covers model, calibration, grid and arithmetic.
        summary: What the prediction did.
        min_area_ha: The smallest water area of the map, in hectares; 0 when all areas are shown.
        reference: The probability of water before, made or planned, where flood is separated from it.
        exclusion: What decides what the terrain excludes, where terrain is used.
    """
    identity: dict[str, Any] = {
        "format": MAP_FORMAT,
        "scene": meta.version,
        "prediction": prediction_key,
        "model": summary.reference.sha256,
        "threshold": summary.calibration.threshold,
    }
    if min_area_ha:  # without the option a map keeps the version that earlier releases gave it
        identity["min_area_ha"] = min_area_ha
        identity["connectivity"] = CONNECTIVITY
    if reference is not None:
        rule = {"method": FLOOD_METHOD, "threshold": flood_threshold(summary.calibration.threshold)}
        identity |= {name: {**source, **rule} for name, source in reference.identity.items()}
    if exclusion:
        identity["exclusion"] = exclusion
    return sha256_json(identity)[:_VERSION_DIGITS]


def map_record(meta: SceneMeta, summary: StitchSummary, map_version: str) -> MapRecord:
    """Return the record of a finished map."""
    modality: Modality = "sentinel1_sar_vv_vh" if summary.mode == "vv_vh" else "sentinel1_sar_vv"
    return MapRecord(
        scene_id=meta.scene_id,
        scene_version=meta.version,
        map_version=map_version,
        source_uris=meta.source_uris,
        source_sha256=meta.sha256,
        crs=meta.map_grid.crs,
        transform=meta.map_grid.transform,
        shape=meta.map_grid.shape,
        modality=modality,
        acquired_at=meta.acquired_at,
        model=summary.reference,
        calibration=summary.calibration,
        tile=summary.tile,
        overlap=summary.overlap,
        precision=summary.precision,
        flooded=summary.flooded,
        observed_km2=summary.observed_km2,
        observed_fraction=summary.observed_fraction,
        pixels=summary.pixels,
        water_separated=summary.water_separated,
        polygons=summary.polygon_counts,
        pixel_spacing=summary.pixel_spacing,
        minimum_area=summary.minimum_area,
        novelty=summary.novelty,
        mapped_surfaces=summary.mapped_surfaces,
        separation=summary.separation,
        exclusion=summary.exclusion,
        model_threshold=summary.model_threshold,
        caption=summary.caption,
        files=summary.files,
        processing=meta.processing,
        warnings=summary.warnings,
        software={**software_versions(*_LIBRARIES), "python": platform.python_version()},
        seconds=summary.seconds,
    )


def _share(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.1%}".replace("%", " %")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("drshym_pipeline.products"),
        autoescape=True,
        undefined=StrictUndefined,  # by default a missing name would leave a gap on the page
        keep_trailing_newline=True,
    )
    return environment.get_template("report_page.html")


def _slice_rows(slices: Iterable[SliceRow]) -> list[tuple[str, ...]]:
    return [
        (
            row.label,
            f"{row.pixels:,}",
            f"{row.flooded_pixels:,}",
            _share(row.flooded_share),
            "-" if row.mean_probability is None else f"{row.mean_probability:.2f}",
        )
        for row in slices
    ]


def _figures(record: MapRecord) -> list[tuple[str, str]]:
    uncompared = uncompared_text(record.separation)
    flooded = no_area_text(record.exclusion)
    if record.flooded is not None:
        flooded = f"{record.flooded.text()}{uncompared}"
    method = [] if record.flooded is None else [("interval from", record.flooded.method)]
    water = flooded_state(record.separation)
    names = {name: name.replace("_", " ") for name in record.pixels} | {"flooded": water, "permanent": WATER_BEFORE}
    return [
        (water, flooded),
        *method,
        *([] if record.separation is None else _separated(record, record.separation)),
        *([] if record.exclusion is None else [("excluded because of the terrain", exclusion_text(record.exclusion))]),
        ("observed area", f"{area_text(record.observed_km2)} ({_share(record.observed_fraction)} of the scene)"),
        ("threshold", threshold_text(record.calibration.threshold, record.model_threshold)),
        ("pixels", "; ".join(f"{names[name]}: {count:,}" for name, count in record.pixels.items() if count)),
        *([] if record.minimum_area is None else [("minimum area", record.minimum_area.text())]),
        *([] if record.mapped_surfaces is None else [("mapped water", record.mapped_surfaces.text())]),
        *([] if record.novelty is None else [("unlike the training chips", record.novelty.text())]),
        *([] if record.polygons is None else [("polygons", _polygons(record.polygons))]),
    ]


def _separated(record: MapRecord, separation: FloodSeparation) -> list[tuple[str, str]]:
    areas = ((WATER_BEFORE, separation.other_water), ("all water", separation.water))
    return [
        *((name, area.text()) for name, area in areas if area is not None),
        *([] if separation.water is None else [("interval of all water from", separation.water.method)]),
        ("compared with", reference_text(separation, record)),
        ("probability of flood", f"{separation.method}, threshold {separation.threshold:g}"),
        ("flooded class without a comparison", counted(separation.water_unseparated, "pixel")),
    ]


def _polygons(counts: PolygonCounts) -> str:
    if not counts.omitted:
        return f"{counts.count:,}"
    verb = "is" if counts.omitted == 1 else "are"
    return (
        f"{counts.count:,}; {counted(counts.omitted, 'area')} of fewer than {counts.fewest_pixels} pixels "
        f"({counted(counts.omitted_pixels, 'pixel')} together) {verb} in the mask only"
    )


def _provenance(record: MapRecord) -> list[tuple[str, str]]:
    return [
        ("source", " ".join(record.source_uris)),
        ("source SHA-256", record.source_sha256),
        *([] if record.separation is None else reference_provenance(record.separation)),
        *([] if record.exclusion is None else exclusion_provenance(record.exclusion)),
        (
            "acquired",
            day_or_time(record.acquired_at, "%Y-%m-%d", " %H:%M:%S UTC") if record.acquired_at else "not known",
        ),
        ("grid", f"{record.shape[0]} x {record.shape[1]} pixels (rows x columns), {record.crs[:80]}"),
        *([] if record.pixel_spacing is None else [("pixels", record.pixel_spacing.text())]),
        ("processing", ", ".join(record.processing) or "none"),
        ("model", f"{record.model.label} ({record.model.source})"),
        ("model SHA-256", record.model.sha256),
        ("bands", record.modality),
        ("calibration", record.calibration.text()),
        ("tiles", f"{record.tile} pixels, overlap {record.overlap}, {record.precision}"),
        ("software", ", ".join(f"{name} {number}" for name, number in record.software.items())),
        ("seconds", ", ".join(f"{name} {value:.1f}" for name, value in record.seconds.items())),
        ("made", f"{record.created_at:%Y-%m-%d %H:%M:%S} UTC"),
    ]


def write_page(record: MapRecord, slices: Iterable[SliceRow], overlay: Path, out: Path) -> None:
    """Write the report page.

    Args:
        record: The finished map.
        slices: Flooded pixels and mean probability, one row per class of VV backscatter.
        overlay: The PNG that the page contains.
        out: The HTML file to write.
    """
    water = f"water in blue ({flooded_state(record.separation)}) and {WATER_BEFORE}"
    shown = f"{water} in light green" if record.water_separated else "open water in blue"
    page = _template().render(
        scene=record.scene_id,
        caption=record.caption,
        picture=base64.b64encode(overlay.read_bytes()).decode("ascii"),
        figures=_figures(record),
        water="flooded class" if record.water_separated else "open water",
        counted="Flooded class" if record.water_separated else "Mapped water",
        shown=shown if record.exclusion is None else f"{shown}, and ground excluded because of the terrain in brown",
        warnings=record.warnings,
        slices=_slice_rows(slices),
        provenance=_provenance(record),
        files=record.files.items(),
        licence=LICENCE_NOTE,
    )
    write_text(out, page)


def write_report(
    meta: SceneMeta, summary: StitchSummary, version: str, products: Path, progress: Progress
) -> MapRecord:
    """Write the page and the record of a drawn map beside its other products.

    Args:
        meta: The scene.
        summary: What was drawn.
        version: Version of the map.
        products: The folder of the other products.
        progress: Called at the start and the end.
    """
    progress(REPORT_STAGE, 0, 1)
    there = {*summary.files, "report", "record"}
    names = {kind: product_name(meta.scene_id, kind) for kind in PRODUCT_KINDS if kind in there}
    record = map_record(meta, summary.model_copy(update={"files": names}), version)
    write_page(record, summary.slices, products / names["overlay"], products / names["report"])
    write_text(products / names["record"], record.model_dump_json(indent=2) + "\n")
    progress(REPORT_STAGE, 1, 1)
    return record
