"""A sample of a scene: small windows that are spread over all rows and columns."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.sar.raster_band import SceneBands
from drshym_pipeline.sar.unit_evidence import BandSample
from drshym_pipeline.tiling import Window

_WINDOWS: Final = 24
_SIDE: Final = 256
_ENOUGH_PIXELS: Final = 20_000
_MOST_PIXELS: Final = 200_000
# Multiples of the golden ratio modulo 1 spread the columns evenly for any number of windows.
_GOLDEN: Final = 0.618033988749895


def _patch(window: Window, index: int) -> Window:
    """Return a part of a window of the scene, in other columns and rows for each index."""
    share = (0.5 + index * _GOLDEN) % 1.0
    height, width = min(window.height, _SIDE), min(window.width, _SIDE)
    row = window.row + int(share * (window.height - height))
    col = window.col + int(share * (window.width - width))
    return Window(row, col, height, width)


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
    step = max(1, len(windows) // _WINDOWS)
    chosen = [_patch(window, index) for index, window in enumerate(windows[::step])]
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
        for piece, patch, layer, mask in zip(pieces, patches, layers, usable, strict=True):
            piece.append(layer.values[both][::thin].astype(np.float64))
            if len(patch) < _WINDOWS:
                corner = (slice(0, _SIDE), slice(0, _SIDE))
                patch.append(np.where(mask[corner], layer.values[corner], np.nan).astype(np.float64))
    return tuple(
        BandSample(band.polarisation, np.concatenate([np.empty(0), *piece]), tuple(patch))
        for band, piece, patch in zip(bands.bands, pieces, patches, strict=True)
    )
