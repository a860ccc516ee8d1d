"""The bodies of requests and answers. They are strict: a key that is not known is an error that names it.

`docs/schemas/` has the JSON Schema of every model here, and `/openapi.json` of a running service has them all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StrictBool, StringConstraints
from pydantic_core import PydanticCustomError

from drshym_pipeline.records import MinAreaHa, Record, Units
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

Domain: TypeAlias = Literal["flood_sar"]
JobState: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]
SceneOrigin: TypeAlias = Literal["service", "lineage"]
ImageUri: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
ImageUris: TypeAlias = ImageUri | Annotated[tuple[ImageUri, ...], Field(min_length=1, max_length=2)]


def _number(value: Any) -> Any:
    """Raise an error for anything but a number in JSON: pydantic would read `true` as 1, and texts as numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number_type", "must be a number")
    return value


WholeNumber: TypeAlias = Annotated[int, BeforeValidator(_number)]
Number: TypeAlias = Annotated[float, BeforeValidator(_number)]

SMALLEST_TILE, LARGEST_TILE = 64, 2048


class SegmentOptions(Record):
    """How a scene is mapped. Every key is optional.

    `threshold` replaces the threshold of the model: the interval of the area is then the whole observed area, because
    it was fitted for the model's own threshold, and the answer says so. The overlay is always drawn; `explain` is kept
    for requests of the original system.
    """

    tile: WholeNumber = Field(
        default=DEFAULT_TILE, ge=SMALLEST_TILE, le=LARGEST_TILE, description="tile side in pixels"
    )
    overlap: WholeNumber = Field(
        default=DEFAULT_OVERLAP, ge=0, le=LARGEST_TILE // 2, description="overlap of tiles in pixels"
    )
    explain: StrictBool = Field(default=True, description="the overlay, which explains the map as a picture")
    units: Units | None = Field(default=None, description="unit of the pixel values, if it cannot be recognised")
    threshold: Annotated[Number, Field(gt=0.0, lt=1.0)] | None = Field(
        default=None, description="instead of the model's threshold"
    )
    min_area_ha: Annotated[MinAreaHa, BeforeValidator(_number)] = Field(
        default=0.0,
        description="water areas below this size become dry, in hectares; in steps of 0.1",
        json_schema_extra={"minimum": 0, "maximum": 10, "multipleOf": 0.1},
    )


class SegmentRequest(Record):
    """Map the scene at `image_uri`.

    `image_uri` is a `file://` address or an absolute path below one of the configured folders: a GeoTIFF, a `.SAFE`
    folder or a zip of it; two addresses are the VV and the VH file of one scene. `pre_image_uri` is a scene from before
    the event. With `wait` false the answer is always a job.
    """

    domain: Domain
    image_uri: ImageUris
    pre_image_uri: ImageUris | None = None
    options: SegmentOptions = SegmentOptions()
    wait: StrictBool = True


class SegmentOutputs(Record):
    """Where the files of a map are: `*_uri` as `file://` addresses on the service's machine, `links` over HTTP."""

    mask_uri: str
    proba_uri: str
    overlay_png: str
    geojson_uri: str | None = None
    reference_uri: str | None = None
    flood_proba_uri: str | None = None
    exclusion_uri: str | None = None
    report_html: str | None = None
    links: dict[str, str] = Field(default_factory=dict)


class SegmentProvenance(Record):
    """Which model made the map, and how. `threshold_note` is given when the request had a threshold of its own."""

    model: str
    threshold: float
    calibration: str
    model_sha256: str | None = None
    source_sha256: str | None = None
    map_version: str | None = None
    processing: tuple[str, ...] = ()
    software: dict[str, str] = Field(default_factory=dict)
    threshold_note: str | None = None


class SegmentPolicy(Record):
    """What the map promises: it keeps the reference system of the scene, and its polygons are exported."""

    crs_kept: bool
    geojson_exported: bool


class AreaAnswer(Record):
    """An area with its interval, as in the record of the map."""

    km2: float
    low_km2: float
    high_km2: float
    level: float
    text: str
    expected_km2: float | None = None


class SegmentResponse(Record):
    """A finished map."""

    scene_id: str
    outputs: SegmentOutputs
    caption: str
    provenance: SegmentProvenance
    policy: SegmentPolicy
    flooded: AreaAnswer | None = None
    water_separated: bool = False
    warnings: tuple[str, ...] = ()


class ProblemDetail(Record):
    """An error as `application/problem+json` (RFC 9457). `code` never changes; `detail` is the command's sentence."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str | None = None


class JobAnswer(Record):
    """A scene that is being mapped, or was: `stage` with `done` of `total` while it runs, `result` when it is done.

    `stage_text` is the stage in words.
    """

    id: str
    state: JobState
    scene_name: str
    stage: str | None = None
    stage_text: str | None = None
    done: int = 0
    total: int = 0
    position: int | None = Field(default=None, description="how many jobs are before it in the queue")
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: SegmentResponse | None = None
    note: str | None = Field(default=None, description="why a job that is done has no result any more")
    problem: ProblemDetail | None = None


class JobList(Record):
    """Jobs, newest first."""

    jobs: tuple[JobAnswer, ...]


class SceneSummary(Record):
    """A mapped scene in the list. `origin` is `lineage` for maps that Dagster has made; these are read-only."""

    id: str
    scene_id: str
    origin: SceneOrigin
    created_at: datetime
    acquired_at: datetime | None
    bounds: tuple[float, float, float, float] | None = Field(description="west, south, east, north in degrees")
    caption: str
    flooded: AreaAnswer | None
    water_separated: bool
    thumbnail: str


class SceneList(Record):
    """Mapped scenes, newest first. `next` is the address of the next page."""

    scenes: tuple[SceneSummary, ...]
    total: int
    next: str | None = None


class LayerAnswer(Record):
    """A layer of the page: its tiles where a web map can show it, else one plain picture."""

    name: str
    title: str
    tilejson: str | None
    image: str
    legend: tuple[LegendEntry, ...] = ()


class LegendEntry(Record):
    """A colour and what it means."""

    colour: str
    text: str


class StateShare(Record):
    """How much of a mask has a state: the pixels, and their share of all pixels of the mask from 0 to 1."""

    state: str
    text: str
    pixels: int
    share: float


class SceneAnswer(Record):
    """A mapped scene: its summary, its files by name, its layers, and the record of the map (`record`, a link)."""

    summary: SceneSummary
    files: dict[str, str]
    layers: tuple[LayerAnswer, ...]
    web_map: bool = Field(description="whether a web map can show it; if not, the pictures are in the scene's own grid")
    shape: tuple[int, int]
    crs: str
    provenance: SegmentProvenance
    areas: dict[str, float | None] = Field(description="area of each state of the mask in km2")
    shares: tuple[StateShare, ...] = Field(
        default=(), description="pixels of each state that the mask can have, not observed included"
    )
    intervals: dict[str, AreaAnswer] = Field(
        default_factory=dict, description="areas of water with their intervals, by what the water is"
    )
    warnings: tuple[str, ...]
    record: str


class PointAnswer(Record):
    """The values of one pixel. A value is null where it was not observed, or the map has no such file."""

    row: int
    column: int
    lon: float | None
    lat: float | None
    state: str
    mask: int
    probability: float | None
    reference: float | None
    flood_probability: float | None
    exclusion: tuple[str, ...]
    vv_db: float | None
    vh_db: float | None
    vv_before_db: float | None
    vh_before_db: float | None


class ModelAnswer(Record):
    """The model that the service maps with."""

    name: str
    version: str
    sha256: str
    source: str


class StateAnswer(Record):
    """Whether the service runs (`ok`), maps scenes (`ready`), or is not ready yet (`starting`)."""

    status: Literal["ok", "ready", "starting"]
