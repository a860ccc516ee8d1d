"""Tiles of layers are found by their official names and moved to a map grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer

from drshym_pipeline.ancillary.blocks import blocks
from drshym_pipeline.ancillary.folder import AncillaryFolder, tile_record
from drshym_pipeline.ancillary.layers import (
    DRAINAGE,
    ELEVATION,
    LAND_COVER,
    OCCURRENCE,
    SEASONALITY,
    Cell,
    Layer,
)
from drshym_pipeline.ancillary.slope import pixel_sides, slope_degrees
from drshym_pipeline.ancillary.tile_files import TileWindow
from drshym_pipeline.ancillary.warping import LayerReader
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import MapGrid
from drshym_pipeline.sar.georeference import pixel_size_m
from drshym_pipeline.storage import sha256_file
from tests.ancillary_tiles import everywhere, write_tile


def grid(crs: str, west: float, north: float, spacing: float, height: int = 120, width: int = 150) -> MapGrid:
    return MapGrid(crs=crs, transform=(spacing, 0.0, west, 0.0, -spacing, north), height=height, width=width)


def as_they_are(window: TileWindow) -> np.ndarray:
    return window.numbers()


def as_classes(window: TileWindow) -> np.ndarray:
    return window.values.astype(np.uint8)


def without_zeros(values: np.ndarray) -> np.ndarray:
    return np.where(values == 0, np.nan, values).astype(np.float32)


def read(reader: LayerReader, place: MapGrid) -> np.ndarray:
    out = np.full(place.shape, np.nan, np.float32)
    for block in blocks(place):
        out[block.window.rows, block.window.cols] = reader.read(block)
    return out


def degrees(place: MapGrid) -> tuple[np.ndarray, np.ndarray]:
    """Return longitudes and latitudes of the pixel centres."""
    cols, rows = np.meshgrid(np.arange(place.width) + 0.5, np.arange(place.height) + 0.5)
    x, y = place.affine @ np.stack([cols.ravel(), rows.ravel()])
    lon, lat = Transformer.from_crs(place.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return np.reshape(lon, place.shape), np.reshape(lat, place.shape)


@pytest.mark.parametrize(
    ("layer", "cell", "path"),
    [
        (OCCURRENCE, Cell(-80, 0), "global-surface-water/downloads2021/occurrence/occurrence_80W_10Nv1_4_2021.tif"),
        (SEASONALITY, Cell(0, -10), "global-surface-water/downloads2021/seasonality/seasonality_0E_0Nv1_4_2021.tif"),
        (OCCURRENCE, Cell(170, -20), "global-surface-water/downloads2021/occurrence/occurrence_170E_10Sv1_4_2021.tif"),
        (LAND_COVER, Cell(6, 0), "esa-worldcover/v200/2021/map/ESA_WorldCover_10m_2021_v200_N00E006_Map.tif"),
        (LAND_COVER, Cell(-3, -3), "esa-worldcover/v200/2021/map/ESA_WorldCover_10m_2021_v200_S03W003_Map.tif"),
        (
            ELEVATION,
            Cell(127, 38),
            "copernicus-dem-30m/Copernicus_DSM_COG_10_N38_00_E127_00_DEM/Copernicus_DSM_COG_10_N38_00_E127_00_DEM.tif",
        ),
        (DRAINAGE, Cell(-1, -1), "glo-30-hand/v1/2021/Copernicus_DSM_COG_10_S01_00_W001_00_HAND.tif"),
    ],
)
def test_tiles_have_the_names_of_the_official_buckets(layer, cell, path):
    assert str(layer.place(cell)) == path


@pytest.mark.parametrize("start", range(5))
def test_a_tile_is_found_flat_and_in_the_folders_of_its_bucket(tmp_path, start):
    place = LAND_COVER.place(Cell(6, 0))
    path = tmp_path.joinpath(*place.parts[start:])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert AncillaryFolder(tmp_path).tile(LAND_COVER, Cell(6, 0)).path == path
    assert AncillaryFolder(tmp_path).tile(LAND_COVER, Cell(9, 0)) is None


def test_a_folder_that_does_not_exist_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"does not exist.*--ancillary or DRSHYM_ANCILLARY, or leave both out"):
        AncillaryFolder(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"):
        AncillaryFolder(tmp_path / "file")


def test_a_file_is_hashed_once_as_long_as_it_is_not_changed(tmp_path, monkeypatch):
    path = tmp_path / "tile.tif"
    path.write_bytes(b"one")
    first = tile_record(path)
    assert first.sha256 == sha256_file(path)
    monkeypatch.setattr("drshym_pipeline.ancillary.folder.sha256_file", lambda path: "read again")
    assert tile_record(path) == first
    path.write_bytes(b"three")
    assert tile_record(path).sha256 == "read again"


def diagonal(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Values that differ at every place and continue over the antimeridian."""
    return 40.0 + 10.0 * (np.where(lon < 0, lon + 360.0, lon) - 180.0) + 3.0 * lat


@pytest.mark.parametrize(
    ("place", "cells"),
    [
        (grid("EPSG:32631", 493_000.0, 222_000.0, 100.0), [Cell(0, 0), Cell(3, 0)]),
        (grid("EPSG:4326", 2.9, 0.1, 0.002), [Cell(0, 0), Cell(0, -3), Cell(3, 0), Cell(3, -3)]),
        (grid("EPSG:32660", 825_000.0, 70_000.0, 100.0), [Cell(177, 0), Cell(-180, 0)]),
        (grid("EPSG:32701", 163_000.0, 9_990_000.0, 100.0), [Cell(177, -3), Cell(-180, -3)]),
        (grid("EPSG:4326", 179.9, 1.0, 0.002), [Cell(177, 0), Cell(-180, 0)]),
        (grid("EPSG:4326", -180.1, 1.0, 0.002), [Cell(177, 0), Cell(-180, 0)]),
        (grid("EPSG:3857", 20_030_000.0, 70_000.0, 100.0), [Cell(177, 0), Cell(-180, 0)]),
    ],
    ids=["utm", "corner of four tiles", "antimeridian in UTM 60N", "antimeridian in UTM 1S", "beyond 180",
         "beyond -180", "antimeridian in EPSG:3857"],
)  # fmt: skip
def test_every_pixel_has_the_value_of_its_place_also_across_tiles_and_the_antimeridian(tmp_path, place, cells):
    for cell in cells:
        write_tile(tmp_path, LAND_COVER, cell, diagonal, pixels=900, dtype="float32", nodata=-1.0)
    reader = LayerReader(AncillaryFolder(tmp_path), LAND_COVER, as_they_are)
    found = read(reader, place)
    lon, lat = degrees(place)
    lon = (lon + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(found, diagonal(lon, lat), atol=0.03)
    assert {tile.uri.rpartition("/")[2] for tile in reader.tiles()} == {LAND_COVER.place(cell).name for cell in cells}
    assert reader.missing == () and reader.faults == ()


def test_a_scene_in_antarctica_has_elevation_and_layers_that_end_before_it_are_unknown_there(tmp_path):
    place = grid("EPSG:3031", -1_300_000.0, 1_300_000.0, 200.0)
    lon, lat = degrees(place)
    cells = {Cell(int(w), int(s)) for w, s in zip(np.floor(lon).ravel(), np.floor(lat).ravel(), strict=True)}
    for cell in cells:
        write_tile(tmp_path, ELEVATION, cell, lambda lon, lat: 100.0 * lat + 7.0 * lon, pixels=300, dtype="float32")
    reader = LayerReader(AncillaryFolder(tmp_path), ELEVATION, as_they_are)
    np.testing.assert_allclose(read(reader, place), 100.0 * lat + 7.0 * lon, atol=0.6)
    assert reader.missing == ()
    water = LayerReader(AncillaryFolder(tmp_path), OCCURRENCE, as_they_are)
    assert np.isnan(read(water, place)).all()
    assert water.missing == () and not water.has_tiles, "no tile exists there, so none is missing"


PLACE = grid("EPSG:32631", 493_000.0, 222_000.0, 100.0)


def test_a_missing_tile_is_named_and_its_pixels_are_unknown(tmp_path):
    write_tile(tmp_path, LAND_COVER, Cell(0, 0), everywhere(30), pixels=900)
    reader = LayerReader(AncillaryFolder(tmp_path), LAND_COVER, as_they_are)
    found = read(reader, PLACE)
    west = degrees(PLACE)[0] < 3.0
    assert (found[west] == 30).all() and np.isnan(found[~west]).all()
    assert reader.missing == ("ESA_WorldCover_10m_2021_v200_N00E003_Map.tif",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crs": "EPSG:3857"}, "has the CRS EPSG:3857, but tiles of ESA WorldCover 2021 are in EPSG:4326"),
        ({"crs": None}, "no CRS"),
        ({"shift": 0.5}, "is not in the square of degrees that its name says"),
    ],
)
def test_a_tile_of_another_crs_or_place_is_unknown_and_named(tmp_path, change, words):
    path = write_tile(tmp_path, LAND_COVER, Cell(0, 0), everywhere(80), pixels=900, **change)
    write_tile(tmp_path, LAND_COVER, Cell(3, 0), everywhere(30), pixels=900)
    reader = LayerReader(AncillaryFolder(tmp_path), LAND_COVER, as_they_are)
    found = read(reader, PLACE)
    (fault,) = reader.faults
    assert words in fault and str(path) in fault
    east = degrees(PLACE)[0] >= 3.0
    assert np.isnan(found[~east]).all() and (found[east] == 30).all()


@pytest.mark.parametrize("left", [0.0, 0.3, 0.9])
def test_a_damaged_tile_is_unknown_and_named(tmp_path, left):
    path = write_tile(tmp_path, LAND_COVER, Cell(0, 0), diagonal, pixels=900, dtype="float32")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * left)])
    reader = LayerReader(AncillaryFolder(tmp_path), LAND_COVER, as_they_are)
    found = read(reader, PLACE)
    assert np.isnan(found).all()
    assert len(reader.faults) == 1 and str(path) in reader.faults[0]


@pytest.mark.parametrize("content", [b"<html>403</html>", b"II*\0", b""])
def test_a_file_that_is_no_raster_is_named_with_a_remedy_that_fits(tmp_path, content):
    path = tmp_path / LAND_COVER.place(Cell(0, 0)).name
    path.write_bytes(content)
    reader = LayerReader(AncillaryFolder(tmp_path), LAND_COVER, as_they_are)
    assert np.isnan(read(reader, PLACE)).all()
    (fault,) = reader.faults
    assert fault.startswith(str(path)) and fault.endswith("Download it again, or remove it.")
    assert not reader.has_tiles and reader.warnings()[-1].endswith("The layer is not known there.")
    path.unlink()
    assert not LayerReader(AncillaryFolder(tmp_path), LAND_COVER, as_they_are).faults


def test_gaps_of_a_tile_are_unknown(tmp_path):
    def with_gap(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        return np.where(lat > 1.95, 0, 30)

    for cell in (Cell(0, 0), Cell(3, 0)):
        write_tile(tmp_path, LAND_COVER, cell, with_gap, pixels=3000)
    reader = LayerReader(
        AncillaryFolder(tmp_path),
        LAND_COVER,
        as_classes,
        without_zeros,
    )
    found, lat = read(reader, PLACE), degrees(PLACE)[1]
    assert np.isnan(found[lat > 1.951]).all() and (found[lat < 1.949] == 30).all()
    assert reader.faults == ()


def hill(layer: Layer, folder: Path, cell: Cell) -> Path:
    return write_tile(folder, layer, cell, lambda lon, lat: 500.0 * lon, pixels=1200, dtype="float32")


def test_a_missing_tile_of_elevation_is_sea_only_if_the_official_list_says_so(tmp_path):
    hill(ELEVATION, tmp_path, Cell(2, 1))
    place = grid("EPSG:32631", 489_000.0, 200_000.0, 100.0)
    reader = LayerReader(AncillaryFolder(tmp_path), ELEVATION, as_they_are)
    found, lon = read(reader, place), degrees(place)[0]
    assert np.isnan(found[lon > 3.0]).all()
    assert reader.missing == ("Copernicus_DSM_COG_10_N01_00_E003_00_DEM.tif",) and reader.sea == ()
    (tmp_path / "tileList.txt").write_text("Copernicus_DSM_COG_10_N01_00_E002_00_DEM\r\n")
    reader = LayerReader(AncillaryFolder(tmp_path), ELEVATION, as_they_are)
    found = read(reader, place)
    assert (found[lon > 3.0] == 0).all() and (found[lon < 2.99] > 1400).all()
    assert reader.missing == () and reader.sea == ("Copernicus_DSM_COG_10_N01_00_E003_00_DEM.tif",)


def test_a_list_of_tiles_that_names_none_is_refused(tmp_path):
    (tmp_path / "tileList.txt").write_text("<html>not found</html>")
    with pytest.raises(InputError, match=r"tileList.txt: names no elevation tile"):
        AncillaryFolder(tmp_path).is_sea(ELEVATION, Cell(0, 0))


@pytest.mark.parametrize("latitude", [0, 45, 70, -75])
def test_the_slope_of_a_plane_is_exact_at_every_latitude(tmp_path, latitude):
    """A plane of 10 degrees to the east and one to the south, in metres on the ground."""
    path = hill(ELEVATION, tmp_path, Cell(2, latitude))
    assert path.is_file()
    step = 1 / 3600
    transform = Affine(step, 0.0, 2.0, 0.0, -step, latitude + 0.5)
    east, south = pixel_sides(transform, 60)
    expected = pixel_size_m("EPSG:4326", transform, 60, 40)
    assert (east[30], south[30]) == pytest.approx(expected, rel=1e-4)
    cols = np.mgrid[:60, :40][1].astype(float)
    rise = np.tan(np.radians(10.0))
    for heights in (cols * east[:, None] * rise, np.cumsum(np.repeat(south[:, None], 40, 1), axis=0) * rise):
        window = TileWindow(heights.astype(np.float32), transform, (slice(0, 60), slice(0, 40)))
        np.testing.assert_allclose(slope_degrees(window), 10.0, atol=0.05)


def test_the_slope_beside_a_void_of_the_elevation_is_not_known():
    heights = np.zeros((9, 9), np.float32)
    heights[4, 4] = np.nan
    window = TileWindow(heights, Affine(1 / 3600, 0, 0, 0, -1 / 3600, 1), (slice(0, 9),) * 2)
    slope = slope_degrees(window)
    assert np.isnan(slope[3:6, 3:6]).all()
    assert np.count_nonzero(np.isnan(slope)) == 9
