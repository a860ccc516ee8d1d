"""What a network is shown: backscatter in dB turned into input channels.

NumPy only, so that light code can import it. Reading and unit conversion happen in `sar`; batching and padding in
`predict`. Training and mapping both come through here, which is what keeps them in step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import BandMode
from drshym_pipeline.sar.radiometry import normalise

_CHANNELS: dict[BandMode, tuple[str, ...]] = {"vv": ("vv",), "vv_vh": ("vv", "vh", "observed")}


def channels(bands: BandMode) -> tuple[str, ...]:
    """Names of the input channels of a network.

    A `vv_vh` network has a third channel with the share of its bands that were measured: 1 both, 0.5 VV alone, 0
    neither. What is absent would otherwise look like the darkest water: with it one network serves scenes with and
    without VH, and the border of a scene is no shore.
    """
    return _CHANNELS[bands]


def network_input(db: NDArray[np.floating], bands: BandMode) -> NDArray[np.float32]:
    """The input channels of one tile.

    Args:
        db: (bands, height, width) backscatter in dB, VV first and VH second where there is one; NaN where not observed.
        bands: What the network takes. A `vv` network ignores VH; a `vv_vh` network fed VV alone, or pixels whose VH
            alone is NaN, sees 0 in `vh` and 0.5 in `observed`.

    Returns:
        (channels, height, width) float32 in [0, 1], 0 where not observed.

    Raises:
        InputError: The array has no VV band or more than two bands.
    """
    if db.ndim != 3 or db.shape[0] not in (1, 2):
        raise InputError(
            "network input",
            f"expected 1 or 2 bands as (bands, height, width), got shape {db.shape}",
            "Give VV or VV+VH",
        )
    out = np.zeros((len(channels(bands)), *db.shape[1:]), dtype=np.float32)
    vv_observed = np.isfinite(db[0])
    out[0] = np.where(vv_observed, normalise(db[0]), 0.0)
    if bands == "vv_vh":
        out[2] = 0.5 * vv_observed
        if db.shape[0] == 2:
            vh_observed = vv_observed & np.isfinite(db[1])
            out[1] = np.where(vh_observed, normalise(db[1]), 0.0)
            out[2] += 0.5 * vh_observed
    return out
