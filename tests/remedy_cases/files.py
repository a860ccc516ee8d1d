"""Cases about files: damaged, incomplete, forbidden or unsafe to open, and requests that name the wrong ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from drshym_pipeline.sar import ingest, safe_open
from tests.remedy_cases.case import CLEAN, COUNTS, Case, Request, Write, case, whole


def damaged(write: Write, change: Callable[[Path], object], **options: Any) -> Case:
    path = write(CLEAN, "S1_a.tif", **options)
    copy = path.with_name("S1_copied_again.tif")
    shutil.copy(path, copy)
    change(path)
    return Case(Request([path]), "Download or copy it again", [Request([copy])])


def keep(path: Path, share: float, *, fill: bool) -> None:
    """Keep the first part of a file, and fill the rest with zero bytes or cut it."""
    content = path.read_bytes()
    size = int(share * len(content)) // 512 * 512 + 100
    path.write_bytes(content[:size] + (bytes(len(content) - size) if fill else b""))


@case
def _cut(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return damaged(write, lambda path: keep(path, 0.9, fill=False))


@case
def _block_never_written(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return damaged(write, lambda path: keep(path, 0.5, fill=True), compress="deflate")


@case
def _end_never_written(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return damaged(write, lambda path: keep(path, 0.9, fill=True))


@case
def _garbled(write: Write, patch: pytest.MonkeyPatch) -> Case:
    def garble(path: Path) -> None:
        content = bytearray(path.read_bytes())
        with rasterio.open(path) as dataset:
            start = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
        content[start + 2 : start + 400] = b"\x55" * 398
        path.write_bytes(content)

    return damaged(write, garble, compress="deflate")


@case
def _head_cut(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return damaged(write, lambda path: path.write_bytes(path.read_bytes()[:60]))


@case
def _empty(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return damaged(write, lambda path: path.write_bytes(b""))


@case
def _shorter_while_it_is_read(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    content = path.read_bytes()
    check = ingest.check_zero_tail

    def cut_and_check(dataset: Any, name: Path) -> str | None:
        name.write_bytes(content[:2000])
        try:
            return check(dataset, name)
        finally:
            patch.setattr(ingest, "check_zero_tail", check)
            name.write_bytes(content)  # now it is completely written

    patch.setattr(ingest, "check_zero_tail", cut_and_check)
    return Case(Request([path]), "Wait until the file is completely written", [Request([path])])


@case
def _no_file(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(Request([]), "Give VV, and VH if there is one", [whole(write)])


@case
def _twice(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path, path]), "one file with both", [Request([path])])


@case
def _scene_name(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path], scene_id="a/b"), "Use letters", [Request([path], scene_id="a-b")])


@case
def _own_map(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN[0], "S1_a_proba.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(DRSHYM_MODEL_SHA256="0" * 64)
    return Case(Request([path]), "Give the scene", [whole(write)])


@case
def _outside_mask(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.ones(CLEAN.shape[1:], bool))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        rasterio.shutil.copy(path, path.with_name("S1_b.tif"), driver="GTiff")
    return Case(Request([path]), "GDAL_TIFF_INTERNAL_MASK YES", [Request([path.with_name("S1_b.tif")])])


@case
def _one_calibration_table(write: Write, patch: pytest.MonkeyPatch) -> Case:
    vv, vh = write(COUNTS[0], "S1_a_VV.tif"), write(COUNTS[1], "S1_a_VH.tif")
    table = vv.with_name("calibration-S1_a_VV.xml")
    table.write_text("<calibration/>")
    vv2, vh2 = write(COUNTS[0], "S1_b_VV.tif"), write(COUNTS[1], "S1_b_VH.tif")
    return Case(Request([vv, vh]), "Copy both tables beside the files, or none", [Request([vv2, vh2])])


@case
def _virtual_path(write: Write, patch: pytest.MonkeyPatch) -> Case:
    copy = whole(write)
    return Case(Request([Path(f"/vsizip/{copy.paths[0]}")]), "Copy the scene to a local disk", [copy])


@case
def _missing_file(write: Write, patch: pytest.MonkeyPatch) -> Case:
    there = whole(write)
    return Case(Request([there.paths[0].with_name("S1_missing.tif")]), "Check the path", [there])


@case
def _broken_link(write: Write, patch: pytest.MonkeyPatch) -> Case:
    there = whole(write)
    link = there.paths[0].with_name("S1_link.tif")
    link.symlink_to("S1_moved.tif")
    return Case(Request([link]), "Give the path of the file itself", [there])


@case
def _folder(write: Write, patch: pytest.MonkeyPatch) -> Case:
    there = whole(write)
    return Case(Request([there.paths[0].parent]), "Give the path of one GeoTIFF", [there])


@case
def _no_tiff(write: Write, patch: pytest.MonkeyPatch) -> Case:
    there = whole(write)
    text = there.paths[0].with_name("S1_notes.tif")
    text.write_text("these are not pixels")
    return Case(Request([text]), "Give a GeoTIFF with Sentinel-1 backscatter", [there])


@case
def _too_large(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.concatenate([CLEAN, CLEAN], axis=1), "S1_a.tif")
    patch.setattr(safe_open, "MAX_BYTES", CLEAN.nbytes)
    return Case(Request([path]), "cut it into parts", [Request([write(CLEAN, "S1_part.tif")])])


@case
def _sparse(write: Write, patch: pytest.MonkeyPatch) -> Case:
    patch.setattr(safe_open, "RATIO_FREE_BYTES", 1000)
    patch.setattr(safe_open, "MAX_RATIO", 10)
    path = write(np.zeros_like(CLEAN), "S1_a.tif", compress="zstd")
    return Case(Request([path]), "without sparse blocks", [whole(write)])


@case
def _large_blocks(write: Write, patch: pytest.MonkeyPatch) -> Case:
    patch.setattr(safe_open, "MAX_BLOCK_BYTES", 64 * 64 * 8)
    path = write(CLEAN, "S1_a.tif", blockysize=160, compress="deflate")
    tiles = write(CLEAN, "S1_b.tif", tiled=True, blockxsize=64, blockysize=64)
    return Case(Request([path]), "Write it in 512x512 tiles", [Request([tiles])])


@case
def _other_overview(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="other.ovr")
    return Case(Request([path]), "Write it again without that metadata", [whole(write)])
