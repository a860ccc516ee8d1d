"""Flood polygons as GeoJSON.

RFC 7946 wants WGS84 longitudes and latitudes, outer rings counter-clockwise, and no polygon across the antimeridian.
Outlines follow the pixel edges of the mask: smoothing would claim a precision that the map does not have.

The mask is walked in strips. An area that reaches the lower edge of its strip waits, in parts, until the strip in which
it ends and is united there once; all others are written at once. So memory holds the polygons of one strip and those
that are not whole yet, whatever the size of the scene. An area with more corners than any outline can be worked with
does not wait: what there is of it is written, cut at the seam.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window as RasterWindow
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from drshym_pipeline.products.names import FLOODED
from drshym_pipeline.sar.georeference import to_degrees
from drshym_pipeline.storage import atomic_path, temporary_directory

_STRIP_PIXELS = 1 << 21  # a wide scene and a narrow one take the same memory, and a small one has no seam at all
MOST_CORNERS = 50_000  # of an area that waits for its end: one that runs through a whole scene would fill the memory
_DIGITS = 7  # of a degree: a centimetre
_HALF_TURN = 180.0
_Polygons = NDArray[np.object_]


def _outlines(labels: NDArray[np.int32], count: int, row: int) -> _Polygons:
    """The polygon of every region of a strip, in pixels of the scene: (count,) with x the column and y the row."""
    place = rasterio.Affine.translation(0, row)
    # The strip as its own mask leaves out the dry pixels, whose outlines would dwarf the flood's.
    found = rasterio.features.shapes(labels, mask=labels > 0, connectivity=4, transform=place)
    rings: list[NDArray[np.float64]] = []
    region_of: list[int] = []
    for geometry, label in found:
        for ring in geometry["coordinates"]:
            rings.append(np.asarray(ring, np.float64))
            region_of.append(int(label) - 1)
    if not count:
        return np.empty(0, object)
    # Rings of a region come together, its outer one first, but regions not in their order.
    order = np.argsort(region_of, kind="stable")
    rings = [rings[index] for index in order]
    lengths = np.array([len(ring) for ring in rings])
    lines = shapely.linearrings(np.concatenate(rings), indices=np.repeat(np.arange(len(rings)), lengths))
    polygons: _Polygons = shapely.polygons(lines, indices=np.sort(region_of))
    return polygons


class _Seams:
    """Flooded areas that reach the lower edge of what was seen so far, in parts, and which pixel there is whose."""

    def __init__(self, width: int) -> None:
        self._parts: list[list[Any]] = []
        # Which of them have been written in part already: what is left of those is written as it comes.
        self._cut: list[bool] = []
        # The number of the open area of every pixel of the last row, counted from 1; 0 where it is dry.
        self._last = np.zeros(width, np.int64)

    def take(self, labels: NDArray[np.int32], polygons: _Polygons, *, is_last: bool) -> _Polygons:
        """Add a strip and answer with the areas that are whole now.

        Pixels that share an edge across the seam belong together; a corner is no edge, as within a strip.
        """
        known, fresh = len(self._parts), len(polygons)
        both = (self._last > 0) & (labels[0] > 0)
        upper, lower = self._last[both] - 1, labels[0][both].astype(np.int64) - 1 + known
        links = coo_array((np.ones(len(upper), bool), (upper, lower)), shape=(known + fresh, known + fresh))
        count, area_of = connected_components(links, directed=False)
        last = np.zeros_like(self._last) if is_last else labels[-1].astype(np.int64)
        is_open = np.zeros(count, bool)
        is_open[area_of[last[last > 0] - 1 + known]] = True
        members = np.bincount(area_of, minlength=count)
        # Most areas lie in one strip: they go by without a look at each.
        plain = (members[area_of[known:]] == 1) & ~is_open[area_of[known:]]
        parts: dict[int, list[Any]] = {}
        for number, gathered in enumerate(self._parts):
            parts.setdefault(int(area_of[number]), []).extend(gathered)
        for index in np.flatnonzero(~plain).tolist():
            parts.setdefault(int(area_of[known + index]), []).append(polygons[index])
        is_cut = {int(area_of[number]) for number, cut in enumerate(self._cut) if cut}
        is_cut |= {area for area, gathered in parts.items() if _corners(gathered) > MOST_CORNERS}
        opened = [area for area in parts if is_open[area]]
        whole: list[Any] = []
        for area, gathered in parts.items():
            if area in is_cut:
                whole.extend(gathered)
                gathered.clear()
            elif not is_open[area]:
                whole.append(_united(gathered))
        self._parts = [parts[area] for area in opened]
        self._cut = [area in is_cut for area in opened]
        renumbered = np.zeros(count, np.int64)
        renumbered[opened] = np.arange(1, len(opened) + 1)
        self._last = np.where(last > 0, renumbered[area_of[np.maximum(last - 1, 0) + known]], 0) if fresh else last
        return np.concatenate([polygons[plain], np.array(whole, object)])


def _without_needless_points(ring: Any) -> NDArray[np.float64]:
    """The corners of a ring whose edges follow the axes: (n, 2), the first again at the end.

    A seam leaves points in the middle of straight edges. Here they are those whose neighbours have the same x or y; a
    simplification that knows nothing of axes takes as long as all the rest.
    """
    points = shapely.get_coordinates(ring)[:-1]
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    corners = points[~((points == before) & (points == after)).any(axis=1)]
    return np.concatenate([corners, corners[:1]])


def _corners(parts: Sequence[Any]) -> int:
    return int(shapely.get_num_coordinates(parts).sum()) if parts else 0


def _united(parts: Sequence[Any]) -> Any:
    """One polygon of the parts of an area, without the points that the seams left."""
    if len(parts) == 1:
        return parts[0]
    outer, *holes = (_without_needless_points(ring) for ring in shapely.get_rings(shapely.union_all(parts)))
    return shapely.Polygon(outer, holes)


def flood_polygons(mask: Any, strip_rows: int | None = None) -> Iterator[_Polygons]:
    """The flooded areas of a mask, strip by strip.

    Args:
        mask: rasterio's reader of the mask raster.
        strip_rows: Rows that are looked at together; as many as make some million pixels when None.

    Yields:
        (n,) polygons in pixels: x the column, y the row. Each flooded area comes once and whole, however many strips
        it crosses; one of more than `MOST_CORNERS` in pieces that do not overlap.
    """
    strip_rows = strip_rows or max(1, _STRIP_PIXELS // mask.width)
    seams = _Seams(mask.width)
    for row in range(0, mask.height, strip_rows):
        rows = min(strip_rows, mask.height - row)
        flooded = mask.read(1, window=RasterWindow(0, row, mask.width, rows)) == FLOODED
        labels = np.empty(flooded.shape, np.int32)
        count = ndimage.label(flooded, output=labels)
        yield seams.take(labels, _outlines(labels, count, row), is_last=row + rows == mask.height)


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
    )
    features = sorted(json.loads(scratch.read_text("utf-8"))["features"], key=lambda item: item["properties"]["place"])
    scratch.unlink()
    return [json.dumps(feature["geometry"]) for feature in features]


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
        temporary_directory(out.parent) as folder,
        atomic_path(out) as temporary,
        temporary.open("w", encoding="utf-8") as target,
    ):
        target.write('{\n"type": "FeatureCollection",\n"features": [')
        for polygons in flood_polygons(source):
            if not len(polygons):
                continue
            placed = _on_the_map(polygons, source.transform)
            areas = np.rint(shapely.area(polygons)).astype(np.int64)
            for pixels, geometry in zip(areas, _geometries(placed, crs, folder / "cut.geojson"), strict=True):
                target.write(
                    f'{"," if count else ""}\n{{"type": "Feature", "properties": {{"pixels": {pixels}, {shared}, '
                    f'"geometry": {geometry}}}'
                )
                count += 1
        target.write("\n]\n}\n")
    return count
