"""Separate flood from water that was there before, band by band of a map, and compute the figures of the flood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.assessment.flood_area import SeparatedAreas, separated_estimates
from drshym_pipeline.assessment.flood_interval import FloodErrors
from drshym_pipeline.assessment.pair_signs import PairCounts, pair_counts
from drshym_pipeline.change import FLOOD_METHOD, flood_probability
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.products.bands import Band
from drshym_pipeline.products.map_statistics import statistics_tags
from drshym_pipeline.records import (
    AreaEstimate,
    BandMode,
    EarlierMap,
    FloodSeparation,
    PreEventScene,
    ReferenceSources,
)
from drshym_pipeline.references.reference import ReferenceWater
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.states import EXCLUDED, MASK_LEGEND, is_unseparated, mask_states

_VALUES = 1 << 16
_WATER_STATES: Final = ("flooded", "permanent")


@dataclass(frozen=True)
class FloodBand(Band):
    """Some rows of a map with flood separated from water before; all arrays are (rows, width).

    Args:
        reference: The probability of water before as uint16 in steps of 1e-4, 65535 where not known.
        flood: The probability of flood in the same form.
        paired: True where the probability of water before is known and is that of one scene.
    """

    reference: NDArray[np.uint16]
    flood: NDArray[np.uint16]
    paired: NDArray[np.bool_]


def flood_bands(bands: Iterable[Band], reference: ReferenceWater, threshold: float) -> Iterator[FloodBand]:
    """Yield the bands of a map with the five states in their masks.

    Args:
        bands: All bands of the map; all water has the value of flood in their masks.
        reference: The probability of water before, on the grid of the map.
        threshold: The probability from which water is flood.
    """
    with ExitStack() as stack:
        source = stack.enter_context(rasterio.open(reference.raster))
        of_one_scene = None
        if reference.of_one_scene not in (None, reference.raster):
            of_one_scene = stack.enter_context(rasterio.open(reference.of_one_scene))
        for band in bands:
            window = ((band.row, band.row + len(band.mask)), (0, band.mask.shape[1]))
            before = source.read(1, window=window)
            if reference.of_one_scene is None:
                paired = np.zeros(before.shape, bool)
            else:
                values = before if of_one_scene is None else of_one_scene.read(1, window=window)
                paired = values != NOT_OBSERVED
            flood = flood_probability(band.stored, before)
            states = mask_states(band.mask, before, flood, threshold)
            yield FloodBand(band.row, band.stored, states, band.vv, before, flood, paired)


def errors_of_pair(errors: AreaErrorModel, mode: BandMode, sources: ReferenceSources) -> FloodErrors | None:
    """Return the fitted intervals of flood for a map and its reference; None where they are not known.

    They were fitted on pairs of two scenes with the same bands on both dates, so they say nothing about other pairs.

    Args:
        errors: The area errors of the model in the mode of the map.
        mode: The bands that the map was made from.
        sources: Where the probability of water before comes from.
    """
    before: PreEventScene | EarlierMap | None = sources.pre_event
    if before is None and sources.earlier_maps is not None and len(sources.earlier_maps.maps) == 1:
        (before,) = sources.earlier_maps.maps
    return errors.flood if before is not None and before.modality == f"sentinel1_sar_{mode}" else None


class FloodStatistics:
    """Running figures of the states of a map.

    Args:
        areas: The areas of the pixels of the map.
        water_threshold: The probability from which a pixel is water.
    """

    def __init__(self, areas: PixelAreas, water_threshold: float) -> None:
        self._areas = areas
        self._water_threshold = water_threshold
        self._pair = PairCounts()
        self._paired_km2 = self._unpaired_km2 = 0.0
        self._mass = self._unpaired_mass = 0  # steps of the probability of water
        self._unpaired_water = dict.fromkeys(_WATER_STATES, 0.0)  # km2 where no single scene is the reference
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
        ground = band.mask != EXCLUDED  # nothing is said about the other ground, so it has no area of flood
        flood = np.where(ground & band.paired, band.flood, np.uint16(NOT_OBSERVED))
        self._pair += pair_counts(band.stored, band.reference, flood, self._water_threshold)
        observed, paired = ground & (band.stored != NOT_OBSERVED), flood != NOT_OBSERVED
        other = observed & ~paired
        self._paired_km2 += self._areas.total(band.row, paired)
        self._unpaired_km2 += self._areas.total(band.row, other)
        self._mass += int(band.stored[observed].sum(dtype=np.int64))
        self._unpaired_mass += int(band.stored[other].sum(dtype=np.int64))
        for name in _WATER_STATES:
            self._unpaired_water[name] += self._areas.total(band.row, other & (band.mask == MASK_LEGEND[name]))

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

    def finished(
        self,
        sources: ReferenceSources,
        threshold: float,
        water: AreaEstimate | None,
        errors: FloodErrors | None,
        interval_source: str,
    ) -> tuple[AreaEstimate | None, FloodSeparation]:
        """Return the area of flood, None when nothing was observed, and the record of the states.

        Args:
            sources: Where the probability of water before comes from.
            threshold: The probability from which water is flood.
            water: The area of all water; None when nothing was observed.
            errors: The fitted intervals for a reference of these bands; None where they are not known.
            interval_source: Where these come from, as a part of a sentence.
        """
        flooded = other = None
        if water is None or not self._pair.pixels:
            errors = None
        if water is not None:
            flooded, other = separated_estimates(self._separated_areas(), water, errors)
        separation = FloodSeparation(
            **dict(sources),
            method=FLOOD_METHOD,
            threshold=threshold,
            water=water,
            other_water=other,
            water_unseparated=self._unseparated,
            water_unseparated_km2=self._unseparated_km2,
            areas_km2=dict(self._km2),
            interval_source=None if errors is None else interval_source,
        )
        return flooded, separation

    def _separated_areas(self) -> SeparatedAreas:
        return SeparatedAreas(
            pair=self._pair,
            flooded_km2=self._km2["flooded"],
            other_km2=self._km2["permanent"],
            paired_km2=self._paired_km2,
            unpaired_km2=self._unpaired_km2,
            unpaired_flooded_km2=self._unpaired_water["flooded"],
            unpaired_other_km2=self._unpaired_water["permanent"],
            unpaired_mass=self._unpaired_mass / max(self._mass, 1),
        )
