"""Multi-look speckle with the spatial correlation of resampled Sentinel-1 products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_REACH = 2


def kernel(neighbour: float) -> NDArray[np.float32]:
    """Return the five weights of the point spread function along one axis, (c, a, 1, a, c) scaled; see `speckle`."""
    second = 0.13 * (neighbour - 0.25)
    kernel = np.array([second, neighbour, 1.0, neighbour, second], np.float32)
    return np.asarray(kernel / kernel.sum(), np.float32)


def speckle(
    rng: np.random.Generator, shape: tuple[int, int], looks: float, psf: tuple[float, float]
) -> NDArray[np.float32]:
    """Draw multiplicative speckle of unit mean.

    White gamma noise is averaged by a separable kernel proportional to (c, a, 1, a, c) with c = 0.13 (a - 0.25). With a
    near 0.56, after subtraction of a 9 x 9 mean, the correlation is 0.63 at one pixel and 0.1 at two pixels, as over
    even ground in real products. The shape parameter of the white noise is chosen so that the average has the required
    number of looks.

    Args:
        rng: Source of randomness.
        shape: Height and width in pixels.
        looks: Equivalent number of looks, mean squared over variance of the result.
        psf: Value `a` of the kernel down the rows and along the columns.

    Returns:
        (h, w) float32 power factors, mean 1, variance 1 / looks.
    """
    down, along = (kernel(a) for a in psf)
    concentration = float((down**2).sum() * (along**2).sum())
    shape_parameter = looks * concentration
    padded = (shape[0] + 2 * _REACH, shape[1] + 2 * _REACH)
    white = rng.standard_gamma(shape_parameter, padded, dtype=np.float32)
    white /= np.float32(shape_parameter)
    mixed = ndimage.correlate1d(ndimage.correlate1d(white, down, axis=0), along, axis=1)
    return np.asarray(mixed[_REACH:-_REACH, _REACH:-_REACH], np.float32)
