"""The records of what each stage of a scene did: the grid, the prediction, the figures of the map."""

from __future__ import annotations

from pydantic import Field

from drshym_pipeline.records.areas import AreaEstimate
from drshym_pipeline.records.base import BandMode, Precision, Record
from drshym_pipeline.records.exclusion import Exclusion
from drshym_pipeline.records.maps import MinimumArea, PolygonCounts
from drshym_pipeline.records.models import Calibration, CardIou, ModelReference
from drshym_pipeline.records.novelty import SceneNovelty
from drshym_pipeline.records.separation import FloodSeparation, ReferenceNote
from drshym_pipeline.records.spacing import PixelSpacing
from drshym_pipeline.records.surfaces import MappedSurfaces


class TilesSummary(Record):
    """The grid of a scene and how much of it was observed. `valid_tiles` have at least one observed pixel."""

    tile: int
    overlap: int
    rows: int
    cols: int
    count: int
    valid_tiles: int
    mean_valid_fraction: float
    seconds: float
    format: int = 0


class PredictionSummary(Record):
    """What one prediction did.

    `minimum`, `maximum` and `mean` are over observed tile pixels, None if there are none. `card` has the scores of the
    model's card, because the later stages do not load the model. `pixels` is None where the pixels of the scene went to
    the network as they are. `novelty` is None in predictions of earlier releases. `model_threshold` is the threshold of
    the model where the user chose another one for a map; it is never stored with a prediction.
    """

    tiles: int
    predicted: int
    skipped: int
    mode: BandMode
    reference: ModelReference
    calibration: Calibration
    minimum: float | None
    maximum: float | None
    mean: float | None
    observed_fraction: float
    device: str
    precision: Precision
    tile: int
    overlap: int
    seconds: float | None = None
    card: CardIou | None = None
    pixels: PixelSpacing | None = None
    novelty: SceneNovelty | None = None
    model_threshold: float | None = Field(default=None, gt=0.0, lt=1.0, exclude=True)
    reused: bool = Field(default=False, exclude=True)  # in predictions of earlier releases


class ProbabilityOverview(Record):
    """An overview of a prediction.

    `tile_means` has the mean probability of each tile in the order of the grid, None where nothing was observed.
    `histogram` counts the observed tile pixels in ten equal classes of probability. `tile_novelty` has the score of
    every tile (`SceneNovelty`), None for a tile without one; it is empty when the scene has no score.
    """

    tile_means: tuple[float | None, ...]
    histogram: tuple[int, ...]
    tile_novelty: tuple[float | None, ...] = ()


class SliceRow(Record):
    """One class of VV backscatter: its pixels, its flooded pixels, their share and the mean probability of water.

    The share and the mean are None if the class is empty. `mean_confidence` is read from maps of earlier versions.
    """

    label: str
    pixels: int
    flooded_pixels: int
    flooded_share: float | None
    mean_probability: float | None = None
    mean_confidence: float | None = Field(default=None, exclude=True)


class StitchSummary(Record):
    """The figures of one stitched scene. `flooded` and the mean are None when the map states no area.

    `water_separated` says whether the flooded class excludes permanent water. `polygons` is the number in the vector
    file, `polygon_counts` says what was left out of it. `pixel_spacing` is `pixels` of
    `PredictionSummary`. `files` maps the kind of a product to its file name. `mean_confidence` is read from maps of
    earlier versions. `minimum_area` is None where areas of any size are water. `novelty` is that of
    `PredictionSummary`. `mapped_surfaces` is None without VH, and where nothing is mapped.
    `separation`, `exclusion` and `model_threshold` are those of `MapRecord`. `reference_note` is None in maps of
    earlier versions.
    """

    reference: ModelReference
    calibration: Calibration
    mode: BandMode
    device: str
    precision: Precision
    tile: int
    overlap: int
    flooded: AreaEstimate | None
    observed_km2: float
    observed_fraction: float
    pixels: dict[str, int]
    mean_confidence: float | None = Field(default=None, exclude=True)
    mean_probability: float | None
    water_separated: bool = False
    polygons: int
    polygon_counts: PolygonCounts | None = None
    pixel_spacing: PixelSpacing | None = None
    minimum_area: MinimumArea | None = None
    novelty: SceneNovelty | None = None
    mapped_surfaces: MappedSurfaces | None = None
    separation: FloodSeparation | None = None
    exclusion: Exclusion | None = None
    model_threshold: float | None = Field(default=None, gt=0.0, lt=1.0)
    reference_note: ReferenceNote | None = None
    slices: tuple[SliceRow, ...]
    caption: str
    warnings: tuple[str, ...]
    files: dict[str, str]
    seconds: dict[str, float] = Field(default_factory=dict)
