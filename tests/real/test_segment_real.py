"""Real Sentinel-1 scenes, from the file to the map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from scipy import ndimage

from drshym_pipeline.mapping import map_scene
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.model.model_card import score_text
from drshym_pipeline.probabilities import NOT_OBSERVED

pytestmark = [pytest.mark.real, pytest.mark.system]


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return shipped_bundle()


def chips(real_data: Path) -> Path:
    return real_data / "sen1floods11" / "v1.1" / "data" / "flood_events" / "HandLabeled" / "S1Hand"


def check_grid(source: Path, product: Path) -> np.ndarray:
    with rasterio.open(source) as original, rasterio.open(product) as made:
        assert made.crs == original.crs
        assert made.transform == original.transform
        assert made.shape == original.shape
        return made.read(1)


def test_a_chip_of_spain_becomes_a_map_on_its_own_grid(real_data, bundle, tmp_path):
    source = chips(real_data) / "Spain_7370579_S1Hand.tif"
    record = map_scene([source], tmp_path, bundle, bundle.reference("checkpoint"), tile=256, overlap=32)
    mask = check_grid(source, tmp_path / record.files["mask"])
    stored = check_grid(source, tmp_path / record.files["proba"])
    with rasterio.open(source) as original:
        hidden = ~np.isfinite(original.read()).all(axis=0)
    np.testing.assert_array_equal(mask == 255, hidden)
    np.testing.assert_array_equal(mask == 1, (stored / 10_000 >= record.calibration.threshold) & ~hidden)
    assert stored[~hidden].max() <= 10_000
    # The chip is 512 pixels of 8.98e-5 degrees at 38 degrees north: 5.12 km x cos(38) x 5.12 km.
    assert record.observed_km2 == pytest.approx(5.12 * 5.12 * np.cos(np.radians(38.1)) * (~hidden).mean(), rel=0.02)
    assert record.flooded.low_km2 <= record.flooded.km2 <= record.flooded.high_km2
    # The picture has true proportions. Small areas are counted and not outlined.
    with Image.open(tmp_path / record.files["thumbnail"]) as thumbnail:
        assert thumbnail.width / thumbnail.height == pytest.approx(np.cos(np.radians(38.1)), rel=0.01)
    sizes = np.bincount(ndimage.label(mask == 1)[0].ravel())[1:]
    assert (record.polygons.count, record.polygons.omitted) == ((sizes >= 5).sum(), (sizes < 5).sum())
    assert record.polygons.km2 + record.polygons.omitted_km2 == pytest.approx(record.flooded.km2)
    assert not any("VV alone" in warning for warning in record.warnings)


def test_the_warning_for_a_scene_with_vv_alone_has_the_figure_of_the_models_card(real_data, bundle, tmp_path):
    source = real_data / "stac_overflow" / "qxb32_vv.tif"
    record = map_scene([source], tmp_path, bundle, bundle.reference("checkpoint"))
    figure = score_text(bundle.card.scores["valid_vv"]["iou"])
    (warning,) = [warning for warning in record.warnings if warning.startswith("Only VV was used")]
    assert figure in warning
    assert figure in record.caption


def test_the_caption_of_a_chip_without_measurements_says_that_nothing_was_observed(real_data, bundle, tmp_path):
    source = next(chips(real_data).glob("Paraguay_34417*"))
    record = map_scene([source], tmp_path, bundle, bundle.reference("checkpoint"))
    assert (check_grid(source, tmp_path / record.files["mask"]) == 255).all()
    assert (check_grid(source, tmp_path / record.files["proba"]) == NOT_OBSERVED).all()
    assert record.flooded is None
    assert "Nothing was observed" in record.caption
    assert "km2" not in record.caption


def test_one_file_per_polarisation_in_utm_is_mapped(real_data, bundle, tmp_path):
    folder = real_data / "stac_overflow"
    sources = [folder / "pxs10_vv.tif", folder / "pxs10_vh.tif"]
    record = map_scene(sources, tmp_path, bundle, bundle.reference("checkpoint"))
    assert record.scene_id == "pxs10"
    assert record.modality == "sentinel1_sar_vv_vh"
    mask = check_grid(sources[0], tmp_path / record.files["mask"])
    with rasterio.open(sources[0]) as original:
        assert original.crs.is_projected
    # For every pixel size, UTM areas agree with the areas of the pixels within 0.2 %.
    area = abs(original.transform.a * original.transform.e) / 1e6
    assert record.observed_km2 == pytest.approx((mask != 255).sum() * area, rel=2e-3)


def test_the_shipped_model_marks_dark_water_and_not_bright_land(real_data, bundle, tmp_path):
    source = chips(real_data) / "Spain_7370579_S1Hand.tif"
    record = map_scene([source], tmp_path, bundle, bundle.reference("shipped"))
    with rasterio.open(tmp_path / record.files["mask"]) as made, rasterio.open(source) as original:
        mask, vv = made.read(1), original.read(1)
    assert 0 < (mask == 1).mean() < 0.9
    assert np.median(vv[mask == 1]) < np.median(vv[mask == 0]) - 3
