"""Properties of a whole acquisition: radiometry, water state, looks, noise.

Chips of one event share a `Conditions`, as chips cut from one Sentinel-1 scene do. Levels are typical of Sentinel-1 GRD
in sigma0 (land VV about -10.5 dB, VH -17; calm water VV -20, VH -26), and they vary as they do from scene to scene.
This module decides nothing spatial.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

SceneKind = Literal["standard", "hard", "wind"]
WaterState = Literal["calm", "wind", "weak"]
Product = Literal["grd", "rtc", "multilook"]

# Cumulative shares of calm, wind-roughened and weak-contrast acquisitions. Water of weak contrast can hardly be
# distinguished from dry land by anyone, so ordinary scenes have little of it.
_STATES: dict[SceneKind, tuple[float, float]] = {"standard": (0.66, 0.95), "hard": (0.15, 0.7), "wind": (0.0, 1.0)}
_DOUBLE_BOUNCE_SHARE: dict[SceneKind, float] = {"standard": 0.08, "hard": 0.2, "wind": 0.0}
_MIRROR_SHARE = 0.15  # of calm acquisitions: hardly any signal returns from the water, so it is mostly noise
_EVEN_SHARE = 0.2  # of all acquisitions: land without a pattern, such as savanna in its dry season
_BARE_SHARE: dict[SceneKind, float] = {"standard": 0.45, "hard": 0.6, "wind": 0.3}
_BARE_EVERYWHERE_SHARE = 0.2  # of the acquisitions with bare fields: hardly anything else, as on plains in winter
_PRODUCTS: tuple[tuple[Product, float], ...] = (("grd", 0.7), ("rtc", 0.9), ("multilook", 1.0))  # cumulative shares
_COARSE_SHARE = 0.5  # of RTC products: pixels of 20 or 30 m
# VV of wind-roughened water, and VH that the water itself returns: in moderate wind it is below the noise of Sentinel-1
# (Huang et al. 2017, Remote Sensing 9, 854, figures 1 and 7; docs/simulator.md).
_WIND_VV = (-17.0, -8.0)
_WIND_VH = (-36.0, -29.0)
# VV - VH as measured, with noise. The kind `wind` is a test set of water that is clearly under wind.
_WIND_DIFFERENCE: dict[SceneKind, tuple[float, float]] = {
    "standard": (11.0, 18.0),
    "hard": (11.0, 18.0),
    "wind": (12.0, 18.0),
}
_BRIGHTEST_OVER_LAND = 2.0  # dB by which wind-roughened water may be brighter than land in VV
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class BareFields:
    """Bare and freshly tilled fields of an acquisition.

    Args:
        share: Share of the fields that are bare, in [0, 1].
        vv: Mean VV of the bare fields in dB.
        difference: Mean of VV - VH in dB.
        rows: Amplitude of the pattern of rows in dB.
    """

    share: float
    vv: float
    difference: float
    rows: float


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
        bare: Bare fields.
        product: Ground range detected, radiometrically terrain corrected, or multi-looked again by a user.
        cell: Side of the product's own pixels in pixels of the chip: 2 or 3 for RTC of 20 and 30 m. The chip shows
            them interpolated, as the network sees them.
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
    bare: BareFields = BareFields(0.0, -13.0, 9.0, 0.0)
    product: Product = "grd"
    cell: int = 1

    @property
    def residual_noise(self) -> tuple[float, float]:
        """The mean noise power of VV and VH that is left in the product, as power."""
        left = 1.0 - self.noise_removed
        return left * 10 ** (self.noise[0] / 10), left * 10 ** (self.noise[1] / 10)


def _water_levels(
    rng: np.random.Generator,
    state: WaterState,
    land: tuple[float, float],
    residual_noise_vh: float,
    wind_difference: tuple[float, float],
) -> tuple[float, float]:
    """Draw VV and VH of open water in dB, without noise; VH is at least 3 dB below that of land."""
    if state == "calm":
        mirror = rng.random() < _MIRROR_SHARE
        level = rng.uniform(-27.0, -23.0) if mirror else rng.normal(-20.3, 2.2)
        vv = float(np.clip(level, -28.0, land[0] - 5.0))
        vh = float(np.clip(vv - rng.normal(7.0, 1.4), -36.0, land[1] - 5.0))
        return vv, vh
    if state == "wind":
        vh = min(float(rng.uniform(*_WIND_VH)), land[1] - 5.0)
        measured = 10.0 * np.log10(10 ** (vh / 10) + residual_noise_vh)
        lowest, highest = (measured + difference for difference in wind_difference)
        highest = min(highest, _WIND_VV[1], land[0] + _BRIGHTEST_OVER_LAND)
        return float(rng.uniform(min(max(lowest, _WIND_VV[0]), highest), highest)), vh
    vv = land[0] - float(rng.uniform(3.2, 6.0))
    vh = land[1] - float(rng.uniform(4.0, 6.5))
    return vv, vh


def _draw_bare(rng: np.random.Generator, kind: SceneKind) -> BareFields:
    """Draw the bare fields of an acquisition. Half of the acquisitions have none."""
    some, everywhere = rng.random(2)
    low, high = (0.6, 1.0) if everywhere < _BARE_EVERYWHERE_SHARE else (0.03, 0.45)
    share = float(rng.uniform(low, high)) if some < _BARE_SHARE[kind] else 0.0
    # Smooth soil is dark and depolarises little; rough soil is bright in both bands.
    roughness = float(rng.uniform(0.0, 1.0))
    vv = -15.2 + 3.6 * roughness + float(rng.normal(0.0, 0.5))
    difference = float(np.clip(11.2 - 3.6 * roughness + rng.normal(0.0, 0.8), 6.0, 12.0))
    return BareFields(share, vv, difference, float(rng.uniform(0.0, 0.9)))


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
    noise_vh = float(rng.uniform(-30.0, -24.0))
    even = rng.random() < _EVEN_SHARE
    chosen = rng.random()
    product = next(name for name, limit in _PRODUCTS if chosen < limit)
    coarse = product == "rtc" and rng.random() < _COARSE_SHARE
    conditions = Conditions(
        kind=kind,
        water=state,
        land=land,
        open_water=land,
        contrast=float(rng.uniform(0.05, 0.3) if even else rng.uniform(0.4, 1.3)),
        incidence=float(rng.uniform(30.0, 44.0)),
        looks=float(rng.uniform(8.0, 30.0) if product == "multilook" else rng.uniform(4.2, 6.0)),
        psf=(float(rng.uniform(0.45, 0.78)), float(rng.uniform(0.45, 0.78))),
        noise=(noise_vh + float(rng.uniform(-0.5, 1.0)), noise_vh),
        noise_removed=float(rng.choice([0.0, 0.7, 0.9, 1.0], p=[0.3, 0.2, 0.25, 0.25])),
        look_right=bool(rng.random() < 0.5),
        double_bounce=bool(rng.random() < _DOUBLE_BOUNCE_SHARE[kind]),
        relief=float(np.clip(rng.lognormal(np.log(18.0), 1.25), 2.0, 450.0)),
        bare=_draw_bare(rng, kind),
        product=product,
        cell=int(rng.integers(2, 4)) if coarse else 1,
    )
    levels = _water_levels(rng, state, land, conditions.residual_noise[1], _WIND_DIFFERENCE[kind])
    return replace(conditions, open_water=levels)


def vary(rng: np.random.Generator, conditions: Conditions) -> Conditions:
    """Return the conditions of the same acquisition a few kilometres away.

    Land, water, incidence and relief change a little.
    """
    shift_vv, shift_vh = rng.normal(0.0, 0.5, 2)
    land = (conditions.land[0] + float(shift_vv), conditions.land[1] + float(shift_vv + 0.4 * shift_vh))
    moved = rng.normal(0.0, 0.5, 2)
    vv = conditions.open_water[0] + float(moved[0])
    shared = 0.0 if conditions.water == "wind" else 0.6  # VH of water under wind hardly follows VV
    vh = min(conditions.open_water[1] + float(shared * moved[0] + 0.6 * moved[1]), land[1] - 3.2)
    return replace(
        conditions,
        land=land,
        open_water=(vv, vh),
        incidence=conditions.incidence + float(rng.uniform(-1.0, 1.0)),
        relief=conditions.relief * float(rng.lognormal(0.0, 0.5)),
    )
