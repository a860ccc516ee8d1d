"""A sample of a scene: small windows that are spread over all rows and columns."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.sar.raster_band import SceneBands
from drshym_pipeline.sar.unit_evidence import BandSample
from drshym_pipeline.tiling import Window

_PATCHES: Final = 24
_SIDE: Final = 256
_ENOUGH_PIXELS: Final = 20_000
# More values change no quantile by more than the rules allow for, and cost a chip of 512 x 512 pixels 0.05 s.
_MOST_PIXELS: Final = 40_000
_VALID: Final = 0.5  # of the pixels of a part, so that it is used for local statistics
# Multiples of these numbers modulo 1 are spread evenly over a square, for any count (M. Roberts, R2 sequence).
_STEP_DOWN, _STEP_RIGHT = 0.754877666, 0.569840291


def _patches(windows: list[Window]) -> list[Window]:
    """Return parts of the windows of a scene: as many as are needed to see most of a small scene, 24 of a large one."""
    pixels = sum(window.height * window.width for window in windows)
    count = min(_PATCHES, max(1, round(pixels / _SIDE**2)))
    chosen = []
    for index in range(count):
        window = windows[(2 * index + 1) * len(windows) // (2 * count)]
        down, right = (0.5 + index * _STEP_DOWN) % 1.0, (0.5 + index * _STEP_RIGHT) % 1.0
        height, width = min(window.height, _SIDE), min(window.width, _SIDE)
        row = window.row + round(down * (window.height - height))
        col = window.col + round(right * (window.width - width))
        chosen.append(Window(row, col, height, width))
    return chosen


def _fullest(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the part of `_SIDE` pixels at most, of a grid of such parts, with the most valid pixels."""
    height, width = mask.shape
    corners = [(row, col) for row in range(0, height, _SIDE) for col in range(0, width, _SIDE)]
    parts = [(slice(row, row + _SIDE), slice(col, col + _SIDE)) for row, col in corners]
    return max(parts, key=lambda part: int(mask[part].sum()))


def sample_scene(bands: SceneBands, windows: list[Window]) -> tuple[BandSample, ...]:
    """Read values from places all over a scene.

    Args:
        bands: The bands, whose units need not be known.
        windows: Windows that cover the scene, in the order of its rows.

    Returns:
        One sample per band. The n-th values of two bands are of the same pixel.

    Raises:
        InputError: A file is damaged.
    """
    chosen = _patches(windows)
    pieces: list[list[NDArray[np.float64]]] = [[] for _ in bands.bands]
    patches: list[list[NDArray[np.float64]]] = [[] for _ in bands.bands]
    found = 0
    # When little is measured in the patches, the windows are read completely.
    for index, window in enumerate([*chosen, *windows]):
        if index >= len(chosen) and found >= _ENOUGH_PIXELS:
            break
        layers = bands.read(window)
        usable = [layer.given & np.isfinite(layer.values) & (layer.values != 0) for layer in layers]
        both = np.logical_and.reduce(usable)
        count = int(both.sum())
        if not count:
            continue
        thin = max(1, count * len(chosen) // _MOST_PIXELS)
        found += count
        part = _fullest(both)
        # A nearly empty part of a large scene is left out: it would take the place of a full one.
        kept = len(patches[0]) < 2 * _PATCHES and (
            index >= len(chosen) or both[part].mean() >= _VALID or len(chosen) == 1
        )
        for piece, patch, layer, mask in zip(pieces, patches, layers, usable, strict=True):
            piece.append(layer.values[both][::thin].astype(np.float64))
            if kept:
                patch.append(np.where(mask[part], layer.values[part], np.nan).astype(np.float64))
    return tuple(
        BandSample(band.polarisation, np.concatenate([np.empty(0), *piece]), tuple(patch))
        for band, piece, patch in zip(bands.bands, pieces, patches, strict=True)
    )
