"""Local statistics that tell radar backscatter from elevation, classes, indices and pictures. Arrays only.

The speckle of a radar image is multiplicative: the local deviation grows with the local mean, and in dB it is nearly
the same everywhere. Elevation models, masks and optical bands do not behave like that. In twenty scenes of BigEarthNet
and SEN12MS-CR the median deviation of VV in 5 x 5 pixels, around a fitted plane, is 1.0 to 1.5 dB, and its quartiles
differ by a factor of 1.4 to 1.6; docs/input_contract.md has the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SIDE: Final = 5
FEWEST_CELLS: Final = 30
_CLASSES: Final = 8
# Columns and rows of a cell, centred; the sum of their squares is the divisor of the fitted slope.
_ROWS, _COLS = np.mgrid[-2.0:3.0, -2.0:3.0]
_SQUARES: Final = 50.0
_DEGREES_OF_FREEDOM: Final = _SIDE * _SIDE - 3  # a plane has three parameters


@dataclass(frozen=True, slots=True)
class Texture:
    """Local statistics of one band.

    Args:
        cells: The number of cells of 5 x 5 pixels.
        deviation_db: The median over the cells of the deviation in dB around a fitted plane.
        unevenness: The third quartile of this deviation divided by the first.
        growth: How the local deviation of linear power grows with its local mean: the slope of their logarithms. It is
            1 for speckle and 0 for noise that is added. None when the means differ too little.
        flat: The share of cells in which all values are equal.
    """

    cells: int
    deviation_db: float
    unevenness: float
    growth: float | None
    flat: float


def _cells(patch: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the whole cells of a patch without a NaN, (n, 5, 5)."""
    height, width = (side // _SIDE * _SIDE for side in patch.shape)
    blocks = patch[:height, :width].reshape(height // _SIDE, _SIDE, width // _SIDE, _SIDE)
    cells = blocks.swapaxes(1, 2).reshape(-1, _SIDE, _SIDE)
    whole: NDArray[np.float64] = cells[np.isfinite(cells).all(axis=(1, 2))]
    return whole


def _mean_and_deviation(cells: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of each cell and its deviation around a fitted plane."""
    mean = cells.mean(axis=(1, 2))
    rest = cells - mean[:, None, None]
    down, right = ((rest * axis).sum(axis=(1, 2)) / _SQUARES for axis in (_ROWS, _COLS))
    rest = rest - down[:, None, None] * _ROWS - right[:, None, None] * _COLS
    return mean, np.sqrt((rest**2).sum(axis=(1, 2)) / _DEGREES_OF_FREEDOM)


def _growth(power: NDArray[np.float64]) -> float | None:
    """Return the slope of log deviation over log mean, from the medians of classes of equal size."""
    mean, deviation = _mean_and_deviation(power)
    usable = (mean > 0) & (deviation > 0)
    if usable.sum() < FEWEST_CELLS:
        return None
    mean, deviation = np.log10(mean[usable]), np.log10(deviation[usable])
    order = np.array_split(np.argsort(mean, kind="stable"), _CLASSES)
    means = np.array([np.median(mean[part]) for part in order])
    deviations = np.array([np.median(deviation[part]) for part in order])
    if means[-1] - means[0] < 0.15:
        return None
    return float(np.polyfit(means, deviations, 1)[0])


def texture(patches: Sequence[NDArray[np.floating]]) -> Texture | None:
    """Compute the local statistics of a band.

    Args:
        patches: Parts of the band, (height, width) each, in dB; NaN where not measured.

    Returns:
        The statistics; None when there are fewer than `FEWEST_CELLS` cells without a missing pixel.
    """
    cells = np.concatenate([_cells(patch.astype(np.float64)) for patch in patches] or [np.empty((0, _SIDE, _SIDE))])
    if len(cells) < FEWEST_CELLS:
        return None
    _, deviation = _mean_and_deviation(cells)
    low, middle, high = (float(value) for value in np.percentile(deviation, (25, 50, 75)))
    return Texture(
        cells=len(cells),
        deviation_db=middle,
        unevenness=high / low if low > 0 else float("inf"),
        growth=_growth(10.0 ** (cells / 10.0)),
        flat=float((np.ptp(cells, axis=(1, 2)) == 0).mean()),
    )
