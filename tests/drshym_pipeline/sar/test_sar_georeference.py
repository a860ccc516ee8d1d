"""Pixel areas and grids."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from drshym_pipeline.sar.georeference import bounds_of, crs_text, pixel_area_km2, utm_epsg
from drshym_pipeline.tiling import Window

DEGREE = 1 / 1000


def area(latitude: float, height: int = 3, crs: str = "EPSG:4326") -> np.ndarray:
    return pixel_area_km2(crs, Affine(DEGREE, 0, 20.0, 0, -DEGREE, latitude + DEGREE * height / 2), height, 5)


def test_a_millidegree_at_the_equator():
    # A degree there is 111.3195 km of longitude and 110.5743 km of latitude on WGS84.
    assert area(0.0)[1] == pytest.approx(0.1113195 * 0.1105743, rel=1e-5)


def test_a_pixel_at_sixty_degrees_is_half_a_pixel_at_the_equator():
    assert area(60.0)[1] / area(0.0)[1] == pytest.approx(0.5, rel=0.015)


def test_the_same_pixel_north_and_south():
    assert area(-47.0)[1] == pytest.approx(area(47.0)[1], rel=1e-9)


@pytest.mark.parametrize("easting", [300_000.0, 500_000.0, 700_000.0])
def test_ten_metres_in_utm_are_1e_4_km2(easting):
    result = pixel_area_km2("EPSG:32630", Affine(10, 0, easting, 0, -10, 4_500_000), 40, 40)
    assert result.shape == (40,)
    np.testing.assert_allclose(result, 1e-4, rtol=2e-3)


def test_the_area_of_a_web_mercator_pixel_is_that_on_the_ground():
    # At 60 degrees its 10 m are 5 m on the ground.
    result = pixel_area_km2("EPSG:3857", Affine(10, 0, 0, 0, -10, 8_399_738), 1, 1)
    assert result[0] == pytest.approx(0.25e-4, rel=0.01)


def test_rows_between_the_measured_ones_agree_with_measuring_them():
    tall = pixel_area_km2("EPSG:4326", Affine(DEGREE, 0, 20, 0, -DEGREE, 62.0), 3000, 10)
    for row in (0, 7, 1501, 2999):
        single = pixel_area_km2("EPSG:4326", Affine(DEGREE, 0, 20, 0, -DEGREE, 62.0 - row * DEGREE), 1, 10)
        assert tall[row] == pytest.approx(single[0], rel=1e-6)


def test_a_degree_cell_adds_up_to_the_sphere_belt():
    # The area between two parallels on WGS84 is known in closed form; all pixels of a 1 degree wide column make 1/360.
    def belt(latitude: float) -> float:
        a, e = 6378.137, 0.0818191908426
        sine = np.sin(np.radians(latitude))
        q = sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e
        return np.pi * a**2 * (1 - e**2) * q

    rows = pixel_area_km2("EPSG:4326", Affine(0.01, 0, 20, 0, -0.01, 50.0), 1000, 100)
    assert rows.sum() * 100 == pytest.approx((belt(50.0) - belt(40.0)) / 360, rel=1e-5)


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
