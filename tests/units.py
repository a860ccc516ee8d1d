"""Backscatter in the units a scene may come in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import Units
from drshym_pipeline.sar.radiometry import DN_OFFSET_DB


def from_db(db: NDArray[np.float32], units: Units) -> NDArray[np.float64]:
    """Return dB values converted to `units`, the inverse of `to_db`; NaN stays NaN."""
    data = db.astype(np.float64)
    if units == "db":
        return data
    if units in ("dn", "intensity"):
        data = data + DN_OFFSET_DB
    return np.power(10.0, data / (10.0 if units in ("power", "intensity") else 20.0))
