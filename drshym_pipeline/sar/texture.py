"""Local statistics that distinguish radar backscatter from elevation, classes, indices and pictures. Arrays only.

The speckle of a radar image is multiplicative: the local deviation grows with the local mean, and in dB it is nearly
the same everywhere. Elevation models, masks and optical bands do not behave like that. In twenty scenes of BigEarthNet
and SEN12MS-CR the median deviation of VV in 5 x 5 pixels, around a fitted plane, is 1.0 to 1.5 dB, and its quartiles
differ by a factor of 1.4 to 1.6; docs/input_contract.md has the table.

Thermal noise is added, and products subtract its mean. Over calm water this leaves power near zero, whose logarithm has
any deviation and any level. So the speckle that distinguishes units is measured in the bright cells, if it is weaker
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SIDE: Final = 5
FEWEST_CELLS: Final = 30
# Cells with missing pixels are used only if there are fewer whole ones than this.
_ENOUGH_CELLS: Final = 300
_FEWEST_PIXELS: Final = 15  # in a cell with missing pixels
_CLASSES: Final = 8
_LOG_PER_DB: Final = np.log(10.0) / 10.0
_ROUNDING: Final = 1e-9  # relative; the deviation of equal values is not exactly zero
_SMOOTH_DB: Final = 0.03  # below this deviation nothing of a radar image is left
# A cell is bright if its mean power is at most this far below that of the brightest 3 %. In right dB and in dB with
# twice or half the right factor, land is within this distance, and water whose noise was subtracted is below it.
_BRIGHT_DB: Final = 6.0
_BRIGHTEST: Final = 97.0  # percentile
# The terms of a plane in a cell, its rows and columns centred, (25, 3).
_ROWS, _COLS = np.mgrid[-2.0:3.0, -2.0:3.0]
_PLANE: Final = np.stack([np.ones(_SIDE * _SIDE), _ROWS.ravel(), _COLS.ravel()], axis=1)
# The matrix that leaves the rest of 25 values around their plane.
_AROUND_PLANE: Final = np.eye(_SIDE * _SIDE) - _PLANE @ np.linalg.inv(_PLANE.T @ _PLANE) @ _PLANE.T


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
        spread_db: The 99 % quantile of the cells' mean power divided by the 1 % quantile. The mean of 25 pixels is not
            near zero where single pixels are.
        speckle_db: The deviation without most of the noise: the smaller one of `deviation_db` and of the same median
            over the bright cells. Noise makes dark cells uneven, and houses make bright ones uneven.
        correlation: The median correlation of neighbouring pixels around the plane, in the cells of `speckle_db`: about
            0 for pixels that are independent, 0.37 for ground-range products at 10 m, 0.47 after any mean filter. None
            when most cells are flat.
        bright_growth: `growth` over the bright cells alone, or over all cells if fewer than 300 are bright: the slope
            of few cells is not certain. It is low where all cells are near the noise.
    """

    cells: int
    deviation_db: float
    unevenness: float
    growth: float | None
    flat: float
    spread_db: float
    speckle_db: float
    correlation: float | None
    bright_growth: float | None

    @property
    def smooth(self) -> bool:
        """Return whether there is no speckle: most cells are flat, or the deviation is nearly zero."""
        return _is_smooth(self.flat, self.deviation_db)


def _cells(patch: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cells of a patch, (n, 5, 5), NaN where missing."""
    height, width = (side // _SIDE * _SIDE for side in patch.shape)
    blocks = patch[:height, :width].reshape(height // _SIDE, _SIDE, width // _SIDE, _SIDE)
    cells: NDArray[np.float64] = blocks.swapaxes(1, 2).reshape(-1, _SIDE, _SIDE)
    return cells


def _all_cells(patches: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Return the cells of all patches, (n, 5, 5), NaN where missing."""
    return np.concatenate([_cells(patch.astype(np.float64)) for patch in patches] or [np.empty((0, _SIDE, _SIDE))])


def _usable(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the whole cells; if they are few, also those with most of their pixels."""
    pixels = np.isfinite(cells).sum(axis=(1, 2))
    whole = pixels == _SIDE * _SIDE
    if whole.sum() < _ENOUGH_CELLS:
        whole = pixels >= _FEWEST_PIXELS
    usable: NDArray[np.float64] = cells[whole]
    return usable


def _around_plane(
    cells: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of each cell, its deviation around a fitted plane, and the rest, (n, 5, 5), 0 where missing."""
    there = np.isfinite(cells)
    values = np.where(there, cells, 0.0).reshape(-1, _SIDE * _SIDE)
    weights = there.reshape(values.shape)
    count = weights.sum(axis=1)
    if there.all():
        rest = values @ _AROUND_PLANE
    else:
        normal = np.einsum("ni,ij,ik->njk", weights, _PLANE, _PLANE)
        terms = np.linalg.solve(normal, (values @ _PLANE)[..., np.newaxis])[..., 0]
        rest = (values - terms @ _PLANE.T) * weights
    deviation = np.sqrt(np.einsum("ni,ni->n", rest, rest) / (count - _PLANE.shape[1]))
    return values @ np.ones(_SIDE * _SIDE) / count, deviation, rest.reshape(cells.shape)


def _correlation(cells: NDArray[np.float64], rest: NDArray[np.float64]) -> float | None:
    """Return the median correlation of neighbouring pixels in rows and columns."""
    there = np.isfinite(cells).astype(np.float64)

    def products(values: NDArray[np.float64], down: int, right: int) -> NDArray[np.float64]:
        """Return the sum of the products of all pixels of each cell with those at a distance."""
        one, other = values[:, : _SIDE - down, : _SIDE - right], values[:, down:, right:]
        found: NDArray[np.float64] = np.einsum("nij,nij->n", one, other)
        return found

    power = products(rest, 0, 0) / products(there, 0, 0)
    varied = power > _ROUNDING**2 * products(np.nan_to_num(cells), 0, 0)
    if varied.sum() < FEWEST_CELLS:
        return None
    neighbours = products(rest, 1, 0) + products(rest, 0, 1)
    pairs = products(there, 1, 0) + products(there, 0, 1)
    return float(np.median((neighbours[varied] / pairs[varied]) / power[varied]))


def _growth(mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> float | None:
    """Return the slope of log deviation over log mean of power, from the medians of classes of equal size."""
    usable = (mean > 0) & (deviation > _ROUNDING * mean)  # without flat cells
    if usable.sum() < FEWEST_CELLS:
        return None
    mean, deviation = np.log10(mean[usable]), np.log10(deviation[usable])
    order = np.array_split(np.argsort(mean, kind="stable"), _CLASSES)
    means = np.array([np.median(mean[part]) for part in order])
    deviations = np.array([np.median(deviation[part]) for part in order])
    if means[-1] - means[0] < 0.15:
        return None
    return float(np.polyfit(means, deviations, 1)[0])


def _flat_share(cells: NDArray[np.float64]) -> float:
    """Return the share of cells in which all values are equal."""
    values = cells.reshape(-1, _SIDE * _SIDE)
    return float((np.nanmax(values, axis=1) == np.nanmin(values, axis=1)).mean())


def _bright(level_db: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which cells are far enough above the noise, from their mean power in dB; all if these are few."""
    bright: NDArray[np.bool_] = level_db >= np.percentile(level_db, _BRIGHTEST) - _BRIGHT_DB
    return bright if bright.sum() >= FEWEST_CELLS else np.ones_like(bright)


def texture(patches: Sequence[NDArray[np.floating]]) -> Texture | None:
    """Compute the local statistics of a band.

    Args:
        patches: Parts of the band, (height, width) each, in dB; NaN where not measured.

    Returns:
        The statistics; None when there are fewer than `FEWEST_CELLS` cells with enough pixels.
    """
    cells = _usable(_all_cells(patches))
    if len(cells) < FEWEST_CELLS:
        return None
    _, deviation, rest = _around_plane(cells)
    low, middle, high = (float(value) for value in np.percentile(deviation, (25, 50, 75)))
    power = np.exp(cells * _LOG_PER_DB)  # several times as fast as a power of ten
    mean, power_deviation, _ = _around_plane(power)
    level_db = 10.0 * np.log10(mean)
    darkest, brightest = (float(value) for value in np.percentile(level_db, (1, 99)))
    bright = _bright(level_db)
    uneven = float(np.median(deviation[bright])) > middle
    clear = slice(None) if uneven else bright
    growth = _growth(mean, power_deviation)
    return Texture(
        cells=len(cells),
        deviation_db=middle,
        unevenness=high / low if low > 0 else float("inf"),
        growth=growth,
        flat=_flat_share(cells),
        spread_db=brightest - darkest,
        speckle_db=float(np.median(deviation[clear])),
        correlation=_correlation(cells[clear], rest[clear]),
        bright_growth=growth if bright.sum() < _ENOUGH_CELLS else _growth(mean[bright], power_deviation[bright]),
    )


def has_no_speckle(patches: Sequence[NDArray[np.floating]]) -> bool:
    """Return whether the values of a band are flat, or smoother than any radar image.

    Args:
        patches: As for `texture`.

    Returns:
        False also when there are fewer than `FEWEST_CELLS` cells with enough pixels.
    """
    cells = _usable(_all_cells(patches))
    if len(cells) < FEWEST_CELLS:
        return False
    return _is_smooth(_flat_share(cells), float(np.median(_around_plane(cells)[1])))


def _is_smooth(flat: float, deviation_db: float) -> bool:
    return flat > 0.5 or deviation_db < _SMOOTH_DB
