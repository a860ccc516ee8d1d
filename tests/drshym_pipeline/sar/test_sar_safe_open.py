"""Opening files of unknown origin."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar import safe_open as sar_open
from drshym_pipeline.sar.safe_open import open_raster


def refuses(path: Path, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught, open_raster(path) as dataset:
        dataset.read()
    text = str(caught.value)
    assert "\n" not in text
    assert Path(path).name in text
    assert caught.value.remedy


def test_a_good_file_reads_as_it_was_written(write_tiff, scene_db):
    with open_raster(write_tiff(scene_db)) as dataset:
        np.testing.assert_array_equal(dataset.read(), scene_db)


def test_nothing_is_written_beside_a_file(write_tiff, scene_db):
    path = write_tiff(scene_db)
    before = path.read_bytes()
    with open_raster(path) as dataset:
        dataset.statistics(1)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_not_a_tiff(tmp_path):
    path = tmp_path / "picture.tif"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    refuses(path, "not a TIFF")


def test_zero_bytes(tmp_path):
    path = tmp_path / "empty.tif"
    path.touch()
    refuses(path, r"empty \(zero bytes\)")


def test_a_missing_file(tmp_path):
    refuses(tmp_path / "gone.tif", "does not exist")


def test_a_folder(tmp_path):
    refuses(tmp_path, "not a regular file")


def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "pipe.tif"
    os.mkfifo(path)
    refuses(path, "not a regular file")


def test_a_vrt_named_like_a_tiff_opens_no_other_files(write_tiff, scene_db, tmp_path):
    secret = write_tiff(scene_db, "secret.tif")
    path = tmp_path / "scene.tif"
    path.write_text(
        f'<VRTDataset rasterXSize="80" rasterYSize="96"><VRTRasterBand dataType="Float32" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    refuses(path, "not a TIFF")


@pytest.mark.parametrize(
    "location",
    [
        "/vsicurl/http://127.0.0.1:9/a.tif",
        "http://127.0.0.1:9/a.tif",
        "s3://bucket/a.tif",
        "GTIFF_DIR:1:/data/a.tif",
        "/vsizip//data/a.tif",
        "<VRTDataset>a.tif",
        "bad\0name a.tif",
        "two\nlines a.tif",
    ],
)
def test_only_paths_of_local_files_are_taken(location):
    with pytest.raises(InputError, match=r"local file|does not exist") as caught, open_raster(Path(location)):
        raise AssertionError("opened")
    assert "\n" not in str(caught.value)


def test_an_overview_in_another_file_is_refused(write_tiff, scene_db):
    secret = write_tiff(scene_db[0], "secret.tif")
    path = write_tiff(scene_db[0])
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(secret))
    refuses(path, "OVERVIEWS")


def test_gdal_side_cars_are_not_read(write_tiff, scene_db):
    path = write_tiff(scene_db[0])
    path.with_name(path.name + ".aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:3857</SRS><GeoTransform>0,1,0,0,0,-1</GeoTransform></PAMDataset>"
    )
    path.with_suffix(".tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    with open_raster(path) as dataset:
        assert dataset.crs.to_epsg() == 32630
        assert dataset.transform.a == 10.0


def test_overviews_are_not_used_for_decimated_reads(write_tiff, scene_db):
    path = write_tiff(scene_db[0])
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2])
    with open_raster(path) as dataset:
        assert dataset.overviews(1) == []


def test_a_huge_sparse_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "bomb.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=30_000, height=30_000, count=1, dtype="float32", tiled=True,
        blockxsize=512, blockysize=512, sparse_ok=True, crs="EPSG:32630",
    ):  # fmt: skip
        assert path.name == "bomb.tif"
    refuses(path, "claim to be")


def test_more_pixels_than_the_limit_are_refused(write_tiff, scene_db, monkeypatch):
    monkeypatch.setattr(sar_open, "MAX_BYTES", scene_db.nbytes - 1)
    refuses(write_tiff(scene_db), "more than the limit")


def test_a_small_file_without_an_observed_pixel_is_accepted(write_tiff):
    path = write_tiff(np.full((512, 512), np.nan, np.float32), compress="deflate")
    with open_raster(path) as dataset:
        assert np.isnan(dataset.read()).all()


def test_a_failed_read_names_the_file(write_tiff, scene_db):
    path = write_tiff(scene_db, compress="deflate")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\x55" * (len(content) - len(content) // 2)
    path.write_bytes(content)
    refuses(path, "damaged or cut short")


@pytest.mark.parametrize("folder", ["C:", "http:", "GTIFF_DIR:1:", "vrt:"])
def test_a_local_file_in_a_folder_that_looks_like_an_address_is_read(tmp_path, write_tiff, monkeypatch, folder):
    path = write_tiff(np.ones((1, 8, 8), np.float32), f"{folder}/S1_a.tif")
    monkeypatch.chdir(path.parent.parent)
    with open_raster(Path(folder, "S1_a.tif")) as dataset:
        assert dataset.read().shape == (1, 8, 8)
