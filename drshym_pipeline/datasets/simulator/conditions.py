"""Properties of a whole acquisition: radiometry, water state, looks, noise.

Chips of one event share a `Conditions`, as chips cut from one Sentinel-1 scene do. Levels are typical of Sentinel-1 GRD
in sigma0 (land VV about -10.5 dB, VH -17; calm water VV -20, VH -26), and they vary as they do from scene to scene.
This module decides nothing spatial.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

SceneKind = Literal["standard", "hard"]
WaterState = Literal["calm", "wind", "weak"]

# Cumulative shares of calm, wind-roughened and weak-contrast acquisitions.
_STATES: dict[SceneKind, tuple[float, float]] = {"standard": (0.64, 0.87), "hard": (0.15, 0.62)}
_DOUBLE_BOUNCE_SHARE: dict[SceneKind, float] = {"standard": 0.08, "hard": 0.2}
_MIRROR_SHARE = 0.15  # of calm acquisitions: hardly any signal returns from the water, so it is mostly noise
_EVEN_SHARE = 0.2  # of all acquisitions: land without a pattern, such as savanna in its dry season
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Conditions:
    """The state of one acquisition; all levels in dB.

    Args:
        kind: Kind of scene; `hard` has more wind, weak contrast and look-alikes.
        water: State of the water: calm, wind-roughened (VV near land, VH still well below) or of weak contrast.
        land: VV and VH of cropland at the reference incidence.
        open_water: VV and VH of open water.
        contrast: Scale of the differences among land cover classes and fields (1 is typical; below 0.3 the land has
            hardly any pattern).
        incidence: Angle at the first column, degrees.
        looks: Equivalent number of looks of the speckle.
        psf: Weight of a pixel's neighbours in the point spread function, down the rows and along the columns.
        noise: Noise-equivalent sigma zero of VV and VH.
        noise_removed: Share of the mean noise power that the processor subtracted.
        look_right: Whether the sensor is to the left, so that slopes that face left are bright.
        double_bounce: Whether flooded vegetation is bright.
        relief: Height of the terrain above the valley floor, metres.
    """

    kind: SceneKind
    water: WaterState
    land: tuple[float, float]
    open_water: tuple[float, float]
    contrast: float
    incidence: float
    looks: float
    psf: tuple[float, float]
    noise: tuple[float, float]
    noise_removed: float
    look_right: bool
    double_bounce: bool
    relief: float


def _water_levels(
    rng: np.random.Generator, state: WaterState, land: tuple[float, float], vv_vh: float
) -> tuple[float, float]:
    """Draw VV and VH of open water in dB; VH is at least 3 dB below that of land."""
    if state == "calm":
        mirror = rng.random() < _MIRROR_SHARE
        level = rng.uniform(-27.0, -23.0) if mirror else rng.normal(-20.3, 2.2)
        vv = float(np.clip(level, -28.0, land[0] - 5.0))
        vh = float(np.clip(vv - rng.normal(6.3, 1.2), -33.0, land[1] - 5.0))
    elif state == "wind":
        vv = land[0] - float(rng.uniform(0.3, 3.5))
        vh = land[1] - float(rng.uniform(3.6, 8.0))
    else:
        vv = land[0] - float(rng.uniform(3.2, 6.0))
        vh = land[1] - float(rng.uniform(4.0, 6.5))
    return vv, min(vh, vv - vv_vh * 0.5)


def draw_conditions(rng: np.random.Generator, kind: SceneKind = "standard", rank: int | None = None) -> Conditions:
    """Draw the conditions of an acquisition.

    Args:
        rng: Source of randomness.
        kind: Kind of scene, which sets the shares of the water states.
        rank: Number of the event within its set. With a rank, the water states are spread evenly over consecutive ranks
            (a golden-ratio sequence), so that a small set has the right share of each. With None they are drawn freely.
    """
    draw = float(rng.random()) if rank is None else (0.31 + rank * GOLDEN) % 1.0
    calm, wind = _STATES[kind]
    state: WaterState = "calm" if draw < calm else "wind" if draw < wind else "weak"
    land_vv = float(np.clip(rng.normal(-10.5, 1.7), -15.0, -7.0))
    vv_vh = float(np.clip(rng.normal(6.6, 1.2), 4.5, 10.0))
    land = (land_vv, land_vv - vv_vh)
    noise_vh = float(rng.uniform(-29.5, -24.0))
    even = rng.random() < _EVEN_SHARE
    return Conditions(
        kind=kind,
        water=state,
        land=land,
        open_water=_water_levels(rng, state, land, vv_vh),
        contrast=float(rng.uniform(0.05, 0.3) if even else rng.uniform(0.4, 1.3)),
        incidence=float(rng.uniform(30.0, 44.0)),
        looks=float(rng.uniform(4.2, 6.0)),
        psf=(float(rng.uniform(0.45, 0.78)), float(rng.uniform(0.45, 0.78))),
        noise=(noise_vh + float(rng.uniform(-0.5, 1.0)), noise_vh),
        noise_removed=float(rng.choice([0.0, 0.7, 0.9, 1.0], p=[0.35, 0.25, 0.25, 0.15])),
        look_right=bool(rng.random() < 0.5),
        double_bounce=bool(rng.random() < _DOUBLE_BOUNCE_SHARE[kind]),
        relief=float(np.clip(rng.lognormal(np.log(18.0), 1.25), 2.0, 450.0)),
    )


def vary(rng: np.random.Generator, conditions: Conditions) -> Conditions:
    """Return the conditions of the same acquisition a few kilometres away.

    Land, water, incidence and relief change a little.
    """
    shift_vv, shift_vh = rng.normal(0.0, 0.5, 2)
    land = (conditions.land[0] + float(shift_vv), conditions.land[1] + float(shift_vv + 0.4 * shift_vh))
    moved = rng.normal(0.0, 0.5, 2)
    vv = conditions.open_water[0] + float(moved[0])
    vh = min(conditions.open_water[1] + float(0.6 * moved[0] + 0.6 * moved[1]), land[1] - 3.2)
    return replace(
        conditions,
        land=land,
        open_water=(vv, vh),
        incidence=conditions.incidence + float(rng.uniform(-1.0, 1.0)),
        relief=conditions.relief * float(rng.lognormal(0.0, 0.5)),
    )
