"""The probability of water before and the probability of flood as cloud-optimised GeoTIFFs, beside those of `rasters`.

Only maps with a reference have them. Both have the form of the probability of water: whole steps of 1e-4, 65535
where it is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import rasterio

from drshym_pipeline.change import FLOOD_METHOD, flood_threshold
from drshym_pipeline.probabilities import NOT_OBSERVED, PROBABILITY_SCALE
from drshym_pipeline.products.bands import Band
from drshym_pipeline.products.flood_bands import FloodStatistics, errors_of_pair, flood_bands
from drshym_pipeline.products.rasters import copy_cog, raster_profile
from drshym_pipeline.products.reference_texts import reference_tags
from drshym_pipeline.records import AreaEstimate, FloodSeparation, SceneMeta
from drshym_pipeline.references.reference import ReferenceWater
from drshym_pipeline.sar.completeness import check_written
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.scene_folder import Prediction

_DESCRIPTIONS: Final = ("calibrated probability of open water before the event", "probability of flood")


def separation_tags(reference: ReferenceWater, threshold: float) -> dict[str, str]:
    """Return the TIFF tags that say how flood was separated from water that was there before.

    Args:
        reference: The probability of water before.
        threshold: The probability from which water is flood.
    """
    return {
        **reference_tags(reference.sources),
        "DRSHYM_FLOOD_METHOD": FLOOD_METHOD,
        "DRSHYM_FLOOD_THRESHOLD": f"{threshold:g}",
    }


class FloodRasters:
    """Writes the two rasters and counts the states; a context manager around the scratch files.

    Args:
        meta: The scene; its map grid is the rasters' grid.
        scratch: An existing folder for the uncompressed files.
        tags: The TIFF tags of both rasters.
        areas: The areas of the pixels of the map.
        reference: The probability of water before.
        water_threshold: The probability from which a pixel is water.
    """

    def __init__(
        self,
        meta: SceneMeta,
        scratch: Path,
        tags: Mapping[str, str],
        *,
        areas: PixelAreas,
        reference: ReferenceWater,
        water_threshold: float,
    ) -> None:
        self.statistics = FloodStatistics(areas, water_threshold)
        self._reference, self._threshold = reference, flood_threshold(water_threshold)
        self._paths = (scratch / "reference.tif", scratch / "flood.tif")
        profile = raster_profile(meta.map_grid, "uint16", NOT_OBSERVED)
        self._rasters = [rasterio.open(path, "w", **profile) for path in self._paths]
        for raster, description in zip(self._rasters, _DESCRIPTIONS, strict=True):
            raster.scales = (PROBABILITY_SCALE,)
            raster.set_band_description(1, description)
            raster.update_tags(**tags)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for raster in self._rasters:
            raster.close()

    def written(self, bands: Iterable[Band]) -> Iterator[Band]:
        """Yield the bands of a map with the five states in their masks; they are written and counted as they pass.

        Args:
            bands: All bands of the map; all water has the value of flood in their masks.
        """
        for band in flood_bands(bands, self._reference, self._threshold):
            window = ((band.row, band.row + len(band.mask)), (0, band.mask.shape[1]))
            for raster, values in zip(self._rasters, (band.reference, band.flood), strict=True):
                raster.write(values, 1, window=window)
            self.statistics.add(band)
            yield band

    def finished(
        self, water: AreaEstimate | None, prediction: Prediction
    ) -> tuple[AreaEstimate | None, FloodSeparation]:
        """Finish the scratch files.

        Args:
            water: The area of all water; None when nothing was observed.
            prediction: The prediction of the map, with its area errors.

        Returns:
            The area of flood, None when nothing was observed, and the record of the separation.
        """
        for raster, tags, path in zip(self._rasters, self.statistics.tags(), self._paths, strict=True):
            raster.update_tags(1, **tags)
            raster.close()
            check_written(path)
        errors = errors_of_pair(prediction.area_errors, prediction.summary.mode, self._reference.sources)
        source = "" if errors is None else errors.source(prediction.validation_data)
        return self.statistics.finished(self._reference.sources, self._threshold, water, errors, source)

    def publish(self, reference: Path, flood: Path) -> None:
        """Copy the closed scratch files to COGs; each COG appears complete or not at all."""
        for source, target in zip(self._paths, (reference, flood), strict=True):
            copy_cog(source, target, resampling="AVERAGE", predictor="YES")
