"""Rasters, vectors, pictures and words of a map, judged by other programs than those that wrote them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.transform import from_origin
from rio_cogeo.cogeo import cog_validate

from drshym_pipeline.assessment.probability import NOT_OBSERVED, decode
from drshym_pipeline.inference import PredictionSummary
from drshym_pipeline.products.caption import write_caption
from drshym_pipeline.products.overlay import OverlayCanvas, write_pictures
from drshym_pipeline.products.rasters import MapRasters, mask_of, picture_text, provenance_tags
from drshym_pipeline.products.report import map_record, write_page
from drshym_pipeline.products.summary import MapStatistics, StitchSummary, slice_labels
from drshym_pipeline.products.vectors import write_flood_polygons
from drshym_pipeline.records import AreaEstimate, BandSource, Calibration, ModelReference, SceneMeta
from drshym_pipeline.sar.codes import decode_db, encode_db
from tests.examples import examples

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


def prediction() -> PredictionSummary:
    return PredictionSummary(
        tiles=1, predicted=1, skipped=0, mode="vv", reference=REFERENCE,
        calibration=Calibration(T=1.2, threshold=0.45), minimum=0.0, maximum=1.0, mean=0.5, observed_fraction=1.0,
        device="cpu", precision="fp32", tile=512, overlap=64,
    )  # fmt: skip


def write_rasters(folder: Path, stored: np.ndarray, step: int = 100) -> tuple[Path, Path]:
    meta = scene(*stored.shape)
    folder.mkdir(exist_ok=True)
    with MapRasters(meta, folder, provenance_tags(meta, prediction())) as rasters:
        for row in range(0, len(stored), step):
            band = stored[row : row + step]
            rasters.write(row, band, mask_of(band, 0.45))
        rasters.close()
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


def test_both_rasters_are_valid_cogs_with_overviews_and_hold_what_was_written(rasters, stored):
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
    # Averages of four uniform numbers have half their spread; single pixels picked out would keep it.
    assert values[values != NOT_OBSERVED].std() == pytest.approx(10_000 / np.sqrt(12) / 2, rel=0.05)


def test_rasters_say_what_they_are(rasters):
    mask, probability = rasters
    with rasterio.open(mask) as raster:
        tags, table = raster.tags(), raster.colormap(1)
        assert raster.nodata == 255
        assert table[1][2] > table[1][0], "flood is shown in blue"
        assert table[255][3] == 0 or table[255] == (0, 0, 0, 255)
        statistics = raster.tags(1)
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


def test_the_same_map_written_in_other_bands_has_the_same_bytes(tmp_path, rasters, stored):
    again = write_rasters(tmp_path / "again", stored, step=256)
    for first, second in zip(rasters, again, strict=True):
        assert first.read_bytes() == second.read_bytes()


def write_mask(path: Path, mask: np.ndarray, crs: str, transform) -> Path:
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "height": mask.shape[0], "width": mask.shape[1],
        "crs": crs, "transform": transform, "nodata": 255,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(mask, 1)
    return path


PROVENANCE = {"scene": "S1_x", "source_sha256": "b" * 64, "model_sha256": "a" * 64, "threshold": 0.45}


def test_polygons_are_wgs84_and_say_how_many_pixels_they_are_and_where_they_come_from(tmp_path):
    mask = np.zeros((60, 80), np.uint8)
    mask[10:30, 10:50] = 1
    mask[15:20, 20:30] = 0
    mask[40:50, 60:70] = 1
    mask[:5] = 255
    path = write_mask(tmp_path / "m.tif", mask, "EPSG:32644", from_origin(500_000, 2_000_000, 10, 10))
    out = tmp_path / "flood.geojson"
    assert write_flood_polygons(path, "EPSG:32644", out, PROVENANCE) == 2
    collection = json.loads(out.read_text())
    assert collection["type"] == "FeatureCollection"
    assert "crs" not in collection, "RFC 7946 knows WGS84 only"
    # A hole of 50 pixels in 800, and 100 pixels.
    assert sorted(feature["properties"]["pixels"] for feature in collection["features"]) == [100, 750]
    for feature in collection["features"]:
        polygon = shapely.geometry.shape(feature["geometry"])
        assert polygon.exterior.is_ccw
        west, south, east, north = polygon.bounds
        assert 80.9 < west < east < 81.1
        assert 18.0 < south < north < 18.2
        pixels = feature["properties"].pop("pixels")
        assert isinstance(pixels, int)
        assert feature["properties"] == PROVENANCE


def test_polygons_across_the_antimeridian_are_cut(tmp_path):
    # Zone 1 reaches over the date line on its west side.
    path = write_mask(
        tmp_path / "m.tif", np.ones((10, 400), np.uint8), "EPSG:32601", from_origin(300_000, 6_600_000, 100, 100)
    )
    out = tmp_path / "flood.geojson"
    assert write_flood_polygons(path, "EPSG:32601", out, PROVENANCE) == 1
    feature = json.loads(out.read_text())["features"][0]
    assert feature["geometry"]["type"] == "MultiPolygon"
    for part in shapely.geometry.shape(feature["geometry"]).geoms:
        assert part.bounds[2] - part.bounds[0] < 10, "no part may run around the world"
    assert feature["properties"]["pixels"] == 4000


def test_a_dry_map_has_an_empty_collection(tmp_path):
    path = write_mask(tmp_path / "m.tif", np.zeros((10, 10), np.uint8), "EPSG:4326", from_origin(1, 50, 1e-4, 1e-4))
    assert write_flood_polygons(path, "EPSG:4326", tmp_path / "f.geojson", PROVENANCE) == 0
    assert json.loads((tmp_path / "f.geojson").read_text())["features"] == []


def test_pixels_of_polygons_in_degrees_add_up_to_the_flooded_pixels_of_the_mask(tmp_path):
    mask = (np.random.default_rng(42).random((50, 60)) < 0.5).astype(np.uint8)
    path = write_mask(tmp_path / "m.tif", mask, "EPSG:4326", from_origin(-1, 38, 8.98e-5, 8.98e-5))
    write_flood_polygons(path, "EPSG:4326", tmp_path / "f.geojson", PROVENANCE)
    features = json.loads((tmp_path / "f.geojson").read_text())["features"]
    assert sum(feature["properties"]["pixels"] for feature in features) == int(mask.sum())


def test_pictures_say_what_they_are_in_bytes_that_do_not_change(tmp_path):
    canvas = OverlayCanvas(40, 60)
    canvas.add(0, encode_db(np.full((40, 60), -10.0)), np.ones((40, 60), np.uint8))
    tags = provenance_tags(scene(40, 60), prediction())
    for name in ("1", "2"):
        write_pictures(canvas, tmp_path / f"o{name}.png", tmp_path / f"t{name}.png", text=picture_text(tags))
    for kind in ("o", "t"):
        assert (tmp_path / f"{kind}1.png").read_bytes() == (tmp_path / f"{kind}2.png").read_bytes()
        text = Image.open(tmp_path / f"{kind}1.png").text
        assert text["DRSHYM_SCENE"] == "S1_x"
        assert (text["DRSHYM_MODEL"], text["DRSHYM_MODEL_VERSION"]) == ("unet_x", "3")
        assert (text["DRSHYM_MODEL_SHA256"], text["DRSHYM_SOURCE_SHA256"]) == ("a" * 64, "b" * 64)
        assert "Copernicus Sentinel data" in text["Copyright"]


def test_the_overlay_shows_flood_in_blue_backscatter_in_grey_and_hides_what_was_not_seen(tmp_path):
    mask = np.zeros((40, 60), np.uint8)
    mask[:20, :20] = 1
    mask[20:, :30] = 255
    vv = np.full((40, 60), -10.0, np.float32)
    vv[mask == 255] = np.nan
    vv = encode_db(vv)
    canvas = OverlayCanvas(40, 60)
    for row in range(0, 40, 7):
        canvas.add(row, vv[row : row + 7], mask[row : row + 7])
    write_pictures(canvas, tmp_path / "o.png", tmp_path / "t.png", text={}, stretch=(-20.0, 0.0))
    picture = np.asarray(Image.open(tmp_path / "o.png")).astype(int)
    assert picture.shape == (40, 60, 4)
    flooded, dry, hidden = picture[:20, :20], picture[:20, 20:], picture[20:, :30]
    assert (flooded[..., 2] > flooded[..., 0] + 50).all()
    assert (dry[..., 0] == dry[..., 2]).all()
    assert (dry[..., :3] == 128).all()
    assert (hidden[..., 3] < 255).all()
    assert 0.05 < (hidden[..., 3] > 0).mean() < 0.5, "hatched, not filled"


def test_a_large_scene_becomes_a_picture_of_bounded_size_that_keeps_the_share_of_flood(tmp_path):
    canvas = OverlayCanvas(1000, 3333)
    rng = np.random.default_rng(1)
    for row in range(0, 1000, 128):
        rows = min(128, 1000 - row)
        mask = (rng.random((rows, 3333)) < 0.3).astype(np.uint8)
        canvas.add(row, encode_db(np.full((rows, 3333), -15.0)), mask)
    write_pictures(canvas, tmp_path / "o.png", tmp_path / "t.png", text={}, stretch=(-25.0, -5.0))
    picture, thumbnail = Image.open(tmp_path / "o.png"), Image.open(tmp_path / "t.png")
    assert max(picture.size) <= 1600
    assert max(thumbnail.size) < 600
    assert picture.size == (1111, 334)
    # Grey 127.5 under a blue of 255 at an opacity of 0.55 for 30 % of the pixels.
    assert np.asarray(picture)[..., 2].mean() == pytest.approx(127.5 + 127.5 * 0.55 * 0.3, abs=1.0)


@examples(40)
@given(seed=st.integers(0, 2**31), cuts=st.lists(st.integers(1, 29), max_size=4, unique=True))
def test_figures_do_not_depend_on_how_the_scene_is_cut_into_bands(seed, cuts):
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 10_001, (30, 20)).astype(np.uint16)
    stored[rng.random(stored.shape) < 0.2] = NOT_OBSERVED
    probability, mask = decode(stored), mask_of(stored, 0.5)
    codes = encode_db(np.where(mask == 255, np.nan, rng.uniform(-30, 0, stored.shape)).astype(np.float32))
    vv = decode_db(codes)
    areas = rng.uniform(1e-4, 2e-4, 30)

    def figures(edges):
        statistics = MapStatistics(areas)
        for top, bottom in pairwise(edges):
            statistics.add(top, stored[top:bottom], mask[top:bottom], codes[top:bottom])
        return statistics

    whole, parts = figures([0, 30]), figures([0, *sorted(cuts), 30])
    assert parts.pixels == whole.pixels
    assert parts.flooded_km2 == pytest.approx(whole.flooded_km2)
    assert parts.observed_km2 == pytest.approx((areas[:, None] * (mask != 255)).sum())
    assert parts.flooded_km2 == pytest.approx((areas[:, None] * (mask == 1)).sum())
    assert sum(row.pixels for row in parts.slices()) == int((mask != 255).sum())
    seen = probability[mask != 255].astype(float)
    assert parts.mean_confidence == pytest.approx(np.maximum(seen, 1 - seen).mean())
    first, edge = parts.slices()[0], vv < -23
    assert first.flooded_pixels == int((edge & (mask == 1)).sum())


AREA = AreaEstimate(km2=12.34, low_km2=10.0, high_km2=15.5, level=0.9, method="whole chips")


def test_the_caption_gives_the_area_only_with_its_interval_and_its_caveats():
    text = write_caption(scene(10, 10), REFERENCE, AREA, 250.04, water_separated=False)
    assert "observed area of about 250.0 km2" in text
    assert "12.3 km2 (90 % interval 10.0 to 15.5 km2) appear to be open water" in text
    assert "not separated from permanent water" in text
    assert "preliminary, not validated in the field" in text
    assert "unet_x 3" in text
    assert text.count(". ") == 1, "two sentences"


def test_the_caption_of_an_unseen_scene_gives_no_area():
    text = write_caption(scene(10, 10), REFERENCE, None, 0.0, water_separated=False)
    assert "Nothing was observed" in text
    assert "km2" not in text
    assert "unet_x 3" in text


def test_the_report_page_escapes_what_strangers_wrote_and_needs_no_other_file(tmp_path):
    evil = "<script>alert(1)</script>"
    meta = scene(10, 10, source_uris=(f"file:///x/{evil}.tif",))
    statistics = MapStatistics(np.full(10, 1e-4))
    summary = StitchSummary(
        reference=REFERENCE, calibration=Calibration(threshold=0.45), mode="vv", device="cpu", precision="fp32",
        tile=512, overlap=64, flooded=AREA, observed_km2=250.0, observed_fraction=1.0, pixels=statistics.pixels,
        mean_confidence=0.9, mean_probability=0.2, polygons=0, slices=statistics.slices(), caption=evil,
        warnings=(evil,), files={"mask": "S1_x_mask.tif"},
    )  # fmt: skip
    Image.new("RGBA", (4, 4)).save(tmp_path / "o.png")
    record = map_record(meta, summary, "0123456789ab")
    write_page(record, summary.slices, tmp_path / "o.png", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3
    assert 'src="data:image/png;base64,' in page
    assert "http" not in page.split("<body>")[1]
    assert "12.3 km2 (90 % interval 10.0 to 15.5 km2)" in page
    for label in slice_labels():
        assert label in page
