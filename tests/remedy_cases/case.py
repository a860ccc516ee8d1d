"""What a case of a refused scene is: the request, the remedy, and the requests of a user who follows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from drshym_pipeline.records import Units
from tests.look_alikes import backscatter_db
from tests.units import from_db

CLEAN = backscatter_db().astype(np.float32)
COUNTS = from_db(CLEAN, "dn").round().astype(np.uint16)


@dataclass(frozen=True)
class Request:
    """What a user asks for: the files, the units if they are stated, and the bands if they are chosen."""

    paths: list[Path]
    units: Units | None = None
    scene_id: str | None = None
    bands: tuple[int, ...] = ()


@dataclass(frozen=True)
class Case:
    """A request that is refused, words of the remedy, and the requests of a user who follows it."""

    refused: Request
    remedy: str
    followed: list[Request]
    truth: Units | None = None  # the units with which the refused files themselves give the right map
    expected: np.ndarray = field(default_factory=lambda: CLEAN)  # dB of the right map


Write = Callable[..., Path]
Maker = Callable[[Write, pytest.MonkeyPatch], Case]
CASES: dict[str, Maker] = {}


def case(maker: Maker) -> Maker:
    """Register a case under the name of its function."""
    CASES[maker.__name__.strip("_")] = maker
    return maker


def smooth(db: np.ndarray, side: int) -> np.ndarray:
    """Return dB after a mean filter of the power."""
    power = ndimage.uniform_filter(10.0 ** (db.astype(np.float64) / 10.0), (0, side, side) if db.ndim == 3 else side)
    return np.asarray(10.0 * np.log10(power), np.float32)


def whole(write: Write, name: str = "S1A_IW_GRDH_whole.tif") -> Request:
    """Return a request for the original product."""
    return Request([write(CLEAN, name)])


def original(write: Write, refused: Path, *others: Request, truth: Units | None = None, units: Any = None) -> Case:
    """Return a case whose remedy is to give the original product."""
    return Case(Request([refused], units), "original Sentinel-1 product", [whole(write), *others], truth)
