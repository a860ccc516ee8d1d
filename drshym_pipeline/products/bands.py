"""The map of a scene as bands of a few rows each, from which all products are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from drshym_pipeline.assessment.scene_signs import SignCounts
from drshym_pipeline.probabilities import NOT_OBSERVED, TileProbabilities
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.codes import NOT_OBSERVED_CODE
from drshym_pipeline.states import is_excluded, mask_of
from drshym_pipeline.stitching import stitch_rows
from drshym_pipeline.tiling import Window


@dataclass(frozen=True)
class Band:
    """Some rows of a map; all arrays are (rows, width).

    Args:
        row: The first row.
        stored: The probability as uint16 in steps of 1e-4, 65535 where not observed.
        mask: The mask as uint8, values of `states.MASK_LEGEND`.
        vv: VV as uint16 as `sar.codes` stores it, 0 where not observed.
    """

    row: int
    stored: NDArray[np.uint16]
    mask: NDArray[np.uint8]
    vv: NDArray[np.uint16]


def image_bands(
    reader: BackscatterReader,
    tiles: TileProbabilities,
    threshold: float,
    signs: SignCounts | None = None,
    sign_bands: int = 1,
    *,
    exclusion: Path | None = None,
) -> Iterator[Band]:
    """Yield the stitched rows of the image, from the first to the last.

    Args:
        reader: The open scene.
        tiles: The open probabilities of the scene.
        threshold: The probability from which a pixel is water.
        signs: Counts the signs of the image, in its own grid; complete after the last band.
        sign_bands: The number of bands that the signs come from, VV first.
        exclusion: A raster of excluded ground in the grid of the image; its pixels have no signs.

    Raises:
        InputError: A part of the probabilities is missing or damaged.
    """
    with ExitStack() as stack:
        source = None if exclusion is None else stack.enter_context(rasterio.open(exclusion))
        for row, stored in stitch_rows(tiles, tiles.grid):
            window = Window(row, 0, len(stored), tiles.grid.width)
            codes = reader.read(window, 1 if signs is None else sign_bands)
            if signs is not None and source is not None:
                place = ((row, row + len(stored)), (0, tiles.grid.width))
                excluded = is_excluded(source.read(1, window=place))
                signs.add(
                    np.where(excluded, np.uint16(NOT_OBSERVED), stored),
                    np.where(excluded, np.uint16(NOT_OBSERVED_CODE), codes),
                )
            elif signs is not None:
                signs.add(stored, codes)
            yield Band(row, stored, mask_of(stored, threshold), codes[0])
