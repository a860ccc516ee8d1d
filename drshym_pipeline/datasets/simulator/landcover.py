"""Land cover of a scene: fields with sharp edges, forest, towns, roads, bare ground.

Classes are ESA WorldCover codes. The brightness of each class is decided in `backscatter`, the place of water in
`water`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from drshym_pipeline.datasets.simulator.terrain import Terrain, smooth_noise, spectral_noise

TREE, SHRUB, GRASS, CROP, BUILT, BARE, WATER, WETLAND = 10, 20, 30, 40, 50, 60, 80, 90

_FIELD_CODES = 4096
_TOWN_SHARE = 0.3  # share of the scenes with a town or village
_SNOW_SHARE = 0.14
_Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Fields:
    """A patchwork of fields.

    Args:
        code: (h, w) int16, a pseudo-random number in [0, 4096) for each field; the field's properties depend on it.
        step: (h, w) float32 metres by which the field is above or below its surroundings.
    """

    code: NDArray[np.int16]
    step: NDArray[np.float32]


@dataclass(frozen=True)
class LandCover:
    """The dry land of one scene.

    Args:
        classes: (h, w) uint8 WorldCover codes without water.
        roads: (h, w) bool, sealed and smooth strips.
        smooth_dark: (h, w) bool, dry look-alikes of water: runways, dry sand, freshly rolled soil.
        wet_snow: (h, w) bool, melting snow, which absorbs the signal.
    """

    classes: NDArray[np.uint8]
    roads: _Bool
    smooth_dark: _Bool
    wet_snow: _Bool


def make_fields(rng: np.random.Generator, shape: tuple[int, int]) -> Fields:
    """Draw the fields: districts, each with its own direction, widths and staggered rows of parcels."""
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    districts = max(3, int(shape[0] * shape[1] / float(rng.uniform(70, 170)) ** 2))
    sites = rng.uniform(-0.1, 1.1, (districts, 2)) * np.array(shape)
    bend = float(rng.uniform(0.0, 8.0))
    wander = [smooth_noise(rng, shape, 80.0) * bend for _ in range(2)]
    points = np.stack([(rows + wander[0]).ravel(), (cols + wander[1]).ravel()], axis=1)
    district = cKDTree(sites).query(points)[1].reshape(shape)
    # Land that was divided at one time has one direction; older land changes direction from village to village.
    spread = 0.08 if rng.random() < 0.5 else 0.6
    angle = (rng.uniform(0, np.pi) + rng.normal(0, spread, districts)).astype(np.float32)
    long_side = np.exp(rng.normal(np.log(np.exp(rng.uniform(np.log(14), np.log(160)))), 0.3, districts))
    long_side = long_side.astype(np.float32)
    short_side = np.maximum(long_side * rng.uniform(0.12, 0.8, districts), 4.0).astype(np.float32)
    cos, sin = np.cos(angle)[district], np.sin(angle)[district]
    u = np.floor((rows * cos + cols * sin + wander[1]) / short_side[district]).astype(np.int64)
    # Rows of parcels are staggered, because a regular lattice of corners does not occur on real farmland.
    stagger = ((u * 7919 + district * 104729) % 97).astype(np.float32) / 97.0
    v = np.floor((cols * cos - rows * sin) / long_side[district] + stagger).astype(np.int64)
    mixed = (u * 73856093) ^ (v * 19349663) ^ (district.astype(np.int64) * 83492791)
    code = ((mixed ^ (mixed >> 13)) % _FIELD_CODES).astype(np.int16)
    step = rng.normal(0, float(rng.uniform(0.05, 0.5)), _FIELD_CODES).astype(np.float32)[code]
    return Fields(code, step)


def by_field(rng: np.random.Generator, fields: Fields, deviation: float, *, crops: int = 0) -> NDArray[np.float32]:
    """Draw a value for each field, as (h, w) float32.

    Args:
        rng: Source of randomness.
        fields: Layout of the fields.
        deviation: Standard deviation of the values.
        crops: Number of crops. Every field has one of them, and fields of one crop differ little. With 0, every field
            has its own value.
    """
    values = rng.normal(0, deviation, _FIELD_CODES)
    if crops:
        levels = rng.normal(0, deviation, crops)
        values = levels[rng.integers(crops, size=_FIELD_CODES)] + 0.2 * values
    return values.astype(np.float32)[fields.code]


def _strip(shape: tuple[int, int], start: NDArray[np.float64], angle: float, length: float, width: float) -> _Bool:
    """Return a straight strip from a point: (h, w) bool."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    along = (rows - start[0]) * np.sin(angle) + (cols - start[1]) * np.cos(angle)
    across = (rows - start[0]) * np.cos(angle) - (cols - start[1]) * np.sin(angle)
    return np.asarray((along >= 0) & (along < length) & (np.abs(across) <= width / 2))


def _roads(rng: np.random.Generator, shape: tuple[int, int]) -> _Bool:
    roads = np.zeros(shape, bool)
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    for _ in range(int(rng.poisson(1.5 * max(shape) / 512 + 0.5))):
        point, angle = rng.uniform(0, 1, 2) * np.array(shape), rng.uniform(0, np.pi)
        across = (rows - point[0]) * np.cos(angle) - (cols - point[1]) * np.sin(angle)
        along = (rows - point[0]) * np.sin(angle) + (cols - point[1]) * np.cos(angle)
        bend = rng.uniform(-8, 8) * np.sin(along / rng.uniform(40, 150))
        roads |= np.abs(across + bend) < rng.uniform(0.5, 1.1)
    return roads


def _smooth_dark(rng: np.random.Generator, shape: tuple[int, int], fields: Fields, hard: bool) -> _Bool:
    """Draw dry surfaces that are smooth and therefore dark. Hard scenes nearly always have some."""
    dark = np.zeros(shape, bool)
    likely = 0.9 if hard else 0.4
    kinds = rng.random(3) < likely * np.array([0.2, 0.55, 0.45])
    if kinds[0]:
        start, angle = rng.uniform(0.1, 0.6, 2) * np.array(shape), float(rng.uniform(0, np.pi / 2))
        length, width = float(rng.uniform(110, 320)), float(rng.uniform(4, 7))
        dark |= _strip(shape, start, angle, length, width)
        beside = start + np.array([np.cos(angle), -np.sin(angle)]) * rng.uniform(14, 25)
        dark |= _strip(shape, beside, angle, length * 0.8, width * 0.5)
        dark |= _strip(shape, beside, angle, 30, 22)
    if kinds[1]:
        share = float(rng.uniform(0.003, 0.03)) * (3.0 if hard else 1.0)
        dark |= (rng.random(_FIELD_CODES) < share)[fields.code]
    if kinds[2]:
        sand = spectral_noise(rng, shape, 3.2, cutoff=float(rng.uniform(60, 250)))
        share = float(rng.uniform(0.005, 0.05)) * (2.5 if hard else 1.0)
        dark |= sand > np.quantile(sand[::4, ::4], 1.0 - share)
    return dark


def make_landcover(
    rng: np.random.Generator, terrain: Terrain, fields: Fields, slope: NDArray[np.float32], *, hard: bool
) -> LandCover:
    """Draw the land cover of a scene.

    Args:
        rng: Source of randomness.
        terrain: Relief; wetlands are on low ground, bare bars along the river, forest on slopes.
        fields: Layout of the fields.
        slope: (h, w) float32 rise over run.
        hard: Whether there are more smooth dark surfaces.
    """
    shape = fields.code.shape
    classes = np.full(shape, CROP, np.uint8)
    use = rng.random(_FIELD_CODES)[fields.code]
    # After the harvest half of the fields are bare.
    grass, bare = rng.uniform(0.05, 0.5), rng.uniform(0.0, 0.45 if rng.random() < 0.3 else 0.12)
    classes[use < grass] = GRASS
    classes[use > 1 - bare] = BARE
    # A threshold on rough noise gives many small islands, which real land does not have; smooth noise gives patches.
    wild = spectral_noise(rng, shape, float(rng.uniform(3.2, 3.8)), cutoff=200.0)
    cultivated = float(rng.choice([0.0, 0.4, 0.8, 0.95], p=[0.15, 0.25, 0.35, 0.25]))
    patch = smooth_noise(rng, shape, float(rng.uniform(60, 250)))
    untilled = patch + 0.4 * wild > np.quantile((patch + 0.4 * wild)[::4, ::4], cultivated)
    classes[untilled] = np.where(wild[untilled] > rng.uniform(-1.0, 1.0), SHRUB, GRASS)
    trees = spectral_noise(rng, shape, float(rng.uniform(3.0, 3.8)), cutoff=float(rng.uniform(60, 300)))
    trees += np.clip(ndimage.gaussian_filter(slope, 3.0) * 6.0, 0.0, 2.0)
    classes[trees > rng.uniform(0.2, 2.1)] = TREE
    hedges = float(rng.random()) < 0.4
    if hedges:
        edge = (np.diff(fields.code, axis=0, prepend=fields.code[:1]) != 0) & (wild > 0.2)
        classes[edge] = TREE
    height = ndimage.gaussian_filter(terrain.above_river, 2.0)
    low = height < np.quantile(height[::4, ::4], rng.uniform(0.0, 0.12))
    classes[low & (wild > -0.3)] = WETLAND
    bars = terrain.river_distance < rng.uniform(1.0, 14.0)
    classes[bars & (wild > 0.6)] = BARE
    if rng.random() < _TOWN_SHARE:
        town = smooth_noise(rng, shape, float(rng.uniform(25, 120))) + 0.35 * wild
        classes[(town > rng.uniform(1.2, 2.6)) & (slope < 0.25)] = BUILT
    snow = np.zeros(shape, bool)
    if rng.random() < (2.0 if hard else 1.0) * _SNOW_SHARE:
        high = height - height.mean() + 0.5 * height.std() * smooth_noise(rng, shape, 40.0)
        snow = high > np.quantile(high[::4, ::4], rng.uniform(0.3, 0.97))
    return LandCover(classes, _roads(rng, shape), _smooth_dark(rng, shape, fields, hard), snow)
