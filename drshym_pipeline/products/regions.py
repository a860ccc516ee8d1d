"""The flooded areas of a mask: their outlines in pixels, their size and the probability of their water.

Outlines follow the pixel edges of the mask, because smoothing would suggest a precision that the map does not have.
`vectors` decides in which coordinates an area is written, and with which properties.

The mask is read in strips of rows. The edge between two strips is called a seam. An area that reaches the lower edge of
its strip is kept, as parts, until the strip in which it ends; there its parts are united once. All other areas are
finished in their own strip. The memory contains only the areas of one strip and the unfinished ones, for a scene of any
size. An area with too many corners is not kept: it is returned in pieces that are cut at the seams.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window as RasterWindow

from drshym_pipeline.products.connected import CONNECTIVITY, joined, labelled
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.states import FLOODED
from drshym_pipeline.worker_threads import check_needed

_STRIP_PIXELS = 1 << 21  # so wide and narrow scenes use the same memory, and a small scene has no seam
MOST_CORNERS = 50_000  # of an unfinished area: an area through a whole scene would fill the memory
_PIXELS, _KM2, _STEPS = range(3)
Polygons = NDArray[np.object_]


@dataclass(frozen=True)
class Omitted:
    """The number and size of areas that are too small for an outline."""

    count: int = 0
    pixels: int = 0
    km2: float = 0.0

    def __add__(self, other: Omitted) -> Omitted:
        """Return the sum of both."""
        return Omitted(self.count + other.count, self.pixels + other.pixels, self.km2 + other.km2)


@dataclass(frozen=True)
class Regions:
    """Some flooded areas.

    Args:
        polygons: (n,) outlines in pixels: x is the column, y is the row.
        figures: (n, 3) float64: pixels, km2, and the sum of the stored probabilities (steps of 1e-4).
        is_piece: (n,) True for a piece of an area with too many corners.
        omitted: Areas of the same strip that are left out because they are too small.
    """

    polygons: Polygons
    figures: NDArray[np.float64]
    is_piece: NDArray[np.bool_]
    omitted: Omitted = Omitted()

    def __len__(self) -> int:
        return len(self.polygons)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Return the number of pixels, (n,)."""
        return np.rint(self.figures[:, _PIXELS]).astype(np.int64)

    @property
    def km2(self) -> NDArray[np.float64]:
        """Return the area on the ellipsoid in km2, (n,)."""
        return self.figures[:, _KM2]

    @property
    def mean_steps(self) -> NDArray[np.float64]:
        """Return the mean of the stored probabilities in steps of 1e-4, (n,)."""
        return self.figures[:, _STEPS] / self.figures[:, _PIXELS]

    def without(self, small: NDArray[np.bool_]) -> Regions:
        """Return these areas without those where `small`, (n,), is True, which are added to `omitted`."""
        left_out = _omitted(self.figures[small])
        kept = ~small
        return Regions(self.polygons[kept], self.figures[kept], self.is_piece[kept], self.omitted + left_out)


class _Part(NamedTuple):
    """The part of an area that is in one strip."""

    polygon: Any
    figures: NDArray[np.float64]


def _omitted(figures: NDArray[np.float64]) -> Omitted:
    pixels, km2, _ = figures.sum(axis=0)
    return Omitted(len(figures), round(float(pixels)), float(km2))


def _outlines(labels: NDArray[np.int32], count: int, row: int) -> Polygons:
    """Return the polygon of every region of a strip, (count,), in pixels of the scene: x is the column, y the row."""
    place = rasterio.Affine.translation(0, row)
    # The mask leaves out the dry pixels, because their outlines would be much longer than those of the flood.
    found = rasterio.features.shapes(labels, mask=labels > 0, connectivity=CONNECTIVITY, transform=place)
    rings: list[NDArray[np.float64]] = []
    region_of: list[int] = []
    for geometry, label in found:
        for ring in geometry["coordinates"]:
            rings.append(np.asarray(ring, np.float64))
            region_of.append(int(label) - 1)
    if not count:
        return np.empty(0, object)
    # `shapes` returns the rings of a region together, the outer one first, but the regions in any order.
    order = np.argsort(region_of, kind="stable")
    rings = [rings[index] for index in order]
    lengths = np.array([len(ring) for ring in rings])
    lines = shapely.linearrings(np.concatenate(rings), indices=np.repeat(np.arange(len(rings)), lengths))
    polygons: Polygons = shapely.polygons(lines, indices=np.sort(region_of))
    return polygons


class _Seams:
    """The unfinished areas: flooded areas that reach the last row read so far, with their parts and pixels there."""

    def __init__(self, width: int) -> None:
        self._parts: list[list[_Part]] = []
        # Which of them have already been returned in part: their other parts are returned strip by strip.
        self._cut: list[bool] = []
        # For every pixel of the last row: the number of its unfinished area, counted from 1; 0 where it is dry.
        self._last = np.zeros(width, np.int64)

    def add(
        self, labels: NDArray[np.int32], polygons: Polygons, figures: NDArray[np.float64], *, is_last: bool
    ) -> Regions:
        """Add a strip and return the areas that are finished now.

        The rule of `connected` joins pixels at a seam and within a strip.
        """
        known, fresh = len(self._parts), len(polygons)
        count, area_of = joined(self._last, labels[0], known, fresh)
        last = np.zeros_like(self._last) if is_last else labels[-1].astype(np.int64)
        is_open = np.zeros(count, bool)
        is_open[area_of[last[last > 0] - 1 + known]] = True
        members = np.bincount(area_of, minlength=count)
        # Most areas are in one strip only: they are handled as arrays, not one by one.
        plain = (members[area_of[known:]] == 1) & ~is_open[area_of[known:]]
        parts: dict[int, list[_Part]] = {}
        for number, gathered in enumerate(self._parts):
            parts.setdefault(int(area_of[number]), []).extend(gathered)
        for index in np.flatnonzero(~plain).tolist():
            parts.setdefault(int(area_of[known + index]), []).append(_Part(polygons[index], figures[index]))
        is_cut = {int(area_of[number]) for number, cut in enumerate(self._cut) if cut}
        is_cut |= {area for area, gathered in parts.items() if _corners(gathered) > MOST_CORNERS}
        opened = [area for area in parts if is_open[area]]
        whole: list[_Part] = []
        pieces: list[_Part] = []
        for area, gathered in parts.items():
            if area in is_cut:
                pieces.extend(gathered)
                gathered.clear()
            elif not is_open[area]:
                whole.append(_unite(gathered))
        self._parts = [parts[area] for area in opened]
        self._cut = [area in is_cut for area in opened]
        renumbered = np.zeros(count, np.int64)
        renumbered[opened] = np.arange(1, len(opened) + 1)
        self._last = np.where(last > 0, renumbered[area_of[np.maximum(last - 1, 0) + known]], 0) if fresh else last
        return _regions(polygons[plain], figures[plain], whole, pieces)


def _regions(
    polygons: Polygons, figures: NDArray[np.float64], whole: Sequence[_Part], pieces: Sequence[_Part]
) -> Regions:
    """Return the areas inside one strip, those that ended in it, and pieces of those with too many corners."""
    late = [*whole, *pieces]
    is_piece = np.zeros(len(polygons) + len(late), bool)
    is_piece[len(polygons) + len(whole) :] = True
    outlines = np.empty(len(late), object)
    outlines[:] = [part.polygon for part in late]
    if late:
        figures = np.concatenate([figures, np.stack([part.figures for part in late])])
    return Regions(np.concatenate([polygons, outlines]), figures, is_piece)


def _remove_straight_points(ring: Any) -> NDArray[np.float64]:
    """Return the corners of a ring whose edges follow the axes: (n, 2), with the first corner again at the end.

    A seam leaves points in the middle of straight edges. They are the points whose neighbours have the same x or y. A
    general simplification would take as much time as all other steps together.
    """
    points = shapely.get_coordinates(ring)[:-1]
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    corners = points[~((points == before) & (points == after)).any(axis=1)]
    return np.concatenate([corners, corners[:1]])


def _corners(parts: Sequence[_Part]) -> int:
    return int(shapely.get_num_coordinates([part.polygon for part in parts]).sum()) if parts else 0


def _unite(parts: Sequence[_Part]) -> _Part:
    """Return one polygon for the parts of an area, without the points at the seams, and the sum of their figures."""
    if len(parts) == 1:
        return parts[0]
    union = shapely.union_all([part.polygon for part in parts])
    outer, *holes = (_remove_straight_points(ring) for ring in shapely.get_rings(union))
    return _Part(shapely.Polygon(outer, holes), np.sum([part.figures for part in parts], axis=0))


def _figures(
    labels: NDArray[np.int32], count: int, stored: NDArray[np.uint16], areas: PixelAreas, row: int
) -> NDArray[np.float64]:
    """Return the figures of every region of a strip that begins at `row`: (count, 3), see `Regions`."""
    place = np.flatnonzero(labels)
    region = labels.ravel()[place]
    weights = (None, areas.of_places(row, len(labels), place), stored.ravel()[place])
    return np.stack([np.bincount(region, weight, count + 1)[1:] for weight in weights], axis=1, dtype=np.float64)


def _without_small(
    labels: NDArray[np.int32], figures: NDArray[np.float64], fewest: int, edges: Sequence[NDArray[np.int32]]
) -> tuple[NDArray[np.int32], NDArray[np.float64], Omitted]:
    """Return a strip without its small regions; those at a seam stay, because they may be part of a larger area.

    Args:
        labels: (rows, width) number of the region of each pixel, counted from 1; 0 where it is dry.
        figures: (regions, 3), see `Regions`.
        fewest: The number of pixels of the smallest region that is kept.
        edges: The rows of `labels` that are at a seam.
    """
    small = np.concatenate([[False], figures[:, _PIXELS] < fewest])
    for edge in edges:
        small[edge] = False
    if not small.any():
        return labels, figures, Omitted()
    kept = ~small[1:]
    renumbered = np.zeros(len(small), np.int32)
    renumbered[1:][kept] = np.arange(1, np.count_nonzero(kept) + 1, dtype=np.int32)
    return renumbered[labels], figures[kept], _omitted(figures[~kept])


def flood_regions(
    mask: Any,
    probability: Any,
    areas: PixelAreas,
    *,
    fewest_pixels: int = 1,
    strip_rows: int | None = None,
) -> Iterator[Regions]:
    """Yield the flooded areas of a mask, strip by strip.

    Args:
        mask: The open reader of the mask raster (values of `states.MASK_LEGEND`).
        probability: The open reader of the stored probabilities, on the same grid.
        areas: The areas of the pixels of the rasters.
        fewest_pixels: The number of pixels of the smallest area with an outline; smaller areas are only counted.
        strip_rows: The number of rows of a strip; None for strips of about two million pixels.

    Yields:
        Areas. Each area is complete and is yielded once, for any number of strips. Only an area with more than
        `MOST_CORNERS` corners is yielded as pieces that do not overlap.
    """
    strip_rows = strip_rows or max(1, _STRIP_PIXELS // mask.width)
    seams = _Seams(mask.width)
    for row in range(0, mask.height, strip_rows):
        check_needed()
        rows = min(strip_rows, mask.height - row)
        window = RasterWindow(0, row, mask.width, rows)
        labels, count = labelled(mask.read(1, window=window) == FLOODED)
        is_last = row + rows == mask.height
        figures = _figures(labels, count, probability.read(1, window=window), areas, row)
        edges = [labels[0]] * (row > 0) + [labels[-1]] * (not is_last)
        labels, figures, omitted = _without_small(labels, figures, fewest_pixels, edges)
        found = seams.add(labels, _outlines(labels, len(figures), row), figures, is_last=is_last)
        small = (found.pixels < fewest_pixels) & ~found.is_piece
        found = found.without(small)
        yield Regions(found.polygons, found.figures, found.is_piece, found.omitted + omitted)
