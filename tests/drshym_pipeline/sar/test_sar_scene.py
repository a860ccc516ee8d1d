"""Describing, staging and reading scenes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.control import GroundControlPoint

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.sar.codes import decode_db
from drshym_pipeline.sar.reader import strips
from drshym_pipeline.sar.scene import SceneReader, describe_scene, open_backscatter, read_scene_meta, stage_scene
from drshym_pipeline.tiling import Window
from tests.units import from_db


def read_all(meta: SceneMeta, directory: Path = Path()) -> np.ndarray:
    with SceneReader(meta, directory) as reader:
        return reader.read(Window(0, 0, meta.height, meta.width))


@pytest.mark.parametrize(
    ("units", "dtype"), [("db", "float64"), ("power", "float32"), ("amplitude", "float32"), ("dn", "uint16")]
)
def test_any_unit_reads_as_the_same_db(scene_db, write_tiff, units, dtype):
    raw = from_db(scene_db, units)
    meta = describe_scene(
        [write_tiff((raw.round() if dtype == "uint16" else raw).astype(dtype), descriptions=("VV", "VH"))]
    )
    assert meta.units == units
    assert (f"units:{units}->db" in meta.processing) is (units != "db")
    assert any("approximate radiometry" in warning for warning in meta.warnings) is (units == "dn")
    db = read_all(meta)
    assert db.dtype == np.float32
    np.testing.assert_allclose(db, scene_db, atol=2.0 if units == "dn" else 1e-3)


def test_crs_and_transform_are_kept_exactly(scene_db, write_tiff):
    transform = rasterio.Affine(
        8.983152841195215e-05, 0, -0.7818936232976315, 0, -8.983152841195215e-05, 38.12881257139627
    )
    meta = describe_scene([write_tiff(scene_db, crs="EPSG:4326", transform=transform)])
    assert (meta.crs, meta.georeference) == ("EPSG:4326", "transform")
    assert SceneMeta.model_validate_json(meta.model_dump_json()).transform == tuple(transform)[:6]


def test_a_pair_of_files_is_one_scene_whatever_their_order(scene_db, write_tiff):
    vv, vh = write_tiff(scene_db[0], "lake_vv.tif"), write_tiff(scene_db[1], "lake_vh.tif")
    first, second = describe_scene([vv, vh]), describe_scene([vh, vv])
    assert first.scene_id == second.scene_id == "lake"
    assert (first.sha256, first.version, first.bands) == (second.sha256, second.version, second.bands)
    np.testing.assert_array_equal(read_all(second), scene_db)


def test_a_pair_without_names_is_vv_then_vh(scene_db, write_tiff):
    meta = describe_scene([write_tiff(scene_db[0], "a.tif"), write_tiff(scene_db[1], "b.tif")])
    assert [(band.polarisation, Path(band.path).name) for band in meta.bands] == [("VV", "a.tif"), ("VH", "b.tif")]


def test_vv_alone_is_a_scene(scene_db, write_tiff):
    meta = describe_scene([write_tiff(scene_db[0], "lake_vv.tif")])
    assert meta.mode == "vv"
    assert read_all(meta).shape == (1, 96, 80)


def test_descriptions_decide_over_the_order(scene_db, write_tiff):
    meta = describe_scene([write_tiff(scene_db[::-1], descriptions=("Sigma0_VH_db", "Sigma0_VV_db"))])
    assert [(band.polarisation, band.band) for band in meta.bands] == [("VV", 2), ("VH", 1)]
    np.testing.assert_array_equal(read_all(meta), scene_db)


def test_unnamed_bands_in_the_wrong_order_are_swapped(scene_db, write_tiff):
    meta = describe_scene([write_tiff(scene_db[::-1])])
    assert any("read as VV" in warning for warning in meta.warnings)
    np.testing.assert_array_equal(read_all(meta), scene_db)


@pytest.mark.parametrize(("share", "refused"), [(0.1, True), (0.3, False)])
def test_named_bands_that_the_pixels_contradict_are_refused_or_warned_of(scene_db, write_tiff, share, refused):
    rows = round(share * scene_db.shape[1])
    values = np.concatenate([scene_db[:, :rows], scene_db[::-1, rows:]], axis=1)
    path = write_tiff(values, "S1_a.tif", descriptions=("VV", "VH"))
    if refused:
        with pytest.raises(InputError, match=r"VV and VH seem swapped.*--bands 2,1"):
            describe_scene([path])
        return
    meta = describe_scene([path])
    assert [band.band for band in meta.bands] == [1, 2]
    assert any("may be swapped" in warning for warning in meta.warnings)


def test_bands_in_their_usual_order_give_no_warning(scene_db, write_tiff):
    assert describe_scene([write_tiff(scene_db)]).warnings == ()


@pytest.mark.parametrize("fill", [np.nan, -32768.0, -9999.0, np.inf])
def test_a_pixel_missing_in_one_band_is_missing_in_both(scene_db, write_tiff, fill):
    values = scene_db.copy()
    values[1, 10:20, 5:9] = fill
    meta = describe_scene([write_tiff(values, nodata=fill if fill == -9999.0 else None)])
    db = read_all(meta)
    expected = np.zeros((96, 80), bool)
    expected[10:20, 5:9] = True
    np.testing.assert_array_equal(np.isnan(db), [expected, expected])
    assert meta.observed_fraction == pytest.approx(1 - 40 / (96 * 80))


@pytest.mark.parametrize(("dtype", "nodata", "units"), [("float32", np.nan, "db"), ("uint16", 0, "dn")])
def test_a_scene_without_an_observed_pixel_is_valid_and_has_a_warning(write_tiff, dtype, nodata, units):
    meta = describe_scene([write_tiff(np.full((2, 40, 30), nodata, dtype), nodata=nodata)])
    assert (meta.observed_fraction, meta.statistics, meta.units) == (0.0, {}, units)
    assert any("not observed anywhere" in warning for warning in meta.warnings)
    assert np.isnan(read_all(meta)).all()


def test_a_few_observed_pixels_are_enough_to_find_the_units(scene_db, write_tiff):
    values = np.full((2, 3000, 1500), np.nan, np.float32)
    values[:, 1700:1796, 900:980] = from_db(scene_db, "power")
    meta = describe_scene([write_tiff(values, compress="deflate", tiled=True)])
    assert meta.units == "power"
    assert meta.observed_fraction == pytest.approx(96 * 80 / values[0].size)


def test_statistics_are_those_of_all_pixels(scene_db, write_tiff):
    meta = describe_scene([write_tiff(scene_db)])
    for band, name in zip(scene_db, ("VV", "VH"), strict=True):
        found = meta.statistics[name]
        assert found.mean == pytest.approx(band.mean(), abs=2e-3)
        exact = np.percentile(band, (1, 50, 99), method="inverted_cdf")
        assert [found.p01, found.p50, found.p99] == pytest.approx(exact, abs=2e-3)


def test_facts_of_the_name_and_tags_are_in_the_record(scene_db, write_tiff):
    path = write_tiff(scene_db, "S1A_IW_20210111T123456_DVP_RTC10_G_gduned_FD6A.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ORBIT_DIRECTION="DESCENDING")
    meta = describe_scene([path])
    assert (meta.mission, meta.orbit_direction) == ("S1A", "descending")
    assert meta.acquired_at is not None and meta.acquired_at.isoformat() == "2021-01-11T12:34:56+00:00"


def test_the_version_follows_content_and_options(scene_db, write_tiff):
    path = write_tiff(scene_db)
    meta = describe_scene([path])
    assert meta.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert describe_scene([path]).version == meta.version
    assert describe_scene([path], units="db").version != meta.version
    assert describe_scene([write_tiff(scene_db + 1)]).version != meta.version


def test_progress_goes_from_zero_to_the_total(scene_db, write_tiff):
    heard: list[tuple[str, int, int]] = []
    describe_scene([write_tiff(scene_db)], progress=lambda *step: heard.append(step))
    assert heard[0][1] == 0 and heard[-1][1] == heard[-1][2] > 0


def test_staging_copies_once_and_reads_the_same(scene_db, write_tiff, tmp_path):
    path = write_tiff(scene_db)
    meta, directory = stage_scene([path], tmp_path / "scenes", source_uris=["s3://bucket/scene.tif"])
    assert directory == tmp_path / "scenes" / "scene" / meta.version
    assert sorted(file.relative_to(directory).as_posix() for file in directory.rglob("*")) == [
        "backscatter.tif", "scene_meta.json", "source", "source/scene.tif",
    ]  # fmt: skip
    assert (meta.source_uris, meta.bands[0].path) == (("s3://bucket/scene.tif",), "source/scene.tif")
    assert read_scene_meta(directory) == meta
    np.testing.assert_array_equal(read_all(meta, directory), scene_db)
    copied = (directory / "source" / "scene.tif").stat().st_ino
    again, same = stage_scene([path], tmp_path / "scenes")
    assert (again, same) == (meta, directory)
    assert (directory / "source" / "scene.tif").stat().st_ino == copied
    assert [file.name for file in (tmp_path / "scenes" / "scene").iterdir()] == [meta.version]


def test_a_half_staged_scene_is_staged_again(scene_db, write_tiff, tmp_path):
    path = write_tiff(scene_db)
    meta, directory = stage_scene([path], tmp_path / "scenes")
    (directory / "source" / "scene.tif").unlink()
    _, directory = stage_scene([path], tmp_path / "scenes")
    np.testing.assert_array_equal(read_all(meta, directory), scene_db)


def staged_db(directory: Path) -> np.ndarray:
    """Return the dB of a staged scene as the later stages read them."""
    meta = read_scene_meta(directory)
    with open_backscatter(meta, directory) as reader:
        reader.check_whole()
        return decode_db(reader.read(Window(0, 0, meta.height, meta.width)))


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGES: dict[str, tuple[str, Callable[[Path, Path], object], str]] = {
    "no record": ("scene_meta.json", lambda path, other: path.unlink(), "Stage the scene again"),
    "a record cut short": ("scene_meta.json", lambda path, other: _cut(path), "Stage the scene again"),
    "backscatter cut short": ("backscatter.tif", lambda path, other: _cut(path), "Stage the scene again"),
    "backscatter that is no TIFF": (
        "backscatter.tif", lambda path, other: path.write_text("no TIFF"), "Stage the scene again",
    ),
    "backscatter of another scene": (
        "backscatter.tif", lambda path, other: shutil.copyfile(other, path), "Stage the scene again",
    ),
    "another source": ("source/scene.tif", lambda path, other: shutil.copyfile(other, path), "Stage the scene again"),
    "no source": ("source/scene.tif", lambda path, other: path.unlink(), "Copy it there again"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_following_the_remedy_for_a_damaged_staged_scene_gives_the_same_backscatter(
    scene_db, write_tiff, tmp_path, damage
):
    name, make, remedy = DAMAGES[damage]
    path, other = write_tiff(scene_db), write_tiff(scene_db[:1, :40], "other.tif")
    _, directory = stage_scene([path], tmp_path / "scenes")
    right = staged_db(directory)
    make(directory / name, other)
    if name.startswith("source"):
        (directory / "backscatter.tif").unlink()  # as retention does; it is made from the source again
    with pytest.raises(InputError) as caught:
        staged_db(directory)
    assert caught.value.remedy == remedy
    if remedy == "Copy it there again":
        shutil.copyfile(path, directory / name)
    else:
        assert stage_scene([path], tmp_path / "scenes")[1] == directory
    np.testing.assert_array_equal(staged_db(directory), right)


def test_two_files_of_one_name_are_both_kept(scene_db, write_tiff, tmp_path):
    sources = [write_tiff(scene_db[0], "one/lake.tif"), write_tiff(scene_db[1], "two/lake.tif")]
    meta, directory = stage_scene(sources, tmp_path / "scenes")
    np.testing.assert_array_equal(read_all(meta, directory), scene_db)


def test_a_window_outside_the_scene_is_a_value_error(scene_db, write_tiff):
    meta = describe_scene([write_tiff(scene_db)])
    with SceneReader(meta, Path()) as reader, pytest.raises(ValueError, match="past the scene"):
        reader.read(Window(90, 0, 10, 10))


def test_one_reader_serves_several_threads(scene_db, write_tiff):
    meta = describe_scene([write_tiff(scene_db, compress="deflate", tiled=True, blockxsize=16, blockysize=16)])
    windows = [Window(row, col, 16, 16) for row in range(0, 96, 16) for col in range(0, 80, 16)]
    with SceneReader(meta, Path()) as reader, ThreadPoolExecutor(4) as pool:
        for window, db in zip(windows, pool.map(reader.read, windows), strict=True):
            np.testing.assert_array_equal(db, scene_db[:, window.rows, window.cols])


def gcps(height: int, width: int) -> list[GroundControlPoint]:
    """Return control points of a scene turned 12 degrees from north, with 10 m pixels, near 3 E 45 N."""
    to_degrees = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)
    turn = np.radians(12)
    points = []
    for row in np.linspace(0, height, 5):
        for col in np.linspace(0, width, 5):
            east = 500_000 + 10 * (col * np.cos(turn) - row * np.sin(turn))
            north = 4_983_000 - 10 * (col * np.sin(turn) + row * np.cos(turn))
            points.append(GroundControlPoint(row, col, *to_degrees.transform(east, north), 0.0))
    return points


def test_a_scene_with_control_points_only_is_read_as_it_is_and_has_a_map_grid_for_its_products(
    scene_db, write_tiff, tmp_path
):
    dn = from_db(scene_db, "dn").round().astype(np.uint16)
    path = write_tiff(dn, "s1_grd.tif", crs="EPSG:4326", transform=None, gcps=gcps(96, 80), descriptions=("VV", "VH"))
    meta, directory = stage_scene([path], tmp_path / "scenes")
    assert (meta.georeference, meta.crs, meta.shape) == ("gcps", "EPSG:32631", (96, 80))
    assert meta.pixel_spacing == (10.0, 10.0)
    assert any(step.startswith("georeference:gcps") for step in meta.processing)
    assert any("control points" in warning for warning in meta.warnings)
    assert any(warning.startswith("approximate radiometry") for warning in meta.warnings)
    np.testing.assert_array_equal(np.isnan(read_all(meta, directory)), np.isnan(scene_db))
    # The affine gives the position of a pixel; the products' grid contains the whole image, on multiples of 10 m.
    turn = np.radians(12)
    a, b, c, d, e, f = meta.transform
    assert a * 40.5 + b * 30.5 + c == pytest.approx(500_000 + 405 * np.cos(turn) - 305 * np.sin(turn), abs=1)
    assert d * 40.5 + e * 30.5 + f == pytest.approx(4_983_000 - 405 * np.sin(turn) - 305 * np.cos(turn), abs=1)
    place = meta.map_grid
    assert place.transform[2] % 10 == place.transform[5] % 10 == 0
    cols, rows = np.array([0, 80, 0, 80]), np.array([0, 0, 96, 96])
    xs = 500_000 + 10 * (cols * np.cos(turn) - rows * np.sin(turn))
    ys = 4_983_000 - 10 * (cols * np.sin(turn) + rows * np.cos(turn))
    left, bottom, right, top = meta.bounds
    for outer, inner in ((xs.min(), left), (ys.min(), bottom), (right, xs.max()), (top, ys.max())):
        assert -0.1 <= outer - inner <= 10


@given(
    height=st.integers(1, 5000), width=st.integers(1, 5000),
    block=st.sampled_from([(1, 5000), (16, 16), (256, 256), (512, 512), (5000, 5000), (7, 5000)]),
)  # fmt: skip
def test_strips_cover_a_raster_exactly(height, width, block):
    windows = list(strips(height, width, block))
    assert sum(window.height * window.width for window in windows) == height * width
    assert len({(window.row, window.col) for window in windows}) == len(windows)
    assert all(window.rows.stop <= height and window.cols.stop <= width for window in windows)
    assert all(window.height * window.width <= max(2 << 20, 512 * 512) for window in windows)
