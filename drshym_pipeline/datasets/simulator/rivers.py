"""Lines of running water: meandering rivers, braided channels, tributaries and the oxbow lakes that old bends leave.

Lines are arrays of points, (n, 2) of (row, column) in pixels, with at least one point per pixel of length. Heights and
widths are decided in `terrain`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Line = NDArray[np.float64]

_STEP = 0.7  # pixels between the points of a line


def meander(
    rng: np.random.Generator,
    length: float,
    wavelength: float,
    swing: float,
    direction: float,
) -> Line:
    """Draw the middle line of a meandering river that begins at (0, 0).

    It is the sine-generated curve of Langbein and Leopold (1966): the direction is a sine of the distance along the
    river. Slow noise changes the length and the strength of the bends, so that they do not repeat.

    Args:
        rng: Source of randomness.
        length: Length along the river in pixels.
        wavelength: Mean distance along the river from bend to bend, pixels.
        swing: Largest angle between the river and its valley in radians; above 1.8 the bends would cut each other.
        direction: Direction of the valley in radians, 0 along the columns.
    """
    points = max(int(length / _STEP), 2)
    along = np.arange(points) * _STEP
    slow = _slow_noise(rng, points, wavelength)
    phase = 2 * np.pi * (along / wavelength + rng.random()) + 1.3 * slow
    strength = np.clip(swing * (1.0 + 0.45 * _slow_noise(rng, points, 1.5 * wavelength)), 0.1, 1.75)
    angle = direction + strength * np.sin(phase) + 0.3 * _slow_noise(rng, points, 2.5 * wavelength)
    steps = np.stack([np.sin(angle), np.cos(angle)], axis=1) * _STEP
    return np.asarray(np.cumsum(steps, axis=0) - steps[0])


def _slow_noise(rng: np.random.Generator, points: int, wavelength: float) -> NDArray[np.float64]:
    """Draw noise of unit deviation that varies over `wavelength` pixels along a line."""
    knots = rng.standard_normal(int(points * _STEP / wavelength) + 5)
    # Smoothing at the knots and linear steps between them are much faster than a wide filter at every point.
    at = 1.5 + np.arange(points) * _STEP / wavelength
    smooth = ndimage.spline_filter1d(knots, order=3)
    return np.asarray(ndimage.map_coordinates(smooth, at[None, :], order=3, prefilter=False, mode="nearest"))


def river_lines(rng: np.random.Generator, shape: tuple[int, int], wavelength: float, channels: int) -> list[Line]:
    """Draw a river through the scene: one line, or several channels that meet and part again."""
    swing = float(rng.uniform(0.3, 1.5)) if channels == 1 else float(rng.uniform(0.2, 0.7))
    main = meander(rng, 6.0 * max(shape), wavelength, swing, float(rng.uniform(0, 2 * np.pi)))
    main += np.array(shape) * rng.uniform(0.2, 0.8, 2) - main[len(main) // 2]
    along = np.gradient(main, axis=0) / _STEP
    across = np.stack([along[:, 1], -along[:, 0]], axis=1)
    lines = [main]
    for _ in range(channels - 1):
        # Side channels leave the main one and return to it at small angles, so islands between them are long.
        away = rng.uniform(0.1, 0.25) * wavelength * _slow_noise(rng, len(main), rng.uniform(0.5, 1.2) * wavelength)
        lines.append(main + across * away[:, None])
    return lines


def tributary(rng: np.random.Generator, river: Line, shape: tuple[int, int], wavelength: float) -> Line:
    """Draw a small river from a point of the main river to the border of the scene."""
    inside = np.flatnonzero(((river >= 0) & (river < np.array(shape))).all(axis=1))
    at = int(rng.choice(inside)) if len(inside) else len(river) // 2
    before, after = river[max(at - 60, 0)], river[min(at + 60, len(river) - 1)]
    valley = float(np.arctan2(*(after - before)))
    turn = float(rng.choice([-1, 1]) * rng.uniform(0.8, 2.0))
    line = meander(rng, 2.0 * max(shape), wavelength, float(rng.uniform(0.4, 1.1)), valley + turn)
    return np.asarray(line + river[at])


def oxbows(rng: np.random.Generator, river: Line, shape: tuple[int, int], wavelength: float) -> Line:
    """Draw old bends beside the river: crescents, as the points of all of them together; sometimes there are none."""
    inside = np.flatnonzero(((river >= 0) & (river < np.array(shape))).all(axis=1))
    if not len(inside):
        return np.zeros((0, 2))
    # About one old bend for three bends of the river.
    count = int(rng.poisson(min(len(inside) * _STEP / (3.0 * wavelength), 400.0)))
    bends = []
    for at in rng.choice(inside, count):
        before, after = river[max(at - 30, 0)], river[min(at + 30, len(river) - 1)]
        valley = float(np.arctan2(*(after - before)))
        side = float(rng.choice([-1.0, 1.0]))
        radius = wavelength * float(rng.uniform(0.09, 0.2))
        away = radius + wavelength * float(rng.uniform(0.05, 0.45))
        middle = river[at] + side * away * np.array([np.cos(valley), -np.sin(valley)])
        # The open side of the crescent is toward the river.
        half = float(rng.uniform(0.9, 2.4))
        turn = np.linspace(-half, half, max(int(2 * half * radius / _STEP), 3))
        outward = valley - side * np.pi / 2 + float(rng.normal(0.0, 0.4))
        stretch = float(rng.uniform(0.7, 1.5))
        bends.append(
            middle
            + radius * np.stack([np.sin(outward + turn), np.cos(outward + turn)], axis=1) * np.array([1.0, stretch])
        )
    return np.concatenate(bends) if bends else np.zeros((0, 2))


def raster_of(line: Line, shape: tuple[int, int], margin: int = 0) -> NDArray[np.bool_]:
    """Return the pixels of a line, (h + 2 margin, w + 2 margin) bool."""
    padded = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    rows, cols = np.round(line + margin).astype(int).T
    inside = (rows >= 0) & (rows < padded[0]) & (cols >= 0) & (cols < padded[1])
    raster = np.zeros(padded, bool)
    raster[rows[inside], cols[inside]] = True
    return raster


def distance_to(line: Line, shape: tuple[int, int], margin: int) -> NDArray[np.float32] | None:
    """Return the distance in pixels from a line, parts of which may be outside; None when it is far from the scene."""
    raster = raster_of(line, shape, margin)
    if not raster.any():
        return None
    distance = ndimage.distance_transform_edt(~raster)
    return np.asarray(distance[margin : margin + shape[0], margin : margin + shape[1]], np.float32)
