"""Land cover of a scene: what grows on the fields and outside them, towns, roads, bare ground.

Classes are ESA WorldCover codes. The layout of roads and fields is drawn in `fields`, the brightness of each class is
decided in `backscatter`, the place of water in `water`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from drshym_pipeline.datasets.simulator.fields import FIELD_CODES, Fields, by_field, make_fields
from drshym_pipeline.datasets.simulator.settlements import settlements
from drshym_pipeline.datasets.simulator.terrain import Terrain, smooth_noise, spectral_noise

__all__ = (
    "BARE",
    "BUILT",
    "CROP",
    "GRASS",
    "SHRUB",
    "TREE",
    "WATER",
    "WETLAND",
    "Fields",
    "LandCover",
    "by_field",
    "make_fields",
    "make_landcover",
)

TREE, SHRUB, GRASS, CROP, BUILT, BARE, WATER, WETLAND = 10, 20, 30, 40, 50, 60, 80, 90

_SNOW_SHARE = 0.14
_Bool = NDArray[np.bool_]


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


def _strip(shape: tuple[int, int], start: NDArray[np.float64], angle: float, length: float, width: float) -> _Bool:
    """Return a straight strip from a point: (h, w) bool."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    along = (rows - start[0]) * np.sin(angle) + (cols - start[1]) * np.cos(angle)
    across = (rows - start[0]) * np.cos(angle) - (cols - start[1]) * np.sin(angle)
    return np.asarray((along >= 0) & (along < length) & (np.abs(across) <= width / 2))


def _smooth_dark(rng: np.random.Generator, shape: tuple[int, int], fields: Fields, hard: bool) -> _Bool:
    """Draw dry surfaces that are smooth and therefore dark. Hard scenes nearly always have some."""
    dark = np.zeros(shape, bool)
    likely = 0.9 if hard else 0.25  # nobody could distinguish them from water, so few
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
        dark |= (rng.random(FIELD_CODES) < share)[fields.code] & ~fields.wild
    if kinds[2]:
        sand = spectral_noise(rng, shape, 3.2, cutoff=float(rng.uniform(60, 250)))
        share = float(rng.uniform(0.005, 0.05)) * (2.5 if hard else 1.0)
        dark |= sand > np.quantile(sand[::4, ::4], 1.0 - share)
    return dark


def _edges(number: NDArray[np.int32]) -> _Bool:
    """Return the pixels at which the number differs from that of the pixel above or to the left."""
    edges = np.zeros(number.shape, bool)
    edges[1:] = number[1:] != number[:-1]
    edges[:, 1:] |= number[:, 1:] != number[:, :-1]
    return edges


def _wild_cover(
    rng: np.random.Generator, terrain: Terrain, fields: Fields, slope: NDArray[np.float32], rough: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Draw what grows on land without fields, for the whole scene: (h, w) uint8 classes."""
    shape = fields.code.shape
    kind = fields.kind
    trees = spectral_noise(rng, shape, float(rng.uniform(3.0, 3.8)), cutoff=float(rng.uniform(60, 300)))
    if kind == "desert":  # only the dry river beds have plants
        return np.where(terrain.valley + 0.15 * rough < rng.uniform(-0.1, 0.15), GRASS, BARE).astype(np.uint8)
    if kind == "marsh":
        dry = np.where(trees > rng.uniform(0.3, 1.5), SHRUB, GRASS)
        return np.where(rough < rng.uniform(-0.3, 1.5), WETLAND, dry).astype(np.uint8)
    cover = np.where(rough > rng.uniform(-1.0, 1.0), SHRUB, GRASS).astype(np.uint8)
    if kind == "savanna":
        # Trees grow along the streams, most of which are dry.
        cover[trees > rng.uniform(1.2, 2.5)] = TREE
        if rng.random() < 0.6:
            cover[terrain.valley + 0.1 * rough < rng.uniform(0.0, 0.12)] = TREE
        return cover
    trees += np.clip(ndimage.gaussian_filter(slope, 3.0) * 6.0, 0.0, 2.0)
    least = rng.uniform(-2.5, -0.5) if kind == "forest" else rng.uniform(-1.0, 1.5)
    forest = trees > least
    cover[forest] = TREE
    if rng.random() < (0.8 if kind == "forest" else 0.2):
        # Managed forest: whole parcels are cut, and straight lanes divide the blocks.
        cut = (fields.parcel % 1009) < 1009 * rng.uniform(0.0, 0.2)
        cover[forest & cut] = rng.choice([SHRUB, GRASS])
        lanes = _edges(fields.block) & (fields.block % 3 > 0)
        cover[forest & lanes] = GRASS
    return cover


def _farmed_cover(rng: np.random.Generator, fields: Fields) -> NDArray[np.uint8]:
    """Draw what grows on the fields, whole parcels: (h, w) uint8 classes."""
    # After the harvest half of the fields are bare.
    grass = float(rng.uniform(0.02, 0.4))
    bare = float(rng.uniform(0.0, 0.45 if rng.random() < 0.3 else 0.12))
    orchard = float(rng.uniform(0.0, 0.06 if rng.random() < 0.7 else 0.25))
    use = rng.random(FIELD_CODES)
    classes = np.full(FIELD_CODES, CROP, np.uint8)
    classes[use < grass] = GRASS
    classes[use > 1.0 - bare] = BARE
    classes[(use > grass) & (use < grass + orchard)] = TREE
    return classes[fields.code]


def _tracks(rng: np.random.Generator, fields: Fields) -> _Bool:
    """Draw the roads: those between settlements, and the tracks between some blocks of fields."""
    network = fields.network
    roads = network.roads.copy() if fields.kind in ("farmed", "mixed") else network.main_roads.copy()
    lanes = _edges(fields.block) & ~fields.wild
    roads |= lanes & (fields.block % 7 < rng.integers(0, 4))
    return np.asarray(roads | ndimage.binary_dilation(network.main_roads))


def make_landcover(
    rng: np.random.Generator, terrain: Terrain, fields: Fields, slope: NDArray[np.float32], *, hard: bool
) -> LandCover:
    """Draw the land cover of a scene.

    Args:
        rng: Source of randomness.
        terrain: Relief; wetlands are on low ground, bare bars along the river, forest on slopes.
        fields: Layout of the fields and roads.
        slope: (h, w) float32 rise over run.
        hard: Whether there are more smooth dark surfaces.
    """
    shape = fields.code.shape
    # A threshold on rough noise gives many small islands, which real land does not have; smooth noise gives patches.
    rough = spectral_noise(rng, shape, float(rng.uniform(3.2, 3.8)), cutoff=200.0)
    classes = np.where(fields.wild, _wild_cover(rng, terrain, fields, slope, rough), _farmed_cover(rng, fields))
    classes = classes.astype(np.uint8)
    if fields.hedges:
        edges = _edges(fields.parcel if rng.random() < 0.6 else fields.block) & ~fields.wild
        classes[edges & (rough > rng.normal(0.0, 0.7)) & (fields.parcel % 97 < 97 * fields.hedges)] = TREE
    height = ndimage.gaussian_filter(terrain.above_river, 2.0)
    if rng.random() < 0.5:
        low = height < np.quantile(height[::4, ::4], rng.uniform(0.0, 0.1))
        classes[low & (rough > -0.3) & (fields.wild | (terrain.river_distance < 25))] = WETLAND
    bank = terrain.river_distance
    if rng.random() < 0.5:
        classes[(bank < rng.uniform(4.0, 22.0)) & (rough > rng.uniform(-0.5, 1.0))] = TREE
    classes[(bank < rng.uniform(1.0, 14.0)) & (rough > 0.6)] = BARE
    built = settlements(rng, fields, slope)
    classes[built & (terrain.above_river > 0.0)] = BUILT
    snow = np.zeros(shape, bool)
    if rng.random() < (2.0 if hard else 1.0) * _SNOW_SHARE:
        high = height - height.mean() + 0.5 * height.std() * smooth_noise(rng, shape, 40.0)
        snow = high > np.quantile(high[::4, ::4], rng.uniform(0.3, 0.97))
    return LandCover(classes, _tracks(rng, fields), _smooth_dark(rng, shape, fields, hard), snow)
