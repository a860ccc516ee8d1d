"""The grid covers a scene exactly, and the weights of every pixel sum to one, for all sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.errors import InputError
from drshym_pipeline.tiling import TileGrid, axis_starts
from tests.examples import examples


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    tile = draw(st.integers(1, 40))
    return TileGrid(
        height=draw(st.integers(1, 120)),
        width=draw(st.integers(1, 120)),
        tile=tile,
        overlap=draw(st.integers(0, tile - 1)),
    )


@given(grids())
def test_tiles_cover_every_pixel_and_stay_inside(grid: TileGrid) -> None:
    seen = np.zeros((grid.height, grid.width), int)
    for window in grid:
        assert window.row + window.height <= grid.height
        assert window.col + window.width <= grid.width
        seen[window.rows, window.cols] += 1
    assert seen.min() >= 1
    assert len(list(grid)) == len(grid) == grid.shape[0] * grid.shape[1]


@given(grids())
def test_every_tile_is_whole_unless_the_scene_is_smaller(grid: TileGrid) -> None:
    for window in grid:
        assert window.height == min(grid.tile, grid.height)
        assert window.width == min(grid.tile, grid.width)


@given(grids())
def test_neighbours_overlap_by_at_least_the_requested_pixels(grid: TileGrid) -> None:
    for starts in (grid.row_starts, grid.col_starts):
        steps = np.diff(starts)
        assert (steps > 0).all()
        assert (steps <= grid.tile - grid.overlap).all()


@given(grids())
@examples(200)
def test_weights_of_a_pixel_sum_to_one(grid: TileGrid) -> None:
    total = np.zeros((grid.height, grid.width))
    for index, window in enumerate(grid):
        row, col = divmod(index, grid.shape[1])
        weight = np.outer(grid.row_weights[row], grid.col_weights[col])
        assert (weight >= 0).all()
        total[window.rows, window.cols] += weight[: window.height, : window.width]
    np.testing.assert_allclose(total, 1.0, atol=1e-12)


def test_weights_change_smoothly_across_a_seam() -> None:
    weights = TileGrid(512, 1400, 512, 64).col_weights
    # A jump in the weight is a visible seam; a raised cosine over 64 pixels never steps by more than pi / 128.
    assert np.abs(np.diff(weights[0])).max() < 0.03


def test_full_sentinel_scene_has_over_two_thousand_tiles() -> None:
    assert len(TileGrid(16_676, 26_144)) == 38 * 59


def test_last_tile_ends_on_the_last_pixel() -> None:
    assert axis_starts(1000, 512, 64) == (0, 448, 488)
    assert axis_starts(512, 512, 64) == (0,)
    assert axis_starts(513, 512, 64) == (0, 1)


def test_overlap_not_smaller_than_tile_is_refused() -> None:
    with pytest.raises(InputError, match=r"overlap: must be smaller than the tile, got overlap 64 and tile 64\."):
        TileGrid(100, 100, 64, 64)


@pytest.mark.parametrize(("tile", "overlap"), [(0, 0), (8, -1), (4097, 64), (100_000, 64)])
def test_tile_and_overlap_out_of_range_are_refused(tile: int, overlap: int) -> None:
    with pytest.raises(InputError):
        TileGrid(100, 100, tile, overlap)


def test_an_empty_scene_is_refused() -> None:
    with pytest.raises(InputError, match="has no pixels"):
        TileGrid(0, 10)


def test_a_tile_number_outside_the_grid_is_an_error() -> None:
    with pytest.raises(IndexError):
        TileGrid(10, 10).window(1)
