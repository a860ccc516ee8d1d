"""The record of one finished map: the scene, the model and the results."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from drshym_pipeline.errors import InputError
from drshym_pipeline.records.areas import AreaEstimate
from drshym_pipeline.records.base import SCHEMA_VERSION, Record, now
from drshym_pipeline.records.exclusion import Exclusion
from drshym_pipeline.records.models import Calibration, ModelReference
from drshym_pipeline.records.novelty import SceneNovelty
from drshym_pipeline.records.separation import FloodSeparation
from drshym_pipeline.records.spacing import PixelSpacing
from drshym_pipeline.records.surfaces import MappedSurfaces
from drshym_pipeline.records.thresholds import threshold_note
from drshym_pipeline.records.tiles import Modality
from drshym_pipeline.records.words import counted

_MOST_HA = 10.0  # a map is made with as many rows in memory as the smallest area has pixels
_STEPS_PER_HA = 10


def _whole_steps(ha: float) -> float:
    """Return a minimum area as a multiple of 0.1 ha.

    Raises:
        ValueError: It is not one, or it is out of range.
    """
    # NaN fails the first comparison.
    steps = round(ha * _STEPS_PER_HA) if 0.0 <= ha <= _MOST_HA else None
    # A tiny amount is nearly 0 steps, but it does not mean that the option is off.
    if steps is None or abs(ha * _STEPS_PER_HA - steps) > 1e-6 or (ha and not steps):
        raise ValueError(f"must be 0 (no area is removed) or a multiple of 0.1 ha from 0.1 to {_MOST_HA:g} ha")
    return steps / _STEPS_PER_HA


MinAreaHa = Annotated[float, AfterValidator(_whole_steps)]
"""The smallest water area that a map shows, in hectares; 0 when all areas are shown."""


def check_min_area(ha: float) -> float:
    """Return the option `min-area-ha` as an exact multiple of 0.1 ha.

    Args:
        ha: The smallest water area that a map shows, in hectares; 0 when all areas are shown.

    Raises:
        InputError: It is negative, too large, or not a multiple of 0.1 ha.
    """
    try:
        return _whole_steps(ha)
    except ValueError as error:
        raise InputError(
            "min-area-ha", f"{error}, got {ha:g}", "Choose 0 to keep all areas, or a value such as 0.5"
        ) from error


class MinimumArea(Record):
    """The smallest water area that a map shows, and what was removed from the mask because of it.

    Water pixels that are connected over edges, with less than `ha` in total are dry in the mask: `removed` areas with
    `removed_pixels` pixels and `removed_km2` in total. `pixel_ha` is the size of the smallest pixel.
    """

    ha: float = Field(gt=0.0)
    pixel_ha: float = Field(gt=0.0)
    removed: int = Field(ge=0)
    removed_pixels: int = Field(ge=0)
    removed_km2: float = Field(ge=0.0)

    def text(self) -> str:
        """Return text such as `water areas below 0.5 ha are mapped as dry: 12 areas (340 pixels in total)`."""
        if self.pixel_ha >= self.ha:
            return f"one pixel covers {self.pixel_ha:.2g} ha, so the minimum area of {self.ha:g} ha removes nothing"
        areas, pixels = counted(self.removed, "area"), counted(self.removed_pixels, "pixel")
        removed = f"{areas} ({pixels} in total)" if self.removed else "there was none"
        return f"water areas below {self.ha:g} ha are mapped as dry: {removed}"


class PolygonCounts(Record):
    """How much of the flooded area of a map is in its vector file.

    `count` polygons cover `km2`. Areas of fewer than `fewest_pixels` pixels are in the mask but not in the file: there
    are `omitted` of them, with `omitted_pixels` and `omitted_km2` in total. Both areas add up to the area in the mask.
    """

    count: int = Field(ge=0)
    km2: float = Field(ge=0.0)
    fewest_pixels: int = Field(ge=1)
    omitted: int = Field(ge=0)
    omitted_pixels: int = Field(ge=0)
    omitted_km2: float = Field(ge=0.0)


class MapRecord(Record):
    """One finished map: the scene, the model and the results.

    `scene_version` changes with the bytes of the source and with how they are read. `map_version` changes with the
    scene version, the model and the options of the map; maps of release 0.1.0 have none.

    `pixels` counts the mask values by name, and their sum is the grid. `pixel_spacing` is None where the network
    computed the scene's own pixels. `water_separated` is False when no reference was used: the flooded class then means
    open water of any kind, `flooded` is its area, and `separation` is None. With a reference `flooded` is the area of
    flood, and `separation` says how it was found and what the other areas are. `flooded` is None when nothing was
    observed, or the terrain excludes all that was. `files` are names of files in the folder of the record.
    `mean_confidence` is read from records of earlier versions and is no longer written. It describes single pixels, and
    readers took it for the certainty of the area, which is given by the interval. `minimum_area` is None where areas of
    any size are water. `exclusion` is None where no terrain was used. `novelty` says how unlike the training chips the
    scene is, `mapped_surfaces` what the mapped water looks like; maps of earlier versions have neither.
    `calibration.threshold` is the threshold of the map. `model_threshold` is that of the model where the user chose
    another one, and None elsewhere.
    """

    schema_version: str = SCHEMA_VERSION
    scene_id: str
    scene_version: str
    map_version: str | None = None
    source_uris: tuple[str, ...]
    source_sha256: str
    crs: str
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]
    modality: Modality
    acquired_at: datetime | None
    model: ModelReference
    calibration: Calibration
    tile: int
    overlap: int
    precision: str
    flooded: AreaEstimate | None
    observed_km2: float
    observed_fraction: float
    pixels: dict[str, int]
    water_separated: bool
    mean_confidence: float | None = None
    polygons: PolygonCounts | None = None
    pixel_spacing: PixelSpacing | None = None
    minimum_area: MinimumArea | None = None
    novelty: SceneNovelty | None = None
    mapped_surfaces: MappedSurfaces | None = None
    separation: FloodSeparation | None = None
    exclusion: Exclusion | None = None
    model_threshold: float | None = Field(default=None, gt=0.0, lt=1.0)
    caption: str
    files: dict[str, str]
    processing: tuple[str, ...]
    warnings: tuple[str, ...]
    software: dict[str, str]
    seconds: dict[str, float]
    created_at: datetime = Field(default_factory=now)

    @property
    def threshold_note(self) -> str | None:
        """The sentence for readers of a map with a chosen threshold; None where the map has the model's own."""
        return threshold_note(self.calibration.threshold, self.model_threshold, has_area=self.flooded is not None)
