"""The flooded areas of a mask: their outlines in pixels, how large they are and how probable their water is.

Outlines follow the pixel edges of the mask: smoothing would claim a precision that the map does not have. What is
written about an area, and in which coordinates, is decided in `vectors`.

The mask is walked in strips. An area that reaches the lower edge of its strip waits, in parts, until the strip in which
it ends and is united there once; all others are ready at once. So memory holds the areas of one strip and those that
are not whole yet, whatever the size of the scene. An area with more corners than any outline can be worked with does
not wait: what there is of it comes as a piece, cut at the seam.
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
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from drshym_pipeline.products.mask_values import FLOODED

_STRIP_PIXELS = 1 << 21  # a wide scene and a narrow one take the same memory, and a small one has no seam at all
MOST_CORNERS = 50_000  # of an area that waits for its end: one that runs through a whole scene would fill the memory
_PIXELS, _KM2, _STEPS = range(3)
Polygons = NDArray[np.object_]


@dataclass(frozen=True)
class Omitted:
    """Areas that are too small to be outlined: how many, and what they cover."""

    count: int = 0
    pixels: int = 0
    km2: float = 0.0

    def __add__(self, other: Omitted) -> Omitted:
        """Both together."""
        return Omitted(self.count + other.count, self.pixels + other.pixels, self.km2 + other.km2)


@dataclass(frozen=True)
class Regions:
    """Some flooded areas.

    Args:
        polygons: (n,) outlines in pixels: x the column, y the row.
        figures: (n, 3) float64: pixels, km2, and the sum of the stored probabilities (steps of 1e-4).
        is_piece: (n,) whether it is a piece of an area with too long an outline.
        omitted: Areas that were found with these and left out for their size.
    """

    polygons: Polygons
    figures: NDArray[np.float64]
    is_piece: NDArray[np.bool_]
    omitted: Omitted = Omitted()

    def __len__(self) -> int:
        return len(self.polygons)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """(n,) number of pixels."""
        return np.rint(self.figures[:, _PIXELS]).astype(np.int64)

    @property
    def km2(self) -> NDArray[np.float64]:
        """(n,) area on the ellipsoid in km2."""
        return self.figures[:, _KM2]

    @property
    def mean_steps(self) -> NDArray[np.float64]:
        """(n,) mean of the stored probabilities, in steps of 1e-4."""
        return self.figures[:, _STEPS] / self.figures[:, _PIXELS]

    def without(self, small: NDArray[np.bool_]) -> Regions:
        """The same without some of them, (n,), which are counted as left out."""
        left_out = _omitted(self.figures[small])
        kept = ~small
        return Regions(self.polygons[kept], self.figures[kept], self.is_piece[kept], self.omitted + left_out)


class _Part(NamedTuple):
    """What one strip has of an area."""

    polygon: Any
    figures: NDArray[np.float64]


def _omitted(figures: NDArray[np.float64]) -> Omitted:
    pixels, km2, _ = figures.sum(axis=0)
    return Omitted(len(figures), round(float(pixels)), float(km2))


def _outlines(labels: NDArray[np.int32], count: int, row: int) -> Polygons:
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
    polygons: Polygons = shapely.polygons(lines, indices=np.sort(region_of))
    return polygons


class _Seams:
    """Flooded areas that reach the lower edge of what was seen so far, in parts, and which pixel there is whose."""

    def __init__(self, width: int) -> None:
        self._parts: list[list[_Part]] = []
        # Which of them have been handed out in part already: what is left of those is handed out as it comes.
        self._cut: list[bool] = []
        # The number of the open area of every pixel of the last row, counted from 1; 0 where it is dry.
        self._last = np.zeros(width, np.int64)

    def take(
        self, labels: NDArray[np.int32], polygons: Polygons, figures: NDArray[np.float64], *, is_last: bool
    ) -> Regions:
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
                whole.append(_united(gathered))
        self._parts = [parts[area] for area in opened]
        self._cut = [area in is_cut for area in opened]
        renumbered = np.zeros(count, np.int64)
        renumbered[opened] = np.arange(1, len(opened) + 1)
        self._last = np.where(last > 0, renumbered[area_of[np.maximum(last - 1, 0) + known]], 0) if fresh else last
        return _regions(polygons[plain], figures[plain], whole, pieces)


def _regions(
    polygons: Polygons, figures: NDArray[np.float64], whole: Sequence[_Part], pieces: Sequence[_Part]
) -> Regions:
    """The areas of one strip, those that ended in it, and pieces of those that are too long to wait."""
    late = [*whole, *pieces]
    is_piece = np.zeros(len(polygons) + len(late), bool)
    is_piece[len(polygons) + len(whole) :] = True
    outlines = np.empty(len(late), object)
    outlines[:] = [part.polygon for part in late]
    if late:
        figures = np.concatenate([figures, np.stack([part.figures for part in late])])
    return Regions(np.concatenate([polygons, outlines]), figures, is_piece)


def _without_needless_points(ring: Any) -> NDArray[np.float64]:
    """The corners of a ring whose edges follow the axes: (n, 2), the first again at the end.

    A seam leaves points in the middle of straight edges. Here they are those whose neighbours have the same x or y; a
    simplification that knows nothing of axes takes as long as all the rest.
    """
    points = shapely.get_coordinates(ring)[:-1]
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    corners = points[~((points == before) & (points == after)).any(axis=1)]
    return np.concatenate([corners, corners[:1]])


def _corners(parts: Sequence[_Part]) -> int:
    return int(shapely.get_num_coordinates([part.polygon for part in parts]).sum()) if parts else 0


def _united(parts: Sequence[_Part]) -> _Part:
    """One polygon of the parts of an area, without the points that the seams left; their figures added up."""
    if len(parts) == 1:
        return parts[0]
    union = shapely.union_all([part.polygon for part in parts])
    outer, *holes = (_without_needless_points(ring) for ring in shapely.get_rings(union))
    return _Part(shapely.Polygon(outer, holes), np.sum([part.figures for part in parts], axis=0))


def _figures(
    labels: NDArray[np.int32], count: int, stored: NDArray[np.uint16], row_area_km2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The figures of every region of a strip: (count, 3), see `Regions`."""
    place = np.flatnonzero(labels)
    region = labels.ravel()[place]
    weights = (None, row_area_km2[place // labels.shape[1]], stored.ravel()[place])
    return np.stack([np.bincount(region, weight, count + 1)[1:] for weight in weights], axis=1, dtype=np.float64)


def _without_small(
    labels: NDArray[np.int32], figures: NDArray[np.float64], fewest: int, edges: Sequence[NDArray[np.int32]]
) -> tuple[NDArray[np.int32], NDArray[np.float64], Omitted]:
    """A strip without its small regions; those that touch a seam stay, for they may be part of a larger area.

    Args:
        labels: (rows, width) number of the region of a pixel from 1, 0 where it is dry.
        figures: (regions, 3) of `Regions`.
        fewest: Pixels of the smallest region that is kept.
        edges: Rows of `labels` that lie at a seam.
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
    row_area_km2: NDArray[np.float64],
    *,
    fewest_pixels: int = 1,
    strip_rows: int | None = None,
) -> Iterator[Regions]:
    """The flooded areas of a mask, strip by strip.

    Args:
        mask: rasterio's reader of the mask raster (values of `mask_values.MASK_LEGEND`).
        probability: rasterio's reader of the stored probabilities, on the same grid.
        row_area_km2: (height,) area of one pixel of each row, in km2.
        fewest_pixels: Smaller areas are counted and not outlined.
        strip_rows: Rows that are looked at together; as many as make some million pixels when None.

    Yields:
        Areas. Each comes once and whole, however many strips it crosses; one with more than `MOST_CORNERS` comes in
        pieces that do not overlap.
    """
    strip_rows = strip_rows or max(1, _STRIP_PIXELS // mask.width)
    seams = _Seams(mask.width)
    for row in range(0, mask.height, strip_rows):
        rows = min(strip_rows, mask.height - row)
        window = RasterWindow(0, row, mask.width, rows)
        flooded = mask.read(1, window=window) == FLOODED
        labels = np.empty(flooded.shape, np.int32)
        count = ndimage.label(flooded, output=labels)
        is_last = row + rows == mask.height
        figures = _figures(labels, count, probability.read(1, window=window), row_area_km2[row : row + rows])
        edges = [labels[0]] * (row > 0) + [labels[-1]] * (not is_last)
        labels, figures, omitted = _without_small(labels, figures, fewest_pixels, edges)
        found = seams.take(labels, _outlines(labels, len(figures), row), figures, is_last=is_last)
        small = (found.pixels < fewest_pixels) & ~found.is_piece
        found = found.without(small)
        yield Regions(found.polygons, found.figures, found.is_piece, found.omitted + omitted)
