"""Real labelled chips, averaged to the pixels of HyP3 and OPERA products, from the file to the map."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.assessment.metrics import confusion
from drshym_pipeline.datasets.chips import ChipRef, LabelledChip, read_chip
from drshym_pipeline.evaluation.mapper import ChipMapper
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.records import MapRecord
from experiments.spacing_candidates import averaged, majority

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return shipped_bundle()


def stac_chip(real_data: Path, name: str) -> LabelledChip:
    folder = real_data / "stac_overflow"
    image, vh, label = (folder / f"{name}{ending}.tif" for ending in ("_vv", "_vh", ""))
    return read_chip(ChipRef(name, name, "reporting", image, label, vh=vh))


def coarse_scene(chip: LabelledChip, parts: int, path: Path) -> Path:
    db = averaged(chip.db, Fraction(parts))
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": 2,
        "height": db.shape[1],
        "width": db.shape[2],
        "crs": chip.crs,
        "transform": chip.transform @ chip.transform.scale(parts),
        "nodata": float("nan"),
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(db)
        file.descriptions = ("VV", "VH")
    return path


def iou(chip: LabelledChip, parts: int, out: Path, record: MapRecord) -> float:
    with rasterio.open(out / record.files["mask"]) as file:
        mask = file.read(1)
    found = confusion(mask == 1, majority(chip.label, Fraction(parts)), mask != 255).iou
    assert found is not None
    return found


def iou_of_fine_map(chip: LabelledChip, parts: int, bundle: ModelBundle) -> float:
    """Map the chip's own pixels of 10 m, and score the map on the coarse pixels."""
    mask = np.where(np.isfinite(chip.db).all(axis=0), ChipMapper(bundle, "vv_vh").map_chip(chip), -1).astype(np.int8)
    coarse = majority(mask, Fraction(parts))
    found = confusion(coarse == 1, majority(chip.label, Fraction(parts)), coarse >= 0).iou
    assert found is not None
    return found


# Measured with the checkpoints v0.1 and v0.2: at most 0.02 below the map of 10 m. Without resampling to 10 m the scores
# of v0.1 were 0.16 to 0.34 lower.
@pytest.mark.parametrize(("name", "parts"), [("jja10", 3), ("jja10", 4), ("qxb32", 3)])
def test_a_scene_of_coarse_pixels_is_mapped_nearly_as_well_as_one_of_10_m(real_data, bundle, tmp_path, name, parts):
    chip = stac_chip(real_data, name)
    least = iou_of_fine_map(chip, parts, bundle) - 0.05
    source = coarse_scene(chip, parts, tmp_path / f"S1_{name}.tif")
    record = map_scene([source], tmp_path / "out", bundle, bundle.reference("checkpoint"))
    assert iou(chip, parts, tmp_path / "out", record) >= least
    assert record.shape == (512 // parts, 512 // parts)
    assert record.pixel_spacing is not None
    np.testing.assert_allclose(record.pixel_spacing.network_m, 10.0, rtol=0.01)
    assert any(f"ixels of {10 * parts} m: resampled to 10 m" in warning for warning in record.warnings)
