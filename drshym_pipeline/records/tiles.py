"""One tile: `DrShymRecord` v0.1, the exchange record."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from drshym_pipeline.errors import InputError
from drshym_pipeline.records.base import PlainName, Record, Sha256, describe_validation

LABEL_SET = ("flooded", "non_flooded")

Modality = Literal["sentinel1_sar_vv", "sentinel1_sar_vv_vh"]


class PixelWindow(Record):
    """The position of a tile in its scene, in pixels."""

    row: int = Field(ge=0)
    col: int = Field(ge=0)
    height: int = Field(ge=1)
    width: int = Field(ge=1)


class TileProvenance(Record):
    """Where a tile comes from and what was done to it."""

    source_uri: str = Field(min_length=1)
    processing: tuple[str, ...]
    model: str | None = None
    calibration: str | None = None
    threshold: float | None = Field(default=None, ge=0.0, le=1.0)


class DrShymRecord(Record):
    """One tile, version 0.1 of the exchange record.

    `pixel_spacing` and `bounds` are in units of `crs`: spacing as (x, y), both positive; bounds as (left, bottom,
    right, top). `tile_size` is (height, width) in pixels.
    """

    image_id: PlainName
    modality: Modality
    crs: str = Field(min_length=1)
    pixel_spacing: tuple[float, float]
    tile_size: tuple[int, int]
    bounds: tuple[float, float, float, float]
    provenance: TileProvenance
    label_set: tuple[str, ...] = LABEL_SET
    schema_version: Literal["0.1"] | None = None
    created_at: datetime | None = None
    window: PixelWindow | None = None
    valid_fraction: float | None = Field(default=None, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _sizes_are_positive(self) -> Self:
        if min(self.pixel_spacing) <= 0:
            raise ValueError("pixel_spacing must be positive")
        if min(self.tile_size) < 1:
            raise ValueError("tile_size must be at least one pixel")
        left, bottom, right, top = self.bounds
        if left >= right or bottom >= top:
            raise ValueError("bounds must be (left, bottom, right, top) with left < right and bottom < top")
        if self.label_set != LABEL_SET:
            raise ValueError(f"label_set must be {list(LABEL_SET)}")
        return self

    def to_json(self) -> str:
        """Return the record as one line of JSON, without optional fields that are not set."""
        return self.model_dump_json(exclude_none=True)


class ListedTile(Record):
    """A tile in the list of the files of a scene: its name, its window, the SHA-256 of its two files."""

    image_id: PlainName
    window: PixelWindow
    raster_sha256: Sha256
    record_sha256: Sha256


def read_drshym_record(data: str | bytes | dict[str, Any], subject: str = "record") -> DrShymRecord:
    """Read one tile record.

    Args:
        data: JSON text or a parsed object.
        subject: The name of the record in an error, such as `tiles.jsonl line 7`.

    Raises:
        InputError: A field is missing, unknown or of the wrong type; the error names the first such field.
    """
    try:
        if isinstance(data, dict):
            return DrShymRecord.model_validate(data)
        return DrShymRecord.model_validate_json(data)
    except ValidationError as error:
        raise InputError(subject, describe_validation(error), "Write it as a DrShymRecord v0.1") from error
