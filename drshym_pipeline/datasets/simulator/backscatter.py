"""Mean backscatter of land and water before speckle and noise, in dB.

Levels are relative to the acquisition's land and water (`conditions`). The geometry adds the trend over incidence and
the gain of slopes that face the sensor, and gives the radar shadow. The module `scene` adds speckle and noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from drshym_pipeline.datasets.simulator.bare_ground import bare_ground
from drshym_pipeline.datasets.simulator.conditions import Conditions
from drshym_pipeline.datasets.simulator.landcover import (
    BARE,
    BUILT,
    GRASS,
    SHRUB,
    TREE,
    WETLAND,
    Fields,
    LandCover,
    by_field,
)
from drshym_pipeline.datasets.simulator.terrain import smooth_noise, spectral_noise
from drshym_pipeline.datasets.simulator.water import Water

_Float = NDArray[np.float32]
_Bool = NDArray[np.bool_]

# VV and VH of each class relative to cropland, dB, and the spread between acquisitions.
_CLASSES: dict[int, tuple[float, float, float]] = {
    TREE: (1.6, 2.9, 0.8),
    SHRUB: (0.6, 1.2, 0.7),
    GRASS: (-1.0, -1.6, 0.9),
    BARE: (-2.2, -4.2, 1.5),
    BUILT: (3.5, 3.0, 1.2),
    WETLAND: (-0.8, -1.2, 1.2),
}
_DORMANT_SHARE = 0.4  # share of the acquisitions outside the growing season
_REFERENCE_INCIDENCE = 38.0
_LAND_TREND = (-0.12, -0.10)  # dB per degree, VV and VH
_WATER_TREND = (-0.35, -0.15)
_SWATH_DEGREES_PER_PIXEL = 16.0 / 25000.0  # 30 to 46 degrees over 250 km of 10 m pixels


def incidence(conditions: Conditions, width: int) -> _Float:
    """Return the incidence angle on flat ground for every column: (1, w) float32 degrees."""
    columns = np.arange(width, dtype=np.float32)
    if not conditions.look_right:
        columns = columns[::-1]
    return np.asarray(conditions.incidence + columns * _SWATH_DEGREES_PER_PIXEL, np.float32)[None, :]


def _flash(rng: np.random.Generator, built: _Bool, vv: _Float, vh: _Float) -> None:
    """Brighten towns in place: rows of houses that face the sensor are very bright, in lines along the streets."""
    if not built.any():
        return
    along, across = float(rng.uniform(1.5, 3.0)), 0.7
    rows = rng.standard_exponential(built.shape, dtype=np.float32)
    rows = ndimage.gaussian_filter(rows, (along, across) if rng.random() < 0.5 else (across, along))
    flash = (rows / max(float(rows.std()), 1e-6) - float(rows.mean() / max(float(rows.std()), 1e-6))) * 2.2
    vv += built * flash
    vh += built * (0.8 * flash)


def _bright_points(rng: np.random.Generator, shape: tuple[int, int]) -> _Float:
    """Draw single houses, pylons and trees, which are brighter than the fields around them: (h, w) float32 dB."""
    rate = rng.uniform(0.0, 0.0012) if rng.random() < 0.15 else rng.uniform(0.0, 0.0002)
    points = (rng.random(shape, dtype=np.float32) < rate).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(points, 0.6) * np.float32(rng.uniform(12.0, 30.0)), np.float32)


def land_backscatter(
    rng: np.random.Generator, conditions: Conditions, fields: Fields, cover: LandCover
) -> tuple[_Float, _Float]:
    """Draw mean VV and VH of flat dry land: two (h, w) float32 in dB."""
    shape = fields.code.shape
    contrast = conditions.contrast
    crops = int(rng.integers(2, 5)) if rng.random() < 0.35 else 0
    # In some seasons all fields are alike. In other seasons ripe, ploughed and flooded fields are side by side.
    deviation = float(rng.uniform(2.0, 3.2) if rng.random() < 0.3 else rng.uniform(0.7, 1.8))
    field_value = by_field(rng, fields, deviation * contrast, crops=crops)
    # The difference of VV and VH varies with the crop and the season by several dB (Vreugdenhil et al. 2018, figure 4).
    # A field that is dark in VH alone is therefore a field, not water under wind.
    volume = by_field(rng, fields, float(rng.uniform(0.5, 2.2)) * contrast, crops=crops)
    offsets = np.zeros((2, 256), np.float32)
    for code, (vv, vh, spread) in _CLASSES.items():
        shift = rng.normal(0, spread)
        scale = min(1.0, 0.1 + 1.2 * contrast) if code != BUILT else 1.0
        offsets[0, code] = scale * (vv + shift)
        offsets[1, code] = scale * (vh + shift + rng.normal(0, 0.5 * spread))
    if rng.random() < _DORMANT_SHARE:
        # Dead grass and bare soil depolarise little: they are dry, but dark in VH alone, as roughened water is.
        offsets[1, [GRASS, BARE]] -= np.float32(rng.uniform(1.0, 4.0))
        # The same holds for some of the fields, those that are ploughed or fallow.
        fallow = by_field(rng, fields, 1.0) < rng.uniform(-1.5, 0.5)
        volume -= np.float32(rng.uniform(1.5, 4.5)) * fallow
        field_value -= np.float32(rng.uniform(0.0, 1.2)) * fallow
    strength = min(1.0, 0.05 + contrast)
    moisture = smooth_noise(rng, shape, float(rng.uniform(80, 300))) * np.float32(strength * rng.uniform(0.2, 1.1))
    texture = [
        spectral_noise(rng, shape, 2.4, cutoff=60.0) * np.float32(strength * rng.uniform(0.1, 0.6)) for _ in range(3)
    ]
    farmed = np.isin(cover.classes, (TREE, SHRUB, BUILT, WETLAND), invert=True)
    # Land covers change gradually: only fields, walls and shores have sharp edges.
    soft = float(rng.uniform(1.0, 5.0))
    cover_vv, cover_vh = (ndimage.gaussian_filter(part[cover.classes], soft) for part in offsets)
    vv = conditions.land[0] + cover_vv + moisture + texture[0] + 0.8 * texture[1] + field_value * farmed
    vh = conditions.land[1] + cover_vh + moisture + texture[0] + 0.8 * texture[2]
    vh += (0.7 * field_value + volume) * farmed
    # The levels of land and water were drawn with a difference. A scene of meadows or bare fields must keep it.
    vv += max(0.0, conditions.land[0] - float(np.median(vv)))
    vh += max(0.0, conditions.land[1] - float(np.median(vh)))
    lift = _bright_points(rng, shape) * ~cover.smooth_dark
    vv += lift
    vh += lift
    built = cover.classes == BUILT
    _flash(rng, built, vv, vh)
    # Most roads cannot be seen in the speckle; roads with ditches and trees beside them are bright.
    sealed = cover.roads & ~built
    road = rng.uniform(-6.0, -3.0) if rng.random() < 0.2 else rng.uniform(-3.0, 3.0)
    vv[sealed] += np.float32(road)
    vh[sealed] += np.float32(road)
    uneven = moisture + texture[0]
    melting = ndimage.gaussian_filter(cover.wet_snow.astype(np.float32), 3.0) * np.float32(rng.uniform(1.5, 6.5))
    vv -= melting
    vh -= melting * np.float32(rng.uniform(0.7, 1.2))
    bare = bare_ground(rng, conditions.bare, fields, cover)
    vv += bare.share * (bare.vv + 0.5 * uneven - vv)
    vh += bare.share * (bare.vh + 0.5 * uneven - vh)
    # Smooth dry ground is dark in both bands, but rarely as dark as calm water. Dry sand and tarmac depolarise little.
    dark_vv = float(rng.uniform(-20.0, -14.5) if conditions.kind == "hard" else rng.uniform(-18.0, -13.5))
    vv[cover.smooth_dark] = dark_vv + 0.7 * uneven[cover.smooth_dark]
    vh[cover.smooth_dark] = dark_vv - float(rng.uniform(6.0, 10.5)) + 0.7 * uneven[cover.smooth_dark]
    return vv.astype(np.float32), vh.astype(np.float32)


def water_backscatter(
    rng: np.random.Generator, conditions: Conditions, shape: tuple[int, int]
) -> tuple[_Float, _Float]:
    """Draw mean VV and VH of open water: two (h, w) float32 in dB.

    Wind draws patches and streaks in VV. VH stays even, because what water returns in VH is below the noise.
    """
    gusts = smooth_noise(rng, shape, float(rng.uniform(40, 200)))
    gusty = rng.random() < 0.33
    windy = conditions.water == "wind"
    depth = {"calm": rng.uniform(0.2, 1.4), "wind": rng.uniform(0.5, 1.8), "weak": rng.uniform(0.3, 1.2)}
    patches = gusts * np.float32(rng.uniform(1.0, 3.0) if gusty and not windy else depth[conditions.water])
    if windy:
        patches += _streaks(rng, shape) * np.float32(rng.uniform(0.0, 0.9))
    ripples = spectral_noise(rng, shape, 2.2, cutoff=40.0) * np.float32(rng.uniform(0.1, 0.4))
    # Wind never makes water much brighter than the land beside it, and changes VH only a little.
    vv = np.minimum(conditions.open_water[0] + patches + ripples, conditions.land[0] + (3.0 if windy else 1.0))
    response = np.float32(rng.uniform(0.0, 0.15) if windy else rng.uniform(0.0, 0.2) if gusty else 0.4)
    vh = np.minimum(conditions.open_water[1] + response * patches + 0.6 * ripples, conditions.land[1] - 3.0)
    return vv.astype(np.float32), vh.astype(np.float32)


def _streaks(rng: np.random.Generator, shape: tuple[int, int]) -> _Float:
    """Draw streaks along the wind: (h, w) float32 of unit deviation, long in one direction and narrow across."""
    angle, width = rng.uniform(0.0, np.pi), rng.uniform(4.0, 20.0)
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    across = rows * np.float32(np.sin(angle)) + cols * np.float32(np.cos(angle))
    along = cols * np.float32(np.sin(angle)) - rows * np.float32(np.cos(angle))
    length = width * rng.uniform(4.0, 10.0)
    grid = rng.standard_normal((2 * max(shape), 2 * max(shape)), dtype=np.float32)
    places = np.array([across / width, along / length])
    places -= places.min(axis=(1, 2), keepdims=True)
    drawn = ndimage.map_coordinates(grid, places, order=1, mode="wrap")
    return np.asarray(drawn / max(float(drawn.std()), 1e-6), np.float32)


def wet_margin(rng: np.random.Generator, wet: _Bool) -> _Float:
    """Draw the effect of mud, wet sand and reed beside the water: (h, w) float32 dB to add to dry land.

    It is 0 in half of the scenes.
    """
    if rng.random() < 0.5 or not wet.any():
        return np.zeros(wet.shape, np.float32)
    reach = float(rng.uniform(1.5, 7.0))
    distance = ndimage.distance_transform_edt(~wet)
    patchy = np.clip(smooth_noise(rng, wet.shape, 40.0) + 0.5, 0.0, 1.5)
    return np.asarray(rng.uniform(-4.0, 1.5) * patchy * np.exp(-distance / reach), np.float32)


def flooded_backscatter(
    rng: np.random.Generator, water: Water, land: tuple[_Float, _Float], open_water: tuple[_Float, _Float]
) -> tuple[_Float, _Float]:
    """Draw mean VV and VH where the flood is among trees or houses, and open water elsewhere: two (h, w) in dB."""
    vv, vh = open_water[0].copy(), open_water[1].copy()
    for mask, low, high in ((water.under_trees, 2.5, 6.0), (water.among_houses, 2.0, 5.0)):
        if mask.any():
            gain = float(rng.uniform(low, high))
            vv[mask] = land[0][mask] + gain
            vh[mask] = land[1][mask] + 0.3 * gain
    return vv, vh


def terrain_gain(
    dem: _Float, angle: _Float, spacing: float, look_right: bool, *, most: float = 12.0
) -> tuple[_Float, _Bool]:
    """Compute the effect of slopes in range direction.

    Args:
        dem: (h, w) float32 metres.
        angle: (1, w) incidence on flat ground, degrees.
        spacing: Pixel side in metres.
        look_right: Whether range grows with the column; otherwise it decreases.
        most: Largest gain, dB.

    Returns:
        (gain in dB, shadow): the gain is 10 log10(sin(angle) / sin(angle - slope)), the growth of the ground area that
        a resolution cell covers (Ulander 1996), limited to `most` where layover begins. Shadow is True where higher
        ground nearer to the sensor hides the pixel.
    """
    toward = dem if look_right else dem[:, ::-1]
    radians = np.deg2rad(angle if look_right else angle[:, ::-1])
    slope = np.arctan(np.gradient(toward, spacing, axis=1))
    local = np.maximum(np.sin(np.maximum(radians - slope, 0.03)), np.sin(radians) * 10 ** (-most / 10))
    gain = 10.0 * np.log10(np.sin(radians) / local)
    # A pixel is hidden when a pixel nearer to the sensor is above the ray to this pixel.
    ray = toward + np.arange(dem.shape[1]) * spacing / np.tan(radians)
    shadow = np.maximum.accumulate(ray, axis=1) > ray + 0.5
    if not look_right:
        gain, shadow = gain[:, ::-1], shadow[:, ::-1]
    return np.ascontiguousarray(gain, np.float32), np.ascontiguousarray(shadow)


def incidence_gain(angle: _Float, *, water: bool) -> tuple[_Float, _Float]:
    """Return the trend of VV and VH over incidence: two (1, w) float32 in dB."""
    trend = _WATER_TREND if water else _LAND_TREND
    return trend[0] * (angle - _REFERENCE_INCIDENCE), trend[1] * (angle - _REFERENCE_INCIDENCE)
