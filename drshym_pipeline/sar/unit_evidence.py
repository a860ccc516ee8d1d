"""A sample of a scene's bands, and what it says about power and amplitude. Arrays only.

`sample` reads the values, `units` and `plausibility` decide what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
# Median and 1-99 % spread of VV in dB, the median difference between VV and VH and the local deviation of VV, over land
# and water scenes: (mean, deviation).
_MEDIAN, _SPREAD, _RATIO, _LOCAL = (-11.0, 6.0), (17.0, 8.0), (7.0, 2.5), (1.35, 0.25)
# Half of all products is filtered or averaged. Their local deviation can have any value up to that of speckle.
_FILTERED, _FILTERED_MOST = 0.5, 1.5
# Most floating point products are power: three of four.
_POWER_PRIOR: Final = math.log(3.0)
# In 20 real scenes, as they are or after a mean filter, no wrong choice was as clear as this.
CLEAR_ODDS: Final = math.log(15.0)
BEYOND_DOUBT: Final = math.log(1000.0)
# Amplitude that is read as power has a local deviation of VV of 1.1 dB or less.
NO_AMPLITUDE_DB: Final = 1.2
# No unit of backscatter has values beyond these limits.
_FILL_BELOW: Final = -150.0
FILL_ABOVE: Final = 1e10
_MOST_FILLS: Final = 3  # different numbers for "no data" in one file
_REPEATED, _FEW_REPEATED = 0.002, 20  # the share and the number of equal extreme values that are no chance

COUNTS: Final[tuple[Units, ...]] = ("intensity", "dn")
UNIT_NAMES: Final[dict[Units, str]] = {
    "db": "dB",
    "power": "linear power",
    "amplitude": "amplitude",
    "dn": "digital numbers",
    "intensity": "squared digital numbers",
}


@dataclass(frozen=True, slots=True)
class BandSample:
    """Values of one band from places all over the scene, without those that the file says are missing.

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


def texture_as(sample: BandSample, units: Units) -> Texture | None:
    """Return the local statistics of a band that is read in given units."""
    patches = []
    for patch in sample.patches:
        db = to_db(patch, units)
        # Amplitude that is read as power, or the other way round, is beyond the limits by up to a factor of two.
        usable = (db > 2 * LEAST_DB) & (db < 2 * MOST_DB) & (patch != 0)
        patches.append(np.where(usable, db, np.nan))
    return texture(patches)


def _power_level_db(sample: BandSample) -> NDArray[np.float64]:
    """Return 10 log10 of the positive values."""
    level: NDArray[np.float64] = 10.0 * np.log10(sample.values[sample.values > 0])
    return level


def _local_density(deviation: float) -> float:
    """Return how probable a local deviation of VV in dB is."""
    mean, width = _LOCAL
    speckle = math.exp(-0.5 * ((deviation - mean) / width) ** 2) / (width * math.sqrt(2.0 * math.pi))
    filtered = 1.0 / _FILTERED_MOST if deviation < _FILTERED_MOST else 0.0
    return (1.0 - _FILTERED) * speckle + _FILTERED * filtered + 1e-4


def _log_likelihood(features: dict[str, float], scale: float) -> float:
    # `scale` is 2 for amplitude: its dB values are doubled, so the density of every feature is multiplied by two.
    total = 0.0
    for key, (mean, deviation) in {"median": _MEDIAN, "spread": _SPREAD, "ratio": _RATIO}.items():
        if key in features:
            total += math.log(scale) - 0.5 * ((features[key] * scale - mean) / deviation) ** 2
    if "local" in features:
        total += math.log(scale * _local_density(features["local"] * scale))
    return total


def odds_of_power(samples: Sequence[BandSample], *, calibrated: bool) -> float:
    """Return the log-odds that values are proportional to power and not to amplitude.

    Args:
        samples: VV, and VH where there is one.
        calibrated: Whether the level of the values says something: that of digital numbers has no fixed zero.
    """
    level = _power_level_db(samples[0])
    p01, p50, p99 = (float(value) for value in np.percentile(level, (1, 50, 99)))
    features = {"spread": p99 - p01}
    if calibrated:
        features["median"] = p50
    if len(samples) > 1 and (vh := _power_level_db(samples[1])).size:
        features["ratio"] = p50 - float(np.median(vh))
    local = texture_as(samples[0], "power")
    if local is not None:
        features["local"] = local.deviation_db
        if local.deviation_db > NO_AMPLITUDE_DB:
            return 2.0 * BEYOND_DOUBT  # speckle of amplitude is never so strong
    return _log_likelihood(features, 1.0) + _POWER_PRIOR - _log_likelihood(features, 2.0)


def as_power(samples: Sequence[BandSample]) -> list[BandSample]:
    """Return samples in dB as linear power."""
    return [
        replace(
            band, values=10.0 ** (band.values / 10.0), patches=tuple(10.0 ** (patch / 10.0) for patch in band.patches)
        )
        for band in samples
    ]
