"""A sample of a scene's bands, and what it says about power and amplitude. Arrays only.

`sample` reads the values, `units` and `plausibility` decide what they mean.

Pixels at the noise of the instrument say nothing about the unit. Where a product subtracts the mean noise, the power of
calm water is near zero, and its dB have any level and a strong deviation, as land has in 20 log10 of power. So the
spread is that of the means of cells, the speckle is measured without dark cells (`texture`), and a strong deviation is
only that of speckle if it grows with the mean. That of noise does not: noise is added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation, Units
from drshym_pipeline.sar.radiometry import to_db
from drshym_pipeline.sar.texture import Texture, texture
from drshym_pipeline.sar.validity import LEAST_DB, MOST_DB

OR_ORIGINAL: Final = "give the original Sentinel-1 product (GRD or RTC) under its own name"
ORIGINAL: Final = OR_ORIGINAL[0].upper() + OR_ORIGINAL[1:]
FEW: Final = 100  # values; fewer say little about a distribution
# Median of VV in dB and the median difference between VV and VH, over land and water scenes: (mean, deviation).
_FEATURES: Final = {"median": (-11.5, 4.5), "ratio": (7.0, 2.5)}
# A 1-99 % spread of VV, in means of cells, up to the first number is usual, also a small one; the second is the
# deviation of larger ones. Above the third, it is that of noise: no surface is so far below land.
_SPREAD: Final = (16.0, 5.0, 30.0)
# Measured in 28 real scenes, as they are, at every second or third pixel, and after mean filters: the local deviation
# of VV in dB, by the correlation of neighbouring pixels. Of filtered scenes it says nothing.
_SPECKLE: Final = ((0.0, 0.09, 0.18, 0.37, 0.42), (2.04, 1.88, 1.55, 1.37, 1.2))
_FILTERED: Final = 0.44
# A deviation of more than the first number times the usual one, that grows less than the second number with the mean,
# is that of noise; so is any deviation that grows less than the third. The growth is 0.73 or less over calm water whose
# noise was subtracted. In 39 real scenes it is 0.79 or more; as 20 log10 of power 0.91, as 10 log10 of amplitude 0.47.
_STRONG, _NOISE_GROWTH, _NO_GROWTH = 1.2, 0.75, 0.3
# The largest deviation of amplitude that is read as power: half of the largest one of power, and a margin. One look of
# amplitude, with independent pixels, has 2.8 dB.
_MOST_AMPLITUDE: Final = ((0.15, 0.25, 0.34, 0.42, 0.46), (3.0, 1.3, 1.1, 1.0, 0.5))
# The largest deviation of right dB: below that of doubled ones. One look, with independent pixels, has 5.6 dB.
_MOST_DB: Final = ((0.1, 0.2, 0.3, 0.42, 0.46), (6.0, 3.0, 2.1, 1.95, 1.0))
# From these odds on, values count as amplitude, or as power if their speckle does not decide. In crops of the 28
# scenes, as they are or after filters, no wrong choice was as clear.
CLEAR_AMPLITUDE: Final = math.log(80.0)
CLEAR_POWER: Final = math.log(2000.0)
DOUBTFUL_ODDS: Final = math.log(15.0)  # worth a warning
HINT_ODDS: Final = math.log(1e5)  # of a word in the name or in the tags
_CERTAIN: Final = math.log(1e9)
WEAK_SPECKLE: Final = 0.7  # of that of a ground-range product
# No unit of backscatter has values beyond these limits.
_FILL_BELOW: Final = -150.0
FILL_ABOVE: Final = 1e10
_MOST_FILLS: Final = 3  # different numbers for "no data" in one file
_REPEATED, _FEW_REPEATED = 0.002, 20  # the share and the number of equal extreme values that are not equal by chance

COUNTS: Final[tuple[Units, ...]] = ("intensity", "dn")
UNIT_NAMES: Final[dict[Units, str]] = {
    "db": "dB",
    "power": "linear power",
    "amplitude": "amplitude",
    "dn": "digital numbers",
    "intensity": "squared digital numbers",
}


@dataclass(frozen=True, slots=True, eq=False)
class BandSample:
    """Values of one band from places all over the scene, without those that the file says are missing.

    A sample is equal to itself only: its local statistics are kept for it.

    Args:
        polarisation: The band.
        values: (n,) values in the units of the file, after scale and offset, any order.
        patches: Parts of the band as (height, width) values; NaN where missing.
    """

    polarisation: Polarisation
    values: NDArray[np.float64]
    patches: tuple[NDArray[np.float64], ...] = ()


@dataclass(frozen=True, slots=True)
class Claims:
    """What a file says about its values without its pixels.

    Args:
        dtype: Its data type, or `float32` when a scale or offset is applied.
        hint: The units that its name, its description or its tags state.
        named: Whether a name or a description says that it is Sentinel-1 or names a polarisation.
        polarised: Whether there are two bands, of which one is usually above the other, or the name of the band is
            stated.
    """

    dtype: str
    hint: Units | None = None
    named: bool = False
    polarised: bool = True

    @property
    def integers(self) -> bool:
        """Return whether the file has whole numbers."""
        return "int" in self.dtype


@dataclass(frozen=True, slots=True)
class UnitsFound:
    """The units of a scene, the reason for them, and warnings for the user."""

    units: Units
    evidence: str
    warnings: tuple[str, ...] = field(default=())


def shown_values(values: NDArray[np.float64]) -> str:
    """Return the distribution of values as the text of an error."""
    p01, p50, p99 = (float(value) for value in np.percentile(values, (1, 50, 99)))
    return f"1 % {p01:.4g}, median {p50:.4g}, 99 % {p99:.4g}"


def without_fill(samples: Sequence[BandSample], subject: str) -> tuple[BandSample, ...]:
    """Return the samples without numbers for "no data" that have no tag, such as -9999.

    Such a number is the same in many pixels and less or more than all other values. A sample loses values that were cut
    at a limit in the same way; they say nothing about units or speckle.

    Raises:
        InputError: Nothing is left.
    """
    cleaned = [_without_extremes(band) for band in samples]
    usable = np.logical_and.reduce([np.isfinite(band.values) for band in cleaned])
    if not usable.any():
        raise InputError(subject, f"none of its values is backscatter ({shown_values(samples[0].values)})", ORIGINAL)
    return tuple(replace(band, values=band.values[usable]) for band in cleaned)


def _without_extremes(band: BandSample) -> BandSample:
    """Return a sample with NaN instead of extreme values that are repeated, or that no unit has."""
    values = np.where((band.values > _FILL_BELOW) & (band.values < FILL_ABOVE), band.values, np.nan)
    patches = [np.where((patch > _FILL_BELOW) & (patch < FILL_ABOVE), patch, np.nan) for patch in band.patches]
    for _ in range(_MOST_FILLS):
        if np.isfinite(values).sum() < FEW:
            break
        for extreme in (float(np.nanmin(values)), float(np.nanmax(values))):
            repeated = values == extreme
            if (
                repeated.sum() >= max(_FEW_REPEATED, _REPEATED * values.size)
                and not repeated[np.isfinite(values)].all()
            ):
                values = np.where(repeated, np.nan, values)
                patches = [np.where(patch == extreme, np.nan, patch) for patch in patches]
    return replace(band, values=values, patches=tuple(patches))


@lru_cache(maxsize=2)  # several rules ask for the same statistics, one after the other
def texture_as(sample: BandSample, units: Units) -> Texture | None:
    """Return the local statistics of a band that is read in given units."""
    return texture(patches_as(sample, units))


def patches_as(sample: BandSample, units: Units) -> list[NDArray[np.float64]]:
    """Return the patches of a band in dB, if they are read in given units; NaN where there is no measurement."""
    patches = []
    for patch in sample.patches:
        db = to_db(patch, units)
        # Amplitude that is read as power, or the other way round, is beyond the limits by up to a factor of two.
        usable = (db > 2 * LEAST_DB) & (db < 2 * MOST_DB) & (patch != 0)
        patches.append(np.where(usable, db, np.nan))
    return patches


def _power_level_db(sample: BandSample) -> NDArray[np.float64]:
    """Return 10 log10 of the positive values."""
    level: NDArray[np.float64] = 10.0 * np.log10(sample.values[sample.values > 0])
    return level


def _speckle_density(ratio: float) -> float:
    """Return how probable a local deviation is, as a multiple of the usual one of ground-range products."""
    usual = math.exp(-0.5 * ((ratio - 1.0) / 0.15) ** 2) / (0.15 * math.sqrt(2.0 * math.pi))
    # Multi-looked and some filtered products have any smaller deviation.
    return 0.6 * usual + (0.35 if ratio < 1.15 else 0.0) + 1e-3


def _log_likelihood(features: dict[str, float], local: Texture | None, scale: float) -> float:
    """Return how well values fit backscatter in dB after a multiplication by `scale`."""
    total = 0.0
    for key, (mean, deviation) in _FEATURES.items():
        if key in features:
            total += math.log(scale) - 0.5 * ((features[key] * scale - mean) / deviation) ** 2
    usual, deviation, most = _SPREAD
    spread = min(features["spread"] * scale, most)
    total += math.log(scale) - 0.5 * (max(0.0, spread - usual) / deviation) ** 2
    strength = speckle_strength(local)
    if strength is not None:
        total += math.log(scale * _speckle_density(strength * scale))
    return total


def _features(levels: Sequence[NDArray[np.float64]], local: Texture | None, level: bool) -> dict[str, float]:
    """Return the features of the dB of VV, and of VH where there is one; without the median if `level` is False."""
    p01, p50, p99 = (float(value) for value in np.percentile(levels[0], (1, 50, 99)))
    features = {"spread": p99 - p01 if local is None else local.spread_db}
    if level:
        features["median"] = p50
    if len(levels) > 1 and levels[1].size:
        features["ratio"] = p50 - float(np.median(levels[1]))
    return features


def odds_of_power(samples: Sequence[BandSample], *, calibrated: bool) -> float:
    """Return the log-odds that values are proportional to power and not to amplitude.

    Args:
        samples: VV, and VH where there is one.
        calibrated: Whether the level of the values says something: that of digital numbers has no fixed zero.
    """
    local = texture_as(samples[0], "power")
    if only_power(local):
        return _CERTAIN
    features = _features([_power_level_db(sample) for sample in samples], local, calibrated)
    return _log_likelihood(features, local, 1.0) - _log_likelihood(features, local, 2.0)


def only_power(local: Texture | None) -> bool:
    """Return whether the speckle of values that are read as power is too strong for amplitude."""
    return _stronger(local, _MOST_AMPLITUDE)


def _stronger(local: Texture | None, most: tuple[Sequence[float], Sequence[float]]) -> bool:
    """Return whether the speckle is above the strongest one that is possible at its correlation."""
    if local is None or local.correlation is None or _grows_less(local, _NOISE_GROWTH):
        return False
    return local.speckle_db > float(np.interp(local.correlation, *most))


def _grows_less(local: Texture, least: float) -> bool:
    """Return whether the deviation grows less with the mean; that of speckle is proportional to it."""
    return local.bright_growth is not None and local.bright_growth < least


def speckle_strength(local: Texture | None) -> float | None:
    """Return the local deviation as a multiple of that of a ground-range product; None for filtered values and noise.

    Noise makes the deviation larger. A weak one is that of speckle, however it grows.
    """
    if local is None or local.correlation is None or local.correlation >= _FILTERED:
        return None
    strength = local.speckle_db / float(np.interp(local.correlation, *_SPECKLE))
    return None if _grows_less(local, _NOISE_GROWTH if strength > _STRONG else _NO_GROWTH) else strength


def odds_of_other_factor(samples: Sequence[BandSample]) -> tuple[float, float]:
    """Return the log-odds that dB were computed with twice the right factor, and with half of it.

    Args:
        samples: VV, and VH where there is one, in dB.
    """
    local = texture_as(samples[0], "db")
    features = _features([sample.values for sample in samples], local, True)
    right = _log_likelihood(features, local, 1.0)
    double = _log_likelihood(features, local, 0.5) - right
    if _stronger(local, _MOST_DB):
        double = _CERTAIN
    return double, _log_likelihood(features, local, 2.0) - right
