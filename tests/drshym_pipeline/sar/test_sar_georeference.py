"""Grids and their places on Earth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.rio.main import main_group

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.georeference import Grid, bounds_of, crs_text, find_grid, to_degrees, utm_epsg
from drshym_pipeline.tiling import Window
from tests.examples import examples

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 4_000_000)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (NORTH_UP, (500_030, 3_999_940, 500_070, 3_999_980)),
        (NORTH_UP @ Affine.scale(1, -1), (500_030, 4_000_020, 500_070, 4_000_060)),
        (NORTH_UP @ Affine.scale(-1, 1), (499_930, 3_999_940, 499_970, 3_999_980)),
        (NORTH_UP @ Affine(0, 1, 0, 1, 0, 0), (500_020, 3_999_930, 500_060, 3_999_970)),
    ],
    ids=["north up", "south up", "mirrored", "columns down"],
)
def test_bounds_are_in_order_for_every_rotation_of_the_grid(transform, expected):
    assert bounds_of(transform, Window(row=2, col=3, height=4, width=4)) == expected


@given(latitude=st.floats(-80, 80), longitude=st.floats(-180, 180))
def test_a_place_is_in_its_utm_zone(latitude, longitude):
    code = int(utm_epsg(longitude, latitude).removeprefix("EPSG:"))
    zone = code - (32600 if latitude >= 0 else 32700)
    assert 1 <= zone <= 60
    assert zone * 6 - 186 - 1e-9 <= longitude <= zone * 6 - 180 + 1e-9


def test_a_crs_without_a_code_keeps_its_wkt():
    wkt = CRS.from_proj4("+proj=laea +lat_0=12 +lon_0=34 +datum=WGS84 +units=m").to_wkt()
    assert CRS.from_user_input(crs_text(CRS.from_wkt(wkt))) == CRS.from_wkt(wkt)
    assert crs_text(CRS.from_epsg(32644)) == "EPSG:32644"


METRES = Affine(10, 0, 500_000, 0, -10, 4_500_000)
DEGREES = Affine(1e-4, 0, 10, 0, -1e-4, 50)
LOCAL = 'LOCAL_CS["site grid",UNIT["metre",1]]'
ENGINEERING = (
    'ENGCRS["a building",EDATUM["a corner"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
)
MOON = 'GEOGCS["Moon",DATUM["Moon",SPHEROID["Moon",1737400,0]],PRIMEM["Reference",0],UNIT["degree",0.0174532925199433]]'
REFUSED = {
    "local": (LOCAL, METRES, "its CRS (site grid) is local"),
    "engineering": (ENGINEERING, METRES, "its CRS (a building) is local"),
    "geocentric": ("EPSG:4978", METRES, "its CRS (WGS 84) is geocentric"),
    "heights only": ("EPSG:5773", METRES, "so its pixels have no longitude and latitude"),
    "of the Moon": (MOON, DEGREES, "its CRS (Moon) cannot be converted to longitude and latitude on Earth"),
    "metres as degrees": ("EPSG:4326", METRES, "y 4499360 to 4500000) are outside its CRS (WGS 84)"),
    "beyond a pole": ("EPSG:4326", Affine(1e-4, 0, 10, 0, -1e-4, 95), "are outside its CRS"),
    "two turns": ("EPSG:4326", Affine(1e-4, 0, 730, 0, -1e-4, 50), "are outside its CRS"),
    "more than a turn": ("EPSG:4326", Affine(6, 0, -180, 0, -1e-4, 50), "are outside its CRS"),
    "easting beyond UTM": ("EPSG:32630", Affine(10, 0, 5e7, 0, -10, 4.5e6), "are outside its CRS"),
    "northing beyond UTM": ("EPSG:32630", Affine(10, 0, 5e5, 0, -10, 2.5e7), "are outside its CRS"),
    "outside an equal-area map": ("EPSG:3035", Affine(10, 0, 4e7, 0, -10, 3.2e6), "are outside its CRS"),
    "outside a map of the world": ("ESRI:54009", Affine(10, 0, 1.7e7, 0, -10, 5e6), "are outside its CRS"),
    "far beyond web Mercator": ("EPSG:3857", Affine(10, 0, 9e7, 0, -10, 1e6), "are outside its CRS"),
}  # fmt: skip
READ = {
    "UTM": ("EPSG:32630", METRES),
    "UTM of the other hemisphere": ("EPSG:32630", Affine(10, 0, 500_000, 0, -10, -4_500_000)),
    "UTM with heights": ("EPSG:32630+5773", METRES),
    "degrees with heights": ("EPSG:4326+5773", DEGREES),
    "three dimensions": ("EPSG:4979", DEGREES),
    "survey feet": ("EPSG:2263", Affine(33, 0, 1_000_000, 0, -33, 200_000)),
    "international feet": ("EPSG:2992", Affine(33, 0, 1_200_000, 0, -33, 600_000)),
    "another datum": ("EPSG:27700", Affine(10, 0, 400_000, 0, -10, 400_000)),
    "across 180": ("EPSG:4326", Affine(1e-4, 0, 179.997, 0, -1e-4, 10)),
    "0 to 360": ("EPSG:4326", Affine(1e-4, 0, 200, 0, -1e-4, 10)),
    "below -180": ("EPSG:4326", Affine(1e-4, 0, -180.003, 0, -1e-4, 10)),
    "web Mercator across the antimeridian": ("EPSG:3857", Affine(10, 0, 20_037_508 - 320, 0, -10, 1e6)),
    "web Mercator beyond the antimeridian": ("EPSG:3857", Affine(10, 0, 20_137_508, 0, -10, 1e6)),
    "a pole": ("EPSG:3413", Affine(10, 0, -320, 0, -10, 320)),
    "the whole Earth": ("EPSG:4326", Affine(360 / 64, 0, -180, 0, -180 / 64, 90)),
    "UTM, turned": ("EPSG:32630", METRES @ Affine.rotation(33)),
}  # fmt: skip


def grid_of(crs: str, transform: Affine, gcps: list[GroundControlPoint] | None = None) -> Grid:
    with MemoryFile() as memory:
        profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "height": 64, "width": 64}
        profile |= {"gcps": gcps, "crs": crs} if gcps else {"crs": crs, "transform": transform}
        with memory.open(**profile) as target:
            target.write(np.zeros((1, 64, 64), np.float32))
        with memory.open() as dataset:
            return find_grid(dataset, Path("scene.tif"))


@pytest.mark.parametrize(("crs", "transform", "problem"), REFUSED.values(), ids=REFUSED)
def test_a_grid_without_places_on_earth_is_refused_in_one_line(crs, transform, problem):
    with pytest.raises(InputError) as found:
        grid_of(crs, transform)
    text = str(found.value)
    assert text.startswith("scene.tif: its ")
    assert problem in text
    assert "\n" not in text
    assert "EPSG:" in text, "the remedy"


@pytest.mark.parametrize(("crs", "transform"), READ.values(), ids=READ)
def test_a_grid_on_earth_is_read_as_it_is(crs, transform):
    grid = grid_of(crs, transform)
    assert grid.transform.almost_equals(transform)
    longitude, latitude = to_degrees(grid.crs).transform(*(grid.transform @ (32, 32)))
    expected = to_degrees(crs).transform(*(transform @ (32, 32)))
    assert (longitude, latitude) == pytest.approx(expected, abs=1e-9)


@given(
    longitude=st.floats(-180, 180), latitude=st.floats(-83.9, 83.9), spacing=st.floats(5, 60), angle=st.floats(0, 360)
)
@examples(60)
def test_every_place_in_its_utm_zone_is_read(longitude, latitude, spacing, angle):
    crs = utm_epsg(longitude, latitude)
    x, y = to_degrees(crs).transform(longitude, latitude, direction="INVERSE")
    transform = Affine.translation(x, y) @ Affine.rotation(angle) @ Affine.scale(spacing, -spacing)
    assert grid_of(crs, transform).crs == crs


CORNERS = [(0, 0), (0, 64), (64, 0), (64, 64), (32, 32)]


@pytest.mark.parametrize("shift", [0.0, 360.0])
def test_control_points_beyond_180_degrees_are_in_the_zone_of_their_place(shift):
    points = [GroundControlPoint(row, col, -173 + shift + col * 1e-4, 10 - row * 1e-4) for row, col in CORNERS]
    grid = grid_of("EPSG:4326", Affine.identity(), points)
    assert grid.crs == "EPSG:32602"
    assert all(-173.1 < point.longitude < -172.9 for point in grid.points)


@pytest.mark.parametrize("crs", [LOCAL, "EPSG:4978", MOON])
def test_control_points_without_places_on_earth_are_refused(crs):
    points = [GroundControlPoint(row, col, 10 + col * 1e-4, 10 - row * 1e-4, 0.0) for row, col in CORNERS]
    with pytest.raises(InputError, match="its CRS"):
        grid_of(crs, Affine.identity(), points)


def test_the_remedy_for_a_wrong_crs_works(tmp_path):
    path = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "height": 64, "width": 64, "transform": METRES}
    with rasterio.open(path, "w", **profile, crs="EPSG:4326") as target:
        target.write(np.ones((1, 64, 64), np.float32))
    with rasterio.open(path) as dataset, pytest.raises(InputError) as found:
        find_grid(dataset, path)
    assert "(rio edit-info --crs EPSG:n FILE)" in found.value.remedy
    done = CliRunner().invoke(main_group, ["edit-info", "--crs", "EPSG:32630", str(path)])
    assert done.exit_code == 0, done.output
    with rasterio.open(path) as dataset:
        assert find_grid(dataset, path).crs == "EPSG:32630"
