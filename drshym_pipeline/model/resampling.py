"""Pixels of other sizes than the network's: how a scene's pixels become pixels of about 10 m, and the map's come back.

Along each axis a coarse pixel is split into a whole number of parts, and fine pixels are merged in whole numbers, so
that every pixel of the network belongs to a whole scene pixel or the other way round. Nothing depends on where a tile
begins. Arrays only; `prediction` decides from the size of the pixels, `tile_work` carries it out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import PixelSpacing
from drshym_pipeline.tiling import Window

NETWORK_M: Final = 10.0
"""Side in metres of the pixels that the networks are trained for."""

_MOST_PARTS = 6  # a pixel of 60 m; coarser ones are mapped on request only, and splitting them further adds nothing
_CONTEXT = 32  # network pixels around a tile of fine pixels: half of the usual overlap of tiles
ScalarT = TypeVar("ScalarT", bound=np.generic)


@dataclass(frozen=True, slots=True)
class AxisScale:
    """How the pixels of a scene are changed along one axis; one of the numbers is 1.

    Args:
        split: Number of network pixels in a scene pixel.
        merge: Number of scene pixels in a network pixel.
    """

    split: int = 1
    merge: int = 1

    def network_m(self, scene_m: float) -> float:
        """Return the side of the network's pixels in metres."""
        return scene_m * self.merge / self.split


def axis_scale(scene_m: float) -> AxisScale:
    """Return the scale that brings a pixel's side nearest to 10 m, by ratio.

    Sides from 7.1 to 14.1 m stay as they are. Every other side becomes one of 7.1 to 14.1 m, up to a scene side of
    65 m; a coarser one is split into 6 parts.

    Args:
        scene_m: Side of the scene's pixels in metres.
    """
    if scene_m >= NETWORK_M:
        return AxisScale(split=min(_MOST_PARTS, _nearest_by_ratio(scene_m / NETWORK_M)))
    return AxisScale(merge=_nearest_by_ratio(NETWORK_M / scene_m))


def _nearest_by_ratio(value: float) -> int:
    """Return the whole number from 1 on that is nearest to a value of 1 or more, by ratio."""
    below = math.floor(value)
    return below + (value / below > (below + 1) / value)


@dataclass(frozen=True, slots=True)
class Resampling:
    """How the pixels of a scene are changed for the network, along the rows' axis (down) and the columns' axis."""

    down: AxisScale = AxisScale()
    along: AxisScale = AxisScale()

    @property
    def is_needed(self) -> bool:
        """Whether any pixel is changed."""
        return self != Resampling()

    @property
    def split(self) -> tuple[int, int]:
        """Network pixels in a scene pixel: (down, along)."""
        return self.down.split, self.along.split

    @property
    def merge(self) -> tuple[int, int]:
        """Scene pixels in a network pixel: (down, along)."""
        return self.down.merge, self.along.merge

    def network_m(self, along_m: float, down_m: float) -> tuple[float, float]:
        """Return the sides (along, down) of the network's pixels, from those of the scene, in metres."""
        return self.along.network_m(along_m), self.down.network_m(down_m)

    def window_to_read(self, window: Window, height: int, width: int) -> Window:
        """Return the pixels that a tile needs: whole groups of merged pixels, and some around them.

        A tile of fine pixels covers little ground. Without the pixels around it, neighbouring tiles would differ.

        Args:
            window: The tile.
            height: Height of the scene.
            width: Width of the scene.
        """
        top, bottom = _reach(window.row, window.height, height, self.down.merge)
        left, right = _reach(window.col, window.width, width, self.along.merge)
        return Window(top, left, bottom - top, right - left)


def resampling_between(pixels: PixelSpacing) -> Resampling:
    """Return the resampling that a record describes."""
    along, down = (
        AxisScale(max(1, round(scene / network)), max(1, round(network / scene)))
        for scene, network in zip(pixels.scene_m, pixels.network_m, strict=True)
    )
    return Resampling(down, along)


def _reach(start: int, size: int, length: int, merge: int) -> tuple[int, int]:
    if merge == 1:
        return start, start + size
    margin = _CONTEXT * merge
    return max(0, start - margin) // merge * merge, min(length, start + size + margin)


def merge_pixels(db: NDArray[np.float32], merge: tuple[int, int]) -> NDArray[np.float32]:
    """Return the mean power of each group of pixels, in dB.

    Args:
        db: (bands, h, w) float32 dB, NaN where not observed.
        merge: Pixels of a group, (down, along). The last group of an axis may have fewer.

    Returns:
        (bands, ceil(h / down), ceil(w / along)) float32 dB; NaN where no pixel of the group was observed.
    """
    down, along = merge
    if merge == (1, 1):
        return db
    power = np.power(np.float32(10.0), db / np.float32(10.0))
    seen = np.isfinite(power)
    rows, cols = np.arange(0, db.shape[1], down), np.arange(0, db.shape[2], along)
    total = _sums(np.where(seen, power, np.float32(0.0)), rows, cols)
    count = _sums(seen.astype(np.float32), rows, cols)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(10.0 * np.log10(total / count), np.float32)


def _sums(values: NDArray[np.float32], rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float32]:
    sums: NDArray[np.float32] = np.add.reduceat(np.add.reduceat(values, rows, axis=1), cols, axis=2)
    return sums


@lru_cache(maxsize=32)
def _weights(length: int, parts: int) -> NDArray[np.float32]:
    """Return (length x parts, length): the weights of an axis' pixels in their parts.

    They are those of a cubic spline, corrected so that the mean over the parts of each pixel is the pixel's value.
    """
    from scipy import ndimage  # loaded for resampled scenes only

    unit = np.eye(length, dtype=np.float64)
    spline = ndimage.zoom(unit, (parts, 1), order=3, mode="nearest", grid_mode=True)
    means = spline.reshape(length, parts, length).mean(axis=1)
    return np.asarray(spline @ np.linalg.inv(means), np.float32)


def split_pixels(db: NDArray[np.float32], split: tuple[int, int]) -> NDArray[np.float32]:
    """Return dB on smaller pixels: smooth, and with the pixel's own value as the mean over its parts.

    A pixel of a multilooked product is a mean over the ground that it covers, not a sample at its centre.

    Args:
        db: (bands, h, w) float32 dB, NaN where not observed.
        split: Parts of a pixel, (down, along).

    Returns:
        (bands, h x down, w x along) float32 dB; NaN exactly in the parts of pixels that are NaN. Next to them the
        nearest observed value counts in their place.
    """
    if split == (1, 1):
        return db
    missing = np.isnan(db[0])
    if missing.any() and not missing.all():
        from scipy import ndimage

        nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
        db = db[:, nearest[0], nearest[1]]
    down, along = (_weights(length, parts) for length, parts in zip(missing.shape, split, strict=True))
    fine = np.asarray(down @ db @ along.T, np.float32)
    fine[:, repeat_pixels(missing, split)] = np.nan
    return fine


def repeat_pixels(values: NDArray[ScalarT], times: tuple[int, int]) -> NDArray[ScalarT]:
    """Return (h, w) values on smaller pixels, each pixel repeated (down, along) times."""
    return np.repeat(np.repeat(values, times[0], axis=0), times[1], axis=1)


def mean_of_parts(values: NDArray[np.float32], split: tuple[int, int]) -> NDArray[np.float32]:
    """Return the mean over the parts of each pixel: (h x down, w x along) becomes (h, w)."""
    down, along = split
    if split == (1, 1):
        return values
    height, width = values.shape[0] // down, values.shape[1] // along
    return np.asarray(values.reshape(height, down, width, along).mean(axis=(1, 3)), np.float32)
