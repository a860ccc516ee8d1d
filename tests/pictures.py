"""Tiny folders of the 8-bit sets, drawn from a seed: land with a lake, stretched to grey values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LAND, WATER = (150, 180), (40, 60)  # grey values of VV and VH
SIDE = 128


def grey(seed: int, band: int = 0, *, side: int = SIDE, water: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Return speckled land with water where `water` is true; by default a lake over the left third."""
    lake = lake_mask(side) if water is None else water
    rng = np.random.default_rng([seed, band])
    values = np.where(lake, WATER[band], LAND[band]) + rng.normal(0, 8, (side, side))
    return np.clip(np.rint(values), 1, 254).astype(np.uint8)


def lake_mask(side: int = SIDE) -> NDArray[np.bool_]:
    """A lake with a slanting shore, wide enough to be seen in several blocks."""
    rows, cols = np.mgrid[:side, :side]
    return np.asarray(cols < side / 4 + rows / 4)


def save(path: Path, pixels: NDArray[np.generic]) -> Path:
    """Write a PNG of one band; a mask becomes 0 and 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.dtype == bool:
        pixels = np.where(pixels, 255, 0)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def write_etci(root: Path, scenes: tuple[str, ...] = ("delta_20190101t000000",), tiles: int = 2) -> Path:
    """ETCI 2021: abutting tiles of scenes."""
    for number, scene in enumerate(scenes):
        folder = root / scene / "tiles"
        for col in range(tiles):
            name = f"{scene}_x-0_y-{col}"
            seed = 10 * number + col
            save(folder / "vv" / f"{name}_vv.png", grey(seed, 0))
            save(folder / "vh" / f"{name}_vh.png", grey(seed, 1))
            save(folder / "flood_label" / f"{name}.png", lake_mask())
            save(folder / "water_body_label" / f"{name}.png", np.zeros((SIDE, SIDE), bool))
    return root


def write_ombria(root: Path, events: tuple[str, ...] = ("FRANCE", "TIMOR")) -> Path:
    """OMBRIA: a tile in each official part, and one for each named event."""
    for number, part in enumerate(("train", "test")):
        folder = root / "OmbriaS1" / part
        for kind, pixels in _triplet(number).items():
            save(folder / kind.upper() / f"S1_{kind}_{number:04d}.png", pixels)
    names = {"before": "imbefore", "after": "imafter", "mask": "gt"}
    for number, event in enumerate(events, start=2):
        folder = root / "2021" / event / "Sentinel1"
        for kind, pixels in _triplet(number).items():
            save(folder / kind.upper() / f"{names[kind]}_0.png", pixels)
    return root


def _triplet(seed: int) -> dict[str, NDArray[np.generic]]:
    dry = np.zeros((SIDE, SIDE), bool)
    return {"before": grey(seed + 100, water=dry), "after": grey(seed), "mask": lake_mask()}


def write_emsr(root: Path, side: int = 1024) -> Path:
    """EMSR763: one tile, observed in its upper left quarter; a river runs through before and after, beside the lake."""
    seen = np.zeros((side, side), bool)
    seen[: side // 2, : side // 2] = True
    river = np.zeros((side, side), bool)
    river[100:140] = True
    lake = np.zeros((side, side), bool)
    lake[140:300, 50:250] = True
    for band, name in enumerate(("VV", "VH")):
        after, before = (grey(seed, band, side=side, water=water) for seed, water in ((1, lake | river), (2, river)))
        save(root / "POST_S1" / f"{name}_post" / "1_1.png", np.where(seen, after, 0))
        save(root / "PRE_S1" / f"{name}_pre" / "1_1.png", np.where(seen, before, 0))
    save(root / "Labels" / "1_1.png", lake & seen)
    return root
