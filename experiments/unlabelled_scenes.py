"""The real scenes with which the simulator may be compared, and the simulated chips for the comparison.

Only scenes without a flood label are read, from a list of names. A labelled chip that influenced the simulator could no
longer be used to judge the networks that are trained on simulated chips. For the same reason real chips are refused in
the folder of simulated chips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER, Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.storage import read_json

SITES = ("282D_485L_3_3", "38D_378R_2_3", "433D_629L_3_1", "609U_541L_3_0", "637U_59R_1_3")
_CHIPS = ("Ghana_124834", "India_80221")
_STAC_CHIP = "ayt12"
_SIMULATED_PREFIX = "Sim-"
# The Esri land cover classes with the numbers of the TerraMind sites, which are consecutive, unlike Esri's own.
LAND_COVER = {1: "water", 2: "trees", 4: "crops", 5: "built", 6: "bare", 7: "snow", 9: "rangeland"}
# The simulator's classes (ESA WorldCover codes) under the same names.
_SIMULATED_COVER = {10: "trees", 20: "rangeland", 30: "rangeland", 40: "crops", 50: "built", 60: "bare", 90: "wetland"}


@dataclass(frozen=True)
class Scene:
    """A dB scene.

    Args:
        name: Name of the scene in tables.
        db: (2, h, w) float32 VV and VH in dB, NaN where not observed.
        cover: (h, w) land cover names; empty where unknown.
        water_share: Share of water in the observed pixels; NaN without a label.
    """

    name: str
    db: NDArray[np.float32]
    cover: NDArray[np.str_]
    water_share: float


def _read(path: Path) -> NDArray[Any]:
    """Read a raster as (bands, h, w), with nodata as NaN where the values are floats."""
    import rasterio

    if not path.is_file():
        raise InputError(path, "the scene is missing", "Give the folder of the real data with --data")
    with rasterio.open(path) as dataset:
        pixels: NDArray[Any] = dataset.read()
        nodata = dataset.nodata
    if pixels.dtype.kind != "f":
        return pixels
    pixels = pixels.astype(np.float32)
    if nodata is not None:
        pixels[pixels == nodata] = np.nan
    return pixels


def _names(codes: NDArray[Any], legend: dict[int, str]) -> NDArray[np.str_]:
    table = np.full(256, "", dtype="U12")
    for code, name in legend.items():
        table[code] = name
    return np.asarray(table[codes], dtype="U12")


def _no_cover(db: NDArray[np.float32]) -> NDArray[np.str_]:
    return np.full(db.shape[1:], "", dtype="U12")


def real_scenes(root: Path) -> Iterator[Scene]:
    """Read the real scenes without a flood label in the folder of the real data.

    Raises:
        InputError: One of the scenes is missing.
    """
    for site in SITES:
        db = _read(root / "terramind" / "S1RTC" / f"{site}.tif")
        codes = _read(root / "terramind" / "LULC" / f"{site}.tif")[0]
        yield Scene(site, db, _names(codes, LAND_COVER), float("nan"))
    bands = [_read(root / "stac_overflow" / f"{_STAC_CHIP}_{band}.tif")[0] for band in ("vv", "vh")]
    db = np.stack(bands)
    yield Scene(_STAC_CHIP, db, _no_cover(db), float("nan"))
    for chip in _CHIPS:
        db = _read(root / "sen1floods11" / "v1.1" / HAND_FOLDER / "S1Hand" / f"{chip}_S1Hand.tif")
        yield Scene(chip, db, _no_cover(db), float("nan"))


def simulated_scenes(root: Path, limit: int, split: str = "train") -> Iterator[Scene]:
    """Read chips of a simulated set in Sen1Floods11's layout, chosen evenly from a split.

    Args:
        root: Folder of the set.
        limit: Largest number of chips.
        split: Name of the split.

    Raises:
        InputError: The folder holds chips that are not simulated.
    """
    chips = Sen1Floods11(root).chips(split)
    for chip in chips:
        if not chip.chip_id.startswith(_SIMULATED_PREFIX):
            raise InputError(
                root, f"'{chip.chip_id}' is not a simulated chip", "Labelled real chips are never compared here"
            )
    step = max(1, -(-len(chips) // limit))
    for chip in chips[::step]:
        db = _read(chip.image)
        if chip.label is None:
            raise InputError(chip.image, "has no label beside it", "Simulate the set again")
        label = _read(chip.label)[0]
        observed = np.isfinite(db).all(axis=0)
        cover = _no_cover(db)
        if "landcover" in chip.ancillary:
            cover = _names(_read(chip.ancillary["landcover"])[0], _SIMULATED_COVER)
            cover[label == 1] = "water"
            cover[label == -1] = ""
        share = float((label[observed] == 1).mean()) if observed.any() else float("nan")
        yield Scene(chip.chip_id, db, cover, share)


def simulator_version(root: Path) -> int | None:
    """Return the version of the simulator that wrote a set; None without the marker of the simulator."""
    marker = root / "simulation.json"
    return int(read_json(marker)["simulator"]) if marker.is_file() else None
