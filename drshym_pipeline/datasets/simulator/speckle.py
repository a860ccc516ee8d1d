"""Multi-look speckle with the spatial correlation of resampled Sentinel-1 products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def speckle(
    rng: np.random.Generator, shape: tuple[int, int], looks: float, psf: tuple[float, float]
) -> NDArray[np.float32]:
    """Multiplicative speckle of unit mean.

    White gamma noise is averaged by the separable kernel (a, 1, a) / (1 + 2a), whose autocorrelation is
    2a / (1 + 2a^2) at one pixel and a^2 / (1 + 2a^2) at two: with a near 0.4, 0.61 and 0.12, as real products have.
    The shape of the white noise is chosen so that the average has the wanted number of looks.

    Args:
        rng: Source of randomness.
        shape: Height and width in pixels.
        looks: Equivalent number of looks, mean squared over variance of the result.
        psf: The kernel's `a` down the rows and along the columns.

    Returns:
        (h, w) float32 power factors, mean 1, variance 1 / looks.
    """
    down, along = ((np.array([a, 1.0, a]) / (1.0 + 2.0 * a)).astype(np.float32) for a in psf)
    concentration = float((down**2).sum() * (along**2).sum())
    shape_parameter = looks * concentration
    padded = (shape[0] + 2, shape[1] + 2)
    white = rng.standard_gamma(shape_parameter, padded, dtype=np.float32)
    white /= np.float32(shape_parameter)
    mixed = ndimage.correlate1d(ndimage.correlate1d(white, down, axis=0), along, axis=1)
    return np.asarray(mixed[1:-1, 1:-1], np.float32)
