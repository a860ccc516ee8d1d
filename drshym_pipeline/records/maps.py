"""The record of one finished map: the scene, the model and the results."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from drshym_pipeline.records.base import SCHEMA_VERSION, Record, now
from drshym_pipeline.records.models import Calibration, ModelReference
from drshym_pipeline.records.tiles import Modality


class AreaEstimate(Record):
    """An area with its interval. No area is printed without its interval."""

    km2: float = Field(ge=0.0)
    low_km2: float = Field(ge=0.0)
    high_km2: float = Field(ge=0.0)
    level: float = Field(gt=0.0, lt=1.0)
    method: str

    def text(self) -> str:
        """Return text such as `12.3 km2 (90 % interval 10.1 to 15.0 km2)`; small areas have more decimals."""
        digits = 1 if self.high_km2 >= 10 else 2 if self.high_km2 >= 0.1 else 4
        return (
            f"{self.km2:.{digits}f} km2 "
            f"({self.level:.0%} interval {self.low_km2:.{digits}f} to {self.high_km2:.{digits}f} km2)"
        ).replace("%", " %")


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

    `pixels` counts the mask values by name. `water_separated` is False when neither reference water nor a pre-event
    scene was used: the flooded class then means open water of any kind. `files` are names of files in the folder of the
    record. `mean_confidence` is read from records of earlier versions and is no longer written. It describes single
    pixels, and readers took it for the certainty of the area, which is given by the interval.
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
    caption: str
    files: dict[str, str]
    processing: tuple[str, ...]
    warnings: tuple[str, ...]
    software: dict[str, str]
    seconds: dict[str, float]
    created_at: datetime = Field(default_factory=now)
