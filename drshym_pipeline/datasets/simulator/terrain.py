"""Shape of the land: fractal relief, a river bed and its floodplain.

There are two kinds of heights: `above_river`, the height above the water level of the river, which decides what is
flooded, and the DEM, which adds the slope of the valley along the river. The flood is computed in `water`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

_Float = NDArray[np.float32]

# Standard deviation of a sum of unit normals with cubic B-spline weights: the variance is multiplied by 151/315 along
# each of two axes.
_SPLINE_DEVIATION = 151 / 315


def spectral_noise(
    rng: np.random.Generator, shape: tuple[int, int], beta: float, cutoff: float | None = None
) -> _Float:
    """Draw a random field whose power falls with wave number k as k^-beta (spectral synthesis).

    Args:
        rng: Source of randomness.
        shape: Height and width in pixels.
        beta: Spectral exponent; 2 is rough, 4 smooth. Natural relief has about 3.
        cutoff: Wavelength in pixels above which the power is constant. None: the longer side of the scene.

    Returns:
        (h, w) float32, mean 0, standard deviation 1.
    """
    # The field is computed larger and then cut, because the opposite edges of the computed field continue each other.
    height, width = (fft.next_fast_len(int(side * 1.2) + 8, real=True) for side in shape)
    spectrum = fft.rfft2(rng.standard_normal((height, width), dtype=np.float32))
    rows = fft.fftfreq(height).astype(np.float32)[:, None]
    cols = fft.rfftfreq(width).astype(np.float32)[None, :]
    squared = rows * rows + cols * cols
    longest = cutoff or float(max(shape))
    np.maximum(squared, np.float32(1.0 / longest**2), out=squared)
    spectrum *= squared ** np.float32(-beta / 4.0)
    spectrum[0, 0] = 0.0
    field = fft.irfft2(spectrum, s=(height, width))[: shape[0], : shape[1]].astype(np.float32)
    field -= field.mean()
    return np.asarray(field / max(float(field.std()), 1e-9), np.float32)


def _spline(length: int, step: float) -> tuple[NDArray[np.intp], _Float]:
    """Return the first knot and the four weights of the uniform cubic B-spline for every pixel of an axis."""
    position = np.arange(length) / step
    first = np.floor(position).astype(np.intp)
    t = position - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6.0
    return first, weights.astype(np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], wavelength: float) -> _Float:
    """Draw a smooth random field that varies over `wavelength` pixels.

    Returns:
        (h, w) float32, mean 0 and standard deviation 1 on average.
    """
    step = max(wavelength / 2.0, 1.0)
    (rows, row_weights), (cols, col_weights) = (_spline(side, step) for side in shape)
    knots = rng.standard_normal((int(rows[-1]) + 4, int(cols[-1]) + 4), dtype=np.float32)
    down = sum(row_weights[:, tap, None] * knots[rows + tap] for tap in range(4))
    field = sum(col_weights[:, tap] * np.asarray(down)[:, cols + tap] for tap in range(4))
    return np.asarray(field / np.float32(_SPLINE_DEVIATION), np.float32)


@dataclass(frozen=True)
class Terrain:
    """Relief of one scene.

    Args:
        above_river: (h, w) float32 metres above the level of the river; negative in the bed.
        fall: (h, w) float32 metres, the slope of the valley, to be added for absolute heights.
        river: (h, w) bool, the bed.
        river_distance: (h, w) float32 pixels from the river's middle; infinite without a river.
    """

    above_river: _Float
    fall: _Float
    river: NDArray[np.bool_]
    river_distance: _Float


def _meander(rng: np.random.Generator, shape: tuple[int, int], wavelength: float) -> NDArray[np.float64]:
    """Draw the middle line of a meandering river: (points, 2) of (row, column), one or more points per pixel.

    It is the sine-generated curve of Langbein and Leopold (1966): the direction is a sine of the distance along the
    river. Slow noise is added so that the bends do not repeat.
    """
    length = int(6 * max(shape))
    along = np.arange(length) * 0.7
    swing = rng.uniform(0.3, 1.5)
    slow = ndimage.gaussian_filter1d(rng.standard_normal(length), wavelength / 1.5, mode="wrap")
    slow /= max(float(slow.std()), 1e-9)
    phase = 2 * np.pi * along / wavelength + 1.2 * slow
    angle = rng.uniform(0, 2 * np.pi) + swing * np.sin(phase) + 0.35 * np.roll(slow, length // 3)
    path = np.stack([np.cumsum(np.sin(angle)), np.cumsum(np.cos(angle))], axis=1) * 0.7
    middle = path[length // 2]
    target = np.array(shape) * rng.uniform(0.2, 0.8, 2)
    return np.asarray(path - middle + target)


def _distance_to(line: NDArray[np.float64], shape: tuple[int, int], margin: int) -> _Float | None:
    """Return the distance in pixels from a line, parts of which may be outside; None when it is far from the scene."""
    padded = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    rows, cols = np.round(line + margin).astype(int).T
    inside = (rows >= 0) & (rows < padded[0]) & (cols >= 0) & (cols < padded[1])
    if not inside.any():
        return None
    raster = np.ones(padded, bool)
    raster[rows[inside], cols[inside]] = False
    distance = ndimage.distance_transform_edt(raster)
    return np.asarray(distance[margin : margin + shape[0], margin : margin + shape[1]], np.float32)


def make_terrain(
    rng: np.random.Generator, shape: tuple[int, int], relief: float, fields_step: _Float, *, has_river: bool
) -> Terrain:
    """Draw the relief of a scene.

    Args:
        rng: Source of randomness.
        shape: Height and width in pixels.
        relief: Height of the hills above the floodplain, metres.
        fields_step: (h, w) float32 metres, small steps between fields (dikes, terraces) at which floods end.
        has_river: Whether there is a river; without one the lowest ground of the relief is the valley.
    """
    rough = spectral_noise(rng, shape, beta=float(rng.uniform(3.0, 3.8)), cutoff=float(rng.uniform(150, 500)))
    tilt = rng.normal(0, 1, 2)
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    plane = (tilt[0] * rows + tilt[1] * cols).astype(np.float32)
    fall = plane * np.float32(rng.uniform(0.0, 0.01))  # up to 1 m per kilometre in each direction
    river = np.zeros(shape, bool)
    distance = np.full(shape, np.inf, np.float32)
    # The floodplain varies by a metre or two, independently of the height of the hills.
    plain = rough * np.float32(rng.uniform(0.4, 1.6)) + fields_step
    line = _meander(rng, shape, float(rng.uniform(40, 260))) if has_river else None
    found = _distance_to(line, shape, margin=24) if line is not None else None
    if found is None:
        height = plain + relief * (np.maximum(rough + 0.3, 0.0) ** 1.5) * np.float32(0.4)
        return Terrain(height - height.min(), fall, river, distance)
    distance = found
    half_width = float(np.exp(rng.normal(np.log(4.0), 0.9)))
    # The width of a wide river changes over longer distances than that of a small one.
    width = half_width * np.exp(0.22 * smooth_noise(rng, shape, 50.0 + 8.0 * half_width))
    river = distance < np.clip(width, 0.6, 60.0)
    flat = half_width + float(rng.uniform(10, 160))
    hills = np.maximum(distance - flat * np.exp(0.4 * smooth_noise(rng, shape, 90.0)), 0.0) / float(
        rng.uniform(40, 200)
    )
    hills = (1.0 - np.exp(-(hills**1.4))).astype(np.float32)
    levee = np.exp(-(((distance - 2.0 * half_width - 3.0) / (half_width + 4.0)) ** 2)) * rng.uniform(0.0, 1.2)
    if rng.random() < 0.5:
        # Scroll bars: ridges and hollows that a moving river leaves; flooded and dry ones alternate.
        bars = np.sin(2 * np.pi * distance / float(rng.uniform(8, 30)) + 4.0 * smooth_noise(rng, shape, 70.0))
        plain += np.exp(-distance / float(rng.uniform(30, 120))) * bars * np.float32(rng.uniform(0.2, 1.2))
    height = 1.5 + plain + levee.astype(np.float32) + relief * hills * np.clip(1.0 + 0.6 * rough, 0.1, None) * 0.5
    height[river] = -2.0
    return Terrain(height.astype(np.float32), fall, river, distance)
