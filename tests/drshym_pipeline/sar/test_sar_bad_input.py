"""Bad input gives an error of one line: the file, what is wrong, what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.scene import describe_scene, stage_scene


def refuses(paths: list[Path], match: str, tmp_path: Path) -> InputError:
    root = tmp_path / "store"
    with pytest.raises(InputError, match=match) as caught:
        stage_scene(paths, root)
    text = str(caught.value)
    assert "\n" not in text
    assert any(path.name in text for path in paths)
    assert caught.value.remedy
    assert not list(root.rglob("*")), "files were not deleted"
    return caught.value


def test_no_crs_and_no_gcps(tmp_path, scene_db, write_tiff):
    path = write_tiff(scene_db, crs=None, transform=None)
    refuses([path], "no CRS and no ground control points.*Georeference it first", tmp_path)


def test_a_crs_without_a_transform(tmp_path, scene_db, write_tiff):
    refuses([write_tiff(scene_db, transform=None)], "no transform and no ground control points", tmp_path)


def test_no_vv_band_by_description(tmp_path, scene_db, write_tiff):
    refuses([write_tiff(scene_db[1], descriptions=("VH",))], "only VH.*needs VV", tmp_path)


def test_no_vv_band_by_name(tmp_path, scene_db, write_tiff):
    refuses([write_tiff(scene_db[1], "lake_vh.tif")], "only VH.*needs VV", tmp_path)


@pytest.mark.parametrize("how", ["name", "description"])
def test_horizontal_polarisation(tmp_path, scene_db, write_tiff, how):
    path = write_tiff(scene_db, "a_HH.tif") if how == "name" else write_tiff(scene_db, descriptions=("HH", "HV"))
    refuses([path], "HH.*no VV.*needs VV", tmp_path)


def test_not_a_tiff(tmp_path):
    path = tmp_path / "notes.tif"
    path.write_text("these are not pixels")
    refuses([path], "not a TIFF", tmp_path)


def test_zero_bytes(tmp_path):
    path = tmp_path / "empty.tif"
    path.touch()
    refuses([path], r"zero bytes", tmp_path)


LAYOUTS = {
    "deflate strips": {"compress": "deflate"},
    "lzw tiles": {"compress": "lzw", "tiled": True, "blockxsize": 32, "blockysize": 32},
    "zstd by band": {"compress": "zstd", "interleave": "band"},
    "plain strips": {},
    "plain by band": {"interleave": "band"},
    "plain tiles": {"tiled": True, "blockxsize": 32, "blockysize": 32},
}


@pytest.mark.parametrize("percent", [0.1, 1, 10, 50, 90, 99.9])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_truncated(tmp_path, scene_db, write_tiff, layout, percent):
    path = write_tiff(scene_db, **LAYOUTS[layout])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * percent / 100)])
    refuses([path], "cut short|not a TIFF|empty|incomplete", tmp_path)


@pytest.mark.parametrize("percent", [50, 90, 99.0])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_preallocated_and_never_filled_to_the_end(tmp_path, scene_db, write_tiff, layout, percent):
    path = write_tiff(scene_db, **LAYOUTS[layout])
    content = path.read_bytes()
    keep = int(len(content) * percent / 100) // 512 * 512 + 100
    path.write_bytes(content[:keep] + bytes(len(content) - keep))
    refuses([path], "cut short|incomplete", tmp_path)


def test_a_border_of_zeros_gives_only_a_warning(scene_db, write_tiff):
    scene_db[:, 60:] = 0
    meta = describe_scene([write_tiff(scene_db, nodata=0)])
    assert meta.observed_fraction == pytest.approx(60 / 96)
    assert any("zero bytes" in warning for warning in meta.warnings)


def test_units_that_cannot_be_recognised(tmp_path, scene_db, write_tiff):
    path = write_tiff((scene_db * 100).astype(np.int16))
    refuses([path], "none of its values is backscatter.*original Sentinel-1 product", tmp_path)


def test_an_eight_bit_picture(tmp_path, scene_db, write_tiff):
    path = write_tiff(np.clip((scene_db + 30) * 8, 1, 255).astype(np.uint8))
    refuses([path], "8-bit.*original Sentinel-1 product", tmp_path)
    with pytest.raises(InputError, match="8-bit"):
        describe_scene([path], units="dn")


def test_complex_values(tmp_path, scene_db, write_tiff):
    path = write_tiff(scene_db.astype(np.complex64))
    refuses([path], "complex SLC|SLC.*GRD or RTC", tmp_path)


def test_two_files_on_different_grids(tmp_path, scene_db, write_tiff):
    vv = write_tiff(scene_db[0], "a_vv.tif")
    vh = write_tiff(scene_db[1, :-1], "a_vh.tif")
    assert "a_vh.tif" in str(refuses([vv, vh], "not on the same grid", tmp_path))


def test_two_files_of_one_polarisation(tmp_path, scene_db, write_tiff):
    refuses([write_tiff(scene_db[0], "a_vv.tif"), write_tiff(scene_db[1], "b_vv.tif")], "second VV", tmp_path)


def test_one_file_twice(tmp_path, scene_db, write_tiff):
    path = write_tiff(scene_db[0], "a_vv.tif")
    refuses([path, path], "given twice", tmp_path)


def test_the_error_names_the_damaged_file_of_a_pair(tmp_path, scene_db, write_tiff):
    vv = write_tiff(scene_db[0], "a_vv.tif", compress="deflate")
    vh = write_tiff(scene_db[1], "a_vh.tif", compress="deflate")
    with rasterio.open(vv) as dataset:
        start = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    content = bytearray(vv.read_bytes())
    content[start + 2 : start + 400] = b"\x55" * 398
    vv.write_bytes(content)
    assert refuses([vv, vh], "damaged", tmp_path).subject.endswith("a_vv.tif")


@pytest.mark.parametrize("name", ["../escape", "a/b", "", "a b"])
def test_a_scene_name_that_is_not_allowed(tmp_path, scene_db, write_tiff, name):
    path = write_tiff(scene_db)
    if name:
        with pytest.raises(InputError, match="scene's name"):
            stage_scene([path], tmp_path / "store", scene_id=name)
    else:
        assert describe_scene([path], scene_id=name).scene_id == "scene"
