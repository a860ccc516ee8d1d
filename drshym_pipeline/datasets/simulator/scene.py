"""One simulated scene, made of terrain, land cover, water, backscatter, speckle and artefacts.

The parts are in the other modules of this package; files are written in `writer`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from drshym_pipeline.datasets.simulator import artefacts, backscatter
from drshym_pipeline.datasets.simulator.conditions import Conditions, SceneKind, draw_conditions
from drshym_pipeline.datasets.simulator.landcover import WATER, Fields, LandCover, make_fields, make_landcover
from drshym_pipeline.datasets.simulator.terrain import Terrain, make_terrain
from drshym_pipeline.datasets.simulator.water import Water, flood_water, permanent_water
from drshym_pipeline.errors import InputError

if TYPE_CHECKING:
    from affine import Affine

_DEFAULT_ORIGIN = (500_000.0, 2_900_000.0)  # on the central meridian of the zone, at about 26 degrees north
_NODATA_SHARE = 0.2
_RIVER_SHARE = 0.72
_WITHOUT_WATER_SHARE = 0.1
_MIXED_PIXEL = 0.4  # Gaussian sigma in pixels by which shores mix land and water before the blur of the sensor
_BORDER_NOISE_SHARE = 0.4  # of the scenes with a border
_RADAR_RELIEF = 2.5  # Gaussian sigma in pixels; it keeps broad ridges and removes steps between fields
_STEEP_SHARE = 0.15  # share of the scenes with full layover
_FLATTENED = 1.5  # dB of the slopes that remain in radiometrically terrain corrected products


@dataclass(frozen=True)
class SimulatedScene:
    """A scene and its truth, all on one grid.

    Args:
        db: (2, h, w) float32 VV and VH in dB, NaN where not observed.
        label: (h, w) int8: 1 water (permanent or flood), 0 dry, -1 undecided or not observed.
        flood: (h, w) bool, water of the event only.
        permanent_water: (h, w) bool.
        dem: (h, w) float32 metres.
        landcover: (h, w) uint8 ESA WorldCover codes.
        pre_event_db: (2, h, w) float32 dB before the event: the same land, other speckle, only permanent water.
        conditions: Radiometry of the acquisition.
        crs: Coordinate reference system, such as `EPSG:32644`.
        transform: Affine of the upper left corner of a pixel.
    """

    db: NDArray[np.float32]
    label: NDArray[np.int8]
    flood: NDArray[np.bool_]
    permanent_water: NDArray[np.bool_]
    dem: NDArray[np.float32]
    landcover: NDArray[np.uint8]
    pre_event_db: NDArray[np.float32]
    conditions: Conditions
    crs: str
    transform: Affine


def generator(*keys: int) -> np.random.Generator:
    """Return the random generator of a scene or event; the same keys give the same numbers on any machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(keys))))


def _slope(dem: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    down, along = np.gradient(dem, spacing)
    return np.asarray(np.hypot(down, along), np.float32)


def _blend(land: NDArray[np.float32], water: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean backscatter of pixels that are partly water: mixed as power, returned in dB."""
    ten = np.float32(10)
    power = np.power(ten, land / ten) * (1 - share) + np.power(ten, water / ten) * share
    return np.asarray(10 * np.log10(power), np.float32)


@dataclass(frozen=True)
class _Ground:
    """Properties of the ground, without those of an acquisition."""

    fields: Fields
    terrain: Terrain
    dem: NDArray[np.float32]
    cover: LandCover
    water: Water


def _make_ground(
    rng: np.random.Generator, shape: tuple[int, int], conditions: Conditions, spacing: float, share: float | None
) -> _Ground:
    hard = conditions.kind == "hard"
    waterless = bool(rng.random() < _WITHOUT_WATER_SHARE) and share is None
    has_river = bool(rng.random() < _RIVER_SHARE) and not waterless
    terrain = make_terrain(rng, shape, conditions.relief, has_river=has_river)
    fields = make_fields(rng, shape, terrain)
    terrain = terrain.with_steps(fields.step)
    permanent = np.zeros(shape, bool) if waterless else permanent_water(rng, terrain, fields)
    base = np.float32(rng.uniform(5.0, 400.0))
    dem = terrain.above_river + terrain.fall + base
    cover = make_landcover(rng, terrain, fields, _slope(dem, spacing), hard=hard)
    water = flood_water(
        rng, terrain, permanent, cover, double_bounce=conditions.double_bounce, share=0.0 if waterless else share
    )
    return _Ground(fields, terrain, dem.astype(np.float32), cover, water)


def _observe(rng: np.random.Generator, ground: _Ground, conditions: Conditions, spacing: float) -> NDArray[np.float32]:
    """Simulate the acquisitions during and before the event: (2 acquisitions, 2 bands, h, w) float32 dB, all finite."""
    angle = backscatter.incidence(conditions, ground.dem.shape[1])
    gain, shadow = backscatter.terrain_gain(
        ndimage.gaussian_filter(ground.dem, _RADAR_RELIEF),
        angle,
        spacing,
        conditions.look_right,
        most=_FLATTENED if conditions.product == "rtc" else 12.0 if rng.random() < _STEEP_SHARE else 5.0,
    )
    pattern = artefacts.noise_pattern(rng, ground.dem.shape)
    land = backscatter.land_backscatter(rng, conditions, ground.fields, ground.cover)
    land_trend = backscatter.incidence_gain(angle, water=False)
    water_trend = backscatter.incidence_gain(angle, water=True)
    acquisitions = []
    for wet in (ground.water.permanent | ground.water.flood, ground.water.permanent):
        surface = backscatter.water_backscatter(rng, conditions, ground.dem.shape)
        surface = backscatter.flooded_backscatter(rng, ground.water, land, surface)
        margin = backscatter.wet_margin(rng, wet)
        share = np.clip(ndimage.gaussian_filter(wet.astype(np.float32), _MIXED_PIXEL), 0, 1)
        bands = []
        for band in range(2):
            dry = land[band] + land_trend[band] + gain + margin
            dry[shadow] = -40.0
            mean = _blend(dry, surface[band] + water_trend[band], share)
            detected = artefacts.detect(
                rng,
                mean,
                looks=conditions.looks,
                psf=conditions.psf,
                noise_db=conditions.noise[band],
                noise_removed=conditions.noise_removed,
                noise_pattern=pattern,
            )
            bands.append(artefacts.coarse_product(detected, conditions.cell))
        acquisitions.append(bands)
    return np.array(acquisitions, np.float32)


def simulate_scene(
    seed: int,
    height: int,
    width: int,
    *,
    kind: SceneKind = "standard",
    crs: str = "EPSG:32644",
    pixel_spacing: float = 10.0,
    origin: tuple[float, float] | None = None,
    nodata_border: bool = True,
    conditions: Conditions | None = None,
    flood_share: float | None = None,
) -> SimulatedScene:
    """Simulate a scene.

    Args:
        seed: Random seed; the same seed and options give the same scene.
        height: Number of rows, at least 16.
        width: Number of columns, at least 16.
        kind: Kind of scene; `hard` has mostly wind, weak contrast and look-alikes.
        crs: A projected CRS in metres.
        pixel_spacing: Pixel side in metres.
        origin: Upper left corner (x, y) in `crs`.
        nodata_border: Whether about every fifth scene has a wedge without data.
        conditions: Radiometry to use; drawn when None, for a product with pixels of this size.
        flood_share: Share of the dry ground to flood, 0 to 1; drawn when None.

    Raises:
        InputError: The scene is too small.
    """
    from affine import Affine

    if min(height, width) < 16:
        raise InputError("scene size", f"must be at least 16 x 16 pixels, got {height} x {width}", "Ask for more")
    rng = generator(seed, height, width)
    # A scene has the pixels of its product. Only chips show larger pixels split, as the network gets them.
    drawn = replace(draw_conditions(rng, kind), cell=1)
    conditions = conditions or drawn
    shape = (height, width)
    ground = _make_ground(rng, shape, conditions, pixel_spacing, flood_share)
    observed = _observe(rng, ground, conditions, pixel_spacing)
    wet = ground.water.permanent | ground.water.flood
    label = wet.astype(np.int8)
    label[artefacts.label_doubts(rng, wet)] = -1
    border = rng.random() < _NODATA_SHARE
    missing = artefacts.not_observed(rng, shape)
    if nodata_border and border:
        if rng.random() < _BORDER_NOISE_SHARE:
            faint = artefacts.border_noise(rng, missing)
            observed[0][:, faint] = rng.normal(-34.0, 4.0, (2, int(faint.sum())))
            label[faint] = np.where(wet[faint], -1, 0)
        observed[0][:, missing] = np.nan
        label[missing] = -1
    landcover = ground.cover.classes.copy()
    landcover[ground.water.permanent] = WATER
    left, top = origin or _DEFAULT_ORIGIN
    return SimulatedScene(
        db=observed[0],
        label=label,
        flood=ground.water.flood,
        permanent_water=ground.water.permanent,
        dem=ground.dem,
        landcover=landcover,
        pre_event_db=observed[1],
        conditions=conditions,
        crs=crs,
        transform=Affine(pixel_spacing, 0.0, left, 0.0, -pixel_spacing, top),
    )
