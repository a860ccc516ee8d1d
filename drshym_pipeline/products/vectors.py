"""Flood polygons as GeoJSON.

RFC 7946 wants WGS84 longitudes and latitudes, outer rings counter-clockwise, and no polygon across the antimeridian.
Outlines follow the pixel edges of the mask: smoothing would claim a precision that the map does not have.

The mask is walked in strips. A polygon that reaches the lower edge of its strip waits for the next one and is joined
with what it touches there; all others are written at once, so that memory holds the polygons of one strip and those
that are not closed yet, whatever the size of the scene.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pyproj
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window as RasterWindow
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from drshym_pipeline.products.names import FLOODED
from drshym_pipeline.storage import TEMPORARY_PREFIX, atomic_path

_STRIP_ROWS = 1024
_DIGITS = 7  # of a degree: a centimetre
_HALF_TURN = 180.0
_Polygons = NDArray[np.object_]


def _outlines(flooded: NDArray[np.uint8], row: int) -> _Polygons:
    """Polygons of the flooded pixels of a strip, in pixels of the scene: (n,) with x the column and y the row."""
    place = rasterio.Affine.translation(0, row)
    # The strip as its own mask leaves out the dry pixels, whose outlines would dwarf the flood's.
    found = rasterio.features.shapes(flooded, mask=flooded.view(bool), connectivity=4, transform=place)
    rings: list[NDArray[np.float64]] = []
    ring_of: list[int] = []
    count = 0
    for geometry, _ in found:
        for ring in geometry["coordinates"]:
            rings.append(np.asarray(ring, np.float64))
            ring_of.append(count)
        count += 1
    if not count:
        return np.empty(0, object)
    lengths = np.array([len(ring) for ring in rings])
    lines = shapely.linearrings(np.concatenate(rings), indices=np.repeat(np.arange(len(rings)), lengths))
    polygons: _Polygons = shapely.polygons(lines, indices=np.array(ring_of))
    return polygons


def _joined(waiting: _Polygons, fresh: _Polygons, seam: int) -> _Polygons:
    """Polygons of two neighbouring strips with those united that share an edge on the seam; the others unchanged."""
    if not len(waiting) or not len(fresh):
        return np.concatenate([waiting, fresh])
    touching = np.flatnonzero(shapely.bounds(fresh)[:, 1] == seam)
    tree = shapely.STRtree(fresh[touching])
    upper, lower = tree.query(waiting, predicate="intersects")
    # Two that meet at a corner only stay apart, as they do within a strip.
    lengths = shapely.length(shapely.intersection(waiting[upper], fresh[touching][lower]))
    upper, lower = upper[lengths > 0], touching[lower[lengths > 0]] + len(waiting)
    everything = np.concatenate([waiting, fresh])
    links = coo_array((np.ones(len(upper), bool), (upper, lower)), shape=(len(everything), len(everything)))
    groups, group_of = connected_components(links, directed=False)
    sizes = np.bincount(group_of, minlength=groups)
    alone = everything[sizes[group_of] == 1]
    members = np.flatnonzero(sizes[group_of] > 1)
    order = members[np.argsort(group_of[members], kind="stable")]
    parts = np.split(everything[order], np.flatnonzero(np.diff(group_of[order])) + 1) if len(order) else []
    return np.concatenate([alone, np.array([shapely.union_all(part) for part in parts], object)])


def flood_polygons(mask: Any, strip_rows: int = _STRIP_ROWS) -> Iterator[_Polygons]:
    """The flooded areas of a mask, strip by strip.

    Args:
        mask: rasterio's reader of the mask raster.
        strip_rows: Rows that are looked at together.

    Yields:
        (n,) polygons in pixels: x the column, y the row. Each flooded area comes once and whole, however many strips
        it crosses.
    """
    waiting: _Polygons = np.empty(0, object)
    for row in range(0, mask.height, strip_rows):
        rows = min(strip_rows, mask.height - row)
        flooded = (mask.read(1, window=RasterWindow(0, row, mask.width, rows)) == FLOODED).astype(np.uint8)
        polygons = _joined(waiting, _outlines(flooded, row), row)
        if row + rows < mask.height and len(polygons):
            open_below = shapely.bounds(polygons)[:, 3] == row + rows
            waiting, polygons = polygons[open_below], polygons[~open_below]
        # Seams leave points in the middle of straight edges; with a tolerance of 0 nothing else is dropped.
        yield shapely.simplify(polygons, 0.0, preserve_topology=False)


def _on_the_map(polygons: _Polygons, transform: Any) -> _Polygons:
    """Polygons in pixels as polygons in the CRS of the mask."""
    a, b, c, d, e, f = tuple(transform)[:6]

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = points[:, 0], points[:, 1]
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)

    placed: _Polygons = shapely.transform(polygons, place)
    return placed


def _geometries(polygons: _Polygons, crs: str, scratch: Path) -> Sequence[str]:
    """Polygons of a CRS as GeoJSON geometries in the order they come in."""
    to_degrees = _to_degrees(crs)

    def degrees(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(to_degrees.transform(points[:, 0], points[:, 1]), axis=1).round(_DIGITS)

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
    )
    features = sorted(json.loads(scratch.read_text("utf-8"))["features"], key=lambda item: item["properties"]["place"])
    scratch.unlink()
    return [json.dumps(feature["geometry"]) for feature in features]


@lru_cache(maxsize=8)
def _to_degrees(crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def write_flood_polygons(mask: Path, crs: str, out: Path, provenance: Mapping[str, str | float]) -> int:
    """Write the flooded areas of a mask as polygons, each with its number of pixels.

    A polygon has no area in km2: an area needs an interval, and errors are known for whole maps only.

    Args:
        mask: The mask raster (values of `names.MASK_LEGEND`).
        crs: Its coordinate reference system.
        out: The GeoJSON file; an empty collection when nothing is flooded.
        provenance: What every polygon says about where it comes from, by property.

    Returns:
        Number of polygons.
    """
    count = 0
    shared = json.dumps(dict(provenance), ensure_ascii=False)[1:]
    with (
        rasterio.open(mask) as source,
        tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=out.parent) as folder,
        atomic_path(out) as temporary,
        temporary.open("w", encoding="utf-8") as target,
    ):
        target.write('{\n"type": "FeatureCollection",\n"features": [')
        for polygons in flood_polygons(source):
            if not len(polygons):
                continue
            placed = _on_the_map(polygons, source.transform)
            areas = np.rint(shapely.area(polygons)).astype(np.int64)
            for pixels, geometry in zip(areas, _geometries(placed, crs, Path(folder) / "cut.geojson"), strict=True):
                target.write(
                    f'{"," if count else ""}\n{{"type": "Feature", "properties": {{"pixels": {pixels}, {shared}, '
                    f'"geometry": {geometry}}}'
                )
                count += 1
        target.write("\n]\n}\n")
    return count
