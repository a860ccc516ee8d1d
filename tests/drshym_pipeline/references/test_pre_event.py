"""Flood separated from other water: a scene is mapped with a scene from before the event."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.warp import transform

from drshym_pipeline import map_scene
from drshym_pipeline.arrays.array_errors import in_python
from drshym_pipeline.cli import main
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.products.caption import area_text
from drshym_pipeline.records import MapRecord
from drshym_pipeline.references.pre_event import check_pre_event
from drshym_pipeline.sar.ingest import describe_scene
from drshym_pipeline.sar.scene_files import scene_paths
from drshym_pipeline.scene_folder import OPTIONAL_KINDS, PRODUCT_KINDS, REFERENCE_KINDS
from tests.flood_errors import with_flood

TILE = {"tile": 96, "overlap": 24}
NOW, BEFORE = "S1_20210111_T1234.tif", "S1_20201230_T1234.tif"
SHAPE = (200, 300)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    """No model is in service: the command uses the shipped one."""
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    """Without intervals of flood; `products/test_flood_area_of_maps.py` has maps with them."""
    return with_flood(shipped_bundle(), None)


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
    assert set(plain[1].files) == set(PRODUCT_KINDS) - set(OPTIONAL_KINDS)
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
    assert separation.pre_event.pixel_spacing is None
    assert (separation.pre_event.scene_id, separation.pre_event.modality) == (BEFORE[:-4], "sentinel1_sar_vv_vh")
    assert record.polygons.km2 + record.polygons.omitted_km2 == pytest.approx(record.flooded.km2)


def test_every_product_says_what_its_water_is(separated):
    out, record = separated
    assert "flooded land" in record.caption
    assert "30 December 2020" in record.caption
    sentences, _, _ = record.caption.partition("validated in the field.")
    assert sentences.count(". ") == 1, "two sentences, then warnings"
    assert any("is called flood" in warning for warning in record.warnings)
    assert not any("not separated" in warning for warning in record.warnings)
    page = (out / record.files["report"]).read_text()
    for name in ("flooded", "water that was there before", "all water", "compared with", "pre-event SHA-256"):
        assert f"<th>{name}</th>" in page
    assert "Flooded class by VV backscatter" in page
    assert record.separation.pre_event.source_sha256 in page
    collection = json.loads((out / record.files["flood"]).read_text())
    assert collection["metadata"]["polygons_show"].startswith("the flooded class (mask value 1)")
    assert {feature["properties"]["state"] for feature in collection["features"]} == {"flooded"}
    with rasterio.open(out / record.files["mask"]) as mask:
        assert mask.tags(1)["CATEGORY_1"] == "flooded"
        assert mask.tags(1)["CATEGORY_2"] == "water that was there before"
        palette = {value: mask.colormap(1)[value][:3] for value in (1, 2)}
    entries = ElementTree.parse(out / record.files["style"]).iter("paletteEntry")
    styles = {int(entry.get("value", "")): entry.get("color") for entry in entries}
    with Image.open(out / record.files["thumbnail"]) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    for value, colour in palette.items():
        assert styles[value] == "#{:02x}{:02x}{:02x}".format(*colour)
        # The thumbnail shows a colour with 85 % over the grey of water, which is nearly black.
        assert (np.abs(pixels - 0.85 * np.array(colour)).max(axis=1) < 45).mean() > 0.01
    assert palette[1] != palette[2]
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
    assert any("no value in the reference" in warning for warning in record.warnings)
    area = f"{area_text(separation.water_unseparated_km2)} could not be compared"
    words = "flooded, or water whose earlier state is not known"
    assert f"appear to be {words}, of which {area}." in record.caption
    assert "pixels could not" not in record.caption
    page = (tmp_path / "out" / record.files["report"]).read_text()
    for text in (record.caption, page):
        assert "flooded land" not in text
    assert f"<th>{words}</th>" in page
    assert f"of which {area}" in page
    collection = json.loads((tmp_path / "out" / record.files["flood"]).read_text())
    assert area in collection["metadata"]["map_area"]
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
    pixels = record.separation.pre_event.pixel_spacing
    assert pixels.scene_m[1] == pytest.approx(spacing if spacing > 1 else 22.1, rel=0.01)
    assert f"The pre-event scene {BEFORE[:-4]} has {pixels.text()}." in record.warnings
    assert pixels.text() in (tmp_path / "out" / record.files["report"]).read_text()
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


def refusal(now: Path | Sequence[Path], pre: Path | Sequence[Path], out: Path, bundle: ModelBundle) -> str:
    with pytest.raises(InputError) as caught:
        map_scene(now, out, bundle, pre=pre, **TILE)
    assert not out.is_dir() or not list(out.iterdir()), "nothing is left of a scene that was not mapped"
    return str(caught.value)


def test_a_reference_of_another_place_is_refused(now, bundle, scene_file, tmp_path):
    pre = scene_file(tmp_path / BEFORE, origin=(510_000.0, 2_000_000.0))
    message = refusal(now, pre, tmp_path / "out", bundle)
    assert BEFORE in message
    assert "does not overlap the scene S1_20210111_T1234" in message
    assert "as pre, or leave pre out" in message


def test_a_reference_without_an_observed_pixel_in_the_scene_is_refused(now, bundle, scene_file, tmp_path):
    # Only its border that was not observed, 15 columns wide, is on the scene.
    pre = scene_file(tmp_path / BEFORE, origin=(502_860.0, 2_000_000.0), seed=7)
    message = refusal(now, pre, tmp_path / "out", bundle)
    assert "has no observed pixel inside the scene S1_20210111_T1234" in message
    assert "overlap" not in message


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


def rewritten(source: Path, path: Path, change: Callable[[np.ndarray], np.ndarray] | None = None, **profile) -> Path:
    """Write the bands of a scene to another file, perhaps with other values or in another form."""
    with rasterio.open(source) as scene:
        values, kept, names = scene.read(), {**scene.profile, **profile}, scene.descriptions
    path.parent.mkdir(exist_ok=True)
    with rasterio.open(path, "w", **kept) as target:
        target.write(values if change is None else change(values).astype(np.float32))
        target.descriptions = names
    return path


@pytest.fixture
def polarisations(tmp_path, scene_file) -> tuple[Path, Path]:
    """The event scene as one file per polarisation."""
    vv, vh = (scene_file(tmp_path / "now" / f"S1_20210111_T1234_{band}.tif", bands=(band,)) for band in ("VV", "VH"))
    return vv, vh


def test_a_scene_cannot_be_its_own_reference(now, bundle, tmp_path):
    assert f"{now}: " in (message := refusal(now, now, tmp_path / "out", bundle))
    assert "itself" in message


@pytest.mark.parametrize("shared", [(0,), (1,), (0, 1)])
def test_a_scene_before_that_shares_one_file_with_the_event_scene_is_refused(
    bundle, scene_file, polarisations, tmp_path, shared
):
    """Whatever the files are called; the refusal names the one that both scenes have."""
    pre = []
    for place, band in enumerate(("VV", "VH")):
        pre.append(scene_file(tmp_path / "pre" / f"S1_20201230_T1234_{band}.tif", bands=(band,), lake=0.12, seed=7))
        if place in shared:
            pre[place].write_bytes(polarisations[place].read_bytes())
    message = refusal(polarisations, pre, tmp_path / "out", bundle)
    assert message.startswith(f"{pre[shared[0]]}: ")
    assert "is a file of the scene S1_20210111_T1234 itself" in message
    if 0 in shared:
        assert "itself" in refusal(polarisations, pre[0], tmp_path / "out", bundle)


def test_a_file_of_the_event_scene_is_refused_in_another_role_too(bundle, polarisations, tmp_path):
    vv, vh = polarisations
    with rasterio.open(vh) as scene, rasterio.open(tmp_path / vh.name, "w", **scene.profile) as unnamed:
        unnamed.write(scene.read())
    as_vv = tmp_path / "S1_20201230_T1234_VV.tif"
    as_vv.write_bytes((tmp_path / vh.name).read_bytes())
    assert "is a file of the scene" in refusal((vv, tmp_path / vh.name), as_vv, tmp_path / "out", bundle)


@pytest.mark.parametrize(
    ("units", "change", "profile"),
    [
        ("db", None, {"compress": "deflate"}),
        ("power", lambda db: 10 ** (db / 10), {"tiled": True, "blockxsize": 64, "blockysize": 64}),
        ("db", lambda db: np.where(np.arange(db.shape[2]) < 200, db, np.nan), {}),
    ],
    ids=["compressed", "power", "cut off"],
)
def test_the_pixels_of_the_event_scene_are_refused_in_another_file(now, bundle, tmp_path, units, change, profile):
    pre = rewritten(now, tmp_path / "pre" / BEFORE, change, **profile)
    pre.with_suffix(".drshym.json").write_text(json.dumps({"units": units}))
    message = refusal(now, pre, tmp_path / "out", bundle)
    assert f"{pre}: cannot be used as the pre-event scene (pre): has the VV pixels of the scene" in message


def test_a_scene_that_differs_in_one_column_is_another_scene(now, bundle, tmp_path):
    def change(db: np.ndarray) -> np.ndarray:
        db[:, 150] += 0.5
        return db

    record = map_scene(now, tmp_path / "out", bundle, pre=rewritten(now, tmp_path / "pre" / BEFORE, change), **TILE)
    assert record.separation.pre_event.known_pixels > 0


def columns(first: int, last: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a change of a scene that leaves only some of its columns observed."""

    def change(db: np.ndarray) -> np.ndarray:
        column = np.arange(db.shape[2])
        return np.where((column >= first) & (column < last), db, np.nan)

    return change


def test_scenes_without_a_pixel_that_both_observe_are_refused(now, before, bundle, tmp_path):
    west = rewritten(now, tmp_path / "now" / NOW, columns(0, 150))
    east = rewritten(before, tmp_path / "pre" / BEFORE, columns(150, 300))
    message = refusal(west, east, tmp_path / "out", bundle)
    assert f"{east}: " in message
    assert "has no observed pixel where the scene S1_20210111_T1234 has one" in message


@pytest.mark.parametrize("last", [151, 200])
def test_the_known_pixels_are_those_that_both_scenes_observe(now, before, bundle, tmp_path, last):
    west = rewritten(now, tmp_path / "now" / NOW, columns(0, last))
    east = rewritten(before, tmp_path / "pre" / BEFORE, columns(150, 300))
    record = map_scene(west, tmp_path / "out", bundle, pre=east, **TILE)
    found = layers((tmp_path / "out", record))
    compared = (found["mask"] != 255) & (found["reference"] != NOT_OBSERVED)
    assert record.separation.pre_event.known_pixels == int(compared.sum()) == (last - 150) * SHAPE[0]


def broken(kind: str, path: Path, scene_file) -> Path:
    """Write a file that cannot be mapped."""
    if kind == "no GeoTIFF":
        path.write_text("nothing")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "no georeference":
        scene_file(path, crs=None)
    elif kind == "only VH":
        scene_file(path, bands=("VH",))
    elif kind == "coarse":
        scene_file(path, spacing=90.0, shape=(64, 64))
    elif kind == "far":
        scene_file(path, origin=(510_000.0, 2_000_000.0))
    return path


@pytest.mark.parametrize("kind", ["missing", "no GeoTIFF", "a folder", "no georeference", "only VH", "coarse", "far"])
def test_a_refusal_of_the_scene_before_names_its_path_and_says_which_scene_it_is(
    now, bundle, scene_file, tmp_path, kind
):
    pre = broken(kind, tmp_path / BEFORE, scene_file)
    message = refusal(now, pre, tmp_path / "out", bundle)
    assert message.startswith(f"{pre}: cannot be used as the pre-event scene (pre): ")
    with pytest.raises(InputError) as alone:
        map_scene(pre, tmp_path / "alone", bundle, **TILE) if kind != "far" else refuse_far(now, pre)
    assert message.endswith(in_python(f"{alone.value.problem}. {alone.value.remedy}.", []))


def refuse_far(now: Path, pre: Path) -> None:
    check_pre_event(describe_scene([now]), describe_scene([pre]))


def test_an_empty_option_says_so(capfd, now, tmp_path):
    assert main(["segment", str(now), "--pre", "", "--out", str(tmp_path / "out")]) == 2
    assert "--pre: is empty, or is the current folder" in capfd.readouterr().err


SAME_DAY = "both names have the same day, and at least one has no time of day"


@pytest.mark.parametrize(
    ("now_name", "name", "why"),
    [
        (NOW, "S1_20210111.tif", SAME_DAY),
        ("S1_20210111.tif", "S1_20210111_T1234.tif", SAME_DAY),
        ("S1_20210111.tif", "S1_other_20210111.tif", SAME_DAY),
        (NOW, "S1_other.tif", "the name of S1_other has no date"),
        ("S1_now.tif", BEFORE, "the name of S1_now has no date"),
        ("S1_now.tif", "S1_other.tif", "the names of S1_other and S1_now have no date"),
        ("S1_now.tif", "S1_now.tif", "the names of S1_now ({pre}) and S1_now ({now}) have no date"),
        (NOW, "S1_20210110.tif", None),
        ("S1_20210111.tif", "S1_20210110_T2359.tif", None),
        (NOW, "S1_20210111_T1233.tif", None),
    ],
)
def test_an_order_that_is_not_known_is_one_warning(scene_file, tmp_path, now_name, name, why):
    now = scene_file(tmp_path / "now" / now_name, shape=(64, 64))
    pre = scene_file(tmp_path / "pre" / name, shape=(64, 64), seed=7)
    warnings = check_pre_event(describe_scene([now]), describe_scene([pre]))
    named = f"{pre.stem} ({pre})" if now_name == name else pre.stem
    expected = "" if why is None else why.format(now=now, pre=pre)
    found = [warning for warning in warnings if "later" in warning]
    assert found == ([f"The pre-event scene {named} may be later than the event: {expected}."] if expected else [])


def test_two_scenes_of_one_name_are_told_apart_by_their_path(bundle, scene_file, tmp_path):
    now = scene_file(tmp_path / "now" / "S1_scene.tif", shape=(96, 96))
    pre = scene_file(tmp_path / "pre" / "S1_scene.tif", shape=(96, 96), lake=0.12, seed=7)
    record = map_scene(now, tmp_path / "out", bundle, pre=pre, **TILE)
    assert f"by comparison with the scene S1_scene ({pre}), is not counted" in record.caption
    assert any(f"comparison with the scene S1_scene ({pre}):" in warning for warning in record.warnings)
    assert f"<td>the scene S1_scene ({pre})</td>" in (tmp_path / "out" / record.files["report"]).read_text()


@pytest.mark.parametrize(
    ("name", "tags", "words"),
    [
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
    assert not any("is separated" in warning or "The interval of" in warning for warning in record.warnings)
    assert set(REFERENCE_KINDS) < set(record.files)


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


def test_the_command_compares_with_the_scene_before_and_says_that_the_area_is_flood(capfd, now, before, tmp_path):
    command = ["segment", now, "--pre", before, "--out", tmp_path, "--tile", "96", "--overlap", "24"]
    assert main([str(part) for part in command]) == 0
    printed = capfd.readouterr()
    assert "  flooded: " in printed.out.splitlines()[2]
    assert "open water" not in printed.out
    assert (tmp_path / f"{NOW[:-4]}_flood_proba.tif").is_file()


def test_the_table_has_the_name_of_the_class_that_the_legend_has(capfd, now, scene_file, tmp_path):
    east = scene_file(tmp_path / BEFORE, lake=0.12, origin=(501_500.0, 2_000_000.0))
    command = ["segment", now, "--pre", east, "--out", tmp_path, "--tile", "96", "--overlap", "24"]
    assert main([str(part) for part in command]) == 0
    words = "flooded, or water whose earlier state is not known"
    assert f"  {words}: " in capfd.readouterr().out.splitlines()[2]
    assert f'label="{words}"' in (tmp_path / f"{NOW[:-4]}_mask.qml").read_text()


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
