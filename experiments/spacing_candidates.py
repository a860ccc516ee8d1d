"""Ways to map a chip whose pixels are not 10 m, and the chips of other pixel spacings that they are compared on.

A chip of another spacing is made from one of 10 m by averaging its power, as multilooking does. Every candidate turns
dB of that chip into dB for the network and the network's logits into a map on the chip's own grid. Arrays only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from drshym_pipeline.datasets.simulator.speckle import speckle
from drshym_pipeline.model.resampling import axis_scale
from drshym_pipeline.probabilities import probability
from drshym_pipeline.records import Calibration
from drshym_pipeline.settings import SEED

Logits = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Interpolation = Literal["nearest", "linear", "cubic", "keys", "kept"]
Mean = Literal["logits", "probabilities"]

_ORDER: dict[Interpolation, int] = {"nearest": 0, "linear": 1, "cubic": 3, "kept": 3}
_PSF = (0.6, 0.6)  # middle of the simulator's range
_NETWORK_M = 10


def blocks(values: NDArray[np.float32], rows: int, cols: int) -> NDArray[np.float32]:
    """Return (..., h // rows, w // cols, rows x cols): the pixels of each block, without an incomplete last block."""
    height, width = values.shape[-2] // rows, values.shape[-1] // cols
    cut = values[..., : height * rows, : width * cols].reshape(*values.shape[:-2], height, rows, width, cols)
    return np.moveaxis(cut, -3, -2).reshape(*values.shape[:-2], height, width, rows * cols)


def averaged(db: NDArray[np.float32], spacing: Fraction) -> NDArray[np.float32]:
    """Return a chip of another spacing: the mean power of the observed pixels that each new pixel covers.

    Args:
        db: (bands, h, w) dB on pixels of 10 m, NaN where not observed.
        spacing: Side of the new pixels divided by 10 m. A finer one than 1 interpolates the power.
    """
    fine, coarse = spacing.denominator, spacing.numerator
    power = np.power(np.float32(10.0), db / np.float32(10.0))
    if coarse < fine:
        power = enlarged(power, fine // coarse, "linear")
    else:
        power = mean_observed(blocks(np.repeat(np.repeat(power, fine, -2), fine, -1), coarse, coarse))
    return np.asarray(10.0 * np.log10(power), np.float32)


def mean_observed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the finite values along the last axis; NaN where there is none."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, np.float32(0.0)).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def majority(label: NDArray[np.int8], spacing: Fraction) -> NDArray[np.int8]:
    """Return the label of a chip of another spacing: that of most of the area with a known label.

    A new pixel of which less than half has a known label, or of which exactly half is water, is not known (-1).
    """
    fine, coarse = spacing.denominator, spacing.numerator
    enlarged_label = np.repeat(np.repeat(label, fine, 0), fine, 1).astype(np.float32)
    if coarse < fine:
        return np.asarray(enlarged_label, np.int8)
    parts = blocks(enlarged_label, coarse, coarse)
    known, water = (parts >= 0).sum(axis=-1), (parts == 1).sum(axis=-1)
    found = np.where(2 * water > known, 1, np.where(2 * water < known, 0, -1))
    return np.where(2 * known >= coarse**2, found, -1).astype(np.int8)


@lru_cache(maxsize=64)
def _weights(length: int, factor: int, how: Interpolation) -> NDArray[np.float32]:
    """Return (length x factor, length): the weights of an axis' pixels in their parts."""
    unit = np.eye(length, dtype=np.float64)
    if how == "keys":  # the cubic of Keys (1981) with -0.75, as image libraries use it
        import torch

        column = torch.from_numpy(unit)[None, None]
        size = (length * factor, length)
        found = torch.nn.functional.interpolate(column, size=size, mode="bicubic", align_corners=False)
        return np.asarray(found[0, 0].numpy(), np.float32)
    found = ndimage.zoom(unit, (factor, 1), order=_ORDER[how], mode="nearest", grid_mode=True)
    if how == "kept":
        means = found.reshape(length, factor, length).mean(axis=1)
        found = found @ np.linalg.inv(means)
    return np.asarray(found, np.float32)


def enlarged(values: NDArray[np.float32], factor: int, how: Interpolation) -> NDArray[np.float32]:
    """Return (bands, h, w) values on pixels that are `factor` times as small, NaN where the pixel was NaN."""
    missing = np.isnan(values[0])
    if missing.all():
        return np.full((len(values), missing.shape[0] * factor, missing.shape[1] * factor), np.nan, np.float32)
    if missing.any():
        nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
        values = values[:, nearest[0], nearest[1]]
    down, along = (_weights(length, factor, how) for length in missing.shape)
    out = np.asarray(down @ values @ along.T, np.float32)
    out[:, np.repeat(np.repeat(missing, factor, 0), factor, 1)] = np.nan
    return out


@lru_cache(maxsize=8)
def _speckle_db(looks: float, height: int, width: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(SEED)
    pattern = np.stack([speckle(rng, (height, width), looks, _PSF) for _ in range(2)])
    return np.asarray(10.0 * np.log10(np.maximum(pattern, 1e-6)), np.float32)


@dataclass(frozen=True)
class Candidate:
    """One way to map a chip of another pixel spacing.

    Args:
        name: Name in the table.
        split: Into how many pixels each side of a coarse pixel is split; None for the number that gives about 10 m.
        how: Interpolation between coarse pixels.
        power: Interpolate the power instead of the dB.
        looks: Looks of the speckle that is added for the network; None for none.
        mean: What is averaged over the parts of a coarse pixel.
    """

    name: str
    split: int | None = None
    how: Interpolation = "nearest"
    power: bool = False
    looks: float | None = None
    mean: Mean = "probabilities"

    def factor(self, spacing: Fraction) -> int:
        """Return into how many pixels a side is split; 1 for fine pixels."""
        return self.split or axis_scale(float(spacing * _NETWORK_M)).split

    def merge(self, spacing: Fraction) -> int:
        """Return how many fine pixels are averaged along a side; 1 for coarse pixels."""
        return 1 if self.split else axis_scale(float(spacing * _NETWORK_M)).merge

    def prepare(self, db: NDArray[np.float32], spacing: Fraction) -> NDArray[np.float32]:
        """Return the (bands, h, w) dB that the network receives."""
        factor, merge = self.factor(spacing), self.merge(spacing)
        if merge > 1:
            db = averaged(db, Fraction(merge))
        if factor > 1:
            if self.power:
                power = np.power(np.float32(10.0), db / np.float32(10.0))
                db = np.asarray(10.0 * np.log10(enlarged(power, factor, self.how)), np.float32)
            else:
                db = enlarged(db, factor, self.how)
        if self.looks is not None:
            db = db + _speckle_db(self.looks, *db.shape[1:])[: len(db)]
        return db

    def chip_probability(
        self, logits: NDArray[np.float32], spacing: Fraction, calibration: Calibration
    ) -> NDArray[np.float32]:
        """Return the probability of water on the chip's own grid.

        Args:
            logits: (h, w) logits of the network's grid.
            spacing: Side of the chip's pixels divided by 10 m.
            calibration: Calibration of the model.
        """
        factor, merge = self.factor(spacing), self.merge(spacing)
        if merge > 1:
            return probability(np.repeat(np.repeat(logits, merge, 0), merge, 1), calibration)
        if self.mean == "logits":
            return probability(blocks(logits, factor, factor).mean(axis=-1), calibration)
        return np.asarray(blocks(probability(logits, calibration), factor, factor).mean(axis=-1), np.float32)


CHOSEN = "cubic in dB that keeps the mean"


def candidates() -> list[Candidate]:
    """Return all candidates, the pixels as they are first."""
    found = [
        Candidate("as it is", split=1),
        Candidate("as it is, speckle of 5 looks", split=1, looks=5.0),
        Candidate("nearest"),
        Candidate("linear in power", how="linear", power=True),
        Candidate("linear in dB", how="linear"),
        Candidate("cubic in dB", how="cubic"),
        Candidate("cubic of Keys in dB", how="keys"),
        Candidate(CHOSEN, how="kept"),
        Candidate(f"{CHOSEN}, mean of logits", how="kept", mean="logits"),
    ]
    found += [
        Candidate(f"{CHOSEN}, speckle of {looks:g} looks", how="kept", looks=looks) for looks in (5.0, 10.0, 20.0)
    ]
    found += [Candidate(f"{CHOSEN}, {parts} parts", split=parts, how="kept") for parts in (2, 3, 4)]
    return found
