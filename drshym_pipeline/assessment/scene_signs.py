"""Signs of how well the water area of a scene can be known, counted from its probabilities and its backscatter.

Two maps with the same mapped area can have very different errors. A calm lake has probabilities near 0 and 1. Water
under wind and bare fields have middle ones, and their backscatter differs from that of calm water. The signs measure
this. `sign_interval` fits area intervals on them.

Everything is a sum of counts, so a scene can be counted in strips of rows. The same functions count validation chips
and scenes. The surfaces come from means of 4 x 4 pixels: with the 4 to 5 looks of Sentinel-1 GRD images, speckle gives
a single pixel's VV - VH a standard deviation of about 3 dB, and the mean of 16 pixels one of about 1 dB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.probabilities import PROBABILITY_STEPS, is_water
from drshym_pipeline.records import BandMode, Calibration
from drshym_pipeline.sar.codes import CODES_PER_DB, LOWEST_DB, NOT_OBSERVED_CODE

BLOCK: Final = 4  # pixels, the side of the squares whose mean backscatter gives the surface
OTHER, WIND_LIKE, BARE_LIKE = 0, 1, 2
SURFACES: Final = 3
FAINT: Final = 0.05  # probabilities below are those of nearly all land; their sum says little about water

_PIXELS = BLOCK * BLOCK
# Water under wind is much brighter in VV than in VH, because waves hardly depolarise, and its VH is near the noise of
# the sensor (-29 to -24 dB).
_WIND_DIFFERENCE, _WIND_VH = 12.0, -23.0
# Dry bare fields have a VV between calm water and vegetation, and are dark in VH.
_BARE_VV, _BARE_VH, _BARE_DIFFERENCE = (-16.0, -11.0), (-27.0, -19.0), (6.0, 12.0)
# In VV alone, water under wind is as bright as fields and as meadows: both classes are ranges of VV.
_BRIGHT_VV = -11.0
_STORED = PROBABILITY_STEPS + 1
_LOGIT_LIMIT, _LOGIT_BINS_PER_UNIT = 20, 20
_LOGIT_BINS = 2 * _LOGIT_LIMIT * _LOGIT_BINS_PER_UNIT
_HALVES = 2  # of a chip, along each side


@dataclass(frozen=True)
class SceneSigns:
    """The signs of a scene or a chip: shares of its counted pixels, in [0, 1], all 0 without a counted pixel.

    The expected shares are sums of probabilities of at least 0.05, by surface.

    Args:
        mapped_surfaces: Pixels mapped as water, by surface in the order of `expected`.
        expected: Expected water of other surfaces, of those like water under wind, and of those like bare fields.
        faint: Expected water of the pixels with probabilities below 0.05.
        uncertain: The sum of min(p, 1 - p) over probabilities p of at least 0.05.
    """

    mapped_surfaces: tuple[float, float, float]
    expected: tuple[float, float, float]
    faint: float
    uncertain: float

    @property
    def mapped(self) -> float:
        """The pixels mapped as water, of all surfaces."""
        return sum(self.mapped_surfaces)


def signs_of_counts(
    counts: NDArray[np.int64], probabilities: NDArray[np.float64], water: NDArray[np.bool_]
) -> SceneSigns:
    """Compute the signs from pixel counts by surface and probability.

    Args:
        counts: (3, n) counted pixels by surface and class of probability.
        probabilities: (n,) the probability of each class, in [0, 1].
        water: (n,) whether a class is mapped as water.
    """
    pixels = max(int(counts.sum()), 1)
    by_class = counts.sum(axis=0)
    faint = probabilities < FAINT
    p = np.where(faint, 0.0, probabilities)
    other, wind, bare = (float(values @ p) / pixels for values in counts)
    mapped = [float(values[water].sum()) / pixels for values in counts]
    return SceneSigns(
        mapped_surfaces=(mapped[OTHER], mapped[WIND_LIKE], mapped[BARE_LIKE]),
        expected=(other, wind, bare),
        faint=float(by_class[faint] @ probabilities[faint]) / pixels,
        uncertain=float(by_class @ np.minimum(p, 1.0 - p)) / pixels,
    )


def surfaces(codes: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the surface of every block of 4 x 4 pixels: `OTHER`, `WIND_LIKE` or `BARE_LIKE`.

    Args:
        codes: (bands, height, width) backscatter as `sar.codes` stores it, VV first; 0 in every band where a pixel does
            not count.

    Returns:
        (height / 4, width / 4) uint8, both rounded up. A block with fewer than 8 counted pixels is `OTHER`.
    """
    filled = _whole_blocks(codes, NOT_OBSERVED_CODE)
    seen = filled[0] != NOT_OBSERVED_CODE
    count = np.full((seen.shape[0] // BLOCK, seen.shape[1] // BLOCK), _PIXELS, np.int32)
    if not seen.all():
        count = _block_sums(seen.view(np.uint8))
    vv = _block_sums(filled[0])

    def between(values: NDArray[np.int32], low: float, high: float, offset: float = 0.0) -> NDArray[np.bool_]:
        """Compare block sums with limits in dB; on sums of integers, so no order of addition matters."""
        least, most = (round((limit - offset) * CODES_PER_DB) + bool(offset) for limit in (low, high))
        inside: NDArray[np.bool_] = (values >= least * count) & (values < most * count)
        return inside

    found = np.zeros(vv.shape, np.uint8)
    if len(filled) == 1:
        found[between(vv, *_BARE_VV, LOWEST_DB)] = BARE_LIKE
        found[vv >= (round((_BRIGHT_VV - LOWEST_DB) * CODES_PER_DB) + 1) * count] = WIND_LIKE
    else:
        vh = _block_sums(filled[1])
        difference = vv - vh
        dark = vh < (round((_WIND_VH - LOWEST_DB) * CODES_PER_DB) + 1) * count
        found[(difference >= round(_WIND_DIFFERENCE * CODES_PER_DB) * count) & dark] = WIND_LIKE
        bare = between(vv, *_BARE_VV, LOWEST_DB) & between(vh, *_BARE_VH, LOWEST_DB)
        found[bare & between(difference, *_BARE_DIFFERENCE)] = BARE_LIKE
    found[count < _PIXELS // 2] = OTHER
    return found


class SignCounts:
    """Running counts of a scene by surface and stored probability; strips are added from the top to the bottom."""

    def __init__(self) -> None:
        self._counts = np.zeros((SURFACES, _STORED), np.int64)
        # The last rows of a strip that do not fill a block, until the next strip comes.
        self._rest: tuple[NDArray[np.uint16], NDArray[np.uint16]] | None = None

    def add(self, stored: NDArray[np.uint16], codes: NDArray[np.uint16]) -> None:
        """Count the next rows of the scene.

        Args:
            stored: (rows, width) probability in steps of 1e-4, 65535 where a pixel does not count.
            codes: (bands, rows, width) backscatter of the bands that were used, as `surfaces` takes it.
        """
        if self._rest is not None:
            stored = np.concatenate([self._rest[0], stored])
            codes = np.concatenate([self._rest[1], codes], axis=1)
        whole = len(stored) // BLOCK * BLOCK
        self._rest = (stored[whole:].copy(), codes[:, whole:].copy()) if whole < len(stored) else None
        if whole:
            self._count(stored[:whole], codes[:, :whole])

    def _count(self, stored: NDArray[np.uint16], codes: NDArray[np.uint16]) -> None:
        found = surfaces(codes)
        filled = _whole_blocks(stored, PROBABILITY_STEPS + 1)
        blocks = filled.reshape(found.shape[0], BLOCK, found.shape[1], BLOCK).swapaxes(1, 2)
        sizes = np.bincount(found.ravel(), minlength=SURFACES)
        largest = int(np.argmax(sizes))
        # Only the pixels of the smaller surfaces are taken out of the strip; the rest belongs to the largest.
        left = _by_step(stored)
        for surface in range(SURFACES):
            if surface != largest and sizes[surface]:
                counts = _by_step(blocks[found == surface])
                self._counts[surface] += counts
                left -= counts
        self._counts[largest] += left

    def signs(self, threshold: float) -> SceneSigns:
        """Return the signs of the rows so far; the last strip must have been added.

        Args:
            threshold: The probability from which a pixel is mapped as water.
        """
        if self._rest is not None:
            rest, self._rest = self._rest, None
            self._count(*rest)
        steps = np.arange(_STORED, dtype=np.uint16)
        return signs_of_counts(self._counts, steps / PROBABILITY_STEPS, is_water(steps, threshold))


@dataclass(frozen=True)
class LogitCounts:
    """Counts of labelled pixels of a part of a chip, by surface and logit; for signs before the calibration is known.

    Args:
        counts: (3, 800) pixels by surface and by logit, in bins of 0.05 from -20 to 20.
        water: How many of the pixels are labelled water.
    """

    counts: NDArray[np.int32]
    water: int

    @property
    def pixels(self) -> int:
        """The number of counted pixels."""
        return int(self.counts.sum())

    @property
    def true(self) -> float:
        """The share labelled water, in [0, 1]; 0 without a counted pixel."""
        return self.water / max(self.pixels, 1)

    def __add__(self, other: LogitCounts) -> LogitCounts:
        return LogitCounts(self.counts + other.counts, self.water + other.water)

    def signs(self, calibration: Calibration) -> SceneSigns:
        """Return the signs with a calibration: as `SignCounts` does, with probabilities to within half a bin."""
        from scipy.special import expit  # not loaded to map a scene

        centres = (np.arange(_LOGIT_BINS) + 0.5) / _LOGIT_BINS_PER_UNIT - _LOGIT_LIMIT
        p: NDArray[np.float64] = expit(centres / calibration.T + calibration.bias)
        return signs_of_counts(self.counts.astype(np.int64), p, p >= calibration.threshold)


def quarter_counts(
    logits: NDArray[np.floating[Any]], labels: NDArray[np.int8], codes: NDArray[np.uint16]
) -> tuple[LogitCounts, ...]:
    """Count the four quarters of a chip; their sum is the whole chip.

    Args:
        logits: (h, w) logits of the network.
        labels: (h, w) 1 water, 0 dry, -1 where a pixel does not count.
        codes: (bands, h, w) backscatter of the bands that were used, as `sar.codes` stores it.
    """
    counted = labels >= 0
    found = surfaces(np.where(counted, codes, np.uint16(NOT_OBSERVED_CODE)))
    surface = found.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[: labels.shape[0], : labels.shape[1]]
    scaled = (np.clip(np.nan_to_num(logits), -_LOGIT_LIMIT, _LOGIT_LIMIT) + _LOGIT_LIMIT) * _LOGIT_BINS_PER_UNIT
    place = np.minimum(scaled.astype(np.int64), _LOGIT_BINS - 1) + surface.astype(np.int64) * _LOGIT_BINS
    parts = []
    for rows in np.array_split(np.arange(labels.shape[0]), _HALVES):
        for columns in np.array_split(np.arange(labels.shape[1]), _HALVES):
            part = np.ix_(rows, columns)
            places = place[part][counted[part]]
            counts = np.bincount(places, minlength=SURFACES * _LOGIT_BINS).reshape(SURFACES, _LOGIT_BINS)
            parts.append(LogitCounts(counts.astype(np.int32), int(np.count_nonzero(labels[part] == 1))))
    return tuple(parts)


def used_bands(mode: BandMode) -> int:
    """Return how many bands the surfaces of a band mode come from."""
    return 1 if mode == "vv" else 2


def _whole_blocks(values: NDArray[np.uint16], fill: int) -> NDArray[np.uint16]:
    """Return (..., height, width) values with both sides filled up to multiples of the block."""
    height, width = values.shape[-2:]
    missing = [(0, 0)] * (values.ndim - 2) + [(0, -height % BLOCK), (0, -width % BLOCK)]
    return np.pad(values, missing, constant_values=fill) if height % BLOCK or width % BLOCK else values


def _block_sums(values: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.int32]:
    """Return the sums of all blocks of (height, width) values."""
    rows = values.reshape(-1, BLOCK, values.shape[1])
    down = rows[:, 0].astype(np.int32)
    for row in range(1, BLOCK):
        down += rows[:, row]
    total = down[:, ::BLOCK].copy()
    for column in range(1, BLOCK):
        total += down[:, column::BLOCK]
    return total


def _by_step(stored: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Count stored probabilities by their step; pixels that do not count are left out."""
    counts: NDArray[np.int64] = np.bincount(stored.ravel(), minlength=_STORED)[:_STORED]
    return counts
