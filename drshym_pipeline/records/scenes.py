"""The record of one staged scene: grid, bands, units and identity."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from affine import Affine
from pydantic import Field

from drshym_pipeline.records.base import SCHEMA_VERSION, BandMode, Record, now
from drshym_pipeline.records.tiles import Modality

APPROXIMATE_RADIOMETRY = "approximate radiometry"  # a warning that begins with this is repeated in the caption

Polarisation = Literal["VV", "VH"]
Units = Literal["db", "power", "amplitude", "dn", "intensity"]


class BandSource(Record):
    """The file and band of one polarisation of a staged scene.

    `calibration` is the table for its digital numbers, `noise` that of the thermal noise that is subtracted from them.
    `sha256` is the hash of the file; scenes of earlier versions have none.
    """

    polarisation: Polarisation
    path: str
    band: int = Field(ge=1)
    calibration: str | None = None
    noise: str | None = None
    sha256: str | None = None


class BandStatistics(Record):
    """Backscatter of the observed pixels of one polarisation, in dB."""

    mean: float
    p01: float
    p50: float
    p99: float


class ControlPoint(Record):
    """A point of an image, in pixels from its upper left corner, and its position in degrees on WGS84."""

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
    x = a*col + b*row + c, y = d*col + e*row + f, for the upper left corner of a pixel. An image that has only control
    points has no transform of its own: its `transform` is then a least-squares fit to the points, precise enough for
    the position of a tile. Its products are on `product_grid`, and `pixel_spacing` and `bounds` describe that grid.
    A scene that was read from a zip has it in `archive`, and the paths of its bands start from the zip's root.
    `version` changes when the bytes of the source or the reading options change. `relative_orbit` is None where the
    names of the files have no orbit number, and in scenes of earlier versions.
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
    archive: str | None = None
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
    relative_orbit: int | None = Field(default=None, ge=1, le=175)
    pre_event: str | None = None
    staged_at: datetime = Field(default_factory=now)

    @property
    def affine(self) -> Affine:
        """`transform` as the type that rasterio takes: from (column, row) to (x, y)."""
        return Affine(*self.transform)

    @property
    def source_paths(self) -> tuple[str, ...]:
        """The files that the scene is read from: its zip, or its rasters."""
        return tuple(dict.fromkeys(band.path for band in self.bands)) if self.archive is None else (self.archive,)

    @property
    def mode(self) -> BandMode:
        """`vv_vh` if the scene has both polarisations, otherwise `vv`."""
        return "vv_vh" if any(band.polarisation == "VH" for band in self.bands) else "vv"

    @property
    def modality(self) -> Modality:
        """The name of the band mode in the tile record."""
        return "sentinel1_sar_vv_vh" if self.mode == "vv_vh" else "sentinel1_sar_vv"

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return self.height, self.width

    @property
    def map_grid(self) -> MapGrid:
        """The grid of the products: that of the image, unless the image has only control points."""
        if self.product_grid is not None:
            return self.product_grid
        return MapGrid(crs=self.crs, transform=self.transform, height=self.height, width=self.width)
