"""The records written beside every product, as pydantic models.

`DrShymRecord` v0.1 describes one tile, `SceneMeta` one staged scene, `MapRecord` one finished map and `ModelCard` one
model. They hold values only: what reads or writes pixels lives elsewhere. All of them refuse fields they do not know.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from drshym_pipeline.errors import InputError

SCHEMA_VERSION = "0.1"
APPROXIMATE_RADIOMETRY = "approximate radiometry"  # how a warning begins that captions repeat
LABEL_SET = ("flooded", "non_flooded")

Polarisation = Literal["VV", "VH"]
Modality = Literal["sentinel1_sar_vv", "sentinel1_sar_vv_vh"]
BandMode = Literal["vv", "vv_vh"]
Units = Literal["db", "power", "amplitude", "dn"]


def now() -> datetime:
    """The present moment in UTC, to the second: records are compared and printed."""
    return datetime.now(UTC).replace(microsecond=0)


class Record(BaseModel):
    """Base of all records: immutable, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PixelWindow(Record):
    """A tile's place in its scene, in pixels."""

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

    image_id: str = Field(min_length=1)
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
        """The record on one line, without the optional fields that are not set."""
        return self.model_dump_json(exclude_none=True)


def read_drshym_record(data: str | bytes | dict[str, Any], subject: str = "record") -> DrShymRecord:
    """Read one tile record.

    Args:
        data: JSON text or a parsed object.
        subject: What to call the record in an error, such as `tiles.jsonl line 7`.

    Raises:
        InputError: A field is missing, unknown or of the wrong kind; the error names the first such field.
    """
    try:
        if isinstance(data, dict):
            return DrShymRecord.model_validate(data)
        return DrShymRecord.model_validate_json(data)
    except ValidationError as error:
        raise InputError(subject, describe_validation(error), "Write it as a DrShymRecord v0.1") from error


def describe_validation(error: ValidationError) -> str:
    """One line for the first fault pydantic found: the field's path and what is wrong with it."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "the record"
    if first["type"] == "extra_forbidden":
        return f"field '{field}' is not known"
    if first["type"] == "missing":
        return f"field '{field}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"field '{field}': {message[:1].lower()}{message[1:]}"


class BandSource(Record):
    """Where one polarisation of a staged scene is read from; `calibration` is the table of its digital numbers."""

    polarisation: Polarisation
    path: str
    band: int = Field(ge=1)
    calibration: str | None = None


class BandStatistics(Record):
    """Backscatter of the observed pixels of one polarisation, in dB."""

    mean: float
    p01: float
    p50: float
    p99: float


class ControlPoint(Record):
    """A place of an image, in pixels from its upper left corner, and where it lies: degrees on WGS84."""

    row: float
    col: float
    longitude: float
    latitude: float


class MapGrid(Record):
    """A grid on a map: CRS, affine (a, b, c, d, e, f) of rasterio, size in pixels."""

    crs: str = Field(min_length=1)
    transform: tuple[float, float, float, float, float, float]
    height: int = Field(ge=1)
    width: int = Field(ge=1)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width


class SceneMeta(Record):
    """One validated scene: grid, bands, units and identity.

    `height` and `width` are those of the image that is read. `transform` is the affine (a, b, c, d, e, f) of rasterio:
    x = a*col + b*row + c, y = d*col + e*row + f, for the upper left corner of a pixel. An image with control points
    only has none: its `transform` is the least-squares fit to the points, good enough to say where a tile lies, and its
    products lie on `product_grid`, which is also what `pixel_spacing` and `bounds` are of. `version` changes when the
    source's bytes or the reading options change.
    """

    schema_version: str = SCHEMA_VERSION
    scene_id: str = Field(min_length=1)
    version: str = Field(min_length=1)
    source_uris: tuple[str, ...] = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    height: int = Field(ge=1)
    width: int = Field(ge=1)
    crs: str = Field(min_length=1)
    transform: tuple[float, float, float, float, float, float]
    pixel_spacing: tuple[float, float]
    bounds: tuple[float, float, float, float]
    georeference: Literal["transform", "gcps"] = "transform"
    control_points: tuple[ControlPoint, ...] = ()
    product_grid: MapGrid | None = None
    bands: tuple[BandSource, ...] = Field(min_length=1)
    units: Units
    units_evidence: str
    dtype: str
    nodata: float | None = None
    observed_fraction: float = Field(ge=0.0, le=1.0)
    statistics: dict[Polarisation, BandStatistics] = Field(default_factory=dict)
    processing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    mission: str | None = None
    acquired_at: datetime | None = None
    orbit_direction: Literal["ascending", "descending"] | None = None
    pre_event: str | None = None
    staged_at: datetime = Field(default_factory=now)

    @property
    def mode(self) -> BandMode:
        """`vv_vh` when both polarisations are there, else `vv`."""
        return "vv_vh" if any(band.polarisation == "VH" for band in self.bands) else "vv"

    @property
    def modality(self) -> Modality:
        """The tile record's name of the band mode."""
        return "sentinel1_sar_vv_vh" if self.mode == "vv_vh" else "sentinel1_sar_vv"

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return self.height, self.width

    @property
    def map_grid(self) -> MapGrid:
        """The grid of the products: the image's own, unless it has control points only."""
        if self.product_grid is not None:
            return self.product_grid
        return MapGrid(crs=self.crs, transform=self.transform, height=self.height, width=self.width)


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


class ModelReference(Record):
    """Which model made a map, pinned by content."""

    name: str
    version: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    source: Literal["shipped", "registry", "checkpoint"]

    @property
    def label(self) -> str:
        """Name and version for people; a version that begins with the name stands alone."""
        return self.version if self.version.startswith(self.name) else f"{self.name} {self.version}"


class Calibration(Record):
    """How logits become probabilities: sigmoid(logit / T + bias), then a map by `threshold`.

    `method` is `platt` with a bias and `temperature` without; left out, it follows from the bias.
    """

    method: Literal["temperature", "platt"] = "temperature"
    T: float = Field(default=1.0, gt=0.0)
    bias: float = 0.0
    threshold: float = Field(default=0.5, gt=0.0, lt=1.0)

    @model_validator(mode="before")
    @classmethod
    def _method_follows_from_the_bias(cls, values: Any) -> Any:
        if isinstance(values, dict) and "method" not in values and values.get("bias"):
            return {**values, "method": "platt"}
        return values

    def text(self) -> str:
        """Such as `temperature=1.2` or `temperature=1.2, bias=0.3`; the bias is named only where there is one."""
        return f"temperature={self.T:.3g}" + (f", bias={self.bias:.3g}" if self.bias else "")


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


class Score(Record):
    """One figure with its bootstrap interval over chips; None where it is not defined (no water, no chips)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    chips: int = 0


class CardIou(Record):
    """The IoU a model's card states, by band mode; `chips` and `data` say of which chips."""

    chips: str
    data: str | None = None
    by_mode: dict[BandMode, Score]


class DataSplit(Record):
    """One split of a data set: how many chips, of how many events, and what they were used for."""

    chips: int
    events: int
    use: str


class DataCard(Record):
    """What a data set is: its origin, form and truth, its splits, and what it cannot teach.

    `beside` names other sets that were trained on, one line each. `origin` says what shows where the data comes
    from, and `evidence` says so in words (`datasets.provenance`); cards of earlier releases have neither.
    """

    title: str
    source: str
    form: str
    truth: str
    licence: str
    split_by_event: bool
    splits: dict[str, DataSplit]
    sha256: str
    limits: tuple[str, ...]
    beside: tuple[str, ...] = ()
    origin: Literal["simulated", "stated", "recognised", "unknown"] | None = None
    evidence: str = ""


class ModelCard(Record):
    """What a model is, what it was trained on, how good it is and where it must not be used.

    `data` is None for a model that was converted from elsewhere.
    """

    name: str
    version: str
    architecture: str
    encoder: str
    parameters: int
    bands: BandMode
    training_data: str
    training_sha256: str
    scores: dict[str, dict[str, Score]]
    intended_use: str
    limits: tuple[str, ...]
    data: DataCard | None = None
    created_at: datetime = Field(default_factory=now)
