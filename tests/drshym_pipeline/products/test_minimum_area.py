"""Small water areas of a mask: compared with a count over the whole mask in one piece."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from drshym_pipeline.products.bands import Band
from drshym_pipeline.products.minimum_area import SmallAreas, without_small_areas
from drshym_pipeline.products.regions import flood_regions
from drshym_pipeline.sar.pixel_area import PixelAreas
from tests.examples import examples
from tests.map_samples import pixel_areas, uneven_areas

FOUR = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def bands_of(mask: np.ndarray, rows: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield a mask in bands of these heights, the last one again and again."""
    row = 0
    while row < len(mask):
        height = rows.pop(0) if len(rows) > 1 else rows[0]
        yield row, mask[row : row + height]
        row += height


def filtered(mask: np.ndarray, areas: PixelAreas, ha: float, rows: list[int]) -> tuple[np.ndarray, SmallAreas]:
    small = SmallAreas(areas, ha)
    return np.concatenate(list(small.filtered(bands_of(mask, list(rows))))), small


def expected(mask: np.ndarray, km2: np.ndarray, ha: float) -> tuple[np.ndarray, int, int]:
    """Return the same mask without small areas, from labels of the whole mask, and their number and pixels."""
    labels, count = ndimage.label(mask == 1, FOUR)
    sizes = np.bincount(labels.ravel(), np.rint(km2 * 1e12).ravel(), count + 1)
    small = sizes < round(ha * 1e10)
    small[0] = False
    gone = small[labels]
    return np.where(gone, 0, mask).astype(np.uint8), int(small.sum()), int(gone.sum())


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    water=st.floats(0.0, 1.0),
    tenths=st.integers(1, 100),
    rows=st.lists(st.integers(1, 15), min_size=1, max_size=6),
)
@examples(200)
def test_a_mask_in_bands_is_the_mask_in_one_piece(seed, height, width, water, tenths, rows):
    rng = np.random.default_rng(seed)
    mask = (rng.random((height, width)) < water).astype(np.uint8)
    mask[rng.random(mask.shape) < 0.1] = 255
    mask[rng.random(mask.shape) < 0.1] = 2
    areas, km2 = uneven_areas(height, width)
    # A pixel of about 0.05 ha: from 2 to 200 pixels are a minimum area.
    areas = PixelAreas(areas.nodes, areas.table * 5e-4, areas.block, width)
    before = mask.copy()
    found, small = filtered(mask, areas, tenths / 10, rows)
    wanted, removed, pixels = expected(mask, km2 * 5e-4, tenths / 10)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(mask, before)
    assert (small.result().removed, small.result().removed_pixels) == (removed, pixels)
    assert small.result().removed_km2 == pytest.approx((km2 * 5e-4)[found != mask].sum())


def spiral(side: int) -> np.ndarray:
    """Return one long line of water that passes through every row many times."""
    mask = np.zeros((side, side), np.uint8)
    top, left, bottom, right = 0, 0, side - 1, side - 1
    while top <= bottom and left <= right:
        mask[top, left : right + 1] = 1
        mask[top : bottom + 1, right] = 1
        mask[bottom, left : right + 1] = 1
        mask[top + 2 : bottom + 1, left] = 1
        if top + 2 <= bottom:
            mask[top + 2, left : left + 2] = 1
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    return mask


@pytest.mark.parametrize("rows", [[1], [2], [7], [100]])
def test_a_winding_area_is_one_area_for_any_bands(rows):
    mask = spiral(41)
    km2 = np.full(mask.shape, 1e-4)
    for tenths in (1, 50, 80, 100):
        found, _ = filtered(mask, pixel_areas(*mask.shape), tenths / 10, rows)
        np.testing.assert_array_equal(found, expected(mask, km2, tenths / 10)[0])


def diagonal_chain(squares: int, side: int) -> np.ndarray:
    """Return squares of water that touch only at their corners."""
    return np.eye(squares, dtype=np.uint8).repeat(side, 0).repeat(side, 1)


def test_a_corner_joins_no_pixels_also_across_two_bands():
    for mask in (diagonal_chain(12, 1), diagonal_chain(12, 1)[:, ::-1].copy()):
        for rows in ([1], [5], [12]):
            gone, small = filtered(mask, pixel_areas(12, 12), 0.1, rows)
            assert not gone.any()
            assert small.result().removed == 12


@pytest.mark.parametrize("rows", [[1], [4], [24]])
def test_the_polygons_of_a_diagonal_chain_are_not_below_the_minimum(tmp_path, rows):
    """The chain has 96 pixels, but each of its areas only 9; one square is larger and stays."""
    mask = diagonal_chain(8, 3)
    mask[:3, 10:14] = 1
    kept, small = filtered(mask, pixel_areas(24, 24), 0.1, rows)
    assert small.result().removed == 8
    path = tmp_path / "mask.tif"
    with rasterio.open(path, "w", driver="GTiff", width=24, height=24, count=1, dtype="uint16") as target:
        target.write(kept.astype(np.uint16), 1)
    with rasterio.open(path) as opened:
        found = list(flood_regions(opened, opened, pixel_areas(24, 24), strip_rows=rows[0]))
    sizes = np.concatenate([regions.km2 for regions in found])
    assert sizes == pytest.approx([12e-4])
    assert sizes.min() >= 0.1 / 100


def test_an_area_of_exactly_the_minimum_stays():
    mask = np.zeros((4, 60), np.uint8)
    mask[1, :50] = 1
    assert filtered(mask, pixel_areas(4, 60), 0.5, [1])[0].any()
    mask[1, 49] = 0
    assert not filtered(mask, pixel_areas(4, 60), 0.5, [1])[0].any()


def test_holes_stay_and_only_water_becomes_dry():
    mask = np.ones((20, 20), np.uint8)
    mask[5:7, 5:7], mask[10, 10], mask[0, 0] = 0, 255, 250
    mask[12:15, 12:15] = 2
    np.testing.assert_array_equal(filtered(mask, pixel_areas(20, 20), 0.5, [3])[0], mask)
    lonely = np.full((20, 20), 255, np.uint8)
    lonely[4, 4], lonely[9, 9] = 1, 2
    found, _ = filtered(lonely, pixel_areas(20, 20), 0.5, [3])
    assert (found[4, 4], found[9, 9], int((found == 255).sum())) == (0, 2, 398)


def test_the_area_of_a_pixel_is_that_of_the_ellipsoid():
    """The same 60 pixels of a grid in degrees are above 0.5 ha near the equator and below it far from it."""
    for latitude, stays in ((1.0, True), (62.0, False)):
        transform = Affine(9e-5, 0, 20.0, 0, -9e-5, latitude)
        areas = PixelAreas.measure("EPSG:4326", transform, 40, 40)
        mask = np.zeros((40, 40), np.uint8)
        mask[10:20, 10:16] = 1
        assert bool(filtered(mask, areas, 0.5, [8])[0].any()) is stays


def test_few_bands_wait_for_an_area_that_is_not_finished():
    """A canal through the whole map does not keep it in memory: it is large long before it ends."""
    rows = 5_000
    mask = np.zeros((rows, 30), np.uint8)
    mask[:, 3] = 1
    mask[::9, 10] = 1
    small = SmallAreas(pixel_areas(rows, 30), 1.0)
    read = 0

    def counted() -> Iterator[tuple[int, np.ndarray]]:
        nonlocal read
        for row, band in bands_of(mask, [10]):
            read = row + len(band)
            yield row, band

    given = 0
    for band in small.filtered(counted()):
        given += len(band)
        assert read - given <= 100 + 10
    assert given == rows


def test_the_bands_of_a_map_keep_everything_but_the_small_areas():
    rng = np.random.default_rng(1)
    shape = (50, 40)
    mask = (rng.random(shape) < 0.3).astype(np.uint8)
    stored = rng.integers(0, 10_001, shape).astype(np.uint16)
    vv = rng.integers(1, 9_000, shape).astype(np.uint16)
    bands = [Band(row, stored[row : row + 7], mask[row : row + 7], vv[row : row + 7]) for row in range(0, 50, 7)]
    small = SmallAreas(pixel_areas(*shape), 0.3)
    found = list(without_small_areas(iter(bands), small))
    assert [band.row for band in found] == [band.row for band in bands]
    for name, values in (("stored", stored), ("vv", vv)):
        np.testing.assert_array_equal(np.concatenate([getattr(band, name) for band in found]), values)
    wanted, removed, _ = expected(mask, np.full(shape, 1e-4), 0.3)
    np.testing.assert_array_equal(np.concatenate([band.mask for band in found]), wanted)
    assert small.result().removed == removed > 0
