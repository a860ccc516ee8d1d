"""Make small water areas dry while the bands of a map pass through.

Pixels of water that share an edge belong to one area, as in the polygons (`connected`). An area that reaches the last
row of a band is open: its size is known when it ends, or when it has reached the minimum. Only the bands with pixels of
an open area below the minimum are kept in memory. Such an area has fewer pixels than the minimum, so it cannot reach
over more rows than that. Holes in the water stay, and the probability does not change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import tee

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.products.bands import Band
from drshym_pipeline.products.connected import joined, labelled
from drshym_pipeline.records import MinimumArea
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.states import DRY, FLOODED

_MM2_PER_KM2 = 1e12
_MM2_PER_HA = 1e10
_HA_PER_KM2 = 100.0


class SmallAreas:
    """Find the water areas below a minimum and make them dry. One object serves one map.

    Sizes are sums of whole square millimetres. These sums are exact in float64, so the result is the same for any
    division of the map into bands.

    Args:
        areas: The areas of the pixels of the map.
        ha: The minimum in hectares, above 0. An area of this size stays.
    """

    def __init__(self, areas: PixelAreas, ha: float) -> None:
        self._areas, self._ha = areas, ha
        self._least = float(round(ha * _MM2_PER_HA))
        self._masks: deque[NDArray[np.uint8]] = deque()
        self._first = 0  # the number of the first band in `_masks`
        # The open areas: the number of the area of each pixel of the last row, from 1 on (0: no water), and their sizes
        # in mm2. A size of `_least` means at least as much.
        self._last = np.zeros(areas.width, np.int64)
        self._sizes: NDArray[np.float64] = np.zeros(0)
        # The pixels of open areas below the minimum, (3, n): number of the band, place in it, number of the area.
        self._waiting = np.zeros((3, 0), np.int64)
        self._removed = self._removed_pixels = 0
        self._removed_mm2 = 0.0

    def result(self) -> MinimumArea:
        """Return what was removed so far."""
        return MinimumArea(
            ha=self._ha,
            pixel_ha=float(self._areas.table.min()) * _HA_PER_KM2,
            removed=self._removed,
            removed_pixels=self._removed_pixels,
            removed_km2=self._removed_mm2 / _MM2_PER_KM2,
        )

    def filtered(self, masks: Iterable[tuple[int, NDArray[np.uint8]]]) -> Iterator[NDArray[np.uint8]]:
        """Yield the masks of all bands without small areas, in the same order.

        Args:
            masks: The first row of each band and its mask (rows, width), from the first row of the map to its last
                without a gap; values of `states.MASK_LEGEND`. They are not changed.
        """
        for row, mask in masks:
            self._add(row, mask.copy())
            yield from self._ready()
        ended = self._sizes < self._least
        self._remove(ended)
        self._waiting = self._waiting[:, :0]
        yield from self._ready()

    def _ready(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the bands before the first one that still waits."""
        end = int(self._waiting[0].min()) if self._waiting.size else self._first + len(self._masks)
        while self._first < end:
            self._first += 1
            yield self._masks.popleft()

    def _add(self, row: int, mask: NDArray[np.uint8]) -> None:
        labels, fresh = labelled(mask == FLOODED)
        self._masks.append(mask)
        known = len(self._sizes)
        places = np.flatnonzero(labels)
        regions = labels.ravel()[places] - 1
        pixels, sizes = self._sizes_of(row, len(mask), places, regions, fresh)
        count, area_of = joined(self._last, labels[0], known, fresh)
        size = np.bincount(area_of, np.concatenate([self._sizes, sizes]), count).astype(np.float64)
        bottom = labels[-1].astype(np.int64)
        is_open = np.zeros(count, bool)
        is_open[area_of[bottom[bottom > 0] - 1 + known]] = True
        small = size < self._least
        self._waiting[2] = area_of[self._waiting[2]]
        self._sizes = size
        ended, undecided = small & ~is_open, small & is_open
        here = area_of[known:]
        self._remove(ended)
        if ended[here].any():
            mask.ravel()[places[ended[here][regions]]] = DRY
            self._removed_pixels += int(pixels[ended[here]].sum())
        kept = self._waiting[:, undecided[self._waiting[2]]]
        chosen = undecided[here][regions] if fresh else np.zeros(0, bool)
        number = self._first + len(self._masks) - 1
        added = np.stack([np.full(int(chosen.sum()), number), places[chosen], here[regions[chosen]]])
        self._waiting = np.concatenate([kept, added.astype(np.int64)], axis=1)
        # Only the open areas are needed further on, with new numbers.
        renumbered = np.cumsum(is_open) - 1
        self._waiting[2] = renumbered[self._waiting[2]]
        self._sizes = np.minimum(size[is_open], self._least)
        self._last = np.zeros_like(self._last)
        self._last[bottom > 0] = renumbered[area_of[bottom[bottom > 0] - 1 + known]] + 1

    def _sizes_of(
        self, row: int, rows: int, places: NDArray[np.int64], regions: NDArray[np.int32], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the pixels and the size in mm2 of every region of a band; a large region has the minimum as its size.

        A region that is certainly large is not measured pixel by pixel.
        """
        pixels = np.bincount(regions, minlength=count)
        smallest = np.rint(float(self._areas.rows(row, rows).min()) * _MM2_PER_KM2)
        sizes = np.full(count, self._least)
        measured = pixels * smallest < self._least
        chosen = measured[regions]
        area = np.rint(self._areas.of_places(row, rows, places[chosen]) * _MM2_PER_KM2)
        sizes[measured] = np.bincount(regions[chosen], area, count)[measured]
        return pixels, sizes

    def _remove(self, ended: NDArray[np.bool_]) -> None:
        """Make the waiting pixels of areas that have ended dry, and count these areas."""
        self._removed += int(ended.sum())
        self._removed_mm2 += float(self._sizes[ended].sum())
        bands, places, owners = self._waiting
        gone = ended[owners]
        for number in np.unique(bands[gone]).tolist():
            self._masks[number - self._first].ravel()[places[gone & (bands == number)]] = DRY
        self._removed_pixels += int(gone.sum())


def without_small_areas(bands: Iterable[Band], small: SmallAreas) -> Iterator[Band]:
    """Yield the bands of a map with its small water areas made dry.

    Args:
        bands: All bands of the map, from its first row to its last.
        small: A new object for this map.
    """
    whole, masked = tee(bands)
    masks = small.filtered((band.row, band.mask) for band in masked)
    for band, mask in zip(whole, masks, strict=True):
        yield replace(band, mask=mask)
