"""What the terrain excludes, while the bands of a map pass through: the mask, the file, and the figures of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import rasterio
from numpy.typing import NDArray

from drshym_pipeline.ancillary.layers import DRAINAGE, ELEVATION
from drshym_pipeline.products.bands import Band
from drshym_pipeline.products.map_statistics import statistics_tags
from drshym_pipeline.products.rasters import copy_cog, raster_profile
from drshym_pipeline.records import Exclusion, SceneMeta
from drshym_pipeline.references.exclusion import TerrainExclusion
from drshym_pipeline.sar.completeness import check_written
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.states import EXCLUDED, EXCLUSION_REASONS, EXCLUSION_UNKNOWN, MASK_NOT_OBSERVED, excluded_from

_VALUES: Final = 1 << 8


def exclusion_tags(exclusion: TerrainExclusion) -> dict[str, str]:
    """Return the TIFF tags that say what was excluded because of the terrain: the layers with values, their limits."""
    used = {layer.name: layer.title for layer in exclusion.layers if layer.tiles or layer.sea}
    limits = {
        ELEVATION.name: ("DRSHYM_EXCLUDED_SLOPE_DEG", exclusion.limits.slope_deg),
        DRAINAGE.name: ("DRSHYM_EXCLUDED_HAND_M", exclusion.limits.hand_m),
    }
    return {
        **{tag: f"{limit:g}" for name, (tag, limit) in limits.items() if name in used},
        **({"DRSHYM_TERRAIN_LAYERS": "; ".join(used.values())} if used else {}),
    }


class ExclusionRaster:
    """Writes the file of exclusion and counts what is excluded; a context manager around its scratch file.

    Args:
        meta: The scene; its map grid is the raster's grid.
        scratch: An existing folder for the uncompressed file.
        tags: The TIFF tags.
        areas: The areas of the pixels of the map.
        exclusion: What the terrain excludes.
    """

    def __init__(
        self,
        meta: SceneMeta,
        scratch: Path,
        tags: Mapping[str, str],
        *,
        areas: PixelAreas,
        exclusion: TerrainExclusion,
    ) -> None:
        self._areas, self._exclusion = areas, exclusion
        self._counts = np.zeros(_VALUES, np.int64)  # of observed pixels, by value
        self._all = np.zeros(_VALUES, np.int64)
        self.km2 = 0.0
        self._path = scratch / "exclusion.tif"
        self._raster = rasterio.open(self._path, "w", **raster_profile(meta.map_grid, "uint8", EXCLUSION_UNKNOWN))
        self._raster.set_band_description(1, "exclusion by terrain")
        self._raster.update_tags(**tags)
        self._raster.update_tags(1, **{f"BIT_{value}": name for name, value in EXCLUSION_REASONS.items()})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raster.close()

    def written(self, bands: Iterable[Band]) -> Iterator[Band]:
        """Yield the bands of a map with the excluded state in their masks; it is written and counted as they pass.

        Args:
            bands: All bands of the map; flood is not separated from other water in them.
        """
        with rasterio.open(self._exclusion.raster) as source:
            for band in bands:
                window = ((band.row, band.row + len(band.mask)), (0, band.mask.shape[1]))
                values: NDArray[np.uint8] = source.read(1, window=window)
                self._raster.write(values, 1, window=window)
                mask = excluded_from(band.mask, values)
                self._all += np.bincount(values.ravel(), minlength=_VALUES)
                self._counts += np.bincount(values[mask != MASK_NOT_OBSERVED], minlength=_VALUES)
                self.km2 += self._areas.total(band.row, mask == EXCLUDED)
                yield replace(band, mask=mask)

    @property
    def pixels(self) -> int:
        """The number of excluded pixels."""
        return int(self._counts[1:EXCLUSION_UNKNOWN].sum())

    def finished(self) -> Exclusion:
        """Finish the scratch file and return the record of the exclusion."""
        counts = self._all.copy()
        counts[EXCLUSION_UNKNOWN] = 0
        self._raster.update_tags(1, **statistics_tags(counts))
        self._raster.close()
        check_written(self._path)
        values = np.arange(EXCLUSION_UNKNOWN)
        return Exclusion(
            limits=self._exclusion.limits,
            layers=self._exclusion.layers,
            pixels=self.pixels,
            km2=self.km2,
            reasons={
                name: int(self._counts[:EXCLUSION_UNKNOWN][(values & bit) > 0].sum())
                for name, bit in EXCLUSION_REASONS.items()
            },
            unknown_pixels=int(self._counts[EXCLUSION_UNKNOWN]),
        )

    def publish(self, target: Path) -> None:
        """Copy the closed scratch file to a COG, which appears complete or not at all."""
        copy_cog(self._path, target, resampling="NEAREST", predictor="NO")
