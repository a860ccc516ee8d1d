"""Changes to a training chip that keep its labels correct. Numpy only; every function depends on its arguments alone.

Only flips and quarter turns are used: a rotation by any other angle would resample the speckle into a pattern that no
sensor delivers. The module `crops` decides which changes are drawn.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)
SYMMETRIES = 8


def _turn(array: NDArray[_Scalar], k: int) -> NDArray[_Scalar]:
    """Apply one of the eight symmetries of a square to the last two axes; 0 changes nothing."""
    turned = np.rot90(array, k % 4, axes=(-2, -1))
    return turned[..., ::-1] if k >= 4 else turned


def dihedral(db: NDArray[np.float32], label: NDArray[np.int8], k: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Turn and flip a chip.

    Args:
        db: (bands, h, w) dB.
        label: (h, w).
        k: The symmetry, 0 to 7: k mod 4 quarter turns; for k of 4 and more, a flip of the columns follows.

    Returns:
        Both arrays, contiguous; h and w are exchanged for odd k.
    """
    if not 0 <= k < SYMMETRIES:
        raise ValueError(f"k must be 0 to 7, got {k}")
    return np.ascontiguousarray(_turn(db, k)), np.ascontiguousarray(_turn(label, k))


def jitter_db(
    db: NDArray[np.float32], rng: np.random.Generator, *, gain_db: float, band_db: float, noise_db: float
) -> NDArray[np.float32]:
    """Shift the level of a chip and add noise.

    Args:
        db: (bands, h, w) dB, NaN where not observed; NaN stays NaN.
        rng: Source of randomness.
        gain_db: Standard deviation of an offset common to all bands. Calibration and incidence differ between scenes.
        band_db: Standard deviation of an offset drawn for each band alone. The ratio of the bands differs less than
            their levels.
        noise_db: Standard deviation of white noise.
    """
    bands = db.shape[0]
    offsets = np.asarray(rng.normal(0.0, gain_db) + rng.normal(0.0, band_db, bands))
    noise = rng.standard_normal(db.shape, dtype=np.float32) * np.float32(noise_db)
    return np.asarray(db + offsets.astype(np.float32)[:, None, None] + noise, np.float32)


def mix(db: NDArray[np.float32], other: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Mix two chips in dB (mixup; Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization).

    Args:
        db: (bands, h, w) dB, NaN where not observed.
        other: (bands, h, w) dB of the other chip, with the same height and width.
        share: Share of `db` in the mixture, in [0, 1].

    Returns:
        (bands, h, w) float32 dB of the bands that both chips have, NaN where either was not observed.
    """
    bands = min(len(db), len(other))
    return np.asarray(np.float32(share) * db[:bands] + np.float32(1.0 - share) * other[:bands], np.float32)


def drop_vh(db: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the chip as a sensor with VV alone would deliver it: (1, h, w)."""
    return db[:1]
