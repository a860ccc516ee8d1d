"""The map record and the report page of one scene.

The page is one HTML file that needs nothing else: the overlay is inside it. Everything shown is escaped, because names
and tags come from files of strangers. Figures are computed in `summary`.
"""

from __future__ import annotations

import base64
import platform
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from drshym_pipeline.products.caption import area_text
from drshym_pipeline.products.mask_values import water_state
from drshym_pipeline.products.rasters import LICENCE_NOTE
from drshym_pipeline.records import MapRecord, Modality, PolygonCounts, SceneMeta, SliceRow, StitchSummary
from drshym_pipeline.storage import write_text
from drshym_pipeline.version import software_versions

# What takes part in a map.
_LIBRARIES = ("torch", "segmentation-models-pytorch", "rasterio", "numpy", "zarr")


def map_record(meta: SceneMeta, summary: StitchSummary, map_version: str) -> MapRecord:
    """Make the record of a finished map."""
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
        water_separated=False,
        polygons=summary.polygon_counts,
        caption=summary.caption,
        files=summary.files,
        processing=meta.processing,
        warnings=summary.warnings,
        software={**software_versions(*_LIBRARIES), "python": platform.python_version()},
        seconds=summary.seconds,
    )


def _share(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.1%}".replace("%", " %")


def _rows(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in pairs)


def _slice_rows(slices: Iterable[SliceRow]) -> str:
    cells = (
        (
            row.label,
            f"{row.pixels:,}",
            f"{row.flooded_pixels:,}",
            _share(row.flooded_share),
            "-" if row.mean_probability is None else f"{row.mean_probability:.2f}",
        )
        for row in slices
    )
    return "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)


def _figures(record: MapRecord) -> list[tuple[str, str]]:
    flooded = "nothing was observed" if record.flooded is None else record.flooded.text()
    method = [] if record.flooded is None else [("interval from", record.flooded.method)]
    water = water_state(water_separated=record.water_separated)
    names = {name: water if name == "flooded" else name.replace("_", " ") for name in record.pixels}
    return [
        (water, flooded),
        *method,
        ("observed area", f"{area_text(record.observed_km2)} ({_share(record.observed_fraction)} of the scene)"),
        ("threshold", f"{record.calibration.threshold:g}"),
        ("pixels", "; ".join(f"{names[name]}: {count:,}" for name, count in record.pixels.items() if count)),
        *([] if record.polygons is None else [("polygons", _polygons(record.polygons))]),
    ]


def _polygons(counts: PolygonCounts) -> str:
    if not counts.omitted:
        return f"{counts.count:,}"
    return (
        f"{counts.count:,}; {counts.omitted:,} areas of fewer than {counts.fewest_pixels} pixels "
        f"({counts.omitted_pixels:,} pixels together) are in the mask only"
    )


def _provenance(record: MapRecord) -> list[tuple[str, str]]:
    return [
        ("source", " ".join(record.source_uris)),
        ("source SHA-256", record.source_sha256),
        ("acquired", f"{record.acquired_at:%Y-%m-%d %H:%M:%S} UTC" if record.acquired_at else "not known"),
        ("grid", f"{record.shape[0]} x {record.shape[1]} pixels (rows x columns), {record.crs[:80]}"),
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
        slices: Flood and probability by VV class.
        overlay: The PNG to embed.
        out: The HTML file.
    """
    template = Template(files("drshym_pipeline.products").joinpath("report_page.html").read_text("utf-8"))
    page = template.substitute(
        scene=escape(record.scene_id),
        caption=escape(record.caption),
        picture=base64.b64encode(overlay.read_bytes()).decode("ascii"),
        figures=_rows(_figures(record)),
        water=escape("flooded" if record.water_separated else "open water"),
        warnings="".join(f"<li>{escape(warning)}</li>" for warning in record.warnings),
        slices=_slice_rows(slices),
        provenance=_rows(_provenance(record)),
        files=_rows(record.files.items()),
        licence=escape(LICENCE_NOTE),
    )
    write_text(out, page)
