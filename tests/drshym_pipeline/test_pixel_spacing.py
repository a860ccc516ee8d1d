"""Scenes whose pixels are not 10 m, from the file to the map and its record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline import stages
from drshym_pipeline.cli import main
from drshym_pipeline.errors import InputError
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.model.resampling import split_pixels
from drshym_pipeline.prediction import plan_prediction, resampled_pixels
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.records import MapRecord, PixelSpacing
from drshym_pipeline.tiling import TileGrid
from tests.map_samples import scene

TILE = {"tile": 64, "overlap": 16}
DEGREE = 8.983152841195215e-05  # ten metres on the equator, the step of the Sen1Floods11 chips


def on_grid(crs: str, step: tuple[float, float], origin: tuple[float, float], side: int = 100):
    transform = (step[0], 0.0, origin[0], 0.0, -step[1], origin[1])
    return scene(side, side, crs=crs, transform=transform, pixel_spacing=step)


UTM = (500_000.0, 2_000_000.0)


@pytest.mark.parametrize("step", [7.2, 8.0, 10.0, 12.5, 14.0])
def test_pixels_of_about_10_m_go_to_the_network_as_they_are(step):
    assert resampled_pixels(on_grid("EPSG:32644", (step, step), UTM)) is None


@pytest.mark.parametrize("latitude", [0.0, 26.0, 38.0, -45.0, 60.0])
def test_square_pixels_in_degrees_count_with_their_height(latitude):
    assert resampled_pixels(on_grid("EPSG:4326", (DEGREE, DEGREE), (10.0, latitude))) is None
    found = resampled_pixels(on_grid("EPSG:4326", (3 * DEGREE, 3 * DEGREE), (10.0, latitude)))
    assert found is not None
    assert found.scene_m[1] == pytest.approx(30.0, rel=0.01)
    assert found.scene_m[0] == pytest.approx(30.0 * np.cos(np.radians(latitude)), rel=0.01)
    np.testing.assert_allclose(np.divide(found.scene_m, found.network_m), 3.0)


@pytest.mark.parametrize(
    ("step", "parts"),
    [
        ((20.0, 20.0), (2, 2)),
        ((30.0, 30.0), (3, 3)),
        ((60.0, 60.0), (6, 6)),
        ((5.0, 5.0), (0.5, 0.5)),
        ((10.0, 20.0), (1, 2)),
        ((2.5, 14.0), (0.25, 1)),
    ],
)
def test_both_axes_are_judged_alone(step, parts):
    found = resampled_pixels(on_grid("EPSG:32644", step, UTM))
    assert found is not None
    np.testing.assert_allclose(np.divide(found.scene_m, found.network_m), parts)


def test_the_size_is_that_on_the_ground_and_not_that_on_the_map():
    """A metre of Web Mercator is half a metre on the ground at 60 degrees north."""
    found = resampled_pixels(on_grid("EPSG:3857", (20.0, 20.0), (1_000_000.0, 8_400_000.0)))
    assert found is None


@pytest.mark.parametrize("step", [(62.0, 62.0), (10.0, 90.0), (1000.0, 1000.0)])
def test_pixels_above_60_m_are_refused_unless_told(step):
    coarse = on_grid("EPSG:32644", step, UTM)
    with pytest.raises(InputError, match=r"its pixels are .* m; the network is for pixels of 10 m.*--any-spacing"):
        resampled_pixels(coarse)
    assert resampled_pixels(coarse, any_spacing=True) is not None


def key(bundle, **changes) -> str:
    meta = scene(100, 100, **changes)
    reference = bundle.reference("checkpoint")
    return plan_prediction(meta, TileGrid(100, 100, 64, 8), bundle, reference, precision="fp32", device="cpu").key


def test_a_version_of_the_map_covers_the_resampling_and_stays_for_pixels_of_10_m(random_bundle, monkeypatch):
    ten = key(random_bundle)
    thirty = key(random_bundle, transform=(30.0, 0.0, 5e5, 0.0, -30.0, 2e6))
    assert ten != thirty
    assert thirty != key(random_bundle, transform=(40.0, 0.0, 5e5, 0.0, -40.0, 2e6))
    # Without the resampling in it, the key would be that of pixels of 10 m: nothing else in it has changed.
    monkeypatch.setattr("drshym_pipeline.prediction.resampled_pixels", lambda meta, any_spacing: None)
    assert key(random_bundle, transform=(30.0, 0.0, 5e5, 0.0, -30.0, 2e6)) == ten


@pytest.fixture(scope="module")
def source(tmp_path_factory, scene_file) -> Path:
    return scene_file(tmp_path_factory.mktemp("in") / "S1_coarse.tif", shape=(130, 150), spacing=30.0)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory, source, random_bundle) -> tuple[Path, MapRecord]:
    out = tmp_path_factory.mktemp("out")
    return out, map_scene([source], out, random_bundle, random_bundle.reference("checkpoint"), **TILE)


def pixels_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def test_the_map_is_on_the_grid_of_the_source_and_not_observed_stays_so(mapped, source):
    out, record = mapped
    with rasterio.open(source) as original, rasterio.open(out / record.files["mask"]) as mask:
        assert (mask.transform, mask.crs, mask.shape) == (original.transform, original.crs, original.shape)
        np.testing.assert_array_equal(mask.read(1) == 255, np.isnan(original.read(1)))
    assert record.observed_km2 == pytest.approx((pixels_of(out / record.files["mask"]) != 255).sum() * 9e-4, rel=2e-3)


def test_the_record_and_the_page_say_in_words_what_was_done(mapped):
    out, record = mapped
    assert record.pixel_spacing == PixelSpacing(scene_m=(30.01, 30.01), network_m=(30.01 / 3, 30.01 / 3))
    (warning,) = [text for text in record.warnings if text.startswith("Pixels of")]
    assert warning.startswith("Pixels of 30 m: resampled to 10 m for the network.")
    assert "interval" in warning
    page = (out / record.files["report"]).read_text("utf-8")
    assert "pixels of 30 m: resampled to 10 m for the network" in page
    saved = json.loads((out / record.files["record"]).read_text("utf-8"))
    assert MapRecord.model_validate(saved).pixel_spacing == record.pixel_spacing
    # Records of earlier versions do not have the field.
    del saved["pixel_spacing"]
    assert MapRecord.model_validate(saved).pixel_spacing is None


def test_the_stages_and_the_command_make_the_same_map(mapped, source, random_bundle, tmp_path):
    out, record = mapped
    reference = random_bundle.reference("checkpoint")
    tiles = stages.write_tiles(stages.stage([source], tmp_path / "store"), **TILE)
    finished = stages.report(stages.stitch(stages.predict(tiles, random_bundle, reference)))
    random_bundle.save(tmp_path / "bundle")
    command = ["segment", source, "--out", tmp_path / "out", "--checkpoint", tmp_path / "bundle"]
    assert main([str(word) for word in command] + ["--tile", "64", "--overlap", "16"]) == 0
    for name in ("mask", "proba"):
        expected = pixels_of(out / record.files[name])
        np.testing.assert_array_equal(pixels_of(finished.product(name)), expected)
        np.testing.assert_array_equal(pixels_of(tmp_path / "out" / record.files[name]), expected)
    assert finished.record().map_version == record.map_version
    assert finished.record().warnings == record.warnings


def test_the_map_is_the_mean_of_the_map_of_the_same_scene_on_pixels_of_10_m(source, random_bundle, tmp_path):
    with rasterio.open(source) as coarse:
        fine = split_pixels(coarse.read(), (3, 3))
        profile = {**coarse.profile, "height": fine.shape[1], "width": fine.shape[2]}
        profile["transform"] = coarse.transform @ coarse.transform.scale(1 / 3)
    with rasterio.open(tmp_path / "S1_fine.tif", "w", **profile) as file:
        file.write(fine)
        file.descriptions = ("VV", "VH")
    probabilities = []
    for path, tile in ((source, TILE), (tmp_path / "S1_fine.tif", {"tile": 192, "overlap": 48})):
        out = tmp_path / path.stem
        # The tolerances below are those of fp32; bf16 rounds the logits of both maps in another way.
        reference = random_bundle.reference("checkpoint")
        record = map_scene([path], out, random_bundle, reference, precision="fp32", **tile)
        probabilities.append(pixels_of(out / record.files["proba"]))
    assert record.pixel_spacing is None
    found, parts = probabilities[0], probabilities[1].astype(np.float64)
    expected = parts.reshape(130, 3, 150, 3).mean(axis=(1, 3))
    np.testing.assert_array_equal(found == NOT_OBSERVED, expected == NOT_OBSERVED)
    # Stored backscatter has steps of 1/400 dB, stored probabilities of 1e-4. At the edge of a tile the parts are
    # interpolated without the pixels beyond it, and have little weight.
    assert np.abs(found - expected).max() < 500
    assert np.abs(found - expected).mean() < 5


def test_a_scene_above_60_m_is_mapped_with_the_option_or_the_side_car_that_the_error_names(
    random_bundle, scene_file, tmp_path, capfd
):
    coarse = scene_file(tmp_path / "in" / "S1_far.tif", shape=(64, 64), spacing=90.0)
    random_bundle.save(tmp_path / "bundle")
    rest = ["--out", str(tmp_path / "out"), "--checkpoint", str(tmp_path / "bundle"), "--tile", "64", "--overlap", "8"]
    assert main(["segment", str(coarse), *rest]) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert "S1_far" in line
    assert "90 x 90 m" in line
    assert "--any-spacing" in line
    assert main(["segment", str(coarse), *rest, "--any-spacing"]) == 0
    assert main(["predict-folder", "--in", str(coarse.parent), *rest, "--any-spacing", "--overwrite"]) == 0
    (coarse.parent / "S1_far.drshym.json").write_text('{"any_spacing": true}', "utf-8")
    assert main(["segment", str(coarse), *rest, "--overwrite"]) == 0
    # The stages, which the lineage calls, take the same option.
    tiles = stages.write_tiles(stages.stage([coarse], tmp_path / "store"), tile=64, overlap=8)
    reference = random_bundle.reference("checkpoint")
    with pytest.raises(InputError, match="any_spacing"):
        stages.predict(tiles, random_bundle, reference)
    assert stages.predict(tiles, random_bundle, reference, any_spacing=True).read().summary.pixels is not None
