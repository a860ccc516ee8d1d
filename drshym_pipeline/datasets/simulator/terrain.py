"""Shape of the land: fractal relief, a river bed and its floodplain.

There are two kinds of heights: `above_river`, the height above the water level of the river, which decides what is
flooded, and the DEM, which adds the slope of the valley along the river. The flood is computed in `water`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from drshym_pipeline.datasets.simulator.rivers import Line, distance_to, oxbows, raster_of, river_lines, tributary
from drshym_pipeline.worker_threads import check_needed

_Float = NDArray[np.float32]

# Standard deviation of a sum of unit normals with cubic B-spline weights: the variance is multiplied by 151/315 along
# each of two axes.
_SPLINE_DEVIATION = 151 / 315
_BRAIDED_SHARE = 0.2  # share of the rivers, except brooks, that have several channels
_OXBOW_SHARE = 0.6  # share of the rivers, except brooks, that have left old bends


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
    check_needed()  # a large scene takes many seconds, and draws about ten of these fields
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
        river: (h, w) bool, the bed, with tributaries and oxbow lakes that always have water.
        river_distance: (h, w) float32 pixels from the river's middle; infinite without a river.
        valley: (h, w) float32, 0 along the lines of the valleys, about 1 on the ridges between them.
        course: (n, 2) float64 (row, column) of the river's middle line, without points when there is no river.
    """

    above_river: _Float
    fall: _Float
    river: NDArray[np.bool_]
    river_distance: _Float
    valley: _Float
    course: Line

    def with_steps(self, step: _Float) -> Terrain:
        """Return the terrain with the small steps between fields at which floods end: (h, w) float32 metres."""
        return replace(self, above_river=np.where(self.river, self.above_river, self.above_river + step))


def flat_terrain(shape: tuple[int, int]) -> Terrain:
    """Return a plain without a river, one metre above the water."""
    nothing = np.zeros(shape, np.float32)
    nowhere = np.full(shape, np.inf, np.float32)
    return Terrain(nothing + 1.0, nothing, np.zeros(shape, bool), nowhere, nothing + 1.0, np.zeros((0, 2)))


def _hills(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[_Float, _Float]:
    """Draw hills that running water has shaped: heights around 0.5, and the distance-like value of `Terrain.valley`.

    The zero lines of a smooth random field are long, winding and closed at no point of their own; the absolute value
    has narrow valleys along them and ridges between them. Gullies in the same way cut the slopes, not the valley floor.
    """
    wavelength = float(np.exp(rng.uniform(np.log(110), np.log(420))))
    valley = np.abs(spectral_noise(rng, shape, float(rng.uniform(3.6, 4.4)), cutoff=wavelength))
    gullies = np.abs(spectral_noise(rng, shape, float(rng.uniform(3.4, 4.0)), cutoff=wavelength / rng.uniform(3, 5)))
    floor = np.float32(rng.uniform(0.05, 0.35))
    height = np.maximum(valley - floor, 0.0)
    height = height ** np.float32(rng.uniform(0.8, 1.2)) * (1.0 - 0.45 * np.exp(-gullies / 0.35))
    return np.asarray(height * np.float32(0.6), np.float32), valley


def make_terrain(rng: np.random.Generator, shape: tuple[int, int], relief: float, *, has_river: bool) -> Terrain:
    """Draw the relief of a scene.

    Args:
        rng: Source of randomness.
        shape: Height and width in pixels.
        relief: Height of the hills above the floodplain, metres.
        has_river: Whether there is a river; without one the lowest ground of the relief is the valley.
    """
    rough = spectral_noise(rng, shape, beta=float(rng.uniform(3.0, 3.8)), cutoff=float(rng.uniform(150, 500)))
    hills, valley = _hills(rng, shape)
    tilt = rng.normal(0, 1, 2)
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    plane = (tilt[0] * rows + tilt[1] * cols).astype(np.float32)
    fall = plane * np.float32(rng.uniform(0.0, 0.01))  # up to 1 m per kilometre in each direction
    # The floodplain varies by a metre or two, independently of the height of the hills.
    plain = rough * np.float32(rng.uniform(0.3, 1.2)) + valley * np.float32(rng.uniform(0.1, 1.0))
    half_width = float(np.exp(rng.normal(np.log(4.0), 0.9)))
    # The bends of rivers are about 11 channel widths long (Leopold and Wolman 1960).
    wavelength = float(np.clip(22.0 * half_width * np.exp(rng.normal(0.0, 0.35)), 28.0, 600.0))
    braided = half_width > 3.0 and rng.random() < _BRAIDED_SHARE
    lines = river_lines(rng, shape, wavelength, int(rng.integers(2, 5)) if braided else 1) if has_river else []
    distance = distance_to(np.concatenate(lines), shape, margin=24) if lines else None
    if distance is None:
        height = plain + relief * hills
        nowhere = np.full(shape, np.inf, np.float32)
        return Terrain(height - height.min(), fall, np.zeros(shape, bool), nowhere, valley, np.zeros((0, 2)))
    # The width of a wide river changes over longer distances than that of a small one.
    width = half_width * np.exp(0.22 * smooth_noise(rng, shape, 50.0 + 8.0 * half_width))
    width = np.clip(width, 0.6, 60.0)
    river = distance < width if len(lines) == 1 else _channels(rng, lines, width)
    flat = half_width + float(rng.uniform(10, 160))
    edge = np.maximum(distance - flat * np.exp(0.4 * smooth_noise(rng, shape, 90.0)), 0.0)
    rise = 1.0 - np.exp(-((edge / float(rng.uniform(30, 160))) ** 1.4))
    levee = np.exp(-(((distance - 2.0 * half_width - 3.0) / (half_width + 4.0)) ** 2)) * rng.uniform(0.0, 1.2)
    if rng.random() < 0.5:
        # Scroll bars: ridges and hollows that a moving river leaves; flooded and dry ones alternate.
        bars = np.sin(2 * np.pi * distance / float(rng.uniform(8, 30)) + 4.0 * smooth_noise(rng, shape, 70.0))
        plain += np.exp(-distance / float(rng.uniform(30, 120))) * bars * np.float32(rng.uniform(0.2, 1.2))
    # The plain rises gently away from the river, by some metres per kilometre, so floods spread along the river.
    gentle = np.minimum(distance, 300.0) * np.float32(np.exp(rng.uniform(np.log(0.003), np.log(0.04))))
    height = 1.5 + plain + gentle + levee + relief * rise * (0.25 + hills)
    small, hollow = _small_waters(rng, shape, lines[0], wavelength, half_width)
    height -= np.minimum(hollow, np.maximum(height - 0.2, 0.0))
    river |= small
    height[river] = -2.0
    return Terrain(height.astype(np.float32), fall, river, distance, valley, lines[0])


def _channels(rng: np.random.Generator, lines: list[Line], width: _Float) -> NDArray[np.bool_]:
    """Draw a river of several channels, (h, w) bool: the first line has the full width, side channels are narrower."""
    shape = (width.shape[0], width.shape[1])
    bed = np.zeros(shape, bool)
    for share, line in zip([1.0, *rng.uniform(0.25, 0.7, len(lines) - 1)], lines, strict=True):
        distance = distance_to(line, shape, margin=24)
        if distance is not None:
            bed |= distance < np.float32(share) * width
    return bed


def _small_waters(
    rng: np.random.Generator, shape: tuple[int, int], river: Line, wavelength: float, half_width: float
) -> tuple[NDArray[np.bool_], _Float]:
    """Draw the tributaries and oxbows of a river.

    Returns:
        (water, hollow): (h, w) bool that always has water, and (h, w) float32 metres by which the ground beside it is
        lower.
    """
    water = np.zeros(shape, bool)
    hollow = np.zeros(shape, np.float32)
    if half_width > 2.0 and rng.random() < _OXBOW_SHARE:
        bends = distance_to(oxbows(rng, river, shape, wavelength), shape, margin=8)
        if bends is not None:
            old = bends < rng.uniform(0.4, 0.8) * min(half_width, 14.0)
            # Old bends fill with mud and reed: some have water, all are low.
            wet = smooth_noise(rng, shape, wavelength) > rng.uniform(-1.5, 1.0)
            water |= old & wet
            hollow = np.where(old, np.float32(rng.uniform(0.8, 2.5)), hollow)
    streams = int(rng.poisson(0.5 * np.sqrt(max(shape) / 256)))
    for _ in range(min(streams, 6)):
        line = raster_of(tributary(rng, river, shape, float(rng.uniform(20, 60))), shape)
        hollow += ndimage.gaussian_filter(line.astype(np.float32), 3.0) * np.float32(rng.uniform(4.0, 16.0))
        if rng.random() < 0.6:
            water |= ndimage.binary_dilation(line) if rng.random() < 0.5 else line
    return water, hollow
