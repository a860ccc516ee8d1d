"""Where water is: permanent water (river, lakes, ponds, a coast) and the flood.

The flood has one level above the river and covers the low ground that is connected to it. In some scenes rain also
fills hollows that are not connected. The brightness of water is decided in `backscatter`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from drshym_pipeline.datasets.simulator.landcover import BUILT, TREE, Fields, LandCover
from drshym_pipeline.datasets.simulator.terrain import Terrain, smooth_noise, spectral_noise

_Bool = NDArray[np.bool_]

_TIDY_SHARE = 0.85  # of the floods: without puddles of a few pixels, of which real flood maps have hardly any


@dataclass(frozen=True)
class Water:
    """Water of one scene; the two masks never overlap.

    Args:
        permanent: (h, w) bool, water that was also there before the event.
        flood: (h, w) bool, only during the event.
        under_trees: (h, w) bool, the part of the flood below a canopy that the radar sees as bright double bounce.
        among_houses: (h, w) bool, the part of the flood between houses, bright for the same reason.
    """

    permanent: _Bool
    flood: _Bool
    under_trees: _Bool
    among_houses: _Bool


def permanent_water(rng: np.random.Generator, terrain: Terrain, fields: Fields) -> _Bool:
    """Draw permanent water: river, lakes, ponds in the shape of fields, and sometimes a coast or a large lake."""
    shape = terrain.river.shape
    water = terrain.river.copy()
    chances = rng.random(3)
    if chances[0] < 0.45:
        # From village ponds of a few pixels to lakes.
        size = float(np.exp(rng.uniform(np.log(10), np.log(200))))
        lakes = spectral_noise(rng, shape, float(rng.uniform(2.8, 3.6)), cutoff=size)
        share = float(np.exp(rng.uniform(np.log(0.002), np.log(0.06))))
        water |= (lakes > np.quantile(lakes[::4, ::4], 1.0 - share)) & (
            terrain.above_river < np.quantile(terrain.above_river[::4, ::4], 0.7)
        )
    if chances[1] < 0.12:
        near = smooth_noise(rng, shape, 90.0) > rng.uniform(0.3, 1.3)
        ponds = (rng.random(4096) < rng.uniform(0.3, 0.9))[fields.code] & near
        # Dikes separate the ponds.
        dikes = (ndimage.maximum_filter(fields.code, 2) != ndimage.minimum_filter(fields.code, 2)) & ponds
        water |= ponds & ~dikes
    if chances[2] < 0.08:
        shore = spectral_noise(rng, shape, 3.0, cutoff=300.0) * 14.0
        rows, cols = np.ogrid[: shape[0], : shape[1]]
        angle = rng.uniform(0, 2 * np.pi)
        across = (rows - shape[0] / 2) * np.sin(angle) + (cols - shape[1] / 2) * np.cos(angle)
        water |= across + shore > rng.uniform(-0.3, 0.45) * min(shape)
    return water


def _target_share(rng: np.random.Generator) -> float:
    """Draw the share of the scene that the flood should cover: often nothing or little, sometimes nearly all."""
    draw = rng.random()
    if draw < 0.17:
        return 0.0
    if draw < 0.55:
        return float(np.exp(rng.uniform(np.log(0.004), np.log(0.08))))
    if draw < 0.88:
        return float(rng.uniform(0.04, 0.35))
    return float(rng.uniform(0.4, 0.98))


def _joined(low: _Bool, source: _Bool) -> _Bool:
    """Return the parts of `low` that touch `source` by a side or a corner."""
    parts, count = ndimage.label(low | source, np.ones((3, 3), bool))
    keep = np.zeros(count + 1, bool)
    keep[np.unique(parts[source])] = True
    keep[0] = False
    return np.asarray(keep[parts])


def _without_puddles(flood: _Bool, fewest: int) -> _Bool:
    """Return the flood without its parts of fewer than `fewest` pixels."""
    parts, _ = ndimage.label(flood, np.ones((3, 3), bool))
    keep = np.bincount(parts.ravel()) >= fewest
    keep[0] = False
    return np.asarray(keep[parts])


def flood_water(
    rng: np.random.Generator,
    terrain: Terrain,
    permanent: _Bool,
    cover: LandCover,
    *,
    double_bounce: bool,
    share: float | None = None,
) -> Water:
    """Draw the flood of a scene.

    Args:
        rng: Source of randomness.
        terrain: Relief of the scene.
        permanent: (h, w) bool, permanent water.
        cover: Land cover. Towns are a little higher. Under trees and between houses a flood counts only where it is
            visible to the radar.
        double_bounce: Whether flooded trees and walls are bright; near the open flood they are then labelled as water.
            Otherwise flooded and dry ones look the same in the image, and they are left out of the flood.
        share: Share of the scene to flood; drawn when None.
    """
    shape = permanent.shape
    wanted = _target_share(rng) if share is None else share
    nothing = np.zeros(shape, bool)
    if wanted <= 0.0:
        return Water(permanent, nothing, nothing, nothing)
    height = terrain.above_river + np.float32(rng.uniform(0.3, 1.5)) * (cover.classes == BUILT)
    height += np.float32(rng.uniform(0.0, 0.8)) * (cover.roads | cover.smooth_dark)
    # Differences in height at the scale of a pixel do not change the outline of a flood.
    height = ndimage.gaussian_filter(height, float(rng.uniform(0.5, 2.5)))
    level = float(np.quantile(height[~permanent][::7], min(wanted, 0.98))) if (~permanent).any() else 0.0
    low = (height < level) & ~permanent
    if terrain.river.any():
        ponding = rng.random() < 0.4
        flood = low if ponding else _joined(low, permanent) & low
    else:
        flood = low
    if rng.random() < _TIDY_SHARE:
        flood = _without_puddles(ndimage.binary_opening(flood, np.ones((2, 2), bool)), int(rng.integers(6, 60)))
    trees, houses = flood & (cover.classes == TREE), flood & (cover.classes == BUILT)
    open_flood = flood & ~trees & ~houses
    if not double_bounce or not open_flood.any():
        return Water(permanent, open_flood, nothing, nothing)
    near = ndimage.distance_transform_edt(~open_flood) < rng.uniform(3, 14)
    return Water(permanent, open_flood | ((trees | houses) & near), trees & near, houses & near)
