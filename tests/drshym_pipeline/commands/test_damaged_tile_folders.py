"""Folders of tiles in which a file was changed, damaged, exchanged or lost: one clear line each, and no map."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from tests.tiled_scenes import cut, export, run, seal_chips, seal_tiles

MOVED = (10.0, 0.0, 700_000.0, 0.0, -10.0, 2_100_000.0)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_provenance(made: Path, **changes: object) -> None:
    path = made / "tiles" / "s_tile_00001_proba.json"
    edit(path, provenance={**json.loads(path.read_text())["provenance"], **changes})


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def exchange(first: Path, second: Path) -> None:
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def move(path: Path) -> None:
    with rasterio.open(path, "r+") as tile:
        tile.transform = tile.transform @ Affine.translation(1, 0)


def without_a_tile(made: Path) -> None:
    (made / "tiles" / "s_tile_00002_proba.tif").unlink()


def with_a_tile_of_another_model(made: Path) -> None:
    with rasterio.open(made / "tiles" / "s_tile_00001_proba.tif", "r+") as tile:
        tile.update_tags(DRSHYM_MODEL_SHA256="0" * 64, DRSHYM_MODEL="other", DRSHYM_MODEL_VERSION="7")


def with_a_tile_of_other_options(made: Path) -> None:
    with rasterio.open(made / "tiles" / "s_tile_00001_proba.tif", "r+") as tile:
        tile.update_tags(DRSHYM_PREDICTION="0123456789ab")


def with_a_tile_of_another_scene(made: Path) -> None:
    with rasterio.open(made / "tiles" / "s_tile_00001_proba.tif", "r+") as tile:
        tile.update_tags(DRSHYM_SCENE_VERSION="0123456789ab")


def with_a_record_of_another_window(made: Path) -> None:
    path = made / "tiles" / "s_tile_00001_proba.json"
    edit(path, window={**json.loads(path.read_text())["window"], "col": 3})


def with_a_broken_record(made: Path) -> None:
    (made / "tiles" / "s_tile_00001_proba.json").write_text('{"image_id": "s_tile_00001"}')


def with_a_cut_tile(made: Path) -> None:
    halve(made / "tiles" / "s_tile_00001_proba.tif")


def with_a_record_of_another_threshold(made: Path) -> None:
    edit_provenance(made, threshold=0.123)


def with_a_cut_record(made: Path) -> None:
    halve(made / "tiles" / "s_tile_00001_proba.json")


def without_a_record(made: Path) -> None:
    (made / "tiles" / "s_tile_00001_proba.json").unlink()


def with_an_empty_tile(made: Path) -> None:
    (made / "tiles" / "s_tile_00001_proba.tif").write_bytes(b"")


def with_exchanged_tiles(made: Path) -> None:
    exchange(made / "tiles" / "s_tile_00000_proba.tif", made / "tiles" / "s_tile_00001_proba.tif")


def with_an_edited_tile(made: Path) -> None:
    with rasterio.open(made / "tiles" / "s_tile_00001_proba.tif", "r+") as tile:
        tile.write(tile.read() // 2)


def with_a_moved_tile(made: Path) -> None:
    move(made / "tiles" / "s_tile_00001_proba.tif")


def with_an_edited_prediction(made: Path) -> None:
    edit(made / "tiles" / "s_prediction.json", key="0123456789ab")


def with_tiles_of_other_chips(made: Path) -> None:
    seal_chips(made, observed_fraction=0.5)


def with_a_moved_scene(made: Path) -> None:
    edit(made / "chips" / "s_meta.json", transform=MOVED)


def with_another_grid(made: Path) -> None:
    shutil.rmtree(made / "chips")
    assert run("tile", made / "in" / "s.tif", "--out", made / "chips", "--tile", "48", "--overlap", "8") == 0


def with_chips_of_another_scene(made: Path) -> None:
    from tests.small_scenes import write_lake_scene

    shutil.rmtree(made / "chips")
    cut(write_lake_scene(made / "in" / "s.tif", shape=(100, 110), seed=9), made / "chips")


def without_a_chip(made: Path) -> None:
    (made / "chips" / "s_tile_00003.tif").unlink()


def with_a_changed_chip(made: Path) -> None:
    with rasterio.open(made / "chips" / "s_tile_00001.tif", "r+") as chip:
        chip.write(chip.read() + 1.0)


def with_a_cut_chip(made: Path) -> None:
    halve(made / "chips" / "s_tile_00001.tif")


def with_exchanged_chips(made: Path) -> None:
    exchange(made / "chips" / "s_tile_00000.tif", made / "chips" / "s_tile_00001.tif")


def with_a_cut_chip_record(made: Path) -> None:
    halve(made / "chips" / "s_tile_00001.json")


def with_another_json_as_a_chip_record(made: Path) -> None:
    (made / "chips" / "s_tile_00001.json").write_text('{"type": "Feature"}')


def with_a_changed_chip_record(made: Path) -> None:
    edit(made / "chips" / "s_tile_00001.json", valid_fraction=0.5)


def without_the_prediction(made: Path) -> None:
    (made / "tiles" / "s_prediction.json").unlink()


def with_a_broken_prediction(made: Path) -> None:
    (made / "tiles" / "s_prediction.json").write_text("{}")


def without_the_meta(made: Path) -> None:
    (made / "chips" / "s_meta.json").unlink()


def with_a_broken_meta(made: Path) -> None:
    edit(made / "chips" / "s_meta.json", height="tall")


DAMAGE = {
    without_a_tile: ["s_tile_00002_proba.tif", "missing"],
    with_a_tile_of_another_model: ["s_tile_00001_proba.tif", "another model (other 7)", "random"],
    with_a_tile_of_other_options: ["s_tile_00001_proba.tif", "other options"],
    with_a_tile_of_another_scene: ["s_tile_00001_proba.tif", "another scene"],
    with_a_record_of_another_window: ["s_tile_00001_proba.json", "s_prediction.json", "Predict the tiles"],
    with_a_record_of_another_threshold: ["s_tile_00001_proba.json", "s_prediction.json", "Predict the tiles"],
    with_a_broken_record: ["s_tile_00001_proba.json", "s_prediction.json", "Predict the tiles"],
    with_a_cut_record: ["s_tile_00001_proba.json", "cannot be read", "Predict the tiles"],
    without_a_record: ["s_tile_00001_proba.json", "cannot be read", "Predict the tiles"],
    with_a_cut_tile: ["s_tile_00001_proba.tif", "cut short", "Predict the tiles"],
    with_an_empty_tile: ["s_tile_00001_proba.tif", "empty", "Predict the tiles"],
    with_exchanged_tiles: ["s_tile_00000_proba.tif", "s_prediction.json", "Predict the tiles"],
    with_an_edited_tile: ["s_tile_00001_proba.tif", "s_prediction.json", "Predict the tiles"],
    with_a_moved_tile: ["s_tile_00001_proba.tif", "s_prediction.json", "Predict the tiles"],
    with_an_edited_prediction: ["s_prediction.json", "changed", "Predict the tiles"],
    with_tiles_of_other_chips: ["s_meta.json", "Predict the tiles"],
    with_a_moved_scene: ["s_meta.json", "changed", "Cut the scene again"],
    with_another_grid: ["tiles", "another grid"],
    with_chips_of_another_scene: ["another version of the scene"],
    without_a_chip: ["s_tile_00003.tif", "the chip is missing"],
    with_a_changed_chip: ["s_tile_00001.tif", "s_meta.json", "Cut the scene again"],
    with_a_cut_chip: ["s_tile_00001.tif", "cut short", "Cut the scene again"],
    with_exchanged_chips: ["s_tile_00000.tif", "s_meta.json", "Cut the scene again"],
    with_a_cut_chip_record: ["s_tile_00001.json", "cannot be read", "Cut the scene again"],
    with_another_json_as_a_chip_record: ["s_tile_00001.json", "s_meta.json", "Cut the scene again"],
    with_a_changed_chip_record: ["s_tile_00001.json", "s_meta.json", "Cut the scene again"],
    without_the_prediction: ["s_prediction.json", "predict-folder"],
    with_a_broken_prediction: ["s_prediction.json", "not the record"],
    without_the_meta: ["chips", "_meta.json"],
    with_a_broken_meta: ["s_meta.json", "height"],
}


@pytest.mark.parametrize(("damage", "words"), DAMAGE.items(), ids=[damage.__name__ for damage in DAMAGE])
def test_what_cannot_be_stitched_is_refused_in_one_line_and_leaves_nothing(made, capfd, damage, words):
    damage(made)
    capfd.readouterr()
    assert export(made) == 2
    printed = capfd.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert all(word in line for word in words), line
    assert not (made / "maps").exists()


@pytest.mark.parametrize(
    "damage",
    [
        without_the_meta,
        with_a_changed_chip,
        with_a_broken_meta,
        with_a_moved_scene,
        with_a_cut_chip,
        with_exchanged_chips,
        with_a_cut_chip_record,
        with_another_json_as_a_chip_record,
        with_a_changed_chip_record,
    ],
)
def test_chips_that_cannot_be_predicted_are_refused(made, checkpoint, capfd, damage):
    damage(made)
    capfd.readouterr()
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "out") == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("model: ")]
    assert line.startswith("error: ")
    assert "Cut the scene again" in line
    assert "copy it again" not in line
    assert not (made / "out").exists()


def test_a_prediction_that_fails_leaves_the_earlier_tiles(made, checkpoint):
    before = {path.name: path.read_bytes() for path in (made / "tiles").iterdir()}
    with_a_changed_chip(made)
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "tiles") == 2
    assert {path.name: path.read_bytes() for path in (made / "tiles").iterdir()} == before


def test_a_copy_of_a_tile_under_another_name_has_no_effect(made):
    assert export(made) == 0
    before = (made / "maps" / "s_proba.tif").read_bytes()
    for suffix in (".tif", ".json"):
        shutil.copyfile(made / "tiles" / f"s_tile_00001_proba{suffix}", made / "tiles" / f"a_copy_proba{suffix}")
    assert export(made) == 0
    assert (made / "maps" / "s_proba.tif").read_bytes() == before


# Folders whose lists were written for the wrong files: the files are checked against the scene too.


def other_codes(made: Path) -> None:
    with rasterio.open(made / "tiles" / "s_tile_00001_proba.tif", "r+") as tile:
        values = tile.read(1)
        values[3, 4:6] = (10_001, 65_534)
        tile.write(values, 1)


def another_crs(made: Path) -> None:
    with rasterio.open(made / "tiles" / "s_tile_00001_proba.tif", "r+") as tile:
        tile.crs = "EPSG:32631"


LISTED = {
    "exchanged tiles": (with_exchanged_tiles, ["s_tile_00000_proba.tif", "not at the place"]),
    "a moved tile": (with_a_moved_tile, ["s_tile_00001_proba.tif", "not at the place"]),
    "another CRS": (another_crs, ["s_tile_00001_proba.tif", "not at the place"]),
    "other codes": (other_codes, ["s_tile_00001_proba.tif", "2 pixels", "10000"]),
    "another window": (with_a_record_of_another_window, ["s_tile_00001_proba.json", "window"]),
    "another threshold": (with_a_record_of_another_threshold, ["s_tile_00001_proba.json", "provenance"]),
    "another model": (lambda made: edit_provenance(made, model="other 7"), ["s_tile_00001_proba.json", "provenance"]),
    "another calibration": (
        lambda made: edit_provenance(made, calibration="T=9"),
        ["s_tile_00001_proba.json", "provenance"],
    ),
}


@pytest.mark.parametrize(("change", "words"), LISTED.values(), ids=LISTED)
def test_listed_tiles_that_do_not_fit_the_scene_or_the_prediction_are_refused(made, capfd, change, words):
    change(made)
    seal_tiles(made)
    capfd.readouterr()
    assert export(made) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert all(word in line for word in [*words, "Predict the tiles"]), line
    assert not (made / "maps").exists()


def test_the_highest_probability_and_not_observed_are_accepted(made):
    path = made / "tiles" / "s_tile_00000_proba.tif"
    with rasterio.open(path, "r+") as tile:
        values = tile.read(1)
        values[:] = np.where(values == 65_535, 65_535, 10_000)
        tile.write(values, 1)
    seal_tiles(made)
    assert export(made) == 0


def test_listed_chips_at_another_place_than_the_scene_are_refused(made, checkpoint, capfd):
    seal_chips(made, transform=MOVED)
    seal_tiles(made)
    capfd.readouterr()
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "out") == 2
    error = capfd.readouterr().err
    assert "s_tile_00000.tif: is not at the place" in error
    assert "Cut the scene again" in error
    assert export(made) == 2


# Names in records become names of files.


@pytest.mark.parametrize("name", ["..", "../s", "a/b", "a\\b"])
@pytest.mark.parametrize("file", ["chips/s_meta.json", "tiles/s_prediction.json"])
def test_a_name_of_a_scene_that_leads_into_another_folder_is_refused(made, capfd, file, name):
    edit(made / file, scene_id=name)
    capfd.readouterr()
    assert export(made) == 2
    error = capfd.readouterr().err
    assert file in error
    assert "scene_id" in error
    assert "simple name" in error


@pytest.mark.parametrize("name", ["..", "../s_tile_00001", "s/tile", "s\\tile"])
def test_a_name_of_a_tile_that_leads_into_another_folder_is_refused(made, checkpoint, capfd, name):
    edit(made / "chips" / "s_tile_00001.json", image_id=name)
    capfd.readouterr()
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "out") == 2
    error = capfd.readouterr().err
    assert "s_tile_00001.json: field 'image_id'" in error
    assert "simple name" in error


# What the remedies say works.


@pytest.mark.parametrize("damage", [with_exchanged_tiles, with_an_edited_prediction, with_a_cut_record, without_a_tile])
def test_predicting_again_mends_the_tiles(made, checkpoint, damage):
    damage(made)
    assert export(made) == 2
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "tiles") == 0
    assert export(made) == 0


def test_a_single_tile_with_a_damaged_record_is_not_mapped_as_a_scene(tmp_path, scene_file, checkpoint, capfd):
    chips = cut(scene_file(tmp_path / "s.tif", shape=(40, 50)), tmp_path / "chips")
    halve(chips / "s_tile_00000.json")
    assert run("predict-folder", "--ckpt", checkpoint, "--in", chips, "--out", tmp_path / "out") == 2
    error = capfd.readouterr().err
    assert "s_tile_00000.json: the tile record cannot be read" in error
    assert "Cut the scene again" in error
