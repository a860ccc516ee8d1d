"""The mask and the probability as cloud-optimised GeoTIFFs.

Bands of rows are written to uncompressed tiled GeoTIFFs in a scratch folder, which GDAL's COG driver then copies; no
raster is ever completely in memory. The grid is the scene's map grid. The tags name the model, the threshold and the
source, but not the time of production, which is in the map record: the same scene and model give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.shutil import copy as copy_raster

from drshym_pipeline.probabilities import NOT_OBSERVED, PROBABILITY_SCALE
from drshym_pipeline.records import MapGrid, PredictionSummary, SceneMeta
from drshym_pipeline.sar.completeness import check_written
from drshym_pipeline.states import (
    DRY,
    EXCLUDED,
    EXCLUDED_COLOUR,
    MASK_LEGEND,
    MASK_NOT_OBSERVED,
    WATER_COLOURS,
    mask_labels,
)
from drshym_pipeline.storage import atomic_path
from drshym_pipeline.version import __version__

LICENCE_NOTE: Final = (
    "Contains modified Copernicus Sentinel data. Preliminary automatic result, not validated in the field; "
    "no warranty of any kind."
)
_BLOCK = 512
_COLOURS: Final[dict[int, tuple[int, int, int, int]]] = {
    DRY: (242, 240, 235, 255),
    **{state: (*colour, 255) for state, colour in WATER_COLOURS.items()},
    EXCLUDED: (150, 150, 150, 255),
    MASK_NOT_OBSERVED: (0, 0, 0, 0),
}


def provenance_tags(meta: SceneMeta, prediction: PredictionSummary, *, min_area_ha: float = 0.0) -> dict[str, str]:
    """Return the TIFF tags of both rasters, which say how the map was made.

    Args:
        meta: The scene.
        prediction: What the prediction did.
        min_area_ha: The smallest water area of the mask, in hectares; 0 when all areas are shown.
    """
    tags = {
        "TIFFTAG_SOFTWARE": f"drshym-pipeline {__version__}",
        "TIFFTAG_COPYRIGHT": LICENCE_NOTE,
        "DRSHYM_SCENE": meta.scene_id,
        "DRSHYM_SOURCE": " ".join(meta.source_uris),
        "DRSHYM_SOURCE_SHA256": meta.sha256,
        "DRSHYM_MODEL": prediction.reference.name,
        "DRSHYM_MODEL_VERSION": prediction.reference.version,
        "DRSHYM_MODEL_SHA256": prediction.reference.sha256,
        "DRSHYM_BANDS": prediction.mode,
        "DRSHYM_THRESHOLD": f"{prediction.calibration.threshold:g}",
        "DRSHYM_CALIBRATION": prediction.calibration.text(),
        "DRSHYM_PRECISION": prediction.precision,
    }
    if prediction.model_threshold is not None:
        tags["DRSHYM_MODEL_THRESHOLD"] = f"{prediction.model_threshold:g}"
    if min_area_ha:
        tags["DRSHYM_MIN_AREA_HA"] = f"{min_area_ha:g}"
    if meta.acquired_at is not None:
        tags["DRSHYM_ACQUIRED_AT"] = meta.acquired_at.isoformat()
    return tags


def picture_text(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of `provenance_tags` as text chunks of the pictures, under the keywords of PNG."""
    keywords = {"TIFFTAG_SOFTWARE": "Software", "TIFFTAG_COPYRIGHT": "Copyright"}
    return {keywords.get(name, name): value for name, value in tags.items()}


def raster_profile(grid: MapGrid, dtype: str, nodata: int) -> dict[str, Any]:
    """Return the options of rasterio for an uncompressed raster of one band on a map grid."""
    return {
        "driver": "GTiff",
        "dtype": dtype,
        "nodata": nodata,
        "count": 1,
        "height": grid.height,
        "width": grid.width,
        "crs": CRS.from_user_input(grid.crs),
        "transform": grid.affine,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "BIGTIFF": "IF_SAFER",
    }


def _category_tags(*, water_separated: bool, unseparated: bool = False) -> dict[str, str]:
    labels = mask_labels(water_separated=water_separated, unseparated=unseparated)
    return {f"CATEGORY_{value}": label for value, label in labels.items()}


class MapRasters:
    """Writes the two rasters of a map; a context manager around the scratch files.

    Args:
        meta: The scene; its map grid is the rasters' grid.
        scratch: An existing folder for the uncompressed files.
        tags: The TIFF tags of both rasters.
        mask_tags: More tags of the mask. The probability has none of the reference: maps with and without one, or with
            another one, have the same bytes of it, so maps that use it as their reference stay the same.
        water_separated: Whether flood is separated from water that was there before; this decides the name of its
            class.
        terrain: Whether ground is excluded because of the terrain; this decides the colour of its class.
    """

    def __init__(
        self,
        meta: SceneMeta,
        scratch: Path,
        tags: Mapping[str, str],
        *,
        mask_tags: Mapping[str, str] | None = None,
        water_separated: bool = False,
        terrain: bool = False,
    ) -> None:
        self._mask_path = scratch / "mask.tif"
        self._probability_path = scratch / "probability.tif"
        grid = meta.map_grid
        self._mask = rasterio.open(self._mask_path, "w", **raster_profile(grid, "uint8", MASK_NOT_OBSERVED))
        self._mask.write_colormap(1, _COLOURS | ({EXCLUDED: (*EXCLUDED_COLOUR, 255)} if terrain else {}))
        self._mask.set_band_description(1, "flood mask")
        self._mask.update_tags(**tags, **(mask_tags or {}), DRSHYM_LEGEND=json.dumps(MASK_LEGEND))
        # GDAL would write category names to a file beside the raster; tags of the band are inside the raster.
        self._mask.update_tags(1, **_category_tags(water_separated=water_separated))
        self._probability = rasterio.open(self._probability_path, "w", **raster_profile(grid, "uint16", NOT_OBSERVED))
        self._probability.scales = (PROBABILITY_SCALE,)
        self._probability.set_band_description(1, "calibrated probability of open water")
        self._probability.update_tags(**tags)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mask.close()
        self._probability.close()

    def write(self, row: int, stored: NDArray[np.uint16], mask: NDArray[np.uint8]) -> None:
        """Write one band of both rasters: (rows, width), with `row` as its first row."""
        window = ((row, row + mask.shape[0]), (0, mask.shape[1]))
        self._mask.write(mask, 1, window=window)
        self._probability.write(stored, 1, window=window)

    def close(
        self,
        mask_statistics: Mapping[str, str],
        probability_statistics: Mapping[str, str],
        *,
        unseparated: bool = False,
    ) -> tuple[Path, Path]:
        """Finish the scratch files, which can be read then.

        Args:
            mask_statistics: The tags of `MapStatistics.mask_tags`.
            probability_statistics: The tags of `MapStatistics.probability_tags`.
            unseparated: Whether the flooded class has pixels for which the water before is not known.

        Returns:
            The paths of mask and probability.
        """
        self._mask.update_tags(1, **mask_statistics)
        if unseparated:
            self._mask.update_tags(1, **_category_tags(water_separated=True, unseparated=True))
        self._probability.update_tags(1, **probability_statistics)
        self._mask.close()
        self._probability.close()
        check_written(self._mask_path)
        check_written(self._probability_path)
        return self._mask_path, self._probability_path

    def publish(self, mask: Path, probability: Path) -> None:
        """Copy the closed scratch files to COGs; each COG appears complete or not at all."""
        # Averaging class numbers, or the driver's default cubic, would lose thin floods in the overviews.
        copy_cog(self._mask_path, mask, resampling="NEAREST", predictor="NO")
        copy_cog(self._probability_path, probability, resampling="AVERAGE", predictor="YES")


def copy_cog(source: Path, target: Path, *, resampling: str, predictor: str) -> None:
    """Copy a raster to a COG, which appears complete or not at all.

    Args:
        source: The raster.
        target: The COG.
        resampling: How its overviews are computed, by the name of the COG driver.
        predictor: Whether differences of neighbours are compressed: `YES` or `NO`.
    """
    with rasterio.Env(GDAL_PAM_ENABLED=False), atomic_path(target) as temporary:
        copy_raster(
            source,
            temporary,
            driver="COG",
            BLOCKSIZE=_BLOCK,
            COMPRESS="DEFLATE",
            # A higher level takes 50 % more time and does not make noise smaller.
            LEVEL=1,
            PREDICTOR=predictor,
            OVERVIEW_RESAMPLING=resampling,
            BIGTIFF="IF_SAFER",
        )
        check_written(temporary)
