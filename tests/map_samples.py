"""Records of a small map, shared by the tests of its products."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.records import (
    BandSource,
    Calibration,
    ModelReference,
    PredictionSummary,
    SceneMeta,
)
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.scene_folder import Prediction

REFERENCE = ModelReference(name="unet_x", version="3", sha256="a" * 64, source="checkpoint")


def scene(height: int, width: int, **changes) -> SceneMeta:
    values = {
        "scene_id": "S1_x",
        "version": "v1",
        "source_uris": ("file:///data/S1_x.tif",),
        "sha256": "b" * 64,
        "height": height,
        "width": width,
        "crs": "EPSG:32644",
        "transform": (10.0, 0.0, 500_000.0, 0.0, -10.0, 2_000_000.0),
        "pixel_spacing": (10.0, 10.0),
        "bounds": (500_000.0, 2_000_000.0 - height * 10, 500_000.0 + width * 10, 2_000_000.0),
        "bands": (BandSource(polarisation="VV", path="x.tif", band=1),),
        "units": "db",
        "units_evidence": "stated",
        "dtype": "float32",
        "observed_fraction": 1.0,
        "acquired_at": datetime(2021, 1, 11, 5, 30, tzinfo=UTC),
    }
    return SceneMeta(**{**values, **changes})


BOTH = tuple(BandSource(polarisation=name, path="x.tif", band=band) for band, name in ((1, "VV"), (2, "VH")))


def of(summary: PredictionSummary) -> Prediction:
    return Prediction(summary=summary, area_errors=AreaErrorModel())


def prediction(**changes) -> PredictionSummary:
    return PredictionSummary(
        tiles=1, predicted=1, skipped=0, **{"mode": "vv", **changes}, reference=REFERENCE,
        calibration=Calibration(T=1.2, threshold=0.45), minimum=0.0, maximum=1.0, mean=0.5, observed_fraction=1.0,
        device="cpu", precision="fp32", tile=512, overlap=64,
    )  # fmt: skip


def pixel_areas(height: int, width: int, km2: float = 1e-4) -> PixelAreas:
    """Return areas that are the same for all pixels."""
    return PixelAreas(np.arange(height, dtype=float), np.full((height, 1), km2), width, width)


def uneven_areas(height: int, width: int, block: int = 3) -> tuple[PixelAreas, np.ndarray]:
    """Return areas that grow from row to row and from block to block, and the same as an area per pixel."""
    blocks = -(-width // block)
    table = (1.0 + np.arange(height) / 100)[:, np.newaxis] * (1.0 + np.arange(blocks) / 7)
    return PixelAreas(np.arange(height, dtype=float), table, block, width), np.repeat(table, block, axis=1)[:, :width]
