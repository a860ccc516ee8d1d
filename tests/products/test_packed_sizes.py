"""The size of the images in a zip, from their headers alone."""

from __future__ import annotations

import io
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.archives import packed_sizes
from drshym_pipeline.sar.safe_product import product_images
from drshym_pipeline.sar.tiff_size import tiff_size
from tests.products.safe_product import write_safe, zip_safe


@pytest.mark.parametrize("options", [{}, {"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}, {"COMPRESS": "DEFLATE"}])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_size_of_a_tiff_is_that_of_gdal(tmp_path: Path, options: dict[str, str]):
    path = tmp_path / "image.tif"
    profile = {"driver": "GTiff", "count": 2, "dtype": "uint16", "width": 301, "height": 70}
    with rasterio.open(path, "w", **profile, **options) as target:
        target.write(np.ones((2, 70, 301), np.uint16))
    with path.open("rb") as handle:
        assert tiff_size(handle) == (301, 70)


@pytest.mark.parametrize("content", [b"", b"II", b"PK\3\4", b"<!doctype html>", b"II\x2c\0"])
def test_what_does_not_begin_like_a_tiff_has_no_size(content: bytes):
    assert tiff_size(io.BytesIO(content)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"II*\0",
        b"II*\0" + struct.pack("<I", 1 << 31),
        b"II*\0" + struct.pack("<IH", 8, 65_535),
        b"II*\0" + struct.pack("<IHHHII", 8, 1, 256, 4, 1, 500),
    ],
    ids=["no directory", "a directory beyond the end", "too many fields", "no height"],
)
def test_a_damaged_header_is_an_error(content: bytes):
    with pytest.raises(ValueError, match="header of the TIFF is damaged"):
        tiff_size(io.BytesIO(content))


def test_the_images_of_a_product_are_measured_without_unpacking_them(tmp_path: Path):
    safe = write_safe(tmp_path)
    archive = zip_safe(safe)
    shutil.rmtree(safe)
    before = sorted(tmp_path.rglob("*"))
    sizes = packed_sizes(archive)
    assert sizes == [sizes[0]] * 2
    assert sizes[0][0] > 100
    assert sorted(tmp_path.rglob("*")) == before


def test_a_header_at_the_end_of_an_image_is_found(tmp_path: Path):
    safe = write_safe(tmp_path)
    image = product_images(safe)[0]
    entries = [(256, 4, 1, 5_000), (257, 3, 1, 4_000)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    body = bytes(3 << 20)
    image.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory)
    assert packed_sizes(zip_safe(safe))[0] == (5_000, 4_000)


@pytest.mark.parametrize(
    ("content", "said"),
    [(bytes(1 << 20), "not a TIFF"), (b"II*\0" + bytes(4), r"damaged or cut short \(the header of the TIFF")],
)
def test_an_image_that_is_no_tiff_is_named_with_its_place_in_the_zip(tmp_path: Path, content: bytes, said: str):
    safe = write_safe(tmp_path)
    image = product_images(safe)[0]
    image.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{safe.name}/measurement/{image.name}: {said}"):
        packed_sizes(zip_safe(safe))


def test_a_garbled_entry_is_damage_of_the_zip(tmp_path: Path):
    path = zip_safe(write_safe(tmp_path))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = next(entry for entry in archive.infolist() if entry.filename.endswith("-001.tiff"))
    start = entry.header_offset + 30 + len(entry.filename)
    content[start : start + 400] = b"\xff" * 400
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or cut short"):
        packed_sizes(path)
