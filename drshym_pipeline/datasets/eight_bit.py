"""Chips published as 8-bit pictures: grey values to dB by a stated choice, and what in a picture was not observed.

An 8-bit picture carries no dB: someone stretched them and did not say how. The grey values of land and of water are
found in the pictures and laid on the levels both usually have in calibrated scenes, linearly between and beyond. That
is a modelling choice, not a calibration: a level of such a chip says nothing about the ground, and the tails are
clipped (water that was cut off at 0 is one flat value, without speckle). Where tiles share a stretch there is one
mapping for the whole event, else one a tile. Labels are never looked at to find a mapping, so chips may be scored under
it.

Which files make a chip is decided by the loader of each set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError

# Where land and calm water usually lie in calibrated scenes, in dB.
LAND_DB = (-10.5, -17.0)
WATER_DB = (-20.0, -26.0)
LAND_SPREAD_DB = 1.5  # one standard deviation of land above its mode; scales pictures that show no water
_DARK_VV = (LAND_DB[0] + WATER_DB[0]) / 2
_CLIP_DB = (-40.0, 10.0)

_BLOCK = 32
_SMOOTHING = 4.0  # grey values
_BIMODAL = 0.75  # share of a block's variance between its two classes; one Gaussian alone reaches 0.64
_SHARES = (0.1, 0.9)
_SPREADS = 2.0  # of land: how far below it the dark class must lie, and how near it the bright one
_LEAST_SPREAD = 4.0
_LEAST_CONTRAST = 20.0  # grey values between land and water; less would blow noise up into water

_FLAT_PIXELS = 256  # a larger patch of one value is no backscatter: speckle never repeats itself
_BLOCK_FAULT_PIXELS = 1000
_BLOCK_FAULT_SIDE = 35  # odd, so that the square has a middle
_FULL = 0.99


@dataclass(frozen=True)
class Levels:
    """Grey values of one band that stand for land and for calm water.

    Args:
        land: Of the most frequent land.
        water: Of calm water; below `land`.
    """

    land: float
    water: float


Scale = tuple[Levels, ...]


@dataclass(frozen=True)
class EightBitForm:
    """How a chip of 8-bit pictures is to be read, beside its files.

    Args:
        scale: Levels of VV[, VH]; None where every tile was stretched alone and is mapped by itself.
        zero_is_border: Whether a flat patch of 0 was not observed; where water was cut off at 0 it was.
        more_water: Masks beside the chip's label that mark water too.
        box_faults: Whether filled rectangles in the label are faults of the label and say nothing.
        before: Pictures of the same ground before the flood.
        dark_before: In the first of `before`, a grey value below which ground was dark already: outside the mask, what
            was dark then and still is may be permanent water and is ignored.
        window: (row, column, side) of the chip in larger pictures; None for all.
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
        vv: Grey values of VV.
        vh: Of VH, on the same pixels.
        label: Non-zero is water; without it every pixel is ignored.
        form: How to read them.

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
    """Refuse pictures of one place that do not have the size of the first.

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


def to_db(bands: Sequence[NDArray[np.uint8]], scale: Scale) -> NDArray[np.float32]:
    """Grey values as the dB they are taken to stand for.

    Args:
        bands: VV[, VH], each (h, w).
        scale: Levels of each.

    Returns:
        (bands, h, w) float32 dB, nothing masked.
    """
    mapped = []
    for grey, levels, land, water in zip(bands, scale, LAND_DB[: len(bands)], WATER_DB[: len(bands)], strict=True):
        slope = (land - water) / (levels.land - levels.water)
        mapped.append(land + (grey.astype(np.float32) - levels.land) * slope)
    return np.clip(np.stack(mapped), *_CLIP_DB).astype(np.float32)


def unobserved(pictures: Sequence[NDArray[np.uint8]], *, zero_is_border: bool) -> NDArray[np.bool_]:
    """Where pictures of one place show fill instead of backscatter: patches flat in every one of them.

    Fill comes as 255 (swath borders), as 0 (outside a mapped area) or as some grey; speckle makes a flat patch of
    observed ground impossible, except where water was cut off at 0.

    Args:
        pictures: (h, w) each.
        zero_is_border: Whether a patch that is 0 in every picture counts.
    """
    from scipy import ndimage

    flat = np.ones(pictures[0].shape, bool)
    for picture in pictures:
        flat &= ndimage.maximum_filter(picture, 3) == ndimage.minimum_filter(picture, 3)
    if not zero_is_border:
        flat &= np.logical_or.reduce([picture > 0 for picture in pictures])
    if np.count_nonzero(flat) < _FLAT_PIXELS:
        return np.zeros(flat.shape, bool)
    regions, _ = ndimage.label(flat)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    # The filter eats the rim of a patch; it is given back.
    patches: NDArray[np.bool_] = ndimage.maximum_filter((sizes >= _FLAT_PIXELS)[regions], 3)
    return patches


def filled_boxes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a water mask that are in large filled rectangles with sides along the axes: no shore looks like that.

    A rectangle that a river runs into is found by what an opening with a square leaves of it. A mask that is all water
    has no rectangle: a tile may lie within a lake.
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


def find_scale(tiles: Iterable[tuple[Sequence[NDArray[np.uint8]], NDArray[np.bool_]]]) -> Scale:
    """Find the grey values of land and water in pictures that share one stretch.

    Land is the mode of the histogram. Water is the median of the dark half of those blocks whose VV falls into two
    classes, one near land and one far below it (split-based thresholding: Martinis et al., NHESS 9, 2009, after Otsu,
    IEEE SMC 9, 1979); the same pixels give the level of VH. Without such a block the spread of land, taken to be
    `LAND_SPREAD_DB`, sets the scale.

    Args:
        tiles: VV[, VH] of each tile and where it was observed; at least one tile. Only blocks observed everywhere
            take part.
    """
    blocks = [_blocks(np.stack([*bands, observed]).astype(np.uint8)) for bands, observed in tiles]
    pixels = np.concatenate(blocks)
    pixels = pixels[pixels[:, -1].all(axis=1), :-1]
    if len(pixels) == 0:
        # Nothing can be told from the pictures: middle grey is land.
        return tuple(Levels(128.0, 64.0) for _ in range(pixels.shape[1]))
    land_spread = [_land(pixels[:, band]) for band in range(pixels.shape[1])]
    dark = _dark_pixels(pixels[:, 0], *land_spread[0])
    scale = []
    for band, (land, spread) in enumerate(land_spread):
        water = land - (LAND_DB[band] - WATER_DB[band]) * spread / LAND_SPREAD_DB
        if dark.any():
            water = float(np.median(pixels[:, band][dark]))
        scale.append(Levels(land, min(water, land - _LEAST_CONTRAST)))
    return tuple(scale)


def _blocks(stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(bands, h, w) as (blocks, bands, pixels of a block); what does not fill a block is left out."""
    bands, height, width = stack.shape
    rows, cols = height // _BLOCK, width // _BLOCK
    cut = stack[:, : rows * _BLOCK, : cols * _BLOCK].reshape(bands, rows, _BLOCK, cols, _BLOCK)
    return cut.transpose(1, 3, 0, 2, 4).reshape(rows * cols, bands, _BLOCK * _BLOCK)


def _land(grey: NDArray[np.uint8]) -> tuple[float, float]:
    """Mode of the grey values, and how far above it they spread (one standard deviation of a Gaussian)."""
    from scipy import ndimage

    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    counts[[0, 255]] = 0.0
    mode = int(ndimage.gaussian_filter1d(counts, _SMOOTHING).argmax())
    above = counts[mode:].cumsum()
    spread = float(np.searchsorted(above, 0.683 * above[-1])) if above[-1] else 0.0
    return float(mode), max(spread, _LEAST_SPREAD)


def _dark_pixels(grey: NDArray[np.uint8], land: float, spread: float) -> NDArray[np.bool_]:
    """Which pixels (blocks, pixels) are the dark class of a block of water and land."""
    threshold, share, dark_mean, bright_mean, ratio = _split(grey)
    chosen = (
        (ratio > _BIMODAL)
        & (share > _SHARES[0])
        & (share < _SHARES[1])
        & (dark_mean < land - _SPREADS * spread)
        & (np.abs(bright_mean - land) < _SPREADS * spread)
    )
    return chosen[:, None] & (grey <= threshold[:, None])


def _split(grey: NDArray[np.uint8]) -> tuple[NDArray[np.float64], ...]:
    """Otsu's split of each row: threshold, share and mean of the dark class, mean of the other, explained variance."""
    rows = len(grey)
    flat = (np.arange(rows)[:, None] * 256 + grey).ravel()
    counts = np.bincount(flat, minlength=rows * 256).reshape(rows, 256).astype(np.float64)
    values = np.arange(256.0)
    weight, moment = counts.cumsum(axis=1), (counts * values).cumsum(axis=1)
    total, mean = weight[:, -1:], moment[:, -1:] / weight[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        dark, bright = moment / weight, (moment[:, -1:] - moment) / (total - weight)
        between = np.nan_to_num(weight * (total - weight) / total**2 * (dark - bright) ** 2)
    variance = (counts * (values - mean) ** 2).sum(axis=1) / total[:, 0]
    best = between.argmax(axis=1)
    at = np.arange(rows), best
    ratio = between[at] / np.maximum(variance, 1e-9)
    return best.astype(np.float64), weight[at] / total[:, 0], dark[at], bright[at], ratio
