"""The rasters of a map and their style, checked with other programs than those that wrote them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.products import rasters as rasters_module
from drshym_pipeline.products.map_statistics import MapStatistics
from drshym_pipeline.products.rasters import MapRasters, provenance_tags
from drshym_pipeline.products.style import mask_style
from drshym_pipeline.sar.completeness import check_written
from drshym_pipeline.states import MASK_LEGEND, mask_of
from tests.map_samples import pixel_areas, prediction, scene


def write_rasters(folder: Path, stored: np.ndarray, step: int = 100) -> tuple[Path, Path]:
    meta = scene(*stored.shape)
    folder.mkdir(exist_ok=True)
    statistics = MapStatistics(pixel_areas(*stored.shape))
    with MapRasters(meta, folder, provenance_tags(meta, prediction())) as rasters:
        for row in range(0, len(stored), step):
            band = stored[row : row + step]
            mask = mask_of(band, 0.45)
            statistics.add(row, band, mask, (band != NOT_OBSERVED).astype(np.uint16))
            rasters.write(row, band, mask)
        rasters.close(statistics.mask_tags(), statistics.probability_tags())
        rasters.publish(folder / "m_mask.tif", folder / "m_proba.tif")
    return folder / "m_mask.tif", folder / "m_proba.tif"


@pytest.fixture(scope="module")
def stored() -> np.ndarray:
    rng = np.random.default_rng(42)
    values = rng.integers(0, 10_001, (700, 1100)).astype(np.uint16)
    values[:, :60] = NOT_OBSERVED
    return values


@pytest.fixture(scope="module")
def rasters(tmp_path_factory, stored) -> tuple[Path, Path]:
    return write_rasters(tmp_path_factory.mktemp("r"), stored)


def test_both_rasters_are_valid_cogs_with_overviews_and_contain_the_written_values(rasters, stored):
    for path, expected in zip(rasters, (mask_of(stored, 0.45), stored), strict=True):
        valid, errors, warnings = cog_validate(path)
        assert valid, (errors, warnings)
        with rasterio.open(path) as raster:
            np.testing.assert_array_equal(raster.read(1), expected)
            assert raster.overviews(1), "a scene larger than a block needs overviews"
            assert raster.block_shapes == [(512, 512)]


def test_overviews_keep_classes_and_average_probabilities(rasters, stored):
    mask, probability = rasters
    with rasterio.open(mask, overview_level=0) as small:
        values = small.read(1)
    assert set(np.unique(values)) == {0, 1, 255}
    flooded = (mask_of(stored, 0.45) == 1).mean()
    assert (values == 1).mean() == pytest.approx(flooded, abs=0.01)
    with rasterio.open(probability, overview_level=0) as small:
        values = small.read(1)
    # Averages of four uniform numbers have half of their spread; single pixels would have all of it.
    assert values[values != NOT_OBSERVED].std() == pytest.approx(10_000 / np.sqrt(12) / 2, rel=0.05)


def test_rasters_have_tags_that_describe_them(rasters):
    mask, probability = rasters
    with rasterio.open(mask) as raster:
        tags, table = raster.tags(), raster.colormap(1)
        assert raster.nodata == 255
        assert table[1][2] > table[1][0], "flood is shown in blue"
        assert table[255][3] == 0 or table[255] == (0, 0, 0, 255)
        statistics = raster.tags(1)
    assert {name: value for name, value in statistics.items() if name.startswith("CATEGORY_")} == {
        "CATEGORY_0": "dry", "CATEGORY_1": "open water, flood not separated",
        "CATEGORY_2": "water that was there before", "CATEGORY_250": "excluded (terrain)",
        "CATEGORY_255": "not observed",
    }  # fmt: skip
    assert {path.suffix for path in mask.parent.iterdir()} == {".tif"}, "no file beside the rasters"
    assert json.loads(tags["DRSHYM_LEGEND"]) == {
        "dry": 0, "flooded": 1, "permanent": 2, "excluded": 250, "not_observed": 255,
    }  # fmt: skip
    assert tags["DRSHYM_MODEL"] == "unet_x"
    assert tags["DRSHYM_MODEL_VERSION"] == "3"
    assert tags["DRSHYM_MODEL_SHA256"] == "a" * 64
    assert tags["DRSHYM_SOURCE_SHA256"] == "b" * 64
    assert tags["DRSHYM_THRESHOLD"] == "0.45"
    assert tags["DRSHYM_CALIBRATION"] == "temperature=1.2"
    assert tags["DRSHYM_ACQUIRED_AT"] == "2021-01-11T05:30:00+00:00"
    assert "drshym-pipeline" in tags["TIFFTAG_SOFTWARE"]
    assert "Copernicus Sentinel data" in tags["TIFFTAG_COPYRIGHT"]
    assert (statistics["STATISTICS_MINIMUM"], statistics["STATISTICS_MAXIMUM"]) == ("0", "1")
    with rasterio.open(probability) as raster:
        assert raster.nodata == NOT_OBSERVED
        assert raster.scales == (1e-4,)
        mean = float(raster.tags(1)["STATISTICS_MEAN"])
        values = raster.read(1, masked=True)
    assert mean == pytest.approx(float(values.mean()))


def test_a_map_written_in_different_bands_has_the_same_bytes(tmp_path, rasters, stored):
    again = write_rasters(tmp_path / "again", stored, step=256)
    for first, second in zip(rasters, again, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_the_style_shows_every_value_of_the_mask_and_makes_dry_land_transparent():
    root = ElementTree.fromstring(mask_style(water_separated=False))
    renderer = root.find("pipe/rasterrenderer")
    assert renderer.get("type") == "paletted"
    entries = {int(entry.get("value")): entry for entry in renderer.iter("paletteEntry")}
    assert set(entries) == set(MASK_LEGEND.values())
    assert entries[0].get("alpha") == "0"
    assert entries[1].get("alpha") == "255"
    assert entries[1].get("label") == "open water, flood not separated"
    red, green, blue = (int(entries[1].get("color")[place : place + 2], 16) for place in (1, 3, 5))
    assert blue > max(red, green), "flood is blue"
    *grey, opacity = map(int, renderer.get("nodataColor").split(","))
    assert len(set(grey)) == 1
    assert 0 < opacity < 255, "what was not observed is not shown as dry land"
    assert "flooded" in mask_style(water_separated=True)


@pytest.mark.parametrize("cut", [16, 5000])
def test_a_raster_that_a_full_disk_cut_is_an_error_and_appears_nowhere(tmp_path, stored, monkeypatch, cut):
    def copy_and_cut(source, target, **options):
        copy(source, target, **options)
        os.truncate(target, Path(target).stat().st_size - cut)

    copy = rasters_module.copy_raster
    monkeypatch.setattr(rasters_module, "copy_raster", copy_and_cut)
    with pytest.raises(OSError, match="is the disk full"):
        write_rasters(tmp_path / "full", stored)
    assert not list((tmp_path / "full").glob("m_*.tif"))


def test_a_scratch_raster_that_a_full_disk_cut_is_an_error(tmp_path, stored):
    meta = scene(*stored.shape)
    with MapRasters(meta, tmp_path, provenance_tags(meta, prediction())) as rasters:
        rasters.write(0, stored, mask_of(stored, 0.45))
        path, _ = rasters.close({}, {})
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(OSError, match=r"mask\.tif: cannot be written .* is the disk full"):
        check_written(path)
