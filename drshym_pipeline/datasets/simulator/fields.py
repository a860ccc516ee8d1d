"""Fields: parcels of farmland in rows along the roads, as land is divided in different parts of the world.

A block is a row of parcels beside a road or a track; blocks are parallel to the road, parcels at right angles to it.
What grows on a parcel is decided in `landcover`, its brightness in `backscatter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from drshym_pipeline.datasets.simulator.roads import RoadNetwork, make_network
from drshym_pipeline.datasets.simulator.terrain import Terrain, flat_terrain, smooth_noise, spectral_noise

LandKind = Literal["farmed", "mixed", "forest", "savanna", "marsh", "desert"]
FIELD_CODES = 4096
WILD_CODE = 0  # code of all land that is not divided into fields

_CLUSTERS = 16  # neighbourhoods that prefer the same crop; the upper four bits of a code
_Bool = NDArray[np.bool_]
_Int = NDArray[np.int32]
_Float = NDArray[np.float32]


@dataclass(frozen=True)
class Fields:
    """A patchwork of fields.

    Args:
        code: (h, w) int16, a pseudo-random number in [0, 4096) for each field; the field's properties depend on it.
            `WILD_CODE` is land without fields.
        step: (h, w) float32 metres by which the field is above or below its surroundings.
        kind: Kind of land, which decides what covers the ground outside the fields.
        wild: (h, w) bool, land without fields.
        parcel: (h, w) int32 number of the parcel, also where the land is wild; numbers are rarely used twice.
        block: (h, w) int32 number of the block of parcels.
        network: Roads and settlements.
        hedges: Share of the edges of parcels, or of blocks in open land, that have trees.
    """

    code: NDArray[np.int16]
    step: _Float
    kind: LandKind
    wild: _Bool
    parcel: _Int
    block: _Int
    network: RoadNetwork
    hedges: float


@dataclass(frozen=True)
class _Division:
    """One way to divide land. Ranges of pixels of 10 m.

    Args:
        share: Share of the scenes.
        spacing: Distance of settlements.
        width: Mean width of a parcel along the road.
        length: Mean length of a parcel away from the road.
        spread: Standard deviation of the logarithm of widths within a block.
        own_road: Chance that every road has its own direction of fields; otherwise an area between roads has one.
        hedges: Chance that there are hedges.
    """

    share: float
    spacing: tuple[float, float]
    width: tuple[float, float]
    length: tuple[float, float]
    spread: float
    own_road: float
    hedges: float


_SURVEY = "survey"
_SQUARE = 80.0  # pixels along a quarter section, half a mile
_DIVISIONS: dict[str, _Division] = {
    # Narrow strips that were divided among heirs: eastern Europe, northern China.
    "strips": _Division(0.2, (110, 240), (1.8, 6.0), (22, 80), 0.45, 0.6, 0.1),
    # Small plots and paddies: South and South-East Asia.
    "plots": _Division(0.2, (90, 200), (3.0, 7.0), (5, 16), 0.35, 0.3, 0.1),
    # Western Europe: all sizes.
    "mixed": _Division(0.3, (100, 260), (7.0, 20.0), (14, 45), 0.5, 0.5, 0.5),
    # Large estates and former collective farms.
    "estates": _Division(0.15, (180, 400), (22.0, 60.0), (40, 110), 0.4, 0.2, 0.5),
    # Square sections, half and quarter sections; centre pivots.
    _SURVEY: _Division(0.15, (_SQUARE, _SQUARE), (10.0, 40.0), (20, 80), 0.0, 0.0, 0.05),
}
_PIVOT_SHARE = 0.4  # of the scenes divided by a survey
_KINDS: dict[LandKind, tuple[float, tuple[float, float]]] = {  # share of the scenes, range of the farmed share
    "farmed": (0.46, (0.85, 1.0)),
    "mixed": (0.2, (0.4, 0.8)),
    "forest": (0.13, (0.0, 0.25)),
    "savanna": (0.13, (0.0, 0.25)),
    "marsh": (0.04, (0.0, 0.25)),
    "desert": (0.04, (0.0, 0.2)),
}
_Name = TypeVar("_Name", bound=str)
_FINE = 16  # steps of the table of cuts per mean parcel


def _hash(*parts: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Mix integers into pseudo-random numbers."""
    mixed = np.zeros((), np.uint32)
    for part in parts:
        mixed = (mixed ^ part.astype(np.uint32)) * np.uint32(0x9E3779B1)
        mixed = mixed ^ (mixed >> np.uint32(15))
    mixed = mixed * np.uint32(0x85EBCA6B)
    return np.asarray(mixed ^ (mixed >> np.uint32(13)), np.uint32)


def _cuts(rng: np.random.Generator, spread: float) -> NDArray[np.int16]:
    """Return a table that divides an axis into intervals of unequal length.

    Element i is the number of the interval at i / 16 mean lengths; the table continues with its beginning.
    """
    count = 256
    lengths = np.exp(rng.normal(0.0, spread, count)) if spread else np.ones(count)
    ends = np.cumsum(lengths) * (count * _FINE / lengths.sum())
    return np.searchsorted(ends, np.arange(count * _FINE) + 0.5).astype(np.int16)


def _interval(table: NDArray[np.int16], position: _Float) -> NDArray[np.int16]:
    """Return the number of the interval at a position, given in mean lengths."""
    at = np.floor(position * _FINE).astype(np.int32) & np.int32(len(table) - 1)
    return np.asarray(table[at], np.int16)


def _choice(rng: np.random.Generator, shares: Mapping[_Name, float]) -> _Name:
    """Draw a name; the shares add up to 1."""
    names = list(shares)
    return names[int(rng.choice(len(names), p=np.array([shares[name] for name in names])))]


def parcel_mean(parcel: _Int, values: _Float) -> _Float:
    """Return the mean of each parcel at its pixels, (h, w) float32."""
    flat = parcel.ravel()
    sums = np.bincount(flat, weights=values.ravel())
    counts = np.bincount(flat)
    return np.asarray((sums / np.maximum(counts, 1)).astype(np.float32)[parcel])


def _slots(pixels: int) -> np.uint32:
    """Return the mask of parcel numbers: enough numbers for the scene, so that few are used twice."""
    return np.uint32(2 ** int(np.clip(np.ceil(np.log2(pixels)) + 1, 12, 23)) - 1)


def _parcels(
    rng: np.random.Generator, network: RoadNetwork, division: _Division, name: str
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
    """Divide the land: (parcel, block, neighbourhood), each (h, w) uint32 pseudo-random numbers."""
    shape = network.area.shape
    own_road = rng.random() < division.own_road
    stretch = network.nearest if own_road else network.main[network.area]
    count = len(network.angle)
    spread = 0.0 if name == _SURVEY else 0.25
    length = float(rng.uniform(*division.length))
    if name == _SURVEY:
        length = _SQUARE / rng.choice([1, 2, 4], p=[0.4, 0.4, 0.2])
        width = _SQUARE / rng.choice([2, 4, 8], p=[0.5, 0.35, 0.15])
    else:
        width = float(np.exp(rng.uniform(*np.log(division.width))))
    depth = (length * np.exp(rng.normal(0, spread, count))).astype(np.float32)
    broad = (width * np.exp(rng.normal(0, spread, count))).astype(np.float32)
    sin, cos = np.sin(network.angle).astype(np.float32), np.cos(network.angle).astype(np.float32)
    origin = network.start.astype(np.float32)
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    # Every quantity is first computed per stretch: one product and one sum per pixel remain.
    at_cos, at_sin = cos[stretch], sin[stretch]
    along = cols.astype(np.float32) * at_cos + rows.astype(np.float32) * at_sin
    along -= (origin[:, 1] * cos + origin[:, 0] * sin)[stretch]
    across = rows.astype(np.float32) * at_cos - cols.astype(np.float32) * at_sin
    across -= (origin[:, 0] * cos - origin[:, 1] * sin)[stretch]
    far = _interval(_cuts(rng, 0.7 * division.spread), (np.abs(across) / depth[stretch]).astype(np.float32))
    side = (across >= 0).astype(np.int16)
    neighbourhood = _hash(network.area, stretch, side)
    block = _hash(neighbourhood, far)
    # Blocks are divided independently: real rows of parcels are not a lattice.
    scale, offset = (np.ones(64, np.float32), np.zeros(64, np.float32))
    if name == _SURVEY:
        scale = rng.choice(np.array([0.5, 1.0, 2.0], np.float32), 64)
    else:
        scale = np.exp(rng.normal(0, 0.35, 64)).astype(np.float32)
        offset = rng.uniform(0, 200, 64).astype(np.float32)
    kind = block & np.uint32(63)
    place = along / (broad[stretch] * scale[kind]) + offset[kind]
    parcel = _hash(block, _interval(_cuts(rng, division.spread), place))
    return parcel, block, neighbourhood


def _pivots(rng: np.random.Generator, network: RoadNetwork) -> tuple[NDArray[np.uint32], _Bool, _Bool]:
    """Draw centre pivots in some of the squares.

    Returns:
        (number, circle, corner), all (h, w): the number of the circle or half circle, whether the pixel is in a circle,
        and whether it is beside one in the same square.
    """
    shape = network.area.shape
    angle = network.angle[0]
    origin = network.start[0]
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    u = ((cols - origin[1]) * np.cos(angle) + (rows - origin[0]) * np.sin(angle)) / _SQUARE
    v = ((rows - origin[0]) * np.cos(angle) - (cols - origin[1]) * np.sin(angle)) / _SQUARE
    square = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    radius = np.hypot(u - square[0] - 0.5, v - square[1] - 0.5)
    number = _hash(*square)
    chosen = number % np.uint32(100) < rng.uniform(20, 95)
    circle = chosen & (radius < rng.uniform(0.46, 0.49))
    # Some circles have two crops, each on one half.
    half = (number % np.uint32(7) == 0) & (u - square[0] > 0.5)
    return _hash(number, half), circle, chosen & ~circle


def _wild(rng: np.random.Generator, kind: LandKind, terrain: Terrain, parcel: _Int, block: _Int) -> _Bool:
    """Choose the land without fields, whole parcels or whole blocks: (h, w) bool."""
    shape: tuple[int, int] = parcel.shape
    farmed = float(rng.uniform(*_KINDS[kind][1]))
    if farmed > 0.97:
        return np.zeros(shape, bool)
    wildness = smooth_noise(rng, shape, float(rng.uniform(60, 250)))
    wildness += np.float32(0.4) * spectral_noise(rng, shape, 3.4, cutoff=150.0)
    # Steep land is not tilled.
    down, along = np.gradient(ndimage.gaussian_filter(terrain.above_river, 2.0))
    wildness += np.clip(np.hypot(down, along) - 0.6, 0.0, 2.0) * np.float32(1.2)
    if rng.random() < 0.4:
        wildness += np.exp(-terrain.river_distance / np.float32(rng.uniform(10, 40))) * np.float32(1.5)
    wildness = parcel_mean(block if rng.random() < 0.4 else parcel, wildness)
    return np.asarray(wildness > np.quantile(wildness[::3, ::3], farmed))


def _thinning(rng: np.random.Generator, kind: LandKind, regular: bool) -> float:
    """Return the factor of the distance of settlements: sections of a survey have one or two sides, wild land few."""
    if regular:
        return float(rng.choice([1.0, 2.0]))
    return 1.0 if kind in ("farmed", "mixed") else 1.6


def make_fields(rng: np.random.Generator, shape: tuple[int, int], terrain: Terrain | None = None) -> Fields:
    """Draw roads and fields.

    Args:
        rng: Source of randomness.
        shape: Height and width in pixels.
        terrain: Relief; fields near the river are aligned with it, and steep land has none. A plain when None.
    """
    terrain = terrain or flat_terrain(shape)
    kind = _choice(rng, {known: share for known, (share, _) in _KINDS.items()})
    name = _choice(rng, {known: division.share for known, division in _DIVISIONS.items()})
    division, regular = _DIVISIONS[name], name == _SURVEY
    network = make_network(
        rng,
        shape,
        spacing=float(rng.uniform(*division.spacing)) * _thinning(rng, kind, regular),
        regular=regular,
        course=terrain.course,
        through=int(rng.poisson(0.8)),
    )
    number, block, neighbourhood = _parcels(rng, network, division, name)
    corners = np.zeros(shape, bool)
    if name == _SURVEY and rng.random() < _PIVOT_SHARE:
        pivot, circle, corners = _pivots(rng, network)
        number, neighbourhood = np.where(circle, pivot, number), np.where(circle, pivot, neighbourhood)
    slots = _slots(shape[0] * shape[1])
    parcel, rows_of_parcels = (number & slots).astype(np.int32), (block & slots).astype(np.int32)
    wild = _wild(rng, kind, terrain, parcel, rows_of_parcels) | corners
    per_cluster = FIELD_CODES // _CLUSTERS
    code = (neighbourhood % np.uint32(_CLUSTERS)) * np.uint32(per_cluster) + number % np.uint32(per_cluster)
    code = np.where(wild, WILD_CODE, np.maximum(code, 1)).astype(np.int16)
    step = rng.normal(0, float(rng.uniform(0.05, 0.5)), FIELD_CODES).astype(np.float32)
    step[WILD_CODE] = 0.0
    hedges = float(rng.uniform(0.2, 0.9)) if rng.random() < division.hedges else 0.0
    return Fields(code, step[code], kind, wild, parcel, rows_of_parcels, network, hedges)


def by_field(rng: np.random.Generator, fields: Fields, deviation: float, *, crops: int = 0) -> _Float:
    """Draw a value for each field, as (h, w) float32.

    Args:
        rng: Source of randomness.
        fields: Layout of the fields.
        deviation: Standard deviation of the values.
        crops: Number of crops. Every field has one of them, and fields of one crop differ little. Half of the fields
            of a neighbourhood have the same crop. With 0, every field has its own value.
    """
    values = rng.normal(0, deviation, FIELD_CODES)
    if crops:
        levels = rng.normal(0, deviation, crops)
        usual = np.repeat(rng.integers(crops, size=_CLUSTERS), FIELD_CODES // _CLUSTERS)
        crop = np.where(rng.random(FIELD_CODES) < 0.5, usual, rng.integers(crops, size=FIELD_CODES))
        values = levels[crop] + 0.2 * values
    return values.astype(np.float32)[fields.code]
