"""Real Sentinel-1 scenes with the real sensor and job, mapped by the checkpoint that ships with the package."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.model.bundle import shipped_bundle
from drshym_pipeline.scene_folder import MapFolder
from drshym_pipeline.states import MASK_NOT_OBSERVED
from tests.lineage import Lineage

pytestmark = [pytest.mark.real, pytest.mark.system]

CHECKS = {
    "scene_is_readable_and_georeferenced": True,
    "tiles_cover_the_scene": True,
    "probabilities_fit_the_scene": True,
    "scene_is_like_the_training_chips": True,
    "mask_agrees_with_probability": True,
    "model_is_current": True,
    "reference_is_known": False,  # nothing to compare with
}


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    """Return a lineage in which no model was promoted, so the shipped checkpoint is in service."""
    return Lineage(tmp_path)


def mapped(lineage: Lineage, partition: str) -> MapFolder:
    result = lineage.map_all()[partition]
    assert result.success
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == CHECKS
    folder = lineage.store.scenes.current(partition)
    assert folder is not None
    assert folder.is_complete()
    model = folder.record().model
    assert (model.source, model.sha256) == ("shipped", shipped_bundle().sha256)
    return folder


def assert_same_grid(source: Path, folder: MapFolder) -> None:
    with rasterio.open(source) as scene:
        for kind in ("mask", "proba"):
            with rasterio.open(folder.product(kind)) as raster:
                assert raster.crs == scene.crs
                assert raster.transform == scene.transform
                assert raster.shape == scene.shape


def chip(real_data: Path, name: str) -> Path:
    return next((real_data / "sen1floods11").rglob(f"{name}_S1Hand.tif"))


def test_a_sen1floods11_chip_becomes_a_map_on_exactly_its_own_grid(lineage: Lineage, real_data: Path):
    source = lineage.drop(chip(real_data, "Spain_7370579"))
    folder = mapped(lineage, "Spain_7370579_S1Hand")
    assert_same_grid(source, folder)
    with rasterio.open(source) as scene, rasterio.open(folder.product("mask")) as mask:
        observed = np.isfinite(scene.read()).all(axis=0)
        np.testing.assert_array_equal(mask.read(1) != MASK_NOT_OBSERVED, observed)


def test_mask_and_record_of_a_chip_without_observed_pixels_say_so(lineage: Lineage, real_data: Path):
    source = lineage.drop(chip(real_data, "Paraguay_34417"))
    folder = mapped(lineage, "Paraguay_34417_S1Hand")
    assert_same_grid(source, folder)
    with rasterio.open(folder.product("mask")) as mask:
        assert (mask.read(1) == MASK_NOT_OBSERVED).all()
    record = folder.record()
    assert record.flooded is None
    assert record.observed_fraction == 0
    assert "observed" in record.caption


def test_a_pair_of_polarisations_in_utm_is_one_scene(lineage: Lineage, real_data: Path):
    for name in ("pxs10_vh.tif", "pxs10_vv.tif"):
        source = lineage.drop(real_data / "stac_overflow" / name)
    folder = mapped(lineage, "pxs10")
    assert_same_grid(source, folder)
    assert folder.scene.meta().mode == "vv_vh"
    assert len(folder.scene.meta().source_uris) == 2
