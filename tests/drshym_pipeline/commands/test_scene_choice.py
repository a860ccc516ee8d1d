"""Which files and bands the commands take: names that are equal, files given twice, side rasters, chosen bands."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.cli import main

SMALL = ["--tile", "64", "--overlap", "8"]


@pytest.fixture
def run(capfd, checkpoint, tmp_path):
    """A function that maps with a command and returns the exit code, the names of the products' records and stderr."""

    def run(command, *arguments, out="out"):
        capfd.readouterr()
        options = ["--out", tmp_path / out, "--checkpoint", checkpoint, *SMALL]
        code = main([command, *map(str, arguments), *map(str, options)])
        found = sorted(p.relative_to(tmp_path / out).as_posix() for p in (tmp_path / out).rglob("*_report.json"))
        return code, [name.removesuffix("_report.json") for name in found], capfd.readouterr().err

    return run


def record(path: Path) -> dict:
    return json.loads(path.with_name(f"{path.name}_report.json").read_text("utf-8"))


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_equal_names_of_two_folders_are_two_maps_of_one_call(run, tmp_path, scene_file, overwrite):
    paths = [
        scene_file(tmp_path / place / "s.tif", shape=(64, 64), seed=seed)
        for seed, place in enumerate(("rome", "milan"))
    ]
    code, names, _ = run("segment", *paths, *overwrite)
    assert (code, names) == (0, ["milan-s", "rome-s"])
    for name in names:
        (uri,) = record(tmp_path / "out" / name)["source_uris"]
        assert uri.endswith(f"{name.replace('-', '/')}.tif")


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_pair_beside_a_file_of_its_name_and_other_names_that_look_alike_never_replace_each_other(
    run, tmp_path, scene_file, overwrite
):
    folder = tmp_path / "in"
    for name in ("p.tif", "a#b.tif", "a%b.tif", "洪水.tif", "河川.tif", "_x.tif", "x.tif", "s.tif", "s.tiff"):
        scene_file(folder / name, shape=(64, 64))
    scene_file(folder / "p_VV.tif", bands=("VV",), shape=(64, 64))
    scene_file(folder / "p_VH.tif", bands=("VH",), shape=(64, 64))
    for command, given in (("segment", sorted(folder.iterdir())), ("predict-folder", ["--in", folder])):
        code, names, _ = run(command, *given, *overwrite, out=command)
        assert code == 0
        assert len(names) == 10
        assert {"p", "洪水", "河川", "_x", "x"} <= set(names)
        sources = [tuple(record(tmp_path / command / name)["source_uris"]) for name in names]
        assert len(set(sources)) == 10


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_name_of_a_scene_is_printed_in_every_encoding(tmp_path, scene_file, checkpoint, monkeypatch, encoding):
    path = scene_file(tmp_path / "in" / "洪水.tif", shape=(64, 64))
    printed = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", printed)
    command = ["segment", path, "--out", tmp_path / "out", "--checkpoint", checkpoint, *SMALL]
    assert main([str(part) for part in command]) == 0
    printed.flush()
    shown = printed.buffer.getvalue().decode(encoding)
    assert ("洪水" if encoding == "utf-8" else "\\u6d2a\\u6c34") in shown


def test_the_same_file_given_twice_is_mapped_once(run, tmp_path, scene_file, monkeypatch):
    path = scene_file(tmp_path / "in" / "s.tif", shape=(64, 64))
    vv = scene_file(tmp_path / "in" / "p_VV.tif", bands=("VV",), shape=(64, 64))
    vh = scene_file(tmp_path / "in" / "p_VH.tif", bands=("VH",), shape=(64, 64))
    monkeypatch.chdir(tmp_path)
    other = Path("in") / ".." / "in" / "s.tif"
    code, names, _ = run("segment", path, other, path, vv, vh, vv, "--vv", vv, "--vh", vh)
    assert (code, names) == (0, ["p", "s"])


def test_the_files_of_an_item_are_named_after_it_and_given_by_their_options_too(run, tmp_path, scene_file):
    item = tmp_path / "S1A_item_rtc"
    vv = scene_file(item / "iw-vv.rtc.tiff", bands=("VV",), shape=(64, 64))
    vh = scene_file(item / "iw-vh.rtc.tiff", bands=("VH",), shape=(64, 64))
    assert run("segment", vv, vh, out="a")[:2] == (0, ["S1A_item_rtc"])
    assert run("segment", "--vv", vv, "--vh", vh, out="b")[:2] == (0, ["S1A_item_rtc"])


def test_a_side_raster_is_skipped_in_a_folder_and_refused_by_name(run, tmp_path, scene_file):
    folder = tmp_path / "in"
    scene_file(folder / "rome.tif", shape=(64, 64))
    names = ("rome_dem.tif", "rome_area.tif", "rome_mask.tif", "rome_label.tif")
    for name in names:
        scene_file(folder / name, bands=("VV",), shape=(64, 64))
    code, mapped, err = run("predict-folder", "--in", folder, out="a")
    assert (code, mapped) == (0, ["rome"])
    (line,) = [line for line in err.splitlines() if line.startswith("not mapped")]
    assert all(name in line for name in names)
    code, mapped, err = run("segment", folder / "rome_dem.tif", folder / "rome.tif", out="b")
    assert (code, mapped) == (3, ["rome"])
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert "rome_dem.tif: its name says that it is not backscatter (elevation)" in line


def test_a_folder_with_side_rasters_alone_is_refused_and_they_are_named(run, tmp_path, scene_file):
    scene_file(tmp_path / "in" / "rome_dem.tif", bands=("VV",), shape=(64, 64))
    code, mapped, err = run("predict-folder", "--in", tmp_path / "in")
    assert (code, mapped) == (2, [])
    assert "contains no scene, only side rasters: rome_dem.tif (elevation, no scene)" in err


@pytest.fixture
def dates(tmp_path, scene_file) -> Path:
    """A file with VV of two dates and VH of the second one."""
    path = scene_file(tmp_path / "in" / "s.tif", bands=("VV", "VV", "VH"), shape=(64, 64))
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("VV_20210101", "VV_20210113", "VH_20210113")
    return path


@pytest.mark.parametrize("command", ["segment", "predict-folder"])
def test_bands_of_several_dates_are_refused_until_bands_are_chosen(run, tmp_path, dates, command):
    given = [dates] if command == "segment" else ["--in", dates.parent]
    code, _, err = run(command, *given, out="a")
    assert code == 2
    assert "several dates: 1 (VV_20210101), 2 (VV_20210113), 3 (VH_20210113)" in err
    assert "--bands 1 " in err
    code, names, _ = run(command, *given, "--bands", "2, 3", out="b")
    assert (code, names) == (0, ["s"])
    chosen = record(tmp_path / "b" / "s")
    assert chosen["modality"] == "sentinel1_sar_vv_vh"
    assert "bands:2,3" in chosen["processing"]
    dates.with_name("s.drshym.json").write_text('{"bands": [2]}', "utf-8")
    code, names, _ = run(command, *given, out="c")
    assert (code, names) == (0, ["s"])
    assert "bands:2" in record(tmp_path / "c" / "s")["processing"]
    run(command, *given, "--bands", "2,3", out="d")
    assert record(tmp_path / "d" / "s")["map_version"] == chosen["map_version"]
    assert record(tmp_path / "c" / "s")["map_version"] != chosen["map_version"]


def test_chips_are_cut_from_the_chosen_bands(tmp_path, dates):
    out = tmp_path / "chips"
    assert main(["tile", str(dates), "--out", str(out), "--tile", "64", "--overlap", "8"]) == 2
    assert main(["tile", str(dates), "--out", str(out), "--tile", "64", "--overlap", "8", "--bands", "2,3"]) == 0
    with rasterio.open(next(out.glob("*.tif"))) as chip, rasterio.open(dates) as source:
        np.testing.assert_allclose(chip.read(), source.read([2, 3]), atol=0.01)


@pytest.mark.parametrize("bands", ["0", "1,2,3", "VV", "", "1,", "1.5", "²"])
def test_numbers_of_bands_that_cannot_be_are_refused(run, dates, bands):
    code, names, err = run("segment", dates, "--bands", bands)
    assert (code, names) == (2, [])
    assert "error: --bands: cannot be" in err
