"""Pairs of one place before and during a flood, with the flood as truth: simulated, OMBRIA and EMSR763.

Unlike in the labelled chips, water that was there before is not ignored here: it is observed, and it is not flood.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.datasets.chips import WATER, ChipRef, read_chip, read_db
from drshym_pipeline.datasets.eight_bit import read_picture, unobserved
from drshym_pipeline.datasets.ombria import Ombria
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.safe_open import open_raster
from drshym_pipeline.training.flood_pairs import has_pair

# EMSR763 has one stretch for all tiles of a date; VH is clipped where it is darkest, so only VV is used.
_EMSR_DB = (-22.0, 2.0)
_GREY = 255.0
_EMSR_FOLDERS = ("POST_S1/VV_post", "PRE_S1/VV_pre", "POST_S1/VH_post", "PRE_S1/VH_pre")


@dataclass(frozen=True)
class FloodPair:
    """One place before and during a flood.

    Args:
        event: The flood. Pairs of one event are not independent.
        now: (bands, h, w) float32 dB, VV first, NaN where not observed.
        before: The same from before the flood.
        flood: (h, w) bool, True where flooded.
        scored: (h, w) bool, True where the truth is known and both are observed.
        other: (h, w) bool, True where there is water that was there before; None where this is not known.
    """

    event: str
    now: NDArray[np.float32]
    before: NDArray[np.float32]
    flood: NDArray[np.bool_]
    scored: NDArray[np.bool_]
    other: NDArray[np.bool_] | None = None


def simulated_pairs(count: int, size: int, seed: int) -> Iterator[FloodPair]:
    """Yield simulated pairs; every pair is an event of its own.

    Args:
        count: Their number.
        size: Side in pixels.
        seed: Seed of the first; the others follow.
    """
    for number in range(seed, seed + count):
        scene = simulate_scene(number, size, size)
        seen = np.isfinite(scene.db).all(axis=0) & np.isfinite(scene.pre_event_db).all(axis=0)
        yield FloodPair(f"sim_{number}", scene.db, scene.pre_event_db, scene.flood, seen & (scene.label >= 0))


def chip_pairs(refs: Sequence[ChipRef]) -> Iterator[FloodPair]:
    """Yield the pairs of simulated chips on the disk.

    Raises:
        InputError: A chip has no scene from before or no water before.
    """
    for ref in refs:
        if not has_pair(ref):
            raise InputError(ref.image, "has no scene from before the flood", "Give chips of the simulator")
        chip = read_chip(ref)
        before, _, _ = read_db(ref.ancillary["pre_event"])
        with open_raster(ref.ancillary["permanent_water"]) as dataset:
            permanent = dataset.read(1) == WATER
        wet, seen = chip.label == WATER, np.isfinite(before).all(axis=0)
        yield FloodPair(ref.event, chip.db, before, wet & ~permanent, (chip.label >= 0) & seen, wet & permanent)


def _ombria_before(ref: ChipRef) -> Path:
    name = ref.image.name.replace("after", "before")
    return ref.image.parent.parent / "BEFORE" / name


def ombria_pairs(root: Path) -> Iterator[FloodPair]:
    """Yield the tiles of OMBRIA. Every picture was stretched separately, and each gets its own mapping to dB."""
    for ref in Ombria(root).chips("train"):
        now = read_chip(ref)
        before = read_chip(replace(ref, image=_ombria_before(ref), label=None))
        seen = np.isfinite(before.db).all(axis=0)
        yield FloodPair(ref.event, now.db, before.db, now.label == 1, (now.label >= 0) & seen)


def emsr763_pairs(root: Path) -> Iterator[FloodPair]:
    """Yield the whole tiles of EMSR763 with VV alone. Each tile counts as an event, although all show one flood."""
    low, high = _EMSR_DB
    for label in sorted((root / "Labels").glob("*.png")):
        pictures = [read_picture(root / folder / label.name) for folder in _EMSR_FOLDERS]
        seen = ~unobserved(pictures, zero_is_border=True)
        now, before = (
            np.where(seen, low + grey.astype(np.float32) * np.float32((high - low) / _GREY), np.float32(np.nan))
            for grey in pictures[:2]
        )
        yield FloodPair(label.stem, now[np.newaxis], before[np.newaxis], read_picture(label) > 0, seen)
