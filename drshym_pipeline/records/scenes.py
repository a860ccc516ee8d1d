"""One staged scene: grid, bands, units and identity."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from affine import Affine
from pydantic import Field

from drshym_pipeline.records.base import SCHEMA_VERSION, BandMode, Record, now
from drshym_pipeline.records.tiles import Modality

APPROXIMATE_RADIOMETRY = "approximate radiometry"  # how a warning begins that captions repeat

Polarisation = Literal["VV", "VH"]
Units = Literal["db", "power", "amplitude", "dn"]


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
    def affine(self) -> Affine:
        """`transform` as the type that rasterio takes: from (column, row) to (x, y)."""
        return Affine(*self.transform)

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
    def affine(self) -> Affine:
        """`transform` as the type that rasterio takes: from (column, row) to (x, y)."""
        return Affine(*self.transform)

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
