"""Towns, villages and farms: a dense core at a node of the road network, and houses along its roads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.datasets.simulator.fields import Fields, LandKind
from drshym_pipeline.datasets.simulator.terrain import smooth_noise

_Bool = NDArray[np.bool_]

# Share of the nodes of the road network at which people live, in scenes that have settlements.
_INHABITED: dict[LandKind, float] = {
    "farmed": 0.6,
    "mixed": 0.5,
    "forest": 0.2,
    "savanna": 0.2,
    "marsh": 0.1,
    "desert": 0.1,
}
_EMPTY_SHARE = 0.35  # share of the scenes without settlements
_STEEPEST = 0.25  # rise over run on which towns are built
_LARGEST = 70.0  # pixels


def _around(middle: NDArray[np.float64], reach: float, shape: tuple[int, int]) -> tuple[slice, slice] | None:
    """Return the part of the scene within `reach` pixels of a point; None when it is outside."""
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.minimum(np.ceil(middle + reach) + 1, shape).astype(int)
    if (low >= high).any():
        return None
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def settlements(rng: np.random.Generator, fields: Fields, slope: NDArray[np.float32]) -> _Bool:
    """Draw the built-up ground of a scene: (h, w) bool.

    Args:
        rng: Source of randomness.
        fields: Layout of the land with its road network.
        slope: (h, w) float32 rise over run; steep ground is not built on.
    """
    shape: tuple[int, int] = slope.shape
    built = np.zeros(shape, bool)
    if rng.random() < _EMPTY_SHARE:
        return built
    network = fields.network
    uneven = smooth_noise(rng, shape, 14.0)
    grain = rng.random(shape, dtype=np.float32)
    typical = float(rng.uniform(3.0, 9.0))
    for middle in network.places:
        inhabited = rng.random() < _INHABITED[fields.kind]
        # Most settlements are villages; few are towns.
        radius = min(typical * float(np.exp(rng.normal(0.0, 0.8))), _LARGEST)
        part = _around(middle, 4.0 * radius + 4.0, shape) if inhabited else None
        if part is None:
            continue
        rows, cols = np.ogrid[part]
        away = np.hypot(rows - middle[0], cols - middle[1]).astype(np.float32) / np.float32(radius)
        core = away + 0.3 * uneven[part] < 1.0
        outskirts = (away + 0.4 * uneven[part] < 2.0) & (grain[part] < 0.3 * (2.2 - away))
        along_roads = (network.distance[part] < 2.5) & (away < 4.0) & (grain[part] < 1.1 - 0.25 * away)
        built[part] |= core | outskirts | along_roads
    farms = network.distance < 6.0
    built |= farms & ~fields.wild & (grain < float(rng.uniform(0.0, 0.006)))
    return np.asarray(built & (slope < _STEEPEST))
