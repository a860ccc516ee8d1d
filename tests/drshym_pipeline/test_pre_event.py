"""Flood apart from other water: a scene is mapped with a scene from before the event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from drshym_pipeline import map_scene
from drshym_pipeline.cli import main
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.records import MapRecord
from drshym_pipeline.sar.scene_files import scene_paths
from drshym_pipeline.scene_folder import PRODUCT_KINDS, REFERENCE_KINDS

TILE = {"tile": 96, "overlap": 24}
NOW, BEFORE = "S1_20210111_T1234.tif", "S1_20201230_T1234.tif"
SHAPE = (200, 300)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    """No model is in service: the command uses the shipped one."""
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return shipped_bundle()


@pytest.fixture(scope="module")
def now(tmp_path_factory, scene_file) -> Path:
    return scene_file(tmp_path_factory.mktemp("now") / NOW)


@pytest.fixture(scope="module")
def before(tmp_path_factory, scene_file) -> Path:
    """The same place with a smaller lake."""
    return scene_file(tmp_path_factory.mktemp("before") / BEFORE, lake=0.12, seed=7)


@pytest.fixture(scope="module")
def separated(tmp_path_factory, now, before, bundle) -> tuple[Path, MapRecord]:
    out = tmp_path_factory.mktemp("separated")
    return out, map_scene(now, out, bundle, pre=before, **TILE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, now, bundle) -> tuple[Path, MapRecord]:
    out = tmp_path_factory.mktemp("plain")
    return out, map_scene(now, out, bundle, **TILE)


def layers(mapped: tuple[Path, MapRecord]) -> dict[str, np.ndarray]:
    """Return the rasters of a map by their kind."""
    out, record = mapped
    found = {}
    for kind in ("mask", "proba", *REFERENCE_KINDS):
        if kind in record.files:
            with rasterio.open(out / record.files[kind]) as source:
                found[kind] = source.read(1)
    return found


def derived(found: dict[str, np.ndarray], record: MapRecord) -> np.ndarray:
    """Derive the mask from the other files with plain arithmetic."""
    water, flood, reference = (found[kind].astype(float) for kind in ("proba", "flood_proba", "reference"))
    separation = record.separation
    assert separation is not None
    is_water = water / 1e4 >= record.calibration.threshold
    mask = np.where(is_water, 2, 0)
    mask[is_water & ((reference == NOT_OBSERVED) | (flood / 1e4 >= separation.threshold))] = 1
    mask[water == NOT_OBSERVED] = 255
    return mask


def test_the_lake_that_was_there_before_is_not_flood_and_the_land_around_it_is(separated):
    mask = layers(separated)["mask"]
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(rows - SHAPE[0] / 2, cols - SHAPE[1] / 2)
    assert (mask[distance < 18] == 2).mean() > 0.9
    assert (mask[(distance > 30) & (distance < 44)] == 1).mean() > 0.9
    assert (mask[(distance > 60) & (cols > 15)] == 0).mean() > 0.9
    assert (mask[cols < 15] == 255).all()


def test_the_mask_follows_from_the_files_of_the_map(separated):
    found, (_, record) = layers(separated), separated
    np.testing.assert_array_equal(found["mask"], derived(found, record))
    known = (found["proba"] != NOT_OBSERVED) & (found["reference"] != NOT_OBSERVED)
    np.testing.assert_array_equal(found["flood_proba"] == NOT_OBSERVED, ~known)
    product = found["proba"][known] / 1e4 * (1 - found["reference"][known] / 1e4)
    np.testing.assert_allclose(found["flood_proba"][known] / 1e4, product, atol=0.51e-4)


def test_the_probability_of_water_and_its_extent_are_those_of_a_map_without_reference(separated, plain):
    found, alone = layers(separated), layers(plain)
    np.testing.assert_array_equal(found["proba"], alone["proba"])
    np.testing.assert_array_equal(np.where(found["mask"] == 2, 1, found["mask"]), alone["mask"])
    assert set(plain[1].files) == set(PRODUCT_KINDS) - set(REFERENCE_KINDS)
    assert plain[1].separation is None
    assert plain[1].map_version != separated[1].map_version


def test_the_reference_is_the_map_of_the_other_scene(separated, before, bundle, tmp_path):
    record = map_scene(before, tmp_path, bundle, **TILE)
    np.testing.assert_array_equal(layers(separated)["reference"], layers((tmp_path, record))["proba"])


def test_the_record_counts_every_state_and_gives_no_area_without_an_interval(separated):
    (_, record), mask = separated, layers(separated)["mask"]
    names = {"dry": 0, "flooded": 1, "permanent": 2, "excluded": 250, "not_observed": 255}
    assert record.pixels == {name: int((mask == value).sum()) for name, value in names.items()}
    assert sum(record.pixels.values()) == mask.size
    assert record.water_separated
    separation = record.separation
    # UTM on its central meridian: pixels of 10 m are 100 m2 within half a percent.
    for name, value in names.items():
        assert separation.areas_km2[name] == pytest.approx((mask == value).sum() * 1e-4, rel=5e-3)
    assert record.flooded.km2 == pytest.approx(separation.areas_km2["flooded"])
    assert separation.other_water.km2 == pytest.approx(separation.areas_km2["permanent"])
    assert separation.water.km2 == pytest.approx(record.flooded.km2 + separation.other_water.km2)
    for part in (record.flooded, separation.other_water):
        assert (part.low_km2, part.high_km2) == (0.0, separation.water.high_km2)
        assert "all water" in part.method
    assert separation.water_unseparated == 0
    assert (separation.pre_event.scene_id, separation.pre_event.modality) == (BEFORE[:-4], "sentinel1_sar_vv_vh")
    assert record.polygons.km2 + record.polygons.omitted_km2 == pytest.approx(record.flooded.km2)


def test_every_product_says_what_its_water_is(separated):
    out, record = separated
    assert "flooded land" in record.caption
    assert "30 December 2020" in record.caption
    assert record.caption.count(". ") == 1, "two sentences"
    assert any("is called flood" in warning for warning in record.warnings)
    assert not any("not separated" in warning for warning in record.warnings)
    page = (out / record.files["report"]).read_text()
    for name in ("flooded", "water that was there before", "all water", "compared with", "pre-event SHA-256"):
        assert f"<th>{name}</th>" in page
    assert "Flooded pixels by VV backscatter" in page
    assert record.separation.pre_event.source_sha256 in page
    collection = json.loads((out / record.files["flood"]).read_text())
    assert collection["metadata"]["polygons_show"].startswith("the flooded class (mask value 1)")
    assert {feature["properties"]["state"] for feature in collection["features"]} == {"flooded"}
    with rasterio.open(out / record.files["mask"]) as mask:
        assert mask.tags(1)["CATEGORY_1"] == "flooded"
        assert mask.tags(1)["CATEGORY_2"] == "water that was there before"
    for kind in REFERENCE_KINDS:
        with rasterio.open(out / record.files[kind]) as source:
            tags = source.tags()
            assert tags["DRSHYM_PRE_EVENT"] == BEFORE[:-4]
            assert tags["DRSHYM_FLOOD_METHOD"] == record.separation.method
            assert float(tags["DRSHYM_FLOOD_THRESHOLD"]) == record.separation.threshold
            assert (source.nodata, source.scales) == (NOT_OBSERVED, (1e-4,))
            assert "STATISTICS_MEAN" in source.tags(1)
    assert 'label="flooded"' in (out / record.files["style"]).read_text()


def test_the_same_two_scenes_give_the_same_map(separated, now, before, bundle, tmp_path):
    out, record = separated
    again = map_scene(now, tmp_path, bundle, pre=[before], **TILE)
    assert again.map_version == record.map_version
    for kind in ("mask", "proba", *REFERENCE_KINDS, "overlay", "flood"):
        assert (tmp_path / again.files[kind]).read_bytes() == (out / record.files[kind]).read_bytes(), kind


def test_another_reference_or_another_model_of_it_is_another_map(separated, now, bundle, scene_file, tmp_path):
    other = scene_file(tmp_path / BEFORE, lake=0.12, seed=8)
    record = map_scene(now, tmp_path / "out", bundle, pre=other, **TILE)
    assert record.map_version != separated[1].map_version


def test_a_reference_on_part_of_the_scene_leaves_the_rest_in_the_flooded_class_and_says_so(
    now, bundle, scene_file, tmp_path
):
    # 150 columns to the east: its left half shows the right half of the event scene.
    east = scene_file(tmp_path / BEFORE, lake=0.12, origin=(501_500.0, 2_000_000.0))
    record = map_scene(now, tmp_path / "out", bundle, pre=east, **TILE)
    found = layers((tmp_path / "out", record))
    np.testing.assert_array_equal(found["mask"], derived(found, record))
    assert (found["reference"][:, :150] == NOT_OBSERVED).all()
    alone = map_scene(east, tmp_path / "alone", bundle, **TILE)
    np.testing.assert_array_equal(found["reference"][:, 150:], layers((tmp_path / "alone", alone))["proba"][:, :150])
    unknown = (found["mask"] == 1) & (found["reference"] == NOT_OBSERVED)
    separation = record.separation
    assert separation.water_unseparated == int(unknown.sum()) > 100
    assert separation.water_unseparated_km2 == pytest.approx(unknown.sum() * 1e-4, rel=5e-3)
    assert not (found["mask"][:, :150] == 2).any()
    assert any("no value in the pre-event scene" in warning for warning in record.warnings)
    assert "could not be compared" in record.caption
    with rasterio.open(tmp_path / "out" / record.files["mask"]) as mask:
        assert "not known" in mask.tags(1)["CATEGORY_1"]
    assert "not known" in (tmp_path / "out" / record.files["style"]).read_text()


@pytest.mark.parametrize(
    ("crs", "spacing", "bands"),
    [("EPSG:32643", 20.0, ("VV",)), ("EPSG:4326", 2e-4, ("VV", "VH")), ("EPSG:32644", 30.0, ("VV",))],
)
def test_a_reference_of_another_grid_and_with_vv_alone_is_moved_to_the_grid_of_the_scene(
    now, bundle, scene_file, tmp_path, crs, spacing, bands
):
    (middle_x,), (middle_y,) = transform("EPSG:32644", crs, [501_500.0], [1_999_000.0])
    shape = (160, 200)
    corner = (middle_x - shape[1] / 2 * spacing, middle_y + shape[0] / 2 * spacing)
    pre = scene_file(
        tmp_path / BEFORE, crs=crs, spacing=spacing, origin=corner, shape=shape, bands=bands, lake=250 / 20 / 160
    )
    record = map_scene(now, tmp_path / "out", bundle, pre=pre, **TILE)
    found = layers((tmp_path / "out", record))
    np.testing.assert_array_equal(found["mask"], derived(found, record))
    assert record.separation.pre_event.modality == f"sentinel1_sar_{'vv' if bands == ('VV',) else 'vv_vh'}"
    assert any("from VV alone" in warning for warning in record.warnings) == (bands == ("VV",))
    alone = map_scene(pre, tmp_path / "alone", bundle, **TILE)
    expected = layers((tmp_path / "alone", alone))["proba"]
    rows, cols = (values.ravel() for values in np.mgrid[5 : SHAPE[0] : 13, 40 : SHAPE[1] : 13])
    x, y = transform("EPSG:32644", crs, 500_000.0 + (cols + 0.5) * 10, 2_000_000.0 - (rows + 0.5) * 10)
    own_rows = ((corner[1] - np.array(y)) / spacing).astype(int)
    own_cols = ((np.array(x) - corner[0]) / spacing).astype(int)
    inside = (own_rows >= 1) & (own_rows < shape[0] - 1) & (own_cols >= 12) & (own_cols < shape[1] - 1)
    assert inside.mean() > 0.5
    near = np.stack(
        [expected[own_rows[inside] + down, own_cols[inside] + along] for down in (-1, 0, 1) for along in (-1, 0, 1)]
    )
    here = found["reference"][rows[inside], cols[inside]]
    # An interpolated value is between those of the pixels around it.
    assert (here >= near.min(axis=0)).all()
    assert (here <= near.max(axis=0)).all()


def refusal(now: Path, pre: Path, out: Path, bundle: ModelBundle) -> str:
    with pytest.raises(InputError) as caught:
        map_scene(now, out, bundle, pre=pre, **TILE)
    assert not out.is_dir() or not list(out.iterdir()), "nothing is left of a scene that was not mapped"
    return str(caught.value)


def test_a_reference_of_another_place_is_refused(now, bundle, scene_file, tmp_path):
    pre = scene_file(tmp_path / BEFORE, origin=(510_000.0, 2_000_000.0))
    message = refusal(now, pre, tmp_path / "out", bundle)
    assert BEFORE in message
    assert "does not overlap the scene S1_20210111_T1234" in message
    assert "--pre" in message


def test_a_reference_without_an_observed_pixel_in_the_scene_is_refused(now, bundle, scene_file, tmp_path):
    # Only its border that was not observed, 15 columns wide, is on the scene.
    pre = scene_file(tmp_path / BEFORE, origin=(502_860.0, 2_000_000.0))
    assert "does not overlap" in refusal(now, pre, tmp_path / "out", bundle)


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("S1_20210123_T1234.tif", "23 January 2021, 12:34 UTC"),
        ("S1_20210111_T1235.tif", "11 January 2021, 12:35 UTC"),
        ("S1_other_20210111_T1234.tif", "11 January 2021, 12:34 UTC"),
        ("S1_20210112.tif", "12 January 2021"),
    ],
)
def test_a_reference_that_is_not_earlier_than_the_event_is_refused(now, bundle, scene_file, tmp_path, name, when):
    pre = scene_file(tmp_path / name, lake=0.12)
    message = refusal(now, pre, tmp_path / "out", bundle)
    assert f"is of {when}, not earlier than the scene S1_20210111_T1234 of 11 January 2021, 12:34 UTC" in message


def test_a_scene_cannot_be_its_own_reference(now, bundle, tmp_path):
    assert "itself" in refusal(now, now, tmp_path / "out", bundle)


def test_a_reference_that_cannot_be_read_is_named(now, bundle, tmp_path):
    missing = tmp_path / BEFORE
    assert str(missing) in refusal(now, missing, tmp_path / "out", bundle)


@pytest.mark.parametrize(
    ("name", "tags", "words"),
    [
        ("S1_20210111.tif", {}, None),  # the day of the event, and the time of day is not known
        ("S1_other.tif", {}, "has no date"),
        (BEFORE, {"ORBIT_DIRECTION": "DESCENDING"}, "on the ascending pass"),
        (BEFORE, {"ORBIT_DIRECTION": "ASCENDING"}, None),
    ],
)
def test_what_is_not_sure_about_a_reference_is_a_warning(bundle, scene_file, tmp_path, name, tags, words):
    small: dict[str, Any] = {"shape": (96, 96), "bands": ("VV", "VH")}
    now = scene_file(tmp_path / "now" / NOW, **small, ORBIT_DIRECTION="ASCENDING")
    pre = scene_file(tmp_path / "pre" / name, **small, lake=0.12, **tags)
    record = map_scene(now, tmp_path / "out", bundle, pre=pre, **TILE)
    found = [phrase for phrase in ("has no date", "on the ascending pass") if phrase in " ".join(record.warnings)]
    assert found == ([] if words is None else [words])


def test_a_scene_without_an_observed_pixel_has_a_map_without_areas(before, bundle, scene_file, tmp_path):
    now = scene_file(tmp_path / NOW, observed=False)
    record = map_scene(now, tmp_path / "out", bundle, pre=before, **TILE)
    assert record.flooded is None
    assert record.separation.water is None
    assert record.pixels["not_observed"] == SHAPE[0] * SHAPE[1]
    assert "Nothing was observed" in record.caption


@pytest.mark.parametrize(("lake", "flooded"), [(0.45, False), (0.0, True)])
def test_a_scene_without_flood_and_one_whose_water_is_all_flood(bundle, scene_file, tmp_path, lake, flooded):
    now = scene_file(tmp_path / "now" / NOW, shape=(160, 160))
    pre = scene_file(tmp_path / "pre" / BEFORE, shape=(160, 160), lake=lake, seed=7)
    record = map_scene(now, tmp_path / "out", bundle, pre=pre, **TILE)
    most, least = ("flooded", "permanent") if flooded else ("permanent", "flooded")
    assert record.pixels[most] > 3000
    assert record.pixels[least] < 0.02 * record.pixels[most]
    collection = json.loads((tmp_path / "out" / record.files["flood"]).read_text())
    assert len(collection["features"]) == record.polygons.count
    assert (record.polygons.km2 > 0.3) is flooded
    assert f"{record.flooded.text('up to the upper end of that of all water')} appear to be flooded" in record.caption


def test_the_rasters_of_a_map_are_not_taken_for_scenes(separated, tmp_path):
    out, record = separated
    assert {"reference", "flood_proba"} <= set(record.files)
    assert scene_paths(out, tmp_path) == []


def test_small_areas_are_those_of_all_water_and_the_mask_still_follows_from_the_files(
    now, before, bundle, separated, tmp_path
):
    record = map_scene(now, tmp_path, bundle, pre=before, min_area_ha=10.0, **TILE)
    found, whole = layers((tmp_path, record)), layers(separated)["mask"]
    np.testing.assert_array_equal(found["flood_proba"], layers(separated)["flood_proba"])
    changed = found["mask"] != whole
    assert record.minimum_area.removed_pixels == int(changed.sum())
    assert (found["mask"][changed] == 0).all()
    # The lake is large; the water that was there before is a small part of it and stays.
    assert (found["mask"] == 2).sum() > 1000


def test_a_map_without_reference_replaces_all_files_of_one_with(now, before, bundle, tmp_path):
    map_scene(now, tmp_path, bundle, pre=before, **TILE)
    record = map_scene(now, tmp_path, bundle, **TILE)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(record.files.values())


def test_the_command_compares_with_the_scene_before_and_names_its_column_for_flood(capfd, now, before, tmp_path):
    command = ["segment", now, "--pre", before, "--out", tmp_path, "--tile", "96", "--overlap", "24"]
    assert main([str(part) for part in command]) == 0
    printed = capfd.readouterr()
    header = printed.out.splitlines()[1]
    assert "flooded" in header
    assert "open water" not in header
    assert (tmp_path / f"{NOW[:-4]}_flood_proba.tif").is_file()


def test_the_scene_before_can_have_one_file_for_each_polarisation(now, scene_file, tmp_path):
    files = [
        scene_file(tmp_path / f"S1_20201230_T1234_{band}.tif", bands=(band,), lake=0.12, seed=7)
        for band in ("VH", "VV")
    ]
    out = tmp_path / "out"
    command = ["segment", now, "--pre", files[0], "--pre", files[1], "--out", out, "--tile", "96", "--overlap", "24"]
    assert main([str(part) for part in command]) == 0
    record = MapRecord.model_validate_json((out / f"{NOW[:-4]}_report.json").read_text())
    assert record.separation.pre_event.modality == "sentinel1_sar_vv_vh"


def test_two_scenes_before_are_refused(capfd, now, before, scene_file, tmp_path):
    other = scene_file(tmp_path / "S1_20201218_T1234.tif", shape=(96, 96))
    assert main(["segment", str(now), "--pre", str(before), "--pre", str(other), "--out", str(tmp_path / "out")]) == 2
    assert "--pre: names 2 scenes. Give one scene" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
