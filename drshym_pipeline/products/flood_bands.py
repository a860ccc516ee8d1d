"""Flood apart from water that was there before, while the bands of a map pass through, and the figures of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from drshym_pipeline.change import FLOOD_METHOD, flood_probability, part_of_water
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.products.bands import Band
from drshym_pipeline.products.map_statistics import statistics_tags
from drshym_pipeline.records import AreaEstimate, FloodSeparation
from drshym_pipeline.reference import ReferenceWater
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.states import MASK_LEGEND, is_unseparated, mask_states

_VALUES = 1 << 16


@dataclass(frozen=True)
class FloodBand(Band):
    """Some rows of a map with flood apart from water that was there before; all arrays are (rows, width).

    Args:
        reference: The probability of water before as uint16 in steps of 1e-4, 65535 where not known.
        flood: The probability of flood in the same form.
    """

    reference: NDArray[np.uint16]
    flood: NDArray[np.uint16]


def flood_bands(bands: Iterable[Band], reference: Path, threshold: float) -> Iterator[FloodBand]:
    """Yield the bands of a map with the five states in their masks.

    Args:
        bands: All bands of the map; all water has the value of flood in their masks.
        reference: The raster of the probability of water before, on the grid of the map.
        threshold: The probability from which water is flood.
    """
    with rasterio.open(reference) as source:
        for band in bands:
            window = ((band.row, band.row + len(band.mask)), (0, band.mask.shape[1]))
            before = source.read(1, window=window)
            flood = flood_probability(band.stored, before)
            states = mask_states(band.mask, before, flood, threshold)
            yield FloodBand(band.row, band.stored, states, band.vv, before, flood)


class FloodStatistics:
    """Running figures of the states of a map.

    Args:
        areas: The areas of the pixels of the map.
    """

    def __init__(self, areas: PixelAreas) -> None:
        self._areas = areas
        self._counts = np.zeros((2, _VALUES), np.int64)
        self._km2 = dict.fromkeys(MASK_LEGEND, 0.0)
        self._unseparated = 0
        self._unseparated_km2 = 0.0

    def add(self, band: FloodBand) -> None:
        """Count one band of the map."""
        self._counts += [np.bincount(values.ravel(), minlength=_VALUES) for values in (band.reference, band.flood)]
        for name, value in MASK_LEGEND.items():
            self._km2[name] += self._areas.total(band.row, band.mask == value)
        unseparated = is_unseparated(band.mask, band.reference)
        self._unseparated += int(np.count_nonzero(unseparated))
        self._unseparated_km2 += self._areas.total(band.row, unseparated)

    @property
    def water_km2(self) -> float:
        """Return the mapped area of all water, flooded or not."""
        return self._km2["flooded"] + self._km2["permanent"]

    @property
    def has_unseparated(self) -> bool:
        """Return whether water is in the flooded class only because the water before is not known."""
        return self._unseparated > 0

    def tags(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the statistics of the reference and of the probability of flood, as GDAL's tags of their bands."""
        counts = self._counts.copy()
        counts[:, NOT_OBSERVED] = 0
        return statistics_tags(counts[0]), statistics_tags(counts[1])

    def separation(self, reference: ReferenceWater, threshold: float, water: AreaEstimate | None) -> FloodSeparation:
        """Return the record of the states.

        Args:
            reference: The probability of water before.
            threshold: The probability from which water is flood.
            water: The area of all water; None when nothing was observed.
        """
        return FloodSeparation(
            **dict(reference.sources),
            method=FLOOD_METHOD,
            threshold=threshold,
            water=water,
            other_water=None if water is None else part_of_water(self._km2["permanent"], water),
            water_unseparated=self._unseparated,
            water_unseparated_km2=self._unseparated_km2,
            areas_km2=dict(self._km2),
        )

    def flooded(self, water: AreaEstimate | None) -> AreaEstimate | None:
        """Return the area of flood; None when nothing was observed."""
        return None if water is None else part_of_water(self._km2["flooded"], water)
