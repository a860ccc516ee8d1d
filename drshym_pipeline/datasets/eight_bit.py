"""Chips published as 8-bit pictures: which pixels were not observed, and which labels are ignored.

The module `grey_levels` decides which dB a grey value stands for. The loader of each set decides which files form a
chip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.datasets.grey_levels import LAND_DB, WATER_DB, Scale, find_scale, to_db
from drshym_pipeline.errors import InputError

_DARK_VV = (LAND_DB[0] + WATER_DB[0]) / 2  # between calm water and land
_FLAT_PIXELS = 256  # a larger patch of one value is not backscatter: speckle differs from pixel to pixel
_BLOCK_FAULT_PIXELS = 1000
_BLOCK_FAULT_SIDE = 35  # odd, so that the square has a middle
_FULL = 0.99


@dataclass(frozen=True)
class EightBitForm:
    """How a chip of 8-bit pictures is to be read.

    Args:
        scale: Levels of VV[, VH]; None where every tile was stretched separately and has a mapping of its own.
        zero_is_border: Whether a flat patch of 0 counts as not observed. In sets where water was cut off at 0 it counts
            as observed.
        more_water: Further masks that mark water, in addition to the chip's label.
        box_faults: Whether filled rectangles in the label are faults of the label; they are ignored.
        before: Pictures of the same ground before the flood.
        dark_before: Grey value of the first of `before` below which ground was already dark. Pixels outside the mask
            that were dark then and are still dark may be permanent water and are ignored.
        window: (row, column, side) of the chip in larger pictures; None for the whole pictures.
    """

    scale: Scale | None = None
    zero_is_border: bool = False
    more_water: tuple[Path, ...] = ()
    box_faults: bool = False
    before: tuple[Path, ...] = ()
    dark_before: float | None = None
    window: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class PictureChip:
    """Pixels of a chip of pictures: `db` (bands, h, w) float32 with NaN, `water` and `ignored` (h, w)."""

    db: NDArray[np.float32]
    water: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a PNG of one 8-bit band.

    Raises:
        InputError: The file is missing, damaged, or of another form.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            mode = picture.mode
            pixels = np.asarray(picture)
    except FileNotFoundError as error:
        raise InputError(path, "the file does not exist", "Fetch the whole data set") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(path, f"not a readable PNG ({' '.join(str(error).split())})", "Fetch it again") from error
    if mode != "L":
        raise InputError(path, f"is a PNG of mode {mode}", "Give one band of 8-bit grey values")
    return pixels.astype(np.uint8, copy=False)


def read_picture_chip(vv: Path, vh: Path | None, label: Path | None, form: EightBitForm) -> PictureChip:
    """Read a chip of pictures.

    Args:
        vv: Picture with the grey values of VV.
        vh: Picture with the grey values of VH, on the same pixels.
        label: Mask in which non-zero is water; without it every pixel is ignored.
        form: How to read the pictures.

    Raises:
        InputError: A file is missing or unreadable, or has another size than VV.
    """
    bands = [read_picture(path) for path in (vv, vh) if path is not None]
    before = [read_picture(path) for path in form.before]
    check_sizes([*bands, *before], [path for path in (vv, vh, *form.before) if path is not None])
    observed = ~unobserved([*bands, *before], zero_is_border=form.zero_is_border)
    db = to_db(bands, form.scale or find_scale([(bands, observed)]))
    db[:, ~observed] = np.nan
    water = np.zeros(bands[0].shape, bool)
    ignored = np.full(water.shape, label is None)
    for path in (*((label,) if label else ()), *form.more_water):
        mask = read_picture(path)
        check_sizes([bands[0], mask], [vv, path])
        water |= mask > 0
    if form.box_faults and label is not None:
        ignored |= filled_boxes(read_picture(label) > 0)
    if form.dark_before is not None:
        ignored |= (before[0] < form.dark_before) & (db[0] < _DARK_VV) & ~water
    if form.window is not None:
        row, col, side = form.window
        cut = (slice(row, row + side), slice(col, col + side))
        db, water, ignored = db[:, *cut], water[cut], ignored[cut]
    return PictureChip(db, water, ignored)


def check_sizes(pictures: Sequence[NDArray[np.uint8]], paths: Sequence[Path]) -> None:
    """Check that all pictures of one place have the size of the first.

    Raises:
        InputError: One of them has another size.
    """
    height, width = pictures[0].shape
    for path, found in zip(paths, pictures, strict=True):
        if found.shape != (height, width):
            raise InputError(
                path,
                f"has {found.shape[0]} x {found.shape[1]} pixels, {paths[0]} has {height} x {width}",
                "Give pictures of one grid",
            )


def unobserved(pictures: Sequence[NDArray[np.uint8]], *, zero_is_border: bool) -> NDArray[np.bool_]:
    """Find the pixels where pictures of one place show fill instead of backscatter: patches flat in every picture.

    Fill is 255 (swath borders), 0 (outside a mapped area) or some grey. Observed ground has speckle and is never flat,
    except where water was cut off at 0.

    Args:
        pictures: The pictures, (h, w) each.
        zero_is_border: Whether a patch that is 0 in every picture counts.

    Returns:
        (h, w) bool, True where not observed.
    """
    from scipy import ndimage

    flat = np.ones(pictures[0].shape, bool)
    for picture in pictures:
        down, across = picture[1:] == picture[:-1], picture[:, 1:] == picture[:, :-1]
        flat[1:] &= down
        flat[:-1] &= down
        flat[:, 1:] &= across
        flat[:, :-1] &= across
    if not zero_is_border:
        flat &= np.logical_or.reduce([picture > 0 for picture in pictures])
    if np.count_nonzero(flat) < _FLAT_PIXELS:
        return np.zeros(flat.shape, bool)
    regions, _ = ndimage.label(flat)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    # The outermost pixels of a patch have other neighbours and were not found; they are added here.
    patches: NDArray[np.bool_] = ndimage.maximum_filter((sizes >= _FLAT_PIXELS)[regions], 3)
    return patches


def filled_boxes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the pixels of a water mask that are in large filled rectangles with sides along the axes.

    No real shore has this shape. A rectangle that touches a river is found by a morphological opening with a square. A
    mask that is all water has no rectangle: the tile may be inside a lake.

    Args:
        mask: (h, w) bool, True for water.

    Returns:
        (h, w) bool, True inside the rectangles.
    """
    from scipy import ndimage

    boxes = np.zeros(mask.shape, bool)
    if mask.all():
        return boxes
    eroded = ndimage.minimum_filter(mask, _BLOCK_FAULT_SIDE, mode="constant", cval=0)
    opened = ndimage.maximum_filter(eroded, _BLOCK_FAULT_SIDE, mode="constant", cval=0)
    for candidates, least in ((mask, _BLOCK_FAULT_PIXELS), (opened, int(1.5 * _BLOCK_FAULT_SIDE**2))):
        regions, _ = ndimage.label(candidates)
        for number, box in enumerate(ndimage.find_objects(regions), start=1):
            inside = regions[box] == number
            if inside.sum() >= least and inside.mean() >= _FULL:
                boxes[box] |= inside
    return boxes
