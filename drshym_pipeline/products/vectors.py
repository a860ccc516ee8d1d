"""Flooded areas as GeoJSON, one feature per area.

RFC 7946 wants WGS84 longitudes and latitudes, outer rings counter-clockwise, and no polygon across the antimeridian.
Which areas there are is found in `regions`; here they get their coordinates and properties. The file is written while
the areas come, so that memory does not grow with the scene.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyogrio.raw
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray

from drshym_pipeline.probabilities import PROBABILITY_STEPS
from drshym_pipeline.products.regions import Omitted, Polygons, Regions, flood_regions
from drshym_pipeline.records import PolygonCounts
from drshym_pipeline.sar.georeference import to_degrees
from drshym_pipeline.storage import atomic_path, temporary_directory

# A ground-range product of 10 m pixels resolves about 20 m x 22 m, which is 4.4 pixels: what is smaller is not an
# observed outline. The mask keeps it.
FEWEST_PIXELS: Final = 5
AREA_NOTE: Final = (
    "The area of a polygon is the sum of its pixels on the WGS84 ellipsoid. It has no interval of its own: errors are "
    "known for whole maps only."
)
_DIGITS = 7  # of a degree: a centimetre
_HALF_TURN = 180.0


def _on_the_map(polygons: Polygons, transform: Affine) -> Polygons:
    """Return polygons in pixels as polygons in the CRS of the mask."""
    placed: Polygons = shapely.transform(polygons, lambda points: np.stack(transform @ points.T, axis=1))
    return placed


def _geometries(polygons: Polygons, crs: str, scratch: Path) -> Sequence[str]:
    """Polygons of a CRS as GeoJSON geometries in the order they come in."""

    def degrees(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(to_degrees(crs).transform(points[:, 0], points[:, 1]), axis=1).round(_DIGITS)

    found = shapely.transform(polygons, degrees)
    bounds = shapely.bounds(found)
    if float((bounds[:, 2] - bounds[:, 0]).max()) <= _HALF_TURN:
        return list(shapely.to_geojson(shapely.orient_polygons(found)))
    # One of them crosses the antimeridian, where longitudes jump: GDAL cuts it in two.
    pyogrio.raw.write(
        scratch,
        geometry=shapely.to_wkb(polygons),
        field_data=[np.arange(len(polygons))],
        fields=np.array(["place"]),
        layer=scratch.stem,
        geometry_type="Polygon",
        crs=crs,
        driver="GeoJSON",
        RFC7946="YES",
        COORDINATE_PRECISION=str(_DIGITS),
    )
    features = sorted(json.loads(scratch.read_text("utf-8"))["features"], key=lambda item: item["properties"]["place"])
    scratch.unlink()
    return [json.dumps(feature["geometry"]) for feature in features]


def _features(regions: Regions, geometries: Sequence[str], shared: str) -> Iterator[str]:
    """The features of some areas as JSON; `shared` is the JSON of the properties all have, with a leading comma."""
    means = regions.mean_steps / PROBABILITY_STEPS
    for km2, mean, pixels, geometry in zip(
        regions.km2.tolist(), means.tolist(), regions.pixels.tolist(), geometries, strict=True
    ):
        yield (
            f'{{"type": "Feature", "properties": {{"area_km2": {km2:.6f}, "mean_probability": {mean:.4f}, '
            f'"pixels": {pixels}{shared}}}, "geometry": {geometry}}}'
        )


def write_flood_polygons(
    mask: Path,
    probability: Path,
    out: Path,
    *,
    crs: str,
    row_area_km2: NDArray[np.float64],
    properties: Mapping[str, Any],
    about: Mapping[str, Any],
    fewest_pixels: int = FEWEST_PIXELS,
) -> PolygonCounts:
    """Write the flooded areas of a mask as polygons.

    Every polygon has its area in km2, its mean probability of water and its number of pixels. Areas of fewer than
    `fewest_pixels` are left out; the member `metadata` of the file says how many, and how large they are together, so
    that the polygons and what was left out add up to the flooded area of the mask.

    Args:
        mask: The mask raster (values of `mask_values.MASK_LEGEND`).
        probability: The stored probabilities, on the same grid.
        out: The GeoJSON file; an empty collection when nothing is flooded.
        crs: Coordinate reference system of the rasters.
        row_area_km2: (height,) area of one pixel of each row, in km2.
        properties: What all polygons say, by property.
        about: What the file says about the whole map, in `metadata`.
        fewest_pixels: Pixels of the smallest area that is written.

    Returns:
        What was written and what was left out.
    """
    count, km2, omitted = 0, 0.0, Omitted()
    shared = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in properties.items())
    with (
        rasterio.open(mask) as source,
        rasterio.open(probability) as stored,
        temporary_directory(out.parent) as folder,
        atomic_path(out) as temporary,
        temporary.open("w", encoding="utf-8") as target,
    ):
        target.write('{\n"type": "FeatureCollection",\n"features": [')
        for regions in flood_regions(source, stored, row_area_km2, fewest_pixels=fewest_pixels):
            omitted += regions.omitted
            if not len(regions):
                continue
            placed = _on_the_map(regions.polygons, source.transform)
            for feature in _features(regions, _geometries(placed, crs, folder / "cut.geojson"), shared):
                target.write(f"{',' if count else ''}\n{feature}")
                count += 1
            km2 += float(regions.km2.sum())
        counts = PolygonCounts(
            count=count,
            km2=km2,
            fewest_pixels=fewest_pixels,
            omitted=omitted.count,
            omitted_pixels=omitted.pixels,
            omitted_km2=omitted.km2,
        )
        target.write(f'\n],\n"metadata": {json.dumps(_metadata(counts, about))}\n}}\n')
    return counts


def _metadata(counts: PolygonCounts, about: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says about itself, beside its features."""
    return {
        **about,
        "polygons": counts.count,
        "polygons_km2": round(counts.km2, 6),
        "left_out": {
            "rule": f"Areas of fewer than {counts.fewest_pixels} pixels are in the mask only.",
            "areas": counts.omitted,
            "pixels": counts.omitted_pixels,
            "km2": round(counts.omitted_km2, 6),
        },
        "area_note": AREA_NOTE,
    }
