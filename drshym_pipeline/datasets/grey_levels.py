"""Which dB the grey values of 8-bit pictures stand for: an assumption of this package.

An 8-bit picture has no dB: its grey values were stretched, and how is not documented. This module finds the grey values
of land and of water in the pictures and maps them to the usual levels of land and water in calibrated scenes, linearly
between and beyond. This is a modelling choice, not a calibration. The level of such a chip has no meaning for the
ground, and the tails are clipped (water that was cut off at 0 has one flat value, without speckle). Tiles that share a
stretch share one mapping; otherwise every tile has its own. Labels are never used to find a mapping, so chips may be
scored under it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Usual levels of land and calm water in calibrated scenes, in dB: VV and VH.
LAND_DB = (-10.5, -17.0)
WATER_DB = (-20.0, -26.0)
LAND_SPREAD_DB = 1.5  # one standard deviation of land above its mode; scales pictures that show no water
_CLIP_DB = (-40.0, 10.0)

_BLOCK = 32
_SMOOTHING = 4.0  # grey values
_BIMODAL = 0.75  # share of a block's variance between its two classes; one Gaussian alone reaches 0.64
_SHARES = (0.1, 0.9)
_SPREADS = 2.0  # in spreads of land: the dark class must be further below land, the bright class nearer to it
_LEAST_SPREAD = 4.0
_LEAST_CONTRAST = 20.0  # grey values between land and water; with less, noise would look like water


@dataclass(frozen=True)
class Levels:
    """Grey values of one band that stand for land and for calm water.

    Args:
        land: Grey value of the most frequent land.
        water: Grey value of calm water; below `land`.
    """

    land: float
    water: float


Scale = tuple[Levels, ...]


def to_db(bands: Sequence[NDArray[np.uint8]], scale: Scale) -> NDArray[np.float32]:
    """Turn grey values into the dB that they stand for.

    Args:
        bands: VV[, VH], each (h, w).
        scale: Levels of each band.

    Returns:
        (bands, h, w) float32 dB; no pixel is masked.
    """
    mapped = []
    for grey, levels, land, water in zip(bands, scale, LAND_DB[: len(bands)], WATER_DB[: len(bands)], strict=True):
        slope = (land - water) / (levels.land - levels.water)
        mapped.append(land + (grey.astype(np.float32) - levels.land) * slope)
    return np.clip(np.stack(mapped), *_CLIP_DB).astype(np.float32)


def find_scale(tiles: Iterable[tuple[Sequence[NDArray[np.uint8]], NDArray[np.bool_]]]) -> Scale:
    """Find the grey values of land and water in pictures that share one stretch.

    Land is the mode of the histogram. Where the whole histogram has two classes, it is the mode of the upper class.
    Water is the median of the dark class in those blocks whose VV has two classes, one near land and one far below it
    (split-based thresholding: Martinis et al., NHESS 9, 2009, after Otsu, IEEE SMC 9, 1979). The same pixels give the
    level of VH. Without such a block the spread of land, which is assumed to be `LAND_SPREAD_DB`, sets the scale.

    Args:
        tiles: VV[, VH] of each tile and its observed pixels; at least one tile. Only blocks in which every pixel was
            observed are used.
    """
    blocks = [_blocks(np.stack([*bands, observed]).astype(np.uint8)) for bands, observed in tiles]
    pixels = np.concatenate(blocks)
    pixels = pixels[pixels[:, -1].all(axis=1), :-1]
    if len(pixels) == 0:
        # No block was observed everywhere, so no level can be found: middle grey is taken as land.
        return tuple(Levels(128.0, 64.0) for _ in range(pixels.shape[1]))
    vv = pixels[:, 0]
    threshold, _, _, _, ratio = _split(vv.reshape(1, -1))
    # Where water fills most of the pictures, the mode of the whole histogram is water, not land.
    land, spread = _land(vv[vv > threshold[0]] if ratio[0] > _BIMODAL else vv)
    dark = _dark_pixels(vv, land, spread)
    scale = [_levels(vv, land, spread, dark, 0)]
    bright = vv > (scale[0].land + scale[0].water) / 2
    for band in range(1, pixels.shape[1]):
        grey = pixels[:, band]
        scale.append(_levels(grey, *_land(grey[bright]), dark, band))
    return tuple(scale)


def _levels(grey: NDArray[np.uint8], land: float, spread: float, dark: NDArray[np.bool_], band: int) -> Levels:
    """Return the levels of a band whose land level is known, from its pixels that are water in VV."""
    if dark.any():
        water = float(np.median(grey[dark]))
    else:
        water = land - (LAND_DB[band] - WATER_DB[band]) * spread / LAND_SPREAD_DB
    return Levels(land, min(water, land - _LEAST_CONTRAST))


def _blocks(stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut (bands, h, w) into (blocks, bands, pixels of a block); rows and columns that fill no block are left out."""
    bands, height, width = stack.shape
    rows, cols = height // _BLOCK, width // _BLOCK
    cut = stack[:, : rows * _BLOCK, : cols * _BLOCK].reshape(bands, rows, _BLOCK, cols, _BLOCK)
    return cut.transpose(1, 3, 0, 2, 4).reshape(rows * cols, bands, _BLOCK * _BLOCK)


def _land(grey: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the mode of the grey values and their spread above it (one standard deviation of a Gaussian)."""
    from scipy import ndimage

    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    counts[[0, 255]] = 0.0
    mode = int(ndimage.gaussian_filter1d(counts, _SMOOTHING).argmax())
    above = counts[mode:].cumsum()
    spread = float(np.searchsorted(above, 0.683 * above[-1])) if above[-1] else 0.0
    return float(mode), max(spread, _LEAST_SPREAD)


def _dark_pixels(grey: NDArray[np.uint8], land: float, spread: float) -> NDArray[np.bool_]:
    """Return which pixels (blocks, pixels) belong to the dark class of a block of water and land."""
    threshold, share, dark_mean, bright_mean, ratio = _split(grey)
    chosen = (
        (ratio > _BIMODAL)
        & (share > _SHARES[0])
        & (share < _SHARES[1])
        & (dark_mean < land - _SPREADS * spread)
        & (np.abs(bright_mean - land) < _SPREADS * spread)
    )
    return chosen[:, None] & (grey <= threshold[:, None])


def _split(grey: NDArray[np.uint8]) -> tuple[NDArray[np.float64], ...]:
    """Split each row in two classes by Otsu's method.

    Returns:
        Threshold, share and mean of the dark class, mean of the bright class and explained variance, each (rows,).
    """
    rows = len(grey)
    flat = (np.arange(rows)[:, None] * 256 + grey).ravel()
    counts = np.bincount(flat, minlength=rows * 256).reshape(rows, 256).astype(np.float64)
    values = np.arange(256.0)
    weight, moment = counts.cumsum(axis=1), (counts * values).cumsum(axis=1)
    total, mean = weight[:, -1:], moment[:, -1:] / weight[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        dark, bright = moment / weight, (moment[:, -1:] - moment) / (total - weight)
        between = np.nan_to_num(weight * (total - weight) / total**2 * (dark - bright) ** 2)
    variance = (counts * (values - mean) ** 2).sum(axis=1) / total[:, 0]
    best = between.argmax(axis=1)
    at = np.arange(rows), best
    ratio = between[at] / np.maximum(variance, 1e-9)
    return best.astype(np.float64), weight[at] / total[:, 0], dark[at], bright[at], ratio
