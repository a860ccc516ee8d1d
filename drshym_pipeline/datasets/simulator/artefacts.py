"""Artefacts of the sensor, the processor and the labels: noise floor, borders without data, undecided labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from drshym_pipeline.datasets.simulator.speckle import kernel, speckle
from drshym_pipeline.datasets.simulator.terrain import smooth_noise
from drshym_pipeline.worker_threads import check_needed

_LOWEST_POWER = np.float32(10 ** (-4.7))  # products without noise have a floor too: no pixel is darker than -47 dB


def detect(
    rng: np.random.Generator,
    mean_db: NDArray[np.float32],
    *,
    looks: float,
    psf: tuple[float, float],
    noise_db: float,
    noise_removed: float,
    noise_pattern: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Simulate one polarisation of a product.

    The ground is blurred with the same point spread function as the speckle, so no edge is sharper than the resolution.
    Signal and thermal noise share the multi-look detection, so both have speckle. The processor then subtracts all or
    part of the mean noise. This leaves very dark, irregular values over calm water, and stripes where the noise model
    of the processor is wrong.

    Args:
        rng: Source of randomness.
        mean_db: (h, w) mean backscatter, dB.
        looks: Equivalent number of looks.
        psf: Neighbour weights of the point spread function.
        noise_db: Noise-equivalent sigma zero, dB.
        noise_removed: Share of the mean noise power that is subtracted.
        noise_pattern: (h, w) factor of the noise power that the processor's noise model does not contain.

    Returns:
        (h, w) float32 dB, all finite.
    """
    check_needed()
    noise = np.float32(10 ** (noise_db / 10))
    power = np.power(np.float32(10), mean_db / np.float32(10))
    for axis, neighbour in enumerate(psf):
        power = ndimage.correlate1d(power, kernel(neighbour), axis=axis, mode="nearest")
    power += noise * noise_pattern
    power *= speckle(rng, mean_db.shape, looks, psf)
    power -= np.float32(noise_removed) * noise
    # A floor that is the same for all pixels would be a peak in the histogram, which real products do not have.
    floor = _LOWEST_POWER * rng.uniform(0.5, 4.0, mean_db.shape).astype(np.float32)
    return np.asarray(10.0 * np.log10(np.maximum(power, floor)), np.float32)


def noise_pattern(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Draw the noise that the processor's model does not contain.

    It has a step between two sub-swaths, a slow trend across each of them and scalloping of the bursts.

    Returns:
        (h, w) float32 factors around 1, within about 3 dB.
    """
    rows = np.arange(shape[0], dtype=np.float32)[:, None]
    cols = np.arange(shape[1], dtype=np.float32)[None, :]
    step = rng.uniform(-1.2, 1.5) * (cols > rng.uniform(-1.0, 2.0) * shape[1])
    step = step + rng.uniform(-0.8, 0.8) * np.cos(2 * np.pi * (cols / rng.uniform(600, 4000) + rng.random()))
    scallop = rng.uniform(0.0, 0.4) * np.cos(2 * np.pi * (rows / rng.uniform(90, 200) + rng.random()))
    return np.asarray(10 ** ((step + scallop) / 10), np.float32)


def border_noise(rng: np.random.Generator, missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Draw the irregular strip of faint values beside the border of older products: (h, w) bool, outside `missing`."""
    depth = float(rng.uniform(0.0, 6.0)) + 2.5 * smooth_noise(rng, missing.shape, 16.0)
    distance = ndimage.distance_transform_edt(~missing)
    holes = smooth_noise(rng, missing.shape, 4.0) > rng.uniform(0.0, 1.5)
    return np.asarray((distance > 0) & (distance < depth) & ~holes)


def not_observed(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw a wedge without data along one or two sides: (h, w) bool, at most half of the scene."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    missing = np.zeros(shape, bool)
    for _ in range(1 if rng.random() < 0.8 else 2):
        side = int(rng.integers(4))
        along, depth = (cols, rows) if side < 2 else (rows, cols)
        length = shape[0] if side < 2 else shape[1]
        if side % 2:
            depth = length - 1 - depth
        edge = length * rng.uniform(0.02, 0.35) + along * rng.uniform(-0.25, 0.25)
        missing |= depth < edge
    return missing if missing.mean() < 0.5 else np.zeros(shape, bool)


def label_doubts(rng: np.random.Generator, water: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Draw the pixels that a labeller would leave undecided: a thin shore and sometimes a cloud, (h, w) bool."""
    shape: tuple[int, int] = water.shape
    doubts = np.zeros(shape, bool)
    chances = rng.random(2)
    if chances[0] < 0.35:
        ring = ndimage.binary_dilation(water) & ~ndimage.binary_erosion(water)
        doubts |= ring & (smooth_noise(rng, shape, 25.0) > rng.uniform(-0.5, 0.8))
    if chances[1] < 0.12:
        cloud = smooth_noise(rng, shape, float(rng.uniform(60, 150)))
        doubts |= cloud > rng.uniform(1.2, 2.2)
    return doubts


def coarse_product(db: NDArray[np.float32], cell: int) -> NDArray[np.float32]:
    """Return a chip as it looks when its product has larger pixels, which are split for the network.

    Args:
        db: (h, w) float32 dB, all finite.
        cell: Side of a product pixel in pixels of the chip, at least 1.

    Returns:
        (h, w) float32 dB: means of power over `cell` x `cell` pixels, interpolated with cubic splines.
    """
    if cell == 1:
        return db
    height, width = db.shape
    power = np.power(np.float32(10), db / np.float32(10))
    padded = np.pad(power, ((0, -height % cell), (0, -width % cell)), mode="edge")
    means = padded.reshape(padded.shape[0] // cell, cell, padded.shape[1] // cell, cell).mean(axis=(1, 3))
    split = ndimage.zoom(10.0 * np.log10(means), cell, order=3, mode="nearest", grid_mode=True)
    return np.asarray(split[:height, :width], np.float32)
