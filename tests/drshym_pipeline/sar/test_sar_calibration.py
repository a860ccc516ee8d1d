"""Digital numbers are converted to dB with the product's own table, if there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar import product_tables
from drshym_pipeline.sar.calibration import CalibrationTable, read_calibration
from drshym_pipeline.sar.codes import BACKSCATTER_FILE, decode_db
from drshym_pipeline.sar.product_tables import VectorTable, find_table
from drshym_pipeline.sar.scene import SceneReader, stage_scene
from drshym_pipeline.tiling import Window

SHAPE = (96, 80)


def vector(line: float, pixels, values) -> str:
    listed = [" ".join(f"{number:g}" for number in numbers) for numbers in (pixels, values)]
    return (
        f"<calibrationVector><line>{line:g}</line><pixel count='{len(pixels)}'>{listed[0]}</pixel>"
        f"<sigmaNought count='{len(values)}'>{listed[1]}</sigmaNought></calibrationVector>"
    )


def table_xml(polarisation: str = "VV", vectors: str | None = None, head: str = "") -> str:
    if vectors is None:
        vectors = vector(0, [0, 40, 79], [300, 320, 340]) + vector(95, [0, 79], [400, 440])
    return (
        f"<?xml version='1.0'?>{head}<calibration><adsHeader><polarisation>{polarisation}</polarisation></adsHeader>"
        f"<calibrationVectorList>{vectors}</calibrationVectorList></calibration>"
    )


@pytest.fixture
def table_file(tmp_path):
    def write(text: str, name: str = "calibration-scene.xml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_constants_are_interpolated_along_lines_and_between_them(table_file):
    table = read_calibration(table_file(table_xml()), "VV", SHAPE)
    offset = table.offset_db(Window(0, 0, *SHAPE))
    assert offset.shape == SHAPE
    for row, col, constant in ((0, 0, 300), (0, 20, 310), (95, 79, 440), (95, 0, 400), (0, 40, 320)):
        assert offset[row, col] == pytest.approx(20 * np.log10(constant), abs=1e-4)
    middle = (1 - 19 / 95) * 300 + 19 / 95 * 400
    assert offset[19, 0] == pytest.approx(20 * np.log10(middle), abs=1e-4)


@given(
    row=st.integers(0, 90), col=st.integers(0, 70), height=st.integers(1, 6), width=st.integers(1, 10),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_the_offsets_of_a_window_are_those_of_the_whole_image(row, col, height, width, seed):
    rng = np.random.default_rng(seed)
    lines = np.array([-3.0, 10.0, 55.0, 120.0])
    pixels = tuple(np.sort(np.array([0.0, *rng.uniform(1, 78, 3), 79.0])) for _ in lines)
    table = CalibrationTable(VectorTable(lines, pixels, tuple(rng.uniform(200, 600, 5) for _ in lines)))
    whole = table.offset_db(Window(0, 0, *SHAPE))
    part = table.offset_db(Window(row, col, height, width))
    np.testing.assert_allclose(part, whole[row : row + height, col : col + width], rtol=1e-6)


def test_a_table_is_found_beside_the_file_and_in_a_safe_folder(tmp_path, table_file):
    beside = table_file(table_xml())
    assert find_table(tmp_path / "scene.tif", "calibration") == beside
    assert find_table(tmp_path / "other.tif", "calibration") is None
    safe = table_file(table_xml(), "S1.SAFE/annotation/calibration/calibration-s1a-vv.xml")
    assert find_table(tmp_path / "S1.SAFE" / "measurement" / "s1a-vv.tiff", "calibration") == safe


def test_a_table_is_found_beside_the_copy_that_an_earlier_release_keeps(tmp_path, table_file):
    kept = table_file(table_xml("VH"), "source/VH_calibration-scene_VH.xml")
    assert find_table(tmp_path / "source" / "scene_VH.tif", "calibration") == kept


def test_a_link_is_not_followed_to_a_table(tmp_path, table_file):
    real = table_file(table_xml(), "elsewhere/secret.xml")
    (tmp_path / "calibration-scene.xml").symlink_to(real)
    assert find_table(tmp_path / "scene.tif", "calibration") is None


def dn_scene(write_tiff, scene_db) -> Path:
    dn = np.where(np.isnan(scene_db[:1]), 0, 10 ** ((scene_db[:1] + 50) / 20)).round().astype(np.uint16)
    return write_tiff(dn, "scene.tif", descriptions=("VV",))


def test_a_scene_with_a_table_is_calibrated_with_it_and_the_table_is_staged_too(tmp_path, write_tiff, scene_db):
    path = dn_scene(write_tiff, scene_db)
    plain, _ = stage_scene([path], tmp_path / "plain")
    assert any(warning.startswith("approximate radiometry") for warning in plain.warnings)
    (path.parent / "calibration-scene.xml").write_text(table_xml())
    meta, directory = stage_scene([path], tmp_path / "scenes")
    assert "calibrate:sigma-nought-table" in meta.processing
    assert not any("radiometry" in warning for warning in meta.warnings)
    assert meta.version != plain.version, "other dB values make another version of the scene"
    assert meta.bands[0].calibration == "source/calibration-scene.xml"
    path.unlink()
    (path.parent / "calibration-scene.xml").unlink()
    import rasterio

    with rasterio.open(directory / meta.bands[0].path) as source:
        dn = source.read(1).astype(float)
    table = read_calibration(directory / meta.bands[0].calibration, "VV", meta.shape)
    with np.errstate(divide="ignore"):
        expected = np.where(dn > 0, 20 * np.log10(dn) - table.offset_db(Window(0, 0, *meta.shape)), np.nan)
    with SceneReader(meta, directory) as reader:
        db = reader.read(Window(0, 0, *meta.shape))[0]
        part = reader.read(Window(40, 30, 20, 10))[0]
    np.testing.assert_allclose(db, expected, atol=1e-4)
    np.testing.assert_array_equal(part, db[40:60, 30:40])
    with rasterio.open(directory / BACKSCATTER_FILE) as stored:
        np.testing.assert_allclose(decode_db(stored.read(1)), expected, atol=2e-3)


def test_a_table_for_one_of_two_polarisations_is_refused(tmp_path, write_tiff, scene_db):
    dn = np.where(np.isnan(scene_db), 0, 10 ** ((scene_db + 50) / 20)).round().astype(np.uint16)
    files = [
        write_tiff(dn[i : i + 1], f"scene_{name}.tif", descriptions=(name,)) for i, name in enumerate(("VV", "VH"))
    ]
    (files[0].parent / "calibration-scene_VV.xml").write_text(table_xml())
    with pytest.raises(InputError, match="has no calibration table, while VV has one"):
        stage_scene(files, tmp_path / "scenes")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no xml at all", "not XML"),
        (table_xml("VH"), "is of VH, the image of VV"),
        (table_xml(vectors=vector(0, [0, 79], [300, 300])), "has 1 vectors"),
        (table_xml(vectors=vector(0, [0, 79], [3, 3]) + vector(50, [0, 79], [3, 3])), "covers lines 0 to 50 of 96"),
        (table_xml(vectors=vector(0, [0, 60], [3, 3]) + vector(95, [0, 79], [3, 3])), "covers columns 0 to 60 of 80"),
        (table_xml(vectors=vector(0, [0, 79], [3, 0]) + vector(95, [0, 79], [3, 3])), "not positive"),
        (table_xml(vectors=vector(0, [0, 79], [3]) + vector(95, [0, 79], [3, 3])), "2 pixels and 1 values"),
        (table_xml(vectors=vector(95, [0, 79], [3, 3]) + vector(0, [0, 79], [3, 3])), "lines are not in order"),
        (table_xml(vectors=vector(0, [79, 0, 80], [3, 3, 3]) + vector(95, [0, 79], [3, 3])), "pixels of line 0"),
        (table_xml().replace("<line>0<", "<line>-inf<"), "<line> contains a number that is not finite"),
        (table_xml().replace("300", "many"), "not a number"),
        (table_xml().replace("sigmaNought", "betaNought"), "without <sigmaNought>"),
        (table_xml(head="<!DOCTYPE a [<!ENTITY b 'c'>]>"), "document type or entities"),
    ],
)
def test_a_wrong_table_is_refused_with_the_reason(table_file, text, problem):
    path = table_file(text)
    with pytest.raises(InputError, match=problem) as caught:
        read_calibration(path, "VV", SHAPE)
    assert str(path) in str(caught.value)
    assert "product again" in str(caught.value)


def test_a_table_that_is_too_large_is_not_read(table_file, monkeypatch):
    monkeypatch.setattr(product_tables, "MAX_XML_BYTES", 100)
    with pytest.raises(InputError, match="too many"):
        read_calibration(table_file(table_xml()), "VV", SHAPE)
