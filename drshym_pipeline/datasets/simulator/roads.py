"""Network of settlements and roads, and the areas between the roads.

Settlements are the nodes of the network. A road joins two of them when no third is closer to the middle between them
(the Gabriel graph), which is nearly what real road networks look like. Fields are aligned with the roads in `fields`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import Delaunay, cKDTree

from drshym_pipeline.datasets.simulator.rivers import Line

_Float = NDArray[np.float64]


@dataclass(frozen=True)
class RoadNetwork:
    """Roads of one scene. A stretch is a road between two settlements, or a piece of the river bank.

    Args:
        places: (places, 2) row and column of the settlements, some outside the scene.
        start: (stretches, 2) row and column of one end.
        angle: (stretches,) direction in radians, 0 along the columns.
        nearest: (h, w) int32 number of the nearest stretch.
        area: (h, w) int32 number of the area between the roads.
        main: (areas,) int32 stretch that is nearest to most of the area, by number of the area.
        roads: (h, w) bool, all roads.
        main_roads: (h, w) bool, roads that join the largest settlements.
        distance: (h, w) float32 pixels to the nearest road or river; infinite when there is none.
    """

    places: _Float
    start: _Float
    angle: _Float
    nearest: NDArray[np.int32]
    area: NDArray[np.int32]
    main: NDArray[np.int32]
    roads: NDArray[np.bool_]
    main_roads: NDArray[np.bool_]
    distance: NDArray[np.float32]


def _places(rng: np.random.Generator, shape: tuple[int, int], spacing: float, jitter: float, angle: float) -> _Float:
    """Draw the settlements: a turned lattice whose points are moved at random."""
    reach = int(np.hypot(*shape) / 2 / spacing) + 2
    steps = np.arange(-reach, reach + 1, dtype=np.float64)
    lattice = np.stack([np.repeat(steps, len(steps)), np.tile(steps, len(steps))], axis=1)
    # The sides of a square lattice would be seen in the network: rows of free networks are staggered.
    if jitter > 0.1:
        lattice[:, 1] += 0.5 * (lattice[:, 0] % 2)
    lattice += rng.uniform(-0.5, 0.5, 2) + rng.uniform(-jitter, jitter, lattice.shape)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(lattice @ turn * spacing + np.array(shape) / 2)


def _joined(places: _Float) -> NDArray[np.intp]:
    """Return the pairs of settlements that roads join, (roads, 2)."""
    corners = Delaunay(places).simplices
    sides = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    pairs = np.unique(np.sort(sides, axis=1), axis=0)
    ends = places[pairs]
    half = np.hypot(*(ends[:, 0] - ends[:, 1]).T) / 2
    # The two ends are the nearest places to the middle; the third must be farther.
    third = cKDTree(places).query(ends.mean(axis=1), k=3)[0][:, 2]
    return np.asarray(pairs[third > 1.03 * half])


def _through_roads(rng: np.random.Generator, places: _Float, pairs: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    """Choose the roads on the shortest ways between some places at the outer ends: (roads,) bool."""
    lengths = np.hypot(*(places[pairs[:, 0]] - places[pairs[:, 1]]).T)
    graph = csr_array((lengths, (pairs[:, 0], pairs[:, 1])), shape=(len(places), len(places)))
    chosen = np.zeros(len(pairs), bool)
    number = {(int(a), int(b)): index for index, (a, b) in enumerate(pairs)}
    outer = np.argsort(-np.hypot(*(places - places.mean(axis=0)).T))[: max(len(places) // 3, 4)]
    for _ in range(count):
        start, end = rng.choice(outer, 2, replace=False)
        before = dijkstra(graph, directed=False, indices=int(start), return_predecessors=True)[1]
        at = int(end)
        while before[at] >= 0:
            step = int(before[at])
            chosen[number[min(at, step), max(at, step)]] = True
            at = step
    return chosen


def _raster(
    ends: _Float, bend: _Float, shape: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels of curved lines between two ends: rows, columns and numbers of the lines."""
    run = ends[:, 1] - ends[:, 0]
    points = np.ceil(np.hypot(*run.T) * 1.5).astype(np.intp) + 2
    line = np.repeat(np.arange(len(ends)), points)
    first = np.cumsum(points) - points
    t = (np.arange(len(line)) - first[line]) / (points[line] - 1)
    sideways = np.stack([run[:, 1], -run[:, 0]], axis=1)
    shift = bend[line, 0] * np.sin(np.pi * t) + bend[line, 1] * np.sin(2 * np.pi * t)
    at = ends[line, 0] + t[:, None] * run[line] + shift[:, None] * sideways[line]
    rows, cols = np.round(at).astype(np.intp).T
    inside = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    return rows[inside], cols[inside], line[inside]


def _banks(course: Line, length: float) -> _Float:
    """Return straight pieces of the river's line, (pieces, 2 ends, 2)."""
    knots = course[:: max(int(length / 0.7), 2)]
    return np.stack([knots[:-1], knots[1:]], axis=1) if len(knots) > 1 else np.zeros((0, 2, 2))


def make_network(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    spacing: float,
    regular: bool,
    course: Line,
    through: int,
) -> RoadNetwork:
    """Draw the network of a scene.

    Args:
        rng: Source of randomness.
        shape: Height and width in pixels.
        spacing: Mean distance of neighbouring settlements in pixels.
        regular: Whether the roads are a square lattice, as on land that was divided by a survey.
        course: Middle line of the river, in whose neighbourhood fields are aligned with the river.
        through: Number of main roads through the scene.
    """
    direction = float(rng.uniform(0, np.pi)) if rng.random() < 0.7 else float(rng.normal(0.15, 0.05))
    places = _places(rng, shape, spacing, 0.004 if regular else 0.38, direction)
    pairs = _joined(places)
    pairs = pairs[rng.random(len(pairs)) < (0.85 if regular else 0.92)]
    ends = places[pairs]
    banks = _banks(course, float(rng.uniform(50, 110)))
    bend = rng.normal(0.0, 0.0 if regular else 0.05, (len(pairs), 2))
    stretches = np.concatenate([ends, banks])
    bend = np.concatenate([bend, np.zeros((len(banks), 2))])
    rows, cols, line = _raster(stretches, bend, shape)
    number = np.full(shape, -1, np.int32)
    number[rows, cols] = line
    run = stretches[:, 1] - stretches[:, 0]
    angle = np.arctan2(run[:, 0], run[:, 1])
    lines = number >= 0
    roads = lines & (number < len(pairs))
    main_roads = np.zeros(shape, bool)
    if through and len(pairs):
        chosen = np.append(_through_roads(rng, places, pairs, through), np.zeros(len(banks), bool))
        main_roads = lines & chosen[number]
    if not lines.any():
        flat = np.zeros(shape, np.int32)
        far = np.full(shape, np.inf, np.float32)
        return RoadNetwork(places, stretches[:, 0], angle, flat, flat, np.zeros(1, np.int32), roads, main_roads, far)
    distance, nearest = ndimage.distance_transform_edt(~lines, return_indices=True)
    near = number[nearest[0], nearest[1]]
    area = ndimage.label(~lines)[0].astype(np.int32)
    # The pixels of a road belong to the area on one side.
    area = np.where(lines, ndimage.maximum_filter(area, 3), area)
    return RoadNetwork(
        places,
        stretches[:, 0],
        angle,
        near,
        area,
        _main_stretch(area, near, len(stretches)),
        roads,
        main_roads,
        distance.astype(np.float32),
    )


def _main_stretch(area: NDArray[np.int32], near: NDArray[np.int32], stretches: int) -> NDArray[np.int32]:
    """Return for each area the stretch that is nearest to most of its pixels; every second row and column counts."""
    pair = area[::2, ::2].astype(np.int64) * stretches + near[::2, ::2]
    found, counts = np.unique(pair, return_counts=True)
    order = np.argsort(counts, kind="stable")
    main = np.zeros(int(area.max()) + 1, np.int32)
    main[found[order] // stretches] = found[order] % stretches
    return main
