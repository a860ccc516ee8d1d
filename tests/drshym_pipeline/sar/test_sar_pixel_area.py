"""Pixel areas, checked with geodesic polygons of pyproj, which are computed in another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from drshym_pipeline.sar.georeference import to_degrees, utm_epsg
from drshym_pipeline.sar.pixel_area import PixelAreas
from tests.examples import examples

DEGREE = 1 / 1000
LARGE = (16_700, 26_100)  # rows and columns of a ground-range product
GEOD = Geod(ellps="WGS84")
TURNED = Affine.translation(300_000, 6_200_000) @ Affine.rotation(12) @ Affine.scale(10, -10)
CASES = {
    "UTM, one zone wide": ("EPSG:32630", Affine(10, 0, 366_000, 0, -10, 4_500_000)),
    "UTM, far from the central meridian": ("EPSG:32630", Affine(10, 0, 700_000, 0, -10, 4_500_000)),
    "UTM, turned by 12 degrees": ("EPSG:32756", TURNED),
    "UTM across the antimeridian": ("EPSG:32601", Affine(10, 0, 200_000, 0, -10, 7_200_000)),
    "degrees": ("EPSG:4326", Affine(9e-5, 0, 30.0, 0, -9e-5, 66.0)),
    "degrees beyond 180": ("EPSG:4326", Affine(9e-5, 0, 179.0, 0, -9e-5, 10.0)),
    "degrees, columns from north to south": ("EPSG:4326", Affine(0, 9e-5, 30.0, -9e-5, 0, 66.0)),
    "polar stereographic": ("EPSG:3413", Affine(10, 0, -300_000, 0, -10, -2_400_000)),
    "feet": ("EPSG:2263", Affine(33, 0, 600_000, 0, -33, 400_000)),
    "web Mercator": ("EPSG:3857", Affine(10, 0, 0, 0, -10, 8_500_000)),
}  # fmt: skip


def geodesic_km2(crs: str, transform: Affine, row: int, col: int) -> float:
    """Return the area of one pixel as a geodesic polygon."""
    xs, ys = transform @ (np.array([col, col + 1, col + 1, col]), np.array([row, row, row + 1, row + 1]))
    return abs(GEOD.polygon_area_perimeter(*to_degrees(crs).transform(xs, ys))[0]) / 1e6


def area_at(areas: PixelAreas, row: int, col: int) -> float:
    return float(areas.of_places(row, 1, np.array([col]))[0])


@pytest.mark.parametrize(("crs", "transform"), CASES.values(), ids=CASES)
def test_every_pixel_of_a_large_scene_has_its_area_to_one_in_ten_thousand(crs, transform):
    height, width = LARGE
    areas = PixelAreas.measure(crs, transform, height, width)
    random = np.random.default_rng(42)
    places = [(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1), (height // 2, width // 2)]
    places += list(zip(random.integers(0, height, 60).tolist(), random.integers(0, width, 60).tolist(), strict=True))
    for row, col in places:
        assert area_at(areas, row, col) == pytest.approx(geodesic_km2(crs, transform, row, col), rel=1e-4)


def test_the_area_in_utm_changes_along_a_row():
    areas = PixelAreas.measure(*CASES["UTM, one zone wide"], *LARGE)
    middle, edge = area_at(areas, 0, 13_400), area_at(areas, 0, LARGE[1] - 1)
    # The scale of UTM is 0.9996 at the central meridian, and 0.9996 (1 + x2 / 2 R2) at the distance x from it.
    away = (366_000 + 10 * LARGE[1] - 500_000) / 6.37e6
    assert middle == pytest.approx(1e-4 / 0.9996**2, rel=1e-5)
    assert middle / edge == pytest.approx((1 + away**2 / 2) ** 2, rel=1e-4)


@examples(40)
@given(
    seed=st.integers(0, 2**31), height=st.integers(1, 80), width=st.integers(1, 90), share=st.floats(0, 1),
    case=st.sampled_from(sorted(CASES)), size=st.sampled_from([1, 30, 400]), cut=st.integers(0, 79),
)  # fmt: skip
def test_a_sum_of_areas_is_the_sum_of_the_pixels_for_any_bands(seed, height, width, share, case, size, cut):
    crs, transform = CASES[case]
    areas = PixelAreas.measure(crs, transform @ Affine.scale(size), height, width)
    chosen = np.random.default_rng(seed).random((height, width)) < share
    whole = areas.total(0, chosen)
    first = min(cut, height - 1)
    parts = areas.total(0, chosen[:first]) + areas.total(first, chosen[first:])
    single = areas.of_places(0, height, np.flatnonzero(chosen)).sum()
    assert parts == pytest.approx(whole, rel=1e-12)
    assert single == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(("case", "most"), [("UTM, one zone wide", 200), ("web Mercator", 1), ("degrees", 1)])
def test_a_row_has_only_as_many_blocks_as_its_areas_need(case, most):
    assert len(PixelAreas.measure(*CASES[case], *LARGE).rows(0, 1)[0]) <= most


def rows_in_degrees(latitude: float, height: int = 3, crs: str = "EPSG:4326") -> np.ndarray:
    transform = Affine(DEGREE, 0, 20.0, 0, -DEGREE, latitude + DEGREE * height / 2)
    return PixelAreas.measure(crs, transform, height, 5).rows(0, height)[:, 0]


def test_a_millidegree_at_the_equator():
    # A degree there is 111.3195 km of longitude and 110.5743 km of latitude on WGS84.
    assert rows_in_degrees(0.0)[1] == pytest.approx(0.1113195 * 0.1105743, rel=1e-5)


def test_a_pixel_at_sixty_degrees_is_half_a_pixel_at_the_equator():
    assert rows_in_degrees(60.0)[1] / rows_in_degrees(0.0)[1] == pytest.approx(0.5, rel=0.015)


def test_the_same_pixel_north_and_south():
    assert rows_in_degrees(-47.0)[1] == pytest.approx(rows_in_degrees(47.0)[1], rel=1e-9)


def test_a_degree_cell_adds_up_to_the_sphere_belt():
    # The area between two parallels on WGS84 is known in closed form; all pixels of a 1 degree wide column make 1/360.
    def belt(latitude: float) -> float:
        a, e = 6378.137, 0.0818191908426
        sine = np.sin(np.radians(latitude))
        q = sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e
        return np.pi * a**2 * (1 - e**2) * q

    areas = PixelAreas.measure("EPSG:4326", Affine(0.01, 0, 20, 0, -0.01, 50.0), 1000, 100)
    assert areas.total(0, np.ones((1000, 100), bool)) == pytest.approx((belt(50.0) - belt(40.0)) / 360, rel=1e-5)


@examples(60)
@given(longitude=st.floats(-180, 180), latitude=st.floats(-83, 83), spacing=st.floats(5, 100))
def test_a_pixel_in_its_utm_zone_is_nearly_its_nominal_area(longitude, latitude, spacing):
    crs = utm_epsg(longitude, latitude)
    x, y = to_degrees(crs).transform(longitude, latitude, direction="INVERSE")
    areas = PixelAreas.measure(crs, Affine(spacing, 0, x, 0, -spacing, y), 3, 3)
    # In a zone the scale is between 0.9996 and 1.001.
    assert math.isclose(area_at(areas, 1, 1), spacing**2 / 1e6, rel_tol=2.1e-3)
