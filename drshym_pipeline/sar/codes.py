"""Backscatter as whole steps of 1/400 dB: how a staged scene is stored. NumPy only; files are `backscatter`'s."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BACKSCATTER_FILE: Final = "backscatter.tif"
NOT_OBSERVED_CODE: Final = 0
CODES_A_DB: Final = 400
LOWEST_DB: Final = -100.0
_HIGHEST_CODE: Final = 65_535


def encode_db(db: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
    """Backscatter as stored.

    Args:
        db: Any shape, dB; NaN where not observed.

    Returns:
        Same shape, uint16: 0 where not observed, else 1 + 400 (dB + 100), rounded and held between -100 and 63 dB.
    """
    steps = db * np.float32(CODES_A_DB)
    steps += np.float32(1.5 - LOWEST_DB * CODES_A_DB)  # a half for rounding: the conversion cuts
    np.clip(steps, 1.0, float(_HIGHEST_CODE), out=steps)
    # NaN has no integer; what the conversion makes of it differs between processors.
    np.nan_to_num(steps, copy=False, nan=0.0)
    codes: NDArray[np.uint16] = steps.astype(np.uint16)
    return codes


def decode_db(codes: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The opposite of `encode_db`: float32 dB to 1/800 dB, NaN where not observed."""
    db = (codes.astype(np.float32) - np.float32(1.0)) / np.float32(CODES_A_DB) + np.float32(LOWEST_DB)
    db[codes == NOT_OBSERVED_CODE] = np.nan
    return db
