"""Tiles as files: `tile`, then `predict-folder`, then `export-stitched` give the map of `segment`."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import rasterio

from docs.schemas.__main__ import schema
from drshym_pipeline.records import TiledScene, read_drshym_record
from tests.tiled_scenes import GRID, cut, export, run

# What does not name the time of the run: the report and the record do.
SAME = (
    "mask.tif",
    "proba.tif",
    "flood.geojson",
    "overlay.png",
    "thumbnail.png",
    "caption.txt",
    "mask.qml",
)


def holes(path: Path) -> None:
    """Write holes of several sizes into a scene: inside a tile, at the edges of tiles, and over a whole tile."""
    with rasterio.open(path, "r+") as scene:
        values = scene.read()
        for row, col, side in ((10, 20, 3), (62, 60, 6), (40, 96, 1), (64, 0, 64)):
            values[:, row : row + side, col : col + side] = np.nan
        if len(values) == 2:
            values[1, 5:9, 100:104] = np.nan  # VV alone is observed
        scene.write(values)


SCENES = {
    "VV and VH": {},
    "VV alone": {"bands": ("VV",)},
    "odd sizes": {"shape": (97, 131)},
    "smaller than a tile": {"shape": (40, 50)},
    "degrees": {"crs": "EPSG:4326", "origin": (80.0, 20.0), "spacing": 9e-5},
    "pixels of 30 m": {"spacing": 30.0},
    "pixels of 4 m": {"spacing": 4.0},
    "nothing observed": {"observed": False},
}


@pytest.mark.parametrize("options", SCENES.values(), ids=SCENES)
def test_the_map_of_the_tiles_is_the_map_of_the_scene(tmp_path, scene_file, checkpoint, options) -> None:
    scene = scene_file(tmp_path / "s.tif", **{"shape": (150, 170), **options})
    if "shape" not in options or options["shape"][0] > 64:
        holes(scene)
    assert run("segment", scene, "--out", tmp_path / "whole", "--checkpoint", checkpoint, *GRID) == 0
    chips = cut(scene, tmp_path / "chips")
    assert run("predict-folder", "--ckpt", checkpoint, "--in", chips, "--out", tmp_path / "tiles") == 0
    scene.unlink()  # the chips are enough
    assert (
        run("export-stitched", "--proba_dir", tmp_path / "tiles", "--scene_meta", chips, "--out", tmp_path / "maps")
        == 0
    )
    whole = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == whole
    same = [name for name in whole if name.removeprefix("s_") in SAME]
    assert len(same) == len(whole) - 2
    for name in same:
        assert (tmp_path / "maps" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    first, second = (json.loads((tmp_path / place / "s_report.json").read_text()) for place in ("whole", "maps"))
    assert {**first, "created_at": 0, "seconds": 0} == {**second, "created_at": 0, "seconds": 0}


def test_an_image_with_control_points_and_units_of_a_side_car_gives_the_same_map(tmp_path, scene_file, checkpoint):
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS

    plain = scene_file(tmp_path / "plain.tif", shape=(120, 140), linear=True)
    with rasterio.open(plain) as source:
        values, names = source.read(), source.descriptions
    scene = tmp_path / "in" / "s.tif"
    scene.parent.mkdir()
    points = [
        GroundControlPoint(row, col, 80.0 + col * 9.4e-5 + row * 1.1e-5, 20.0 - row * 9e-5, 0.0)
        for row in (0, 60, 120)
        for col in (0, 70, 140)
    ]
    profile = {"driver": "GTiff", "dtype": "float32", "count": 2, "height": 120, "width": 140, "nodata": float("nan")}
    with rasterio.open(scene, "w", **profile) as target:
        target.write(values)
        target.descriptions = names
        target.gcps = (points, CRS.from_epsg(4326))
    (scene.parent / "s.drshym.json").write_text('{"units": "power"}')
    assert run("segment", scene, "--out", tmp_path / "whole", "--checkpoint", checkpoint, *GRID) == 0
    chips = cut(scene, tmp_path / "chips")
    assert run("predict-folder", "--ckpt", checkpoint, "--in", chips, "--out", tmp_path / "tiles") == 0
    meta = chips / "s_meta.json"
    more = ["--scene-meta", meta, "--out", tmp_path / "maps"]
    assert run("export-stitched", "--proba-dir", tmp_path / "tiles", *more) == 0
    for name in SAME[:4]:
        assert (tmp_path / "maps" / f"s_{name}").read_bytes() == (tmp_path / "whole" / f"s_{name}").read_bytes(), name


def test_the_files_of_tiles_hold_what_their_records_say(made, random_bundle):
    meta = TiledScene.model_validate_json((made / "chips" / "s_meta.json").read_text())
    jsonschema.validate(json.loads((made / "chips" / "s_meta.json").read_text()), schema("tiled_scene-0.1.json"))
    prediction = json.loads((made / "tiles" / "s_prediction.json").read_text())
    jsonschema.validate(prediction, schema("tiles_prediction-0.1.json"))
    assert (prediction["present"], prediction["count"]) == (meta.grid.count, meta.grid.count)
    files = sorted((made / "tiles").glob("*_proba.tif"))
    assert len(files) == meta.grid.count
    assert len(list((made / "tiles").iterdir())) == 2 * meta.grid.count + 1
    for path in files:
        record = read_drshym_record(path.with_suffix(".json").read_text())
        chip = made / "chips" / f"{record.image_id}.tif"
        before = read_drshym_record(chip.with_suffix(".json").read_text())
        assert (record.window, record.bounds, record.crs) == (before.window, before.bounds, before.crs)
        assert record.provenance.model == "random 0.0.1"
        assert record.provenance.threshold == random_bundle.calibration["vv_vh"].threshold
        assert record.provenance.calibration == random_bundle.calibration["vv_vh"].text()
        with rasterio.open(path) as tile, rasterio.open(chip) as source:
            values, observed = tile.read(1), np.isfinite(source.read(1))
            assert (tile.dtypes, tile.nodata, tile.scales) == (("uint16",), 65535, (1e-4,))
            assert (tile.transform, tile.crs) == (source.transform, source.crs)
            np.testing.assert_array_equal(values != 65535, observed)
            assert values[observed].max() <= 10_000
            assert record.valid_fraction == pytest.approx(observed.mean())


def test_some_tiles_of_a_scene_are_predicted_alike_and_are_no_map(made, checkpoint, capfd):
    for gone in (made / "chips").glob("s_tile_00002.*"):
        gone.unlink()
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "some") == 0
    assert "3 of 4 tiles" in capfd.readouterr().err
    names = sorted(path.name for path in (made / "some").glob("*_proba.tif"))
    assert names == [f"s_tile_0000{number}_proba.tif" for number in (0, 1, 3)]
    for name in names:
        with rasterio.open(made / "some" / name) as one, rasterio.open(made / "tiles" / name) as other:
            np.testing.assert_array_equal(one.read(), other.read())


def test_a_missing_tile_of_merged_pixels_is_refused_because_the_others_need_its_ground(
    tmp_path, scene_file, checkpoint, capfd
):
    chips = cut(scene_file(tmp_path / "s.tif", shape=(100, 120), spacing=4.0), tmp_path / "chips")
    (chips / "s_tile_00001.tif").unlink()
    (chips / "s_tile_00001.json").unlink()
    assert run("predict-folder", "--ckpt", checkpoint, "--in", chips, "--out", tmp_path / "tiles") == 2
    assert "s_tile_00001 is missing" in capfd.readouterr().err
    assert not (tmp_path / "tiles").exists()


def test_several_scenes_in_subfolders_keep_their_folders(tmp_path, scene_file, checkpoint, capfd):
    for place, seed in (("a", 1), ("b", 2)):
        scene = scene_file(tmp_path / place / "s.tif", shape=(70, 80), seed=seed)
        cut(scene, tmp_path / "chips" / place)
        assert run("segment", scene, "--out", tmp_path / "whole" / place, "--checkpoint", checkpoint, *GRID) == 0
    capfd.readouterr()
    command = [
        "predict-folder",
        "--ckpt",
        checkpoint,
        "--in",
        tmp_path / "chips",
        "--out",
        tmp_path / "tiles",
        "--json",
    ]
    assert run(*command) == 0
    document = json.loads(capfd.readouterr().out)
    jsonschema.validate(document, schema("mapping_document-0.1.json"))
    assert [tiles["folder"] for tiles in document["tiles"]] == [str(tmp_path / "tiles" / place) for place in "ab"]
    assert document["maps"] == []
    assert export(tmp_path, "--json") == 0
    document = json.loads(capfd.readouterr().out)
    jsonschema.validate(document, schema("mapping_document-0.1.json"))
    assert [scene["folder"] for scene in document["maps"]] == [str(tmp_path / "maps" / place) for place in "ab"]
    for place in "ab":
        whole, stitched = (tmp_path / kind / place / "s_mask.tif" for kind in ("whole", "maps"))
        assert whole.read_bytes() == stitched.read_bytes()


def test_the_minimum_area_and_the_threshold_are_those_of_segment(made, checkpoint):
    more = ["--min-area-ha", "0.5", "--threshold", "0.6"]
    assert run("segment", made / "in" / "s.tif", "--out", made / "whole", "--checkpoint", checkpoint, *GRID, *more) == 0
    assert export(made, *more) == 0
    for name in SAME[:4]:
        assert (made / "maps" / f"s_{name}").read_bytes() == (made / "whole" / f"s_{name}").read_bytes(), name
    first, second = (json.loads((made / place / "s_report.json").read_text()) for place in ("whole", "maps"))
    assert first["calibration"]["threshold"] == 0.6
    assert first["map_version"] == second["map_version"]


def test_tiles_of_another_scene_are_replaced_on_request_only_and_no_old_tile_is_left(
    made, scene_file, checkpoint, capfd
):
    other = cut(scene_file(made / "other" / "s.tif", shape=(60, 60), seed=5), made / "others")
    command = ["predict-folder", "--ckpt", checkpoint, "--in", other, "--out", made / "tiles"]
    assert run(*command) == 2
    assert "--overwrite" in capfd.readouterr().err
    assert len(list((made / "tiles").glob("*_proba.tif"))) == 4
    assert run(*command, "--overwrite") == 0
    assert [path.name for path in (made / "tiles").glob("*_proba.tif")] == ["s_tile_00000_proba.tif"]


# Folders that are neither tiles nor scenes, and options that have no effect.


def test_a_folder_in_which_only_some_files_have_a_record_is_refused(made, scene_file, checkpoint, capfd):
    stray = scene_file(made / "chips" / "stray.tif", shape=(64, 64))
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "out") == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert str(stray) in line
    assert "4 other files" in line
    assert not (made / "out").exists()


def test_a_scene_with_a_json_file_of_another_kind_among_tiles_is_refused_as_a_scene(
    made, scene_file, checkpoint, capfd
):
    stray = scene_file(made / "chips" / "stray.tif", shape=(64, 64))
    stray.with_suffix(".json").write_text('{"type": "Feature"}')
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "out") == 2
    error = capfd.readouterr().err
    assert f"{stray}: has no tile record" in error
    assert "scenes only, or with tiles only" in error


def test_a_json_file_of_another_kind_beside_a_scene_does_not_make_it_a_tile(tmp_path, scene_file, checkpoint):
    scene = scene_file(tmp_path / "in" / "s.tif", shape=(64, 64))
    scene.with_suffix(".json").write_text('{"type": "Feature"}')
    assert run("predict-folder", "--ckpt", checkpoint, "--in", scene.parent, "--out", tmp_path / "out", *GRID) == 0
    assert (tmp_path / "out" / "s_mask.tif").is_file()


def test_predicted_tiles_are_not_predicted_again(made, checkpoint, capfd):
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "tiles", "--out", made / "out") == 2
    assert "export-stitched" in capfd.readouterr().err
    # Results in the folder of the chips do not disturb the next run.
    for _ in range(2):
        assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "chips") == 0
    assert len(list((made / "chips").glob("*_proba.tif"))) == 4


OPTIONS = {
    "tile": [["--tile", "64"], ["--overlap", "8"], ["--units", "db"], ["--bands", "1"], ["--no-denoise"]],
    "export-stitched": [["--threshold", "0.5"], ["--min-area-ha", "0.5"]],
    "segment": [["--ancillary", "layers"]],
}


@pytest.mark.parametrize(
    ("command", "option"), [(command, option) for command, options in OPTIONS.items() for option in options]
)
def test_an_option_of_scenes_is_refused_for_tiles_with_the_command_that_takes_it(
    made, checkpoint, capfd, command, option
):
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "out", *option) == 2
    printed = capfd.readouterr().err
    assert f"error: --{option[0].strip('-').removeprefix('no-')}" in printed
    assert [name for name in OPTIONS if f"`drshym {name}`" in printed] == [command]
    assert run(command, "--help") == 0
    assert option[0] in capfd.readouterr().out


def test_layers_of_the_environment_get_a_note_that_tiles_do_not_use_them(made, checkpoint, capfd, monkeypatch):
    monkeypatch.setenv("DRSHYM_ANCILLARY", str(made / "layers"))
    assert run("predict-folder", "--ckpt", checkpoint, "--in", made / "chips", "--out", made / "out") == 0
    assert capfd.readouterr().err.count("long-term layers are not used for tiles: use `drshym segment`") == 1
