"""One finished map: what was mapped, with what, and what came out."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from drshym_pipeline.records.base import SCHEMA_VERSION, Record, now
from drshym_pipeline.records.models import Calibration, ModelReference
from drshym_pipeline.records.tiles import Modality


class AreaEstimate(Record):
    """An area with its interval. No area is printed without one."""

    km2: float = Field(ge=0.0)
    low_km2: float = Field(ge=0.0)
    high_km2: float = Field(ge=0.0)
    level: float = Field(gt=0.0, lt=1.0)
    method: str

    def text(self) -> str:
        """Such as `12.3 km2 (90 % interval 10.1 to 15.0 km2)`; small areas keep two significant digits."""
        digits = 1 if self.high_km2 >= 10 else 2 if self.high_km2 >= 0.1 else 4
        return (
            f"{self.km2:.{digits}f} km2 "
            f"({self.level:.0%} interval {self.low_km2:.{digits}f} to {self.high_km2:.{digits}f} km2)"
        ).replace("%", " %")


class PolygonCounts(Record):
    """How the vector file of a map covers its flooded area.

    `count` polygons cover `km2`. Areas of fewer than `fewest_pixels` are not in the file but in the mask: `omitted` of
    them, of `omitted_pixels` and `omitted_km2` together. Both areas add up to the area counted in the mask.
    """

    count: int = Field(ge=0)
    km2: float = Field(ge=0.0)
    fewest_pixels: int = Field(ge=1)
    omitted: int = Field(ge=0)
    omitted_pixels: int = Field(ge=0)
    omitted_km2: float = Field(ge=0.0)


class MapRecord(Record):
    """One finished map: what was mapped, with what, and what came out.

    `scene_version` changes with the source's bytes and how they are read, `map_version` with that, the model and the
    options of the map; maps of release 0.1.0 have none.

    `pixels` counts the mask values by name. `water_separated` is False when neither reference water nor a pre-event
    scene was there: the flooded class then means open water of any kind. `files` are names beside the record.
    `mean_confidence` is read from records of earlier versions and is no longer filled: it says how far single pixels
    are from undecided, and was taken for the certainty of the area, which its interval gives.
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
