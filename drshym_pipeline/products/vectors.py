"""Flooded areas as GeoJSON, one feature per area.

RFC 7946 requires WGS84 longitudes and latitudes, outer rings counter-clockwise, and no polygon across the antimeridian.
`regions` finds the areas; this module adds coordinates and properties. Each area is written as soon as it is found, so
memory does not grow with the scene.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray

from drshym_pipeline.probabilities import PROBABILITY_STEPS
from drshym_pipeline.products.antimeridian import cut_at_antimeridian
from drshym_pipeline.products.regions import Omitted, Polygons, Regions, flood_regions
from drshym_pipeline.records import PolygonCounts
from drshym_pipeline.sar.georeference import to_degrees
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.storage import atomic_path

# A ground-range product of 10 m pixels resolves about 20 m x 22 m, which is 4.4 pixels: the outline of a smaller area
# is not really observed. The mask contains these areas too.
FEWEST_PIXELS: Final = 5
AREA_NOTE: Final = (
    "The area of a polygon is the sum of its pixels on the WGS84 ellipsoid. It has no interval of its own: errors are "
    "known for whole maps only."
)
_DIGITS = 7  # of a degree: a centimetre


def _to_map(polygons: Polygons, transform: Affine) -> Polygons:
    """Return polygons in pixels as polygons in the CRS of the mask."""
    placed: Polygons = shapely.transform(polygons, lambda points: np.stack(transform @ points.T, axis=1))
    return placed


def _geometries(polygons: Polygons, crs: str) -> Sequence[str]:
    """Return polygons of a CRS as GeoJSON geometries, in the same order."""

    def degrees(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(to_degrees(crs).transform(points[:, 0], points[:, 1]), axis=1).round(_DIGITS)

    placed = cut_at_antimeridian(shapely.transform(polygons, degrees), _DIGITS)
    return list(shapely.to_geojson(placed))


def _features(regions: Regions, geometries: Sequence[str], shared: str) -> Iterator[str]:
    """Yield areas as JSON features; `shared` is the JSON of the properties that all have, with a leading comma."""
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
    areas: PixelAreas,
    properties: Mapping[str, Any],
    about: Mapping[str, Any],
    fewest_pixels: int = FEWEST_PIXELS,
) -> PolygonCounts:
    """Write the flooded areas of a mask as polygons.

    Every polygon has its area in km2, its mean probability of water and its number of pixels. Areas of fewer than
    `fewest_pixels` pixels are left out; `metadata` in the file gives their number and total size. The polygons and the
    areas that are left out add up to the flooded area of the mask.

    Args:
        mask: The mask raster (values of `states.MASK_LEGEND`).
        probability: The raster of stored probabilities, on the same grid.
        out: The GeoJSON file; it contains an empty collection when nothing is flooded.
        crs: The coordinate reference system of the rasters.
        areas: The areas of the pixels of the rasters.
        properties: The properties that all polygons share.
        about: The entries about the whole map, for `metadata`.
        fewest_pixels: The number of pixels of the smallest area that is written.

    Returns:
        The number and size of the written polygons and of the areas left out.
    """
    count, km2, omitted = 0, 0.0, Omitted()
    shared = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in properties.items())
    with (
        rasterio.open(mask) as source,
        rasterio.open(probability) as stored,
        atomic_path(out) as temporary,
        temporary.open("w", encoding="utf-8") as target,
    ):
        target.write('{\n"type": "FeatureCollection",\n"features": [')
        for regions in flood_regions(source, stored, areas, fewest_pixels=fewest_pixels):
            omitted += regions.omitted
            if not len(regions):
                continue
            placed = _to_map(regions.polygons, source.transform)
            for feature in _features(regions, _geometries(placed, crs), shared):
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
    """Return the member `metadata` of the file."""
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
