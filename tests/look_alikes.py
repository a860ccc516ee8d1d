"""Small rasters with a fixed seed: Sentinel-1 backscatter, and rasters that must not be mistaken for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]


def backscatter_db(height: int = 160, width: int = 160, seed: int = 42) -> Array:
    """Return VV and VH in dB, (2, height, width): land with fields, a lake, and the speckle of a GRD product."""
    rng = np.random.default_rng(seed)
    lake = np.hypot(*np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]) < 0.5
    fields = np.kron(rng.normal(0.0, 1.5, (-(-height // 20), -(-width // 20))), np.ones((20, 20)))[:height, :width]
    means = np.stack([np.where(lake, -20.0, -10.0 + fields), np.where(lake, -27.0, -17.0 + fields)])
    # The pixels of a product are smaller than its resolution: neighbours have a correlation of 0.37, and the local
    # deviation is 1.4 dB.
    looks = 0.72
    speckle = ndimage.gaussian_filter(rng.gamma(looks, 1.0 / looks, means.shape), (0, 0.78, 0.78))
    result: Array = means + 10.0 * np.log10(speckle)
    return result


def _terrain(seed: int, side: int = 160, roughness: float = 2.0) -> Array:
    """Return fractal heights with mean 0 and deviation 1."""
    rng = np.random.default_rng(seed)
    rows, cols = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    radius = np.hypot(rows, cols)
    radius[0, 0] = 1.0
    spectrum = np.fft.fft2(rng.normal(size=(side, side))) / radius**roughness
    spectrum[0, 0] = 0.0
    heights = np.fft.ifft2(spectrum).real
    scaled: Array = heights / heights.std()
    return scaled


def elevation(seed: int = 1) -> Array:
    """Return heights of hills, 20 to 90 m, in whole metres."""
    return np.round(
        np.clip(50.0 + 15.0 * _terrain(seed) + np.random.default_rng(seed).normal(0, 0.5, (160, 160)), 5, 400)
    )


def incidence(seed: int = 1) -> Array:
    """Return angles of incidence in degrees."""
    return 38.0 + 4.0 * np.linspace(-1, 1, 160)[np.newaxis, :] + 0.001 * _terrain(seed)


def land_cover(seed: int = 1) -> Array:
    """Return classes 10 to 80, as in WorldCover."""
    return 10.0 * (1.0 + np.clip(np.floor(4.0 + 2.0 * _terrain(seed, roughness=2.5)), 0, 7))


def optical(seed: int = 1) -> Array:
    """Return surface reflectance x 10,000 of an optical band."""
    fields = np.kron(np.random.default_rng(seed).uniform(300, 3000, (10, 10)), np.ones((16, 16)))
    return np.round(fields * (1.0 + 0.03 * _terrain(seed + 1, roughness=1.0)))


def probability(seed: int = 1) -> Array:
    """Return a map of probabilities, most of them near 0 and 1."""
    return 1.0 / (1.0 + np.exp(-4.0 * _terrain(seed, roughness=2.5)))


def index(seed: int = 1) -> Array:
    """Return a normalised difference index, most of it below 0."""
    return np.clip(-0.3 + 0.3 * _terrain(seed, roughness=1.5), -1.0, 1.0)


def normalised(seed: int = 1) -> Array:
    """Return VV as clip((dB + 30) / 30, 0, 1)."""
    scaled: Array = np.clip((backscatter_db(seed=seed)[0] + 30.0) / 30.0, 0.0, 1.0)
    return scaled


def stretched(seed: int = 1) -> Array:
    """Return the power of VV, stretched between its 2 % and 98 % quantiles to 0 .. 1."""
    power = 10.0 ** (backscatter_db(seed=seed)[0] / 10.0)
    low, high = np.percentile(power, (2, 98))
    scaled: Array = np.clip((power - low) / (high - low), 0.0, 1.0)
    return scaled


# Each raster with the data types it comes in.
NOT_BACKSCATTER: dict[str, tuple[Callable[[int], Array], tuple[str, ...]]] = {
    "elevation": (elevation, ("int16", "uint16", "float32")),
    "incidence angle": (incidence, ("float32", "uint16")),
    "land cover": (land_cover, ("uint8", "int16", "float32")),
    "optical band": (optical, ("uint16", "int16", "float32")),
    "probability": (probability, ("float32",)),
    "index": (index, ("float32",)),
    "normalised dB": (normalised, ("float32",)),
    "stretched power": (stretched, ("float32",)),
}
