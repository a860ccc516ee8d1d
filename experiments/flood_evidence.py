"""What a pair of scenes says about flood, pixel by pixel: both probabilities of water, and the drop in backscatter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from drshym_pipeline.datasets.chips import ChipRef, LabelledChip
from drshym_pipeline.evaluation.mapper import ChipMapper
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.probabilities import PROBABILITY_STEPS, encode, is_water, probability
from experiments.flood_pairs import FloodPair

_SIDE = 3  # pixels of the square over which a drop in dB is averaged, because of the speckle
_LEAST_LAND = 100  # pixels without water now and before, to normalise the drop
_CLIP = 20.0
_TILE = 512
_MARGIN = 64


@dataclass(frozen=True)
class Evidence:
    """The scored pixels of one pair, as flat arrays.

    Args:
        event: The flood.
        now: Probability of water during the flood as uint16 in steps of 1e-4.
        before: The same before the flood.
        drop: (bands, pixels) float16, the drop in dB in deviations of unchanged land; VV first.
        db: (2, pixels) float16, VV in dB during the flood and before.
        water: Where the map has water.
        water_before: Where a map of the scene before has water.
        flood: The truth.
    """

    event: str
    now: NDArray[np.uint16]
    before: NDArray[np.uint16]
    drop: NDArray[np.float16]
    db: NDArray[np.float16]
    water: NDArray[np.bool_]
    water_before: NDArray[np.bool_]
    flood: NDArray[np.bool_]


def normalised_drop(
    now: NDArray[np.float32], before: NDArray[np.float32], land: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return how far backscatter fell, in deviations of what it does where nothing happened.

    Args:
        now: (h, w) dB during the flood, NaN where not observed.
        before: The same before it.
        land: (h, w) bool, where there is no water in either.

    Returns:
        (h, w) float32; 0 where it is not known, and everywhere when there is too little land.
    """
    from scipy import ndimage

    drop = before - now
    seen = np.isfinite(drop)
    weight = ndimage.uniform_filter(seen.astype(np.float32), _SIDE)
    mean = ndimage.uniform_filter(np.where(seen, drop, 0.0).astype(np.float32), _SIDE)
    found = np.where(seen, mean / np.maximum(weight, np.float32(1e-3)), np.float32(0.0))
    unchanged = found[land & seen]
    if len(unchanged) < _LEAST_LAND:
        return np.zeros_like(found)
    middle = np.median(unchanged)
    spread = 1.4826 * np.median(np.abs(unchanged - middle))
    normalised = np.where(seen, (found - middle) / max(float(spread), 0.1), 0.0)
    return np.clip(normalised, -_CLIP, _CLIP).astype(np.float32)


class PairMapper:
    """Maps both scenes of a pair with a network; by default the shipped one."""

    def __init__(self, bundle: ModelBundle | None = None) -> None:
        bundle = bundle or shipped_bundle()
        self._mappers = {1: ChipMapper(bundle, "vv"), 2: ChipMapper(bundle, "vv_vh")}

    def stored(self, db: NDArray[np.float32]) -> tuple[NDArray[np.uint16], float]:
        """Return the stored probability of water of (bands, h, w) dB, and the threshold of water."""
        mapper = self._mappers[len(db)]
        mode = mapper.mode_of(_chip(db))
        logits = np.full(db.shape[1:], np.nan, np.float32)
        padded = np.pad(db, ((0, 0), *[(_MARGIN, _TILE)] * 2), constant_values=np.nan)
        inner = _TILE - 2 * _MARGIN
        small = max(db.shape[1:]) <= _TILE
        for row in range(0, db.shape[1], db.shape[1] if small else inner):
            for col in range(0, db.shape[2], db.shape[2] if small else inner):
                if small:
                    logits[:] = mapper.logits([_chip(db)], mode)[0]
                    continue
                tile = padded[:, row : row + _TILE, col : col + _TILE]
                if np.isfinite(tile).any():
                    found = mapper.logits([_chip(tile)], mode)[0][_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
                    part = logits[row : row + inner, col : col + inner]
                    part[:] = found[: part.shape[0], : part.shape[1]]
        logits[~np.isfinite(db).all(axis=0)] = np.nan
        calibration = mapper.bundle.calibration[mode]
        return encode(probability(logits, calibration)), calibration.threshold

    def evidence(self, pair: FloodPair) -> Evidence:
        """Return the evidence of the scored pixels of a pair."""
        now, threshold = self.stored(pair.now)
        before, _ = self.stored(pair.before)
        water, wet_before = is_water(now, threshold), is_water(before, threshold)
        land = ~water & ~wet_before
        drops = [normalised_drop(one, other, land) for one, other in zip(pair.now, pair.before, strict=False)]
        chosen = pair.scored & (now <= PROBABILITY_STEPS) & (before <= PROBABILITY_STEPS)
        drop = np.stack([values[chosen] for values in drops]).astype(np.float16)
        db = np.stack([pair.now[0][chosen], pair.before[0][chosen]]).astype(np.float16)
        masks = (water[chosen], wet_before[chosen], pair.flood[chosen])
        return Evidence(pair.event, now[chosen], before[chosen], drop, db, *masks)


def _chip(db: NDArray[np.float32]) -> LabelledChip:
    label = np.zeros(db.shape[1:], np.int8)
    return LabelledChip(ChipRef("pair", "pair", "pair", Path("pair")), db, label, "", Affine.identity())
