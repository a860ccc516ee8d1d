"""Which files of a folder may be scenes: the same rules for the command and the watched folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.sar.scene_files import MAP_RASTERS, is_scene_name, list_scenes, scene_paths
from drshym_pipeline.scene_folder import PRODUCT_KINDS, product_name


@pytest.mark.parametrize(
    ("name", "is_scene"),
    [
        ("a.tif", True),
        ("a.TIFF", True),
        (".a.tif", False),
        ("~a.tif", False),
        ("a.tif~", False),
        ("a.tif.part", False),
        (".partial-1-a.tif", False),
        ("a.png", False),
    ],
)
def test_a_scene_is_a_finished_geotiff_that_is_not_hidden(name: str, is_scene: bool):
    assert is_scene_name(name) == is_scene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "s.tif",
        "maps/s_mask.tif",
        "maps/s_proba.tif",
        "maps/s_report.json",
        "other_mask.tif",
        ".hidden/s.tif",
        "results/r.tif",
        "notes.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_command_and_watched_folder_take_the_same_files_and_never_the_products_of_a_map(folder: Path):
    ignored: list[str] = []
    listed = [file.key for file in list_scenes(folder, ignored=ignored.append)]
    assert listed == ["other_mask.tif", "results/r.tif", "s.tif"]
    assert scene_paths(folder, folder / "elsewhere") == [folder / key for key in listed]
    maps = [f"maps/s_{kind}.tif (a map of this program)" for kind in ("mask", "proba")]
    assert sorted(ignored) == [*maps, "maps/s_report.json", "notes.txt"]


def test_the_folder_of_the_results_is_left_out_where_it_is_inside(folder: Path):
    assert folder / "results" / "r.tif" not in scene_paths(folder, folder / "results")
    assert folder / "results" / "r.tif" in scene_paths(folder, folder)
    assert folder / "results" / "r.tif" in scene_paths(folder / "results", folder)


def test_a_folder_that_cannot_be_read_is_an_error_and_never_an_empty_one(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("drshym_pipeline.sar.scene_files.os.scandir", refuse)
    with pytest.raises(PermissionError):
        scene_paths(folder, folder / "out")
    with pytest.raises(PermissionError):
        list_scenes(folder)


def test_every_raster_of_a_map_is_known_as_one():
    rasters = {
        product_name("", kind).removesuffix(".tif") for kind in PRODUCT_KINDS if product_name("", kind).endswith(".tif")
    }
    assert set(MAP_RASTERS) == rasters, "a raster that is not listed would be mapped as a scene"
