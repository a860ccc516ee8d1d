"""Follow the remedy of every message about a raster: the result is the right map or another refusal, never a wrong map.

The last test compares the messages that were seen here with those in the source: a new message needs a case.
"""

from __future__ import annotations

import ast
import importlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from click.testing import CliRunner
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rio.main import main_group
from scipy import ndimage

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Units
from drshym_pipeline.sar import ingest, safe_open
from drshym_pipeline.sar.scene import SceneReader, describe_scene
from drshym_pipeline.tiling import Window
from tests.look_alikes import NOT_BACKSCATTER, backscatter_db
from tests.units import from_db

CLEAN = backscatter_db().astype(np.float32)
COUNTS = from_db(CLEAN, "dn").round().astype(np.uint16)
MODULES = (
    "bands",
    "completeness",
    "file_facts",
    "georeference",
    "ground_control",
    "ingest",
    "plausibility",
    "raster_band",
    "reader",
    "safe_open",
    "scene_groups",
    "scene_tables",
    "unit_evidence",
    "units",
)
# Messages that no raster of this page can give, and the tests that have them.
ELSEWHERE = {
    ("safe_open", "cannot be read"): "needs a user without rights",
    ("safe_open", "no raster band inside"): "GDAL writes no such file",
    ("safe_open", "open_raster"): "opens a file that open_scene_file has opened before",
    ("reader", "not the file the scene was described from"): "about a staged scene",
}


@dataclass(frozen=True)
class Request:
    """What a user asks for: the files, the units if they are stated, and the bands if they are chosen."""

    paths: list[Path]
    units: Units | None = None
    scene_id: str | None = None
    bands: tuple[int, ...] = ()


@dataclass(frozen=True)
class Case:
    """A request that is refused, words of the remedy, and the requests of a user who follows it."""

    refused: Request
    remedy: str
    followed: list[Request]
    truth: Units | None = None  # the units with which the refused files themselves give the right map
    expected: np.ndarray = field(default_factory=lambda: CLEAN)  # dB of the right map


Write = Callable[..., Path]
Maker = Callable[[Write, pytest.MonkeyPatch], Case]
CASES: dict[str, Maker] = {}


def case(maker: Maker) -> Maker:
    """Register a case under the name of its function."""
    CASES[maker.__name__.strip("_")] = maker
    return maker


def smooth(db: np.ndarray, side: int) -> np.ndarray:
    """Return dB after a mean filter of the power."""
    power = ndimage.uniform_filter(10.0 ** (db.astype(np.float64) / 10.0), (0, side, side) if db.ndim == 3 else side)
    return np.asarray(10.0 * np.log10(power), np.float32)


def whole(write: Write, name: str = "S1A_IW_GRDH_whole.tif") -> Request:
    """Return a request for the original product."""
    return Request([write(CLEAN, name)])


def original(write: Write, refused: Path, *others: Request, truth: Units | None = None, units: Any = None) -> Case:
    """Return a case whose remedy is to give the original product."""
    return Case(Request([refused], units), "original Sentinel-1 product", [whole(write), *others], truth)


# --- bands -----------------------------------------------------------------------------------------------------------


@case
def _complex(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(Request([write(CLEAN.astype(np.complex64), "S1_slc.tif")]), "Use a GRD or RTC product", [whole(write)])


@case
def _alpha_alone(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN[:1], "S1_alpha.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.alpha]
    return Case(Request([path]), "Give a GeoTIFF with Sentinel-1 backscatter", [whole(write)])


@case
def _horizontal(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(Request([write(CLEAN, "S1_a_HH.tif")]), "needs VV", [whole(write)])


@case
def _vh_alone(write: Write, patch: pytest.MonkeyPatch) -> Case:
    vh = write(CLEAN[1], "S1_a_VH.tif")
    return Case(Request([vh]), "give the file that contains VV", [Request([write(CLEAN[0], "S1_a_VV.tif"), vh])])


@case
def _two_vv(write: Write, patch: pytest.MonkeyPatch) -> Case:
    first, second = write(CLEAN[0], "S1_a_VV.tif"), write(CLEAN[0], "S1_b_VV.tif")
    return Case(Request([first, second]), "one VV, one VH", [Request([first, write(CLEAN[1], "S1_a_VH.tif")])])


@case
def _pair_of_whole_files(write: Write, patch: pytest.MonkeyPatch) -> Case:
    first, second = write(CLEAN, "S1_a.tif"), write(CLEAN, "S1_b.tif")
    return Case(Request([first, second]), "Give this file alone", [Request([first])])


@case
def _layers_alone(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif", descriptions=("angle", "mask"))
    return Case(Request([path]), "give the file that contains VV", [whole(write)])


@case
def _several_vv(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.concatenate([CLEAN, CLEAN]), "S1_a.tif", descriptions=("S_VV", "S_VH", "G_VV", "G_VH"))
    return Case(Request([path]), "choose with --bands 1,2 (VV first)", [Request([path], bands=(1, 2)), whole(write)])


@case
def _several_dates(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.stack([CLEAN[0], CLEAN[0] + 1]), "S1_a.tif", descriptions=("VV_pre", "VV_post"))
    return Case(Request([path]), "choose with --bands 1 (VV first)", [Request([path], bands=(1,)), whole(write)])


@case
def _too_many_bands_chosen(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path], bands=(1, 2, 3)), "VV first: 1 or 1,2", [Request([path], bands=(1, 2))])


@case
def _missing_band_chosen(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path], bands=(1, 3)), "Choose one of these", [Request([path], bands=(1, 2))])


@case
def _band_chosen_twice(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path], bands=(1, 1)), "VV alone with --bands 1", [Request([path], bands=(1,))])


@case
def _one_band_chosen_of_two_files(write: Write, patch: pytest.MonkeyPatch) -> Case:
    pair = [write(CLEAN[0], "S1_a_VV.tif"), write(CLEAN[1], "S1_a_VH.tif")]
    return Case(Request(pair, bands=(1,)), "VV first: --bands 1,1", [Request(pair, bands=(1, 1))])


@case
def _companion(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a_dem.tif")
    renamed = path.with_name("S1_a_corrected.tif")
    shutil.copy(path, renamed)
    return Case(Request([path]), "If this is backscatter, rename it", [Request([renamed]), whole(write)])


# --- completeness ----------------------------------------------------------------------------------------------------


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


# --- position --------------------------------------------------------------------------------------------------------

MOON = 'GEOGCS["Moon",DATUM["Moon",SPHEROID["Moon",1737400,0]],PRIMEM["Reference",0],UNIT["degree",0.0174532925199433]]'
CORNERS = [(0, 0), (0, 160), (160, 0), (160, 160)]


def with_points(write: Write, places: list[tuple[float, float]], crs: str | None = "EPSG:4326") -> Case:
    """Return the case of a file with control points at (longitude, latitude) for its four corners."""
    points = [
        GroundControlPoint(row, col, x, y, 0.0)
        for (row, col), (x, y) in zip(CORNERS[: len(places)], places, strict=True)
    ]
    path = write(CLEAN, "S1_a.tif", crs=None, transform=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, rasterio.crs.CRS.from_user_input(crs) if crs else rasterio.crs.CRS())
    return Case(Request([path]), "Georeference it first", [whole(write)])


@case
def _no_georeference(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif", crs=None, transform=None)
    return Case(Request([path]), "Georeference it first", [whole(write)])


@case
def _local_crs(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif", crs='LOCAL_CS["site grid",UNIT["metre",1]]')
    return Case(Request([path]), "Georeference it again in a CRS of the Earth", [whole(write)])


@case
def _crs_of_another_planet(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif", crs=MOON, transform=rasterio.Affine(1e-4, 0, 12, 0, -1e-4, 45))
    return Case(Request([path]), "Georeference it again in a CRS of the Earth", [whole(write)])


@case
def _metres_as_degrees(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path, copy = (write(CLEAN, name, crs="EPSG:4326") for name in ("S1_a.tif", "S1_b.tif"))
    done = CliRunner().invoke(main_group, ["edit-info", "--crs", "EPSG:32630", str(copy)])
    assert done.exit_code == 0, done.output
    return Case(Request([path]), "(rio edit-info --crs EPSG:n FILE)", [Request([copy])])


@case
def _points_without_crs(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return with_points(write, [(12.0, 45.0), (12.02, 45.0), (12.0, 44.99), (12.02, 44.99)], crs=None)


@case
def _points_beyond_the_pole(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return with_points(write, [(12.0, 88.0), (12.02, 88.0), (12.0, 87.99), (12.02, 87.99)])


@case
def _points_on_a_line(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return with_points(write, [(12.0, 45.0)] * 4)


@case
def _points_in_one_row(write: Write, patch: pytest.MonkeyPatch) -> Case:
    case = with_points(write, [(12.0, 45.0), (12.02, 45.0), (12.0, 44.99), (12.02, 44.99)])
    with rasterio.open(case.refused.paths[0], "r+") as dataset:
        points, crs = dataset.gcps
        dataset.gcps = ([GroundControlPoint(80, point.col, point.x, point.y, 0.0) for point in points], crs)
    return case


@case
def _points_on_a_map_line(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return with_points(write, [(12.0, 45.0), (12.02, 45.0), (12.0, 45.0), (12.02, 45.0)])


@case
def _points_around_the_world(write: Write, patch: pytest.MonkeyPatch) -> Case:
    case = with_points(write, [(12.0, 45.0), (12.02, 45.0), (12.0, 44.99), (12.02, 44.99)])
    path = case.refused.paths[0]
    with rasterio.open(path, "r+") as dataset:
        points, crs = dataset.gcps
        dataset.gcps = ([*points, GroundControlPoint(80, 80, 15.0, 47.0, 0.0)], crs)
    return case


@case
def _infinite_spline(write: Write, patch: pytest.MonkeyPatch) -> Case:
    from drshym_pipeline.sar import ground_control

    class Nowhere:
        def __init__(self, *arguments: Any, **options: Any) -> None: ...
        def __enter__(self) -> Nowhere:
            return self

        def __exit__(self, *error: object) -> None: ...
        def xy(self, rows: Any, cols: Any, **options: Any) -> Any:
            return np.full(len(rows), np.inf), np.zeros(len(cols))

    patch.setattr(ground_control, "GCPTransformer", Nowhere)
    return with_points(write, [(12.0, 45.0), (12.02, 45.0), (12.0, 44.99), (12.02, 44.99)])


@case
def _flat_transform(write: Write, patch: pytest.MonkeyPatch) -> Case:
    flat = rasterio.Affine(10.0, 10.0, 500_000.0, 10.0, 10.0, 4_500_000.0)
    return Case(Request([write(CLEAN, "S1_a.tif", transform=flat)]), "Georeference it first", [whole(write)])


@case
def _other_grid(write: Write, patch: pytest.MonkeyPatch) -> Case:
    vv = write(CLEAN[0], "S1_a_VV.tif")
    other = write(CLEAN[1, :-1], "S1_b_VH.tif")
    return Case(Request([vv, other]), "two polarisations", [Request([vv, write(CLEAN[1], "S1_a_VH.tif")])])


# --- the request -----------------------------------------------------------------------------------------------------


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


# --- files that are not opened ---------------------------------------------------------------------------------------


@case
def _virtual_path(write: Write, patch: pytest.MonkeyPatch) -> Case:
    copy = whole(write)
    return Case(Request([Path(f"/vsizip/{copy.paths[0]}")]), "Copy the scene to a local disk", [copy])


@case
def _missing_file(write: Write, patch: pytest.MonkeyPatch) -> Case:
    there = whole(write)
    return Case(Request([there.paths[0].with_name("S1_missing.tif")]), "Check the path", [there])


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


# --- values ----------------------------------------------------------------------------------------------------------


@case
def _scale_of_zero(write: Write, patch: pytest.MonkeyPatch) -> Case:
    paths = [write(np.round(CLEAN * 100).astype(np.int16), f"S1_{name}.tif") for name in "ab"]
    for path, scale in zip(paths, (0.0, 0.01), strict=True):
        with rasterio.open(path, "r+") as dataset:
            dataset.scales = (scale, scale)
    return Case(Request(paths[:1]), "Correct the tags of the file", [Request(paths[1:])])


@case
def _one_value(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.stack([CLEAN[0], np.full_like(CLEAN[0], 38.0)]), "S1_a.tif")
    return Case(
        Request([path]), "with VV, or with VV and VH", [Request([write(CLEAN[0], "S1_a_VV.tif")]), whole(write)]
    )


@case
def _two_dates(write: Write, patch: pytest.MonkeyPatch) -> Case:
    dates = np.stack([CLEAN[0], backscatter_db(seed=3)[0].astype(np.float32)])
    path = write(dates, "S1_a.tif")
    named = Request([write(CLEAN, "S1_b.tif", descriptions=("VV", "VH"))])
    return Case(
        Request([path]), "name the bands in their descriptions, or choose", [named, Request([path], bands=(1,))]
    )


@case
def _names_of_two_units(write: Write, patch: pytest.MonkeyPatch) -> Case:
    vv = write(from_db(CLEAN[0], "power").astype(np.float32), "S1_a_VV_power.tif")
    vh = write(from_db(CLEAN[1], "amplitude").astype(np.float32), "S1_a_VH_amplitude.tif")
    same = write(from_db(CLEAN[1], "power").astype(np.float32), "S1_a_VH_power.tif")
    return Case(Request([vv, vh]), "Give both in the same units", [Request([vv, same])])


@case
def _vh_is_empty(write: Write, patch: pytest.MonkeyPatch) -> Case:
    values = CLEAN.copy()
    values[1] = np.nan
    paths = [write(values[0], "S1_a_VV.tif"), write(values[1], "S1_a_VH.tif")]
    again = [paths[0], write(CLEAN[1], "S1_b_VH.tif")]
    return Case(Request(paths), "or use VV alone", [Request(again), Request(paths[:1])])


@case
def _bands_of_two_units(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.stack([CLEAN[0], from_db(CLEAN[1], "power")]).astype(np.float32), "S1_a.tif")
    return Case(Request([path]), "Write both bands in the same units", [whole(write)])


@case
def _only_fill(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(np.round(CLEAN * 100).astype(np.int16), "S1_a.tif"))


@case
def _picture(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(np.clip((CLEAN + 30) * 8, 1, 255).astype(np.uint8), "S1_a.tif"))


@case
def _index(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(NOT_BACKSCATTER["index"][0](1).astype(np.float32), "S1_VV.tif"))


@case
def _depths(write: Write, patch: pytest.MonkeyPatch) -> Case:
    depths = -100.0 + 40.0 * NOT_BACKSCATTER["index"][0](1).astype(np.float32)
    return original(write, write(depths, "S1_VV.tif"))


@case
def _no_unit(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(
        write, write(np.random.default_rng(1).uniform(2.5, 4.5, (160, 160)).astype(np.float32), "S1_VV.tif")
    )


@case
def _db_times_two_as_whole_numbers(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(np.round(CLEAN).astype(np.int16), "S1_a.tif"))


@case
def _name_says_db(write: Write, patch: pytest.MonkeyPatch) -> Case:
    power = from_db(CLEAN, "power").astype(np.float32)
    return Case(
        Request([write(power, "S1_a_dB.tif")]),
        "Correct the name",
        [Request([write(power, "S1_a_power.tif")]), whole(write)],
        truth="power",
    )


@case
def _power_or_amplitude(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(from_db(smooth(CLEAN[:1] + 6.0, 3), "amplitude").astype(np.float32), "S1_VV.tif")
    return Case(
        Request([path]),
        "--units power or --units amplitude",
        [Request([path], "amplitude")],
        "amplitude",
        smooth(CLEAN[:1] + 6.0, 3),
    )


@case
def _counts_without_a_name(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(COUNTS, "a.tif")
    return Case(Request([path]), "pass --units dn", [Request([path], "dn"), whole(write)], truth="dn")


@case
def _squares_without_a_name(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(from_db(CLEAN, "intensity").astype(np.float32), "a.tif")
    return Case(Request([path]), "--units intensity", [Request([path], "intensity")], truth="intensity")


@case
def _power_without_its_scale(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(np.round(from_db(CLEAN, "power") * 1e4).astype(np.uint16), "S1_a.tif"))


@case
def _stated_units_of_another_family(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path], "power"), "Leave --units out", [Request([path])], truth="db")


@case
def _stated_amplitude(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(from_db(CLEAN, "power").astype(np.float32), "S1_a.tif")
    return Case(Request([path], "amplitude"), "pass --units power", [Request([path], "power")], truth="power")


@case
def _stated_counts(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(from_db(CLEAN, "intensity").astype(np.float32), "S1_a.tif")
    return Case(
        Request([path], "dn"), "pass --units intensity", [Request([path], "intensity"), whole(write)], truth="intensity"
    )


@case
def _amplitude_without_its_scale(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write((100.0 * from_db(CLEAN, "amplitude")).astype(np.float32), "S1_a_amplitude.tif")
    return Case(Request([path]), "If they are the digital numbers", [whole(write)])


@case
def _copied_band(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.stack([CLEAN[0], CLEAN[0]]), "S1_a.tif", descriptions=("VV", "VH"))
    return Case(
        Request([path]), "with VV, or with VV and VH", [Request([write(CLEAN[0], "S1_a_VV.tif")]), whole(write)]
    )


@case
def _scattered_counts(write: Write, patch: pytest.MonkeyPatch) -> Case:
    holes = np.random.default_rng(1).random(CLEAN.shape[1:]) < 0.8
    return original(write, write(np.where(holes, 0, COUNTS).astype(np.uint16), "S1_a.tif"))


@case
def _normalised(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(NOT_BACKSCATTER["normalised dB"][0](1).astype(np.float32), "S1_VV.tif"))


@case
def _impossible_level(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(20 * COUNTS, "S1_a.tif"))


@case
def _no_name(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(
        Request([write(CLEAN[0], "a.tif")]),
        "say so in the file's name (scene_VV.tif) or in the band's description",
        [Request([write(CLEAN[0], "scene_VV.tif")]), Request([write(CLEAN[0], "b.tif", descriptions=("VV",))])],
    )


@case
def _no_speckle(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(np.round(smooth(CLEAN, 41) / 4) * 4, "S1_a.tif"))


@case
def _twenty_log_of_power(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(
        Request([write(2.0 * (CLEAN + 8.0), "S1_a.tif")]),
        "write half of each value",
        [Request([write(CLEAN, "S1_b.tif")])],
    )


@case
def _ten_log_of_amplitude(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(
        Request([write(CLEAN / 2, "S1_a.tif")]), "write twice each value", [Request([write(CLEAN, "S1_b.tif")])]
    )


@case
def _heights_as_counts(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(NOT_BACKSCATTER["elevation"][0](1).astype(np.int16), "S1_VV.tif"))


@case
def _smooth_without_a_name(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(smooth(CLEAN, 9), "a.tif", descriptions=("one", "two")))


@case
def _smooth_at_an_unusual_level(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(smooth(CLEAN, 9) + 8.0, "S1_a.tif"))


# --- the tests -------------------------------------------------------------------------------------------------------


def read(request: Request) -> np.ndarray:
    """Return the dB of a scene."""
    meta = describe_scene(request.paths, units=request.units, scene_id=request.scene_id, bands=request.bands)
    with SceneReader(meta, Path()) as reader:
        return reader.read(Window(0, 0, meta.height, meta.width))


def is_right(db: np.ndarray, expected: np.ndarray) -> bool:
    """Return whether dB are the expected ones in 98 % of the pixels; whole digital numbers are exact to 0.5 dB."""
    return bool(np.mean(np.abs(db - expected[: len(db)]) < 0.5) > 0.98)


def _refusal(case: Case) -> InputError:
    """Return the error of a request that must be refused."""
    with pytest.raises(InputError) as caught:
        read(case.refused)
    return caught.value


def _place(error: InputError) -> tuple[str, int]:
    """Return the module and the line that raised an error."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return Path(trace.tb_frame.f_code.co_filename).stem, trace.tb_lineno


def _messages() -> Iterator[tuple[str, int, int, str]]:
    """Yield every statement that raises an `InputError`: module, first and last line, its text and its function."""
    for module in MODULES:
        path = Path(str(importlib.import_module(f"drshym_pipeline.sar.{module}").__file__))
        text = path.read_text("utf-8")
        for function in ast.walk(ast.parse(text)):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                source = ast.get_source_segment(text, node) or "" if isinstance(node, ast.Raise) else ""
                if source.startswith(("raise InputError", "raise damaged")):
                    yield module, node.lineno, int(node.end_lineno or node.lineno), f"{function.name}: {source}"


@pytest.mark.parametrize("name", CASES)
def test_following_a_remedy_gives_the_right_map(write_tiff, monkeypatch, name):
    case = CASES[name](write_tiff, monkeypatch)
    error = _refusal(case)
    assert case.remedy in error.remedy
    assert "\n" not in str(error)
    for request in case.followed:
        assert is_right(read(request), case.expected), request


@pytest.mark.parametrize("name", CASES)
def test_no_unit_that_a_remedy_names_makes_a_wrong_map(write_tiff, monkeypatch, name):
    case = CASES[name](write_tiff, monkeypatch)
    remedy = _refusal(case).remedy
    for units in re.findall(rf"--units ({'|'.join(get_args(Units))})", remedy):
        try:
            db = read(replace(case.refused, units=units))
        except InputError:
            continue
        # A remedy may name units that are wrong only if it says how the user finds out which one is right.
        asked = remedy.startswith("If ") or (case.truth and remedy.startswith("Look up in the product's documentation"))
        assert is_right(db, case.expected) if units == case.truth else asked, units


def test_every_message_has_a_case(write_tiff, monkeypatch):
    seen = set()
    for name, make in CASES.items():

        def write(values: np.ndarray, file: str, *more: Any, folder: str = name, **options: Any) -> Path:
            path: Path = write_tiff(values, f"{folder}/{file}", *more, **options)
            return path

        with monkeypatch.context() as patch:
            seen.add(_place(_refusal(make(write, patch))))
    missing = [
        f"{module}: {source}"
        for module, first, last, source in _messages()
        if not any(place == module and first <= line <= last for place, line in seen)
        and not any(module == where and words in source for where, words in ELSEWHERE)
    ]
    assert not missing
