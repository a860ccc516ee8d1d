"""An archive of scenes, mapped by one command in one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drshym_pipeline.cli import main

SMALL = ["--tile", "64", "--overlap", "8"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, random_bundle) -> Path:
    return random_bundle.save(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def archive(tmp_path, scene_file) -> Path:
    """Two scenes with one name in two folders, a pair, a file that is not a TIFF, and files that are not scenes."""
    folder = tmp_path / "archive"
    scene_file(folder / "rome" / "s.tif", shape=(64, 70))
    scene_file(folder / "milan" / "s.tif", shape=(70, 64), seed=7)
    scene_file(folder / "p_vv.tif", bands=("VV",), shape=(64, 64))
    scene_file(folder / "p_vh.tif", bands=("VH",), shape=(64, 64))
    (folder / "bad.tif").write_bytes(b"no TIFF")
    (folder / "notes.txt").write_text("x")
    scene_file(folder / ".hidden" / "s.tif", shape=(64, 64))
    (folder / "half.tif.part").write_bytes(b"x")
    return folder


def command(*parts) -> int:
    return main(["predict-folder", *map(str, parts), *SMALL])


def records(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*_report.json"))


def test_every_scene_of_a_folder_is_mapped_and_a_bad_one_stops_none(capfd, tmp_path, archive, checkpoint):
    out = tmp_path / "out"
    assert command("--ckpt", checkpoint, "--in", archive, "--out", out) == 3
    printed = capfd.readouterr()
    assert records(out) == ["milan/s_report.json", "p_report.json", "rome/s_report.json"]
    assert "3 of 4 scenes mapped, 1 failed" in printed.out
    assert "bad.tif" in printed.err
    assert printed.err.count("error:") == 1
    shapes = {name: json.loads((out / name / "s_report.json").read_text())["shape"] for name in ("rome", "milan")}
    assert shapes == {"rome": [64, 70], "milan": [70, 64]}
    assert json.loads((out / "p_report.json").read_text())["modality"] == "sentinel1_sar_vv_vh"


def test_the_option_names_of_the_original_are_accepted(tmp_path, archive, checkpoint):
    (archive / "bad.tif").unlink()
    out = tmp_path / "out"
    assert command("--ckpt", checkpoint, "--scenes_dir", archive, "--proba_dir", out, "--batch_size", 2) == 0
    assert (out / "rome" / "s_proba.tif").is_file()


def test_a_folder_mapped_into_itself_never_maps_its_maps(tmp_path, archive, checkpoint):
    (archive / "bad.tif").unlink()
    for _ in range(2):
        assert command("--ckpt", checkpoint, "--in", archive, "--out", archive) == 0
    assert records(archive) == ["milan/s_report.json", "p_report.json", "rome/s_report.json"]
    inside = archive / "maps"
    for _ in range(2):
        assert command("--ckpt", checkpoint, "--in", archive, "--out", inside) == 0
    assert records(inside) == ["milan/s_report.json", "p_report.json", "rome/s_report.json"]


def test_a_folder_without_scenes_is_refused(capfd, tmp_path, checkpoint):
    (tmp_path / "empty").mkdir()
    assert command("--ckpt", checkpoint, "--in", tmp_path / "empty", "--out", tmp_path / "out") == 2
    assert "contains no GeoTIFF" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_is_refused_as_a_folder(capfd, tmp_path, archive, checkpoint):
    assert command("--ckpt", checkpoint, "--in", archive / "bad.tif", "--out", tmp_path / "out") == 2
    assert "is not a folder" in capfd.readouterr().err


def test_side_cars_that_no_scene_uses_are_named(capfd, tmp_path, archive, checkpoint):
    (archive / "bad.tif").unlink()
    out = archive / "out"
    names = ("p_vv.drshym.json", "rome/s.tif.drshym.json", "lost.drshym.json", "milan/s.drshym.json")
    for name in (*names, "out/old.drshym.json"):
        (archive / name).parent.mkdir(exist_ok=True)
        (archive / name).write_text('{"units": "db"}')
    assert command("--ckpt", checkpoint, "--in", archive, "--out", out) == 0
    said = next(line for line in capfd.readouterr().err.splitlines() if "side-cars without a scene" in line)
    assert "p_vv.drshym.json (it should be p.drshym.json)" in said
    assert "rome/s.tif.drshym.json (it should be rome/s.drshym.json)" in said
    assert "lost.drshym.json (there is no scene for it)" in said
    assert "milan" not in said
    assert "old" not in said
    (out / "old.drshym.json").unlink()
    for wrong, right in ((names[0], "p.drshym.json"), (names[1], "rome/s.drshym.json"), (names[2], "lost.txt")):
        (archive / wrong).rename(archive / right)
    assert command("--ckpt", checkpoint, "--in", archive, "--out", tmp_path / "again") == 0
    assert "side-cars" not in capfd.readouterr().err
