"""The option of the smallest water area, from the command to the record."""

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
from drshym_pipeline.products.minimum_area import SmallAreas
from drshym_pipeline.products.report import MAP_FORMAT, map_version
from drshym_pipeline.records import MapRecord, MinimumArea, check_min_area
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.settings import PipelineSettings
from drshym_pipeline.storage import sha256_json
from tests.map_samples import prediction, scene

TILE = {"tile": 96, "overlap": 24}
HA = 0.5


@pytest.fixture(scope="module")
def source(tmp_path_factory, scene_file) -> Path:
    return scene_file(tmp_path_factory.mktemp("in") / "S1_20210111_T1234.tif")


@pytest.fixture(scope="module")
def maps(tmp_path_factory, source, random_bundle) -> dict[float, tuple[Path, MapRecord]]:
    """The map without and with the option."""
    reference = random_bundle.reference("checkpoint")
    found = {}
    for ha in (0.0, HA):
        out = tmp_path_factory.mktemp("out")
        found[ha] = out, map_scene([source], out, random_bundle, reference, min_area_ha=ha, **TILE)
    return found


def mask_of(maps: dict[float, tuple[Path, MapRecord]], ha: float) -> tuple[np.ndarray, dict[str, str]]:
    out, record = maps[ha]
    with rasterio.open(out / record.files["mask"]) as dataset:
        return dataset.read(1), dataset.tags()


def test_the_mask_has_no_area_below_the_minimum_and_the_probability_is_unchanged(maps):
    (whole, plain_tags), (mask, tags) = mask_of(maps, 0.0), mask_of(maps, HA)
    record = maps[HA][1]
    areas = PixelAreas.measure(record.crs, rasterio.Affine(*record.transform), *record.shape)
    small = SmallAreas(areas, HA)
    np.testing.assert_array_equal(np.concatenate(list(small.filtered([(0, whole)]))), mask)
    assert record.minimum_area == small.result()
    assert record.minimum_area.removed > 0, "the random model should find small areas here"
    assert record.pixels["flooded"] == int((mask == 1).sum())
    assert record.flooded.km2 == pytest.approx(maps[0.0][1].flooded.km2 - record.minimum_area.removed_km2)
    assert tags["DRSHYM_MIN_AREA_HA"] == "0.5"
    assert "DRSHYM_MIN_AREA_HA" not in plain_tags
    stored = []
    for out, found in maps.values():
        with rasterio.open(out / found.files["proba"]) as dataset:
            stored.append(dataset.read(1))
    np.testing.assert_array_equal(*stored)


def test_polygons_follow_the_mask(maps):
    counts = {ha: record.polygons for ha, (_, record) in maps.items()}
    record = maps[HA][1]
    assert counts[HA].count < counts[0.0].count + counts[0.0].omitted
    assert counts[HA].km2 + counts[HA].omitted_km2 == pytest.approx(record.flooded.km2)
    written = json.loads((maps[HA][0] / record.files["flood"]).read_text("utf-8"))
    # Areas are written with six decimals of a km2.
    assert min(feature["properties"]["area_km2"] for feature in written["features"]) >= HA / 100 - 1e-6
    assert counts[HA].omitted == 0


def test_the_record_and_the_page_say_it_in_words(maps):
    out, record = maps[HA]
    text = record.minimum_area.text()
    assert text.startswith("water areas below 0.5 ha are mapped as dry: ")
    (warning,) = [warning for warning in record.warnings if warning.startswith("Water areas below 0.5 ha")]
    assert warning.endswith("The interval of the area was fitted on maps with areas of any size.")
    assert text in (out / record.files["report"]).read_text("utf-8")
    assert "; water areas below 0.5 ha are mapped as dry; " in record.caption
    written = json.loads((out / record.files["flood"]).read_text("utf-8"))
    assert written["metadata"]["minimum_area"] == text
    assert written["features"]
    for feature in written["features"]:
        assert feature["properties"]["min_area_ha"] == 0.5
        assert "water areas below 0.5 ha are mapped as dry" in feature["properties"]["caveat"]
    plain = maps[0.0][1]
    assert plain.minimum_area is None
    assert "mapped as dry" not in plain.caption
    assert "mapped as dry" not in (maps[0.0][0] / plain.files["flood"]).read_text("utf-8")
    assert not any("below" in warning for warning in plain.warnings)
    saved = json.loads((maps[0.0][0] / plain.files["record"]).read_text("utf-8"))
    # Records of earlier versions do not have the field.
    del saved["minimum_area"]
    assert MapRecord.model_validate(saved).minimum_area is None


def test_the_stages_make_the_same_map_as_the_command(maps, source, random_bundle, tmp_path):
    folder = stages.stage([source], tmp_path / "store")
    predicted = stages.predict(stages.write_tiles(folder, **TILE), random_bundle, random_bundle.reference("checkpoint"))
    versions = set()
    for ha, (out, record) in maps.items():
        finished = stages.report(stages.stitch(predicted, min_area_ha=ha))
        versions.add(finished.version)
        assert finished.record().minimum_area == record.minimum_area
        for kind in ("mask", "proba", "flood", "overlay", "thumbnail", "caption"):
            assert finished.product(kind).read_bytes() == (out / record.files[kind]).read_bytes(), kind
        # The same option finds its own map again.
        assert stages.stitch(predicted, min_area_ha=ha).is_complete()
    assert len(versions) == 2


def test_without_the_option_a_map_has_the_version_of_earlier_releases():
    meta, summary = scene(8, 8), prediction()
    former = {
        "format": MAP_FORMAT,
        "scene": meta.version,
        "prediction": "abc",
        "model": summary.reference.sha256,
        "threshold": summary.calibration.threshold,
    }
    plain = map_version(meta, "abc", summary)
    assert plain == sha256_json(former)[:12] == map_version(meta, "abc", summary, min_area_ha=0.0)
    versions = {plain, *(map_version(meta, "abc", summary, min_area_ha=ha) for ha in (0.1, 0.5))}
    assert len(versions) == 3


@pytest.mark.parametrize("ha", [0.0, 0.1, 0.3, 0.1 + 0.2, 0.7, 5.0, 10.0])
def test_multiples_of_a_tenth_are_used_exactly(ha):
    assert check_min_area(ha) == round(ha, 1)


@pytest.mark.parametrize(
    "ha", ["-0.1", "1e-9", "1e-300", "0.0999", "0.25", "0.05", "10.1", "nan", "inf", "-inf", "1e300"]
)
def test_other_values_are_refused_in_one_line_and_the_remedy_works(capfd, tmp_path, monkeypatch, source, ha):
    with pytest.raises(
        InputError, match=r"must be 0 \(no area is removed\) or a multiple of 0\.1 ha from 0\.1 to 10 ha"
    ):
        check_min_area(float(ha))
    out = tmp_path / "out"
    assert main(["segment", str(source), "--out", str(out), "--min-area-ha", ha]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "min-area-ha" in line]
    assert line.endswith("Choose 0 to keep all areas, or a value such as 0.5.")
    assert not out.exists()
    assert (check_min_area(0.0), check_min_area(0.5)) == (0.0, 0.5)
    monkeypatch.setenv("DRSHYM_MIN_AREA_HA", ha)
    with pytest.raises(InputError, match=r"^DRSHYM_MIN_AREA_HA: must be 0 .* or a multiple of 0\.1 ha .*, got '.*'"):
        PipelineSettings.from_environment()


def test_the_setting_is_read_from_the_environment(monkeypatch):
    assert PipelineSettings.from_environment().min_area_ha == 0.0
    monkeypatch.setenv("DRSHYM_MIN_AREA_HA", "0.3")
    assert PipelineSettings.from_environment().min_area_ha == 0.3


def test_both_commands_have_the_option(source, random_bundle, tmp_path, maps):
    bundle = random_bundle.save(tmp_path / "bundle")
    tile = ["--tile", "96", "--overlap", "24", "--checkpoint", str(bundle), "--min-area-ha", "0.5"]
    assert main(["segment", str(source), "--out", str(tmp_path / "one"), *tile]) == 0
    assert main(["predict-folder", "--in", str(source.parent), "--out", str(tmp_path / "all"), *tile]) == 0
    name = maps[HA][1].files["mask"]
    for folder in ("one", "all"):
        with rasterio.open(tmp_path / folder / name) as dataset:
            np.testing.assert_array_equal(dataset.read(1), mask_of(maps, HA)[0])


def test_a_minimum_below_one_pixel_removes_nothing_and_the_map_says_so(tmp_path, scene_file, random_bundle):
    coarse = scene_file(tmp_path / "S1_coarse.tif", shape=(60, 70), spacing=40.0)
    out = tmp_path / "out"
    reference = random_bundle.reference("checkpoint")
    record = map_scene([coarse], out, random_bundle, reference, min_area_ha=0.1, **TILE)
    assert record.minimum_area.removed == record.minimum_area.removed_pixels == 0
    expected = "One pixel covers 0.16 ha, so the minimum area of 0.1 ha removes nothing."
    assert expected in record.warnings
    assert MinimumArea(ha=0.2, pixel_ha=0.16, removed=1, removed_pixels=1, removed_km2=0.0016).text() == (
        "water areas below 0.2 ha are mapped as dry: 1 area (1 pixel in total)"
    )
