"""Backscatter of ground without plants: tilled fields, peat, mud and dead grass, which are dry and as dark as water."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

from drshym_pipeline.datasets.simulator.conditions import BareFields
from drshym_pipeline.datasets.simulator.landcover import (
    BARE,
    CROP,
    GRASS,
    SHRUB,
    WETLAND,
    Fields,
    LandCover,
    by_field,
)
from drshym_pipeline.datasets.simulator.terrain import spectral_noise

_Float = NDArray[np.float32]

_NATURAL_SHARE = 0.4  # of the acquisitions with bare fields: also patches of bare ground that are not fields


@dataclass(frozen=True)
class BareGround:
    """Bare ground of one scene; all arrays are (h, w) float32.

    Args:
        share: Share of each pixel that is bare, in [0, 1].
        vv: Mean VV of bare ground in dB.
        vh: Mean VH of bare ground in dB.
    """

    share: _Float
    vv: _Float
    vh: _Float


def bare_ground(rng: np.random.Generator, plan: BareFields, fields: Fields, cover: LandCover) -> BareGround:
    """Draw ground without plants: tilled fields with hard edges and rows, and patches of peat, mud or dead grass.

    VV is -16 to -11 dB and VH -28 to -19 dB. In VH such ground is as dark as water. It differs from water by its edges,
    by VH, which varies from place to place and is even over water under wind, and mostly by a smaller VV - VH
    (docs/simulator.md has the sources).

    Args:
        rng: Source of randomness.
        plan: How much bare ground the acquisition has, and its levels.
        fields: Layout of the fields; a field is bare as a whole.
        cover: Land cover. Forest, towns and roads are never bare.
    """
    shape = cover.classes.shape
    chance = by_field(rng, fields, 1.0)
    open_ground = np.isin(cover.classes, (CROP, GRASS, BARE, WETLAND, SHRUB)) & ~cover.roads
    tilled = open_ground & (cover.classes != SHRUB) & ~fields.wild & (chance < ndtri(plan.share))
    share = tilled.astype(np.float32)
    if plan.share > 0.0 and rng.random() < _NATURAL_SHARE:
        ground = spectral_noise(rng, shape, float(rng.uniform(2.6, 3.4)), cutoff=float(rng.uniform(30, 150)))
        patches = open_ground & (ground > np.quantile(ground[::4, ::4], 1.0 - min(0.9, plan.share)))
        share = np.maximum(share, ndimage.gaussian_filter(patches.astype(np.float32), float(rng.uniform(1.0, 4.0))))
    vv = plan.vv + by_field(rng, fields, float(rng.uniform(0.3, 1.2)))
    difference = plan.difference + by_field(rng, fields, float(rng.uniform(0.2, 0.9)))
    for turned in (False, True):  # rows run along the fields, which have one of two directions
        along = fields.code % 2 == int(turned)
        vv += along * _rows(rng, shape, plan.rows)
    difference += spectral_noise(rng, shape, 2.6, cutoff=float(rng.uniform(15, 60))) * np.float32(rng.uniform(0.4, 1.8))
    vv = np.clip(vv, -16.5, -10.5)
    return BareGround(share, vv, vv - np.clip(difference, 5.0, 13.5))


def _rows(rng: np.random.Generator, shape: tuple[int, int], amplitude: float) -> _Float:
    """Draw parallel rows of a random direction and a period of 3 to 9 pixels: (h, w) float32 dB."""
    angle, period = rng.uniform(0.0, np.pi), rng.uniform(3.0, 9.0)
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    phase = (rows * np.sin(angle) + cols * np.cos(angle)) * (2 * np.pi / period)
    return np.asarray(amplitude * np.sin(phase + rng.uniform(0.0, 2 * np.pi)), np.float32)
