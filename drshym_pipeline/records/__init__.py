"""The records written beside every product, as pydantic models.

`DrShymRecord` v0.1 describes one tile, `SceneMeta` one staged scene, `MapRecord` one finished map and `ModelCard` one
model; the summaries describe what each stage did. Records contain only values: they neither read nor write files. All
of them refuse unknown fields.
"""

from drshym_pipeline.records.areas import AreaEstimate, area_figure
from drshym_pipeline.records.base import (
    SCHEMA_VERSION,
    BandMode,
    PlainName,
    Precision,
    PrecisionOption,
    Record,
    Sha256,
    describe_validation,
    now,
)
from drshym_pipeline.records.exclusion import (
    ALL_EXCLUDED,
    HIGH_ABOVE_DRAINAGE_M,
    STEEP_SLOPE_DEG,
    Exclusion,
    TerrainLayer,
    TerrainLimits,
    no_area_state,
    no_area_text,
)
from drshym_pipeline.records.maps import (
    MapRecord,
    MinAreaHa,
    MinimumArea,
    PolygonCounts,
    check_min_area,
)
from drshym_pipeline.records.models import (
    NO_INTERVAL,
    Calibration,
    CardIou,
    DataCard,
    DataSplit,
    ModelCard,
    ModelReference,
    Score,
    resampling_text,
)
from drshym_pipeline.records.novelty import SceneNovelty
from drshym_pipeline.records.scenes import (
    APPROXIMATE_RADIOMETRY,
    BandSource,
    BandStatistics,
    ControlPoint,
    MapGrid,
    Polarisation,
    SceneMeta,
    Units,
)
from drshym_pipeline.records.separation import (
    EarlierMap,
    EarlierMaps,
    FloodSeparation,
    LayerTile,
    LeftOutMap,
    PreEventScene,
    ReferenceLayer,
    ReferenceNote,
    ReferenceSources,
)
from drshym_pipeline.records.spacing import PixelSpacing
from drshym_pipeline.records.stages import PredictionSummary, ProbabilityOverview, SliceRow, StitchSummary, TilesSummary
from drshym_pipeline.records.surfaces import MappedSurfaces
from drshym_pipeline.records.thresholds import threshold_note, threshold_reason, threshold_text
from drshym_pipeline.records.tiled_scenes import TiledScene, TileLayout
from drshym_pipeline.records.tiles import (
    LABEL_SET,
    DrShymRecord,
    ListedTile,
    Modality,
    PixelWindow,
    TileProvenance,
    read_drshym_record,
)
from drshym_pipeline.records.words import counted

__all__ = [
    "ALL_EXCLUDED",
    "APPROXIMATE_RADIOMETRY",
    "HIGH_ABOVE_DRAINAGE_M",
    "LABEL_SET",
    "NO_INTERVAL",
    "SCHEMA_VERSION",
    "STEEP_SLOPE_DEG",
    "AreaEstimate",
    "BandMode",
    "BandSource",
    "BandStatistics",
    "Calibration",
    "CardIou",
    "ControlPoint",
    "DataCard",
    "DataSplit",
    "DrShymRecord",
    "EarlierMap",
    "EarlierMaps",
    "Exclusion",
    "FloodSeparation",
    "LayerTile",
    "LeftOutMap",
    "ListedTile",
    "MapGrid",
    "MapRecord",
    "MappedSurfaces",
    "MinAreaHa",
    "MinimumArea",
    "Modality",
    "ModelCard",
    "ModelReference",
    "PixelSpacing",
    "PixelWindow",
    "PlainName",
    "Polarisation",
    "PolygonCounts",
    "PreEventScene",
    "Precision",
    "PrecisionOption",
    "PredictionSummary",
    "ProbabilityOverview",
    "Record",
    "ReferenceLayer",
    "ReferenceNote",
    "ReferenceSources",
    "SceneMeta",
    "SceneNovelty",
    "Score",
    "Sha256",
    "SliceRow",
    "StitchSummary",
    "TerrainLayer",
    "TerrainLimits",
    "TileLayout",
    "TileProvenance",
    "TiledScene",
    "TilesSummary",
    "Units",
    "area_figure",
    "check_min_area",
    "counted",
    "describe_validation",
    "no_area_state",
    "no_area_text",
    "now",
    "read_drshym_record",
    "resampling_text",
    "threshold_note",
    "threshold_reason",
    "threshold_text",
]
