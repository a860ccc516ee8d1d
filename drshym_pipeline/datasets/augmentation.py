"""Changes to a training chip that leave its truth as it is; numpy only, every one a function of its arguments.

Only flips and quarter turns: a rotation by any other angle resamples speckle into something no sensor delivers. Which
changes are drawn is decided in `crops`.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)
SYMMETRIES = 8


def _turn(array: NDArray[_Scalar], k: int) -> NDArray[_Scalar]:
    """One of the eight symmetries of a square on the last two axes; 0 changes nothing."""
    turned = np.rot90(array, k % 4, axes=(-2, -1))
    return turned[..., ::-1] if k >= 4 else turned


def dihedral(db: NDArray[np.float32], label: NDArray[np.int8], k: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Turn and flip a chip.

    Args:
        db: (bands, h, w) dB.
        label: (h, w).
        k: Which symmetry, 0 to 7: k mod 4 quarter turns, then from 4 on a flip of the columns.

    Returns:
        Both arrays, contiguous; h and w change places for odd k.
    """
    if not 0 <= k < SYMMETRIES:
        raise ValueError(f"k must be 0 to 7, got {k}")
    return np.ascontiguousarray(_turn(db, k)), np.ascontiguousarray(_turn(label, k))


def jitter_db(
    db: NDArray[np.float32], rng: np.random.Generator, *, gain_db: float, band_db: float, noise_db: float
) -> NDArray[np.float32]:
    """Shift the level of a chip and roughen it.

    Args:
        db: (bands, h, w) dB, NaN where not observed; stays so.
        rng: Source of randomness.
        gain_db: Standard deviation of an offset common to all bands: calibration and incidence differ between scenes.
        band_db: Standard deviation of an offset each band gets alone: the ratio of the bands differs less than they do.
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
        other: Of the same height and width.
        share: Of `db`, in [0, 1].

    Returns:
        As many bands as both have, NaN where either was not observed.
    """
    bands = min(len(db), len(other))
    return np.asarray(np.float32(share) * db[:bands] + np.float32(1.0 - share) * other[:bands], np.float32)


def drop_vh(db: NDArray[np.float32]) -> NDArray[np.float32]:
    """The chip as a sensor with VV alone would give it: (1, h, w)."""
    return db[:1]
