"""Backscatter as whole steps of 1/400 dB, as a staged scene stores it. Arrays only; `backscatter` handles the files."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BACKSCATTER_FILE: Final = "backscatter.tif"
NOT_OBSERVED_CODE: Final = 0
CODES_PER_DB: Final = 400
LOWEST_DB: Final = -100.0
_HIGHEST_CODE: Final = 65_535


def encode_db(db: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
    """Return backscatter in dB as the stored codes.

    Args:
        db: Any shape, dB; NaN where not observed.

    Returns:
        Same shape, uint16: 0 where not observed, else 1 + 400 (dB + 100), rounded and limited to -100 to 63 dB.
    """
    steps = db * np.float32(CODES_PER_DB)
    steps += np.float32(1.5 - LOWEST_DB * CODES_PER_DB)  # 0.5 more, because the conversion rounds down
    np.clip(steps, 1.0, float(_HIGHEST_CODE), out=steps)
    # NaN has no integer; the result of converting it differs between processors. `fmax` returns the other number.
    np.fmax(steps, 0.0, out=steps)
    codes: NDArray[np.uint16] = steps.astype(np.uint16)
    return codes


def decode_db(codes: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return stored codes as float32 dB, exact to 1/800 dB, NaN where not observed; the opposite of `encode_db`."""
    db = (codes.astype(np.float32) - np.float32(1.0)) / np.float32(CODES_PER_DB) + np.float32(LOWEST_DB)
    db[codes == NOT_OBSERVED_CODE] = np.nan
    return db
