"""Every product works in a folder of any name, also names that GDAL, Zarr or an address would read in another way."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pyogrio
import pytest
import rasterio
from PIL import Image

from drshym_pipeline.cli import main
from drshym_pipeline.scene_folder import PRODUCT_KINDS, product_name
from drshym_pipeline.stages import predict, report, stage, stitch, write_tiles

NAMES = [
    "a!b", "zip!x", "x.zip!", "a#b", "a?b", "a%b", "a%20b", "a b", "a::b", "a&b=c", "a;b", "$HOME", "~x", "-x", "[x]",
    "q'q\"", "洪水", "Überflutung",
]  # fmt: skip
# Beginnings that are an address for GDAL if the path is relative.
ADDRESSES = ["s3:x", "zip+file:x", "file:x", "GTIFF_DIR:1:x", "zip:x"]
SMALL = ["--tile", "96", "--overlap", "16"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, random_bundle) -> Path:
    return random_bundle.save(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture(scope="module")
def scene(tmp_path_factory, scene_file) -> Path:
    return scene_file(tmp_path_factory.mktemp("scene") / "S1_x.tif", shape=(60, 80))


def check_products(folder: Path) -> None:
    """Open every product of a map with the program that its readers use."""
    paths = {kind: folder / product_name("S1_x", kind) for kind in PRODUCT_KINDS}
    for kind in ("mask", "proba"):
        with rasterio.open(paths[kind].absolute()) as raster:
            assert raster.read(1).shape == (60, 80)
    for kind in ("overlay", "thumbnail"):
        Image.open(paths[kind]).load()
    assert pyogrio.read_info(paths["flood"].absolute().open("rb").read())["features"] >= 0
    record = json.loads(paths["record"].read_text("utf-8"))
    # The address of the source opens, although the folder has characters with a meaning in addresses.
    (uri,) = record["source_uris"]
    with urlopen(uri) as source:
        assert source.read(2) == b"II"
    page = paths["report"].read_text("utf-8")
    links = [unescape(link) for link in re.findall(r'href="([^"]*)"', page)]
    assert len(links) == len(record["files"])
    for link in links:
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
        assert (folder / unquote(parts.path)).is_file()


@pytest.mark.parametrize("name", NAMES)
def test_a_scene_is_mapped_in_a_folder_of_any_name(tmp_path, scene, checkpoint, name):
    folder = tmp_path / name
    source = Path(shutil.copytree(scene.parent, folder)) / scene.name
    assert main(["segment", str(source), "--out", str(folder / "map"), "--checkpoint", str(checkpoint), *SMALL]) == 0
    check_products(folder / "map")
    assert main(["tile", str(source), "--out", str(folder / "chips"), *SMALL]) == 0
    for chip in (folder / "chips").glob("*.tif"):
        with rasterio.open(chip.absolute()) as raster:
            assert raster.count == 2


@pytest.mark.parametrize("name", [*ADDRESSES, "a::b", "a!b", "-x"])
def test_a_relative_folder_is_a_folder_whatever_its_name_begins_with(tmp_path, scene, checkpoint, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    source = Path(shutil.copytree(scene.parent, name)) / scene.name
    out = Path(name) / "map"
    assert main(["segment", "--out", str(out), "--checkpoint", str(checkpoint), *SMALL, "--", str(source)]) == 0
    check_products(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("name", ["a!b#c?d%e", "a::b", "洪 水"])
def test_the_stages_of_the_lineage_work_in_a_folder_of_any_name(tmp_path, scene, random_bundle, name):
    staged = stage([scene], tmp_path / name)
    predicted = predict(write_tiles(staged, tile=96, overlap=16), random_bundle, random_bundle.reference("checkpoint"))
    finished = report(stitch(predicted))
    assert finished.is_complete()
    check_products(finished.products)
    assert [path.name for path in tmp_path.iterdir()] == [name]
