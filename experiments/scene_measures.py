"""The measures of one dB scene: brightness, texture, correlation, spectra, edges. Arithmetic on arrays only.

Every measure is one number with a name, so scenes can be put in a table and compared. The scenes are read in
`unlabelled_scenes`; this module knows neither files nor labels.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_Float = NDArray[np.float32]

QUANTILES = (1, 5, 25, 50, 75, 95, 99)
LAGS = (1, 2, 3, 4, 5, 6, 7, 8)
WAVELENGTHS = (128, 64, 32, 16, 8, 4, 2)  # pixels, limits of the rings of the power spectrum
_TEXTURE_QUANTILES = (10, 25, 50, 75, 90, 99)
_EDGE_QUANTILES = (50, 90, 99)
_BLOCKS = (4, 16, 64)
_DARK = {"VV": (-16.0, -19.0, -22.0), "VH": (-22.0, -25.0, -28.0)}
_BRIGHT_VV = -4.0
WINDOW = 256  # size of a simulated chip in pixels; larger windows would have larger spreads
_MEAN_WINDOW = 9
_TEXTURE_WINDOW = 5
_POINT_STEP = 8.0  # dB from the median of the surroundings
_LEAST_SHARE = 0.5  # least share of a window that must be observed


def local_mean(values: _Float, side: int) -> _Float:
    """Compute the mean of a square window: (h, w) float32, NaN where any pixel of the window is not observed."""
    missing = ndimage.uniform_filter(np.isnan(values).astype(np.float32), side)
    mean = ndimage.uniform_filter(np.nan_to_num(values).astype(np.float64), side)
    return np.where(missing > 1e-6, np.nan, mean).astype(np.float32)


def local_deviation(values: _Float, side: int) -> _Float:
    """Compute the standard deviation in a square window.

    The result is (h, w) float32, NaN where any pixel of the window is not observed.
    """
    # The mean is subtracted first, because the difference of large squares would lose its digits.
    centred = (values - np.nanmean(values)).astype(np.float32)
    mean = local_mean(centred, side)
    squares = local_mean(centred * centred, side)
    return np.asarray(np.sqrt(np.maximum(squares - mean * mean, 0.0)), np.float32)


def correlation(first: _Float, second: _Float) -> float:
    """Compute Pearson's correlation over the pixels observed in both; NaN where one of them does not vary."""
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 3:
        return float("nan")
    x, y = first[both].astype(np.float64), second[both].astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / scale) if scale > 0 else float("nan")


def autocorrelation(values: _Float, lag: int, axis: int) -> float:
    """Compute the correlation of an (h, w) field with itself, shifted by `lag` pixels along `axis`."""
    length = values.shape[axis]
    return correlation(
        np.take(values, np.arange(length - lag), axis=axis), np.take(values, np.arange(lag, length), axis=axis)
    )


def block_deviation(values: _Float, side: int) -> float:
    """Compute the standard deviation of the means of `side` x `side` blocks that are more than half observed."""
    height, width = (length // side for length in values.shape)
    quartered = values[: height * side, : width * side].reshape(height, side, width, side)
    blocks = quartered.swapaxes(1, 2).reshape(-1, side * side)
    enough = np.isfinite(blocks).mean(axis=1) > _LEAST_SHARE
    return float(np.std(np.nanmean(blocks[enough], axis=1))) if enough.sum() > 1 else float("nan")


def ring_spectrum(values: _Float) -> tuple[float, ...]:
    """Compute the mean power between the wavelengths of `WAVELENGTHS`, one number per ring.

    The unit is dB of dB squared per pixel.
    The largest square in the upper left corner is used, with a Hann window. Pixels that are not observed are set to the
    mean, which lowers the power by their share.
    """
    side = min(values.shape)
    field = np.nan_to_num(values[:side, :side] - np.nanmean(values[:side, :side]))
    hann = np.hanning(side)
    window = np.outer(hann, hann)
    power = np.abs(np.fft.fft2(field * window)) ** 2 / (window**2).sum()
    frequency = np.fft.fftfreq(side)
    wave_number = np.hypot(frequency[:, None], frequency[None, :])
    rings = []
    for longest, shortest in pairwise(WAVELENGTHS):
        ring = power[(wave_number >= 1 / longest) & (wave_number < 1 / shortest)]
        rings.append(float(10 * np.log10(max(float(ring.mean()), 1e-12))) if ring.size else float("nan"))
    return tuple(rings)


def _quantiles(prefix: str, values: _Float, quantiles: tuple[int, ...]) -> dict[str, float]:
    found = np.nanpercentile(values, quantiles)
    return {f"{prefix} {q} %": float(value) for q, value in zip(quantiles, found, strict=True)}


def _band(name: str, values: _Float) -> dict[str, float]:
    measures = _quantiles(name, values, QUANTILES)
    residual = values - local_mean(values, _MEAN_WINDOW)
    for what, field in (("raw", values), ("residual", residual)):
        for axis, along in ((1, "rows"), (0, "columns")):
            for lag in LAGS:
                measures[f"{name} {what} correlation along {along}, lag {lag}"] = autocorrelation(field, lag, axis)
    measures |= _quantiles(f"{name} 5 x 5 deviation", local_deviation(values, _TEXTURE_WINDOW), _TEXTURE_QUANTILES)
    for side in _BLOCKS:
        measures[f"{name} deviation of {side} px means"] = block_deviation(values, side)
    for (longest, shortest), power in zip(pairwise(WAVELENGTHS), ring_spectrum(values), strict=True):
        measures[f"{name} power at {longest}-{shortest} px"] = power
    smooth = local_mean(values, _TEXTURE_WINDOW)
    down, right = smooth[4:, 2:-2] - smooth[:-4, 2:-2], smooth[2:-2, 4:] - smooth[2:-2, :-4]
    measures |= _quantiles(f"{name} step over 4 px", np.hypot(down, right), _EDGE_QUANTILES)
    seen = np.isfinite(values)
    filled = np.where(seen, values, np.float32(np.nanmedian(values)))
    lift = (filled - ndimage.median_filter(filled, _MEAN_WINDOW))[seen]
    measures[f"{name} bright points, per mille"] = 1000 * float((lift > _POINT_STEP).mean())
    measures[f"{name} dark points, per mille"] = 1000 * float((lift < -_POINT_STEP).mean())
    for level in _DARK[name]:
        measures[f"{name} share below {level:.0f} dB"] = float((values[seen] < level).mean())
    return measures


def measure(db: _Float) -> dict[str, float]:
    """Compute all measures of one window.

    Args:
        db: (2, h, w) float32 VV and VH in dB, NaN where not observed.

    Returns:
        Numbers by name; NaN where a measure cannot be computed for the window.
    """
    vv, vh = db
    measures = {**_band("VV", vv), **_band("VH", vh), **_quantiles("VV-VH", vv - vh, QUANTILES)}
    measures["VV share above -4 dB"] = float((vv[np.isfinite(vv)] > _BRIGHT_VV).mean())
    means = [local_mean(band, _MEAN_WINDOW) for band in db]
    measures["VV with VH, correlation"] = correlation(vv, vh)
    measures["VV with VH, correlation of 9 x 9 means"] = correlation(*means)
    measures["VV with VH, correlation of the residual"] = correlation(vv - means[0], vh - means[1])
    return measures


def windows(db: _Float, side: int = WINDOW) -> list[_Float]:
    """Return the windows of a scene that are more than half observed.

    Args:
        db: (2, h, w) float32 dB, NaN where not observed.
        side: Height and width of the windows in pixels; they do not overlap. A smaller scene is one window.
    """
    height, width = db.shape[1:]
    if height < side or width < side:
        cut = [db]
    else:
        cut = [
            db[:, top : top + side, left : left + side]
            for top in range(0, height - side + 1, side)
            for left in range(0, width - side + 1, side)
        ]
    return [piece for piece in cut if np.isfinite(piece).all(axis=0).mean() > _LEAST_SHARE]


def measure_scene(db: _Float) -> dict[str, float] | None:
    """Measure a scene of any size: the median over its windows, None where hardly any pixel is observed."""
    found = [measure(piece) for piece in windows(db)]
    if not found:
        return None
    return {name: float(np.median([one[name] for one in found])) for name in found[0]}
