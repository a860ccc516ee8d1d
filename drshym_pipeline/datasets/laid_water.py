"""Copy water of one training crop into the dry land of another.

`real_land` has much dry land of every kind and hardly any water. A network that sees real land only when it is dry
could learn that real speckle means dry land. Water from a simulated crop, copied into real land, prevents this. NumPy
and SciPy only; `crops` decides which crops are combined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from drshym_pipeline.datasets.chips import DRY, WATER

_SHORE = 0.7  # Gaussian sigma in pixels by which a shore mixes land and water
_VISIBLE = 2.0  # dB by which the water must be darker than the land in one of the bands
_FEWEST = 16  # pixels of water


def lay_water(
    land_db: NDArray[np.float32],
    land_label: NDArray[np.int8],
    water_db: NDArray[np.float32],
    water_label: NDArray[np.int8],
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Replace a part of dry land by water.

    Each pixel keeps the speckle of its own crop. Shores are mixed in power over about a pixel.

    Args:
        land_db: (bands, h, w) dB of the crop that receives water, NaN where not observed.
        land_label: (h, w) its label.
        water_db: (bands, h, w) dB of the crop with water; it may have more bands.
        water_label: (h, w) its label.

    Returns:
        dB and label of the combined crop. They are the land's own where the other crop has hardly any water, or water
        that would not be visible there: from water in land that is as dark, the network would learn to guess.
    """
    bands = len(land_db)
    if len(water_db) < bands:
        return land_db, land_label
    donor = water_db[:bands]
    usable = np.isfinite(land_db).all(axis=0) & np.isfinite(donor).all(axis=0) & (land_label == DRY)
    wet = usable & (water_label == WATER)
    if np.count_nonzero(wet) < _FEWEST:
        return land_db, land_label
    darker = np.median(land_db[:, wet], axis=1) - np.median(donor[:, wet], axis=1)
    if darker.max() < _VISIBLE:
        return land_db, land_label
    share = ndimage.gaussian_filter(wet.astype(np.float32), _SHORE) * usable
    power = (1.0 - share) * _power(land_db) + share * _power(donor)
    db = np.where(share > 0.0, 10.0 * np.log10(power, where=power > 0, out=np.full_like(power, np.nan)), land_db)
    label = np.where(usable & (share > 0.5), WATER, land_label)
    return np.asarray(db, np.float32), np.asarray(label, np.int8)


def _power(db: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.power(np.float32(10), np.nan_to_num(db, nan=0.0) / np.float32(10)), np.float32)
