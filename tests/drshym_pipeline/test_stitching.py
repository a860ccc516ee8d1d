"""Stitching is the inverse of tiling, whatever the grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drshym_pipeline.errors import InputError
from drshym_pipeline.probabilities import NOT_OBSERVED, decode, encode
from drshym_pipeline.stitching import stitch_rows
from drshym_pipeline.tiling import TileGrid
from tests.examples import examples

# Of the largest tile the most overlapping grid has 400 tiles over one pixel: `error_bound` of a stored probability is
# then still below half a step, so that rounding gives the very number back.
LARGEST_TILE = 20
EXACT_PROBABILITY = 10_000


@st.composite
def grids(draw):
    tile = draw(st.integers(1, LARGEST_TILE))
    return TileGrid(draw(st.integers(1, 45)), draw(st.integers(1, 45)), tile, draw(st.integers(0, tile - 1)))


def cut(scene: np.ndarray, grid: TileGrid, fill: float) -> np.ndarray:
    tiles = np.full((len(grid), grid.tile, grid.tile), fill, scene.dtype)
    for index, window in enumerate(grid):
        tiles[index, : window.height, : window.width] = scene[window.rows, window.cols]
    return tiles


def stitched(tiles: np.ndarray, grid: TileGrid) -> np.ndarray:
    bands, expected = [], 0
    for row, band in stitch_rows(tiles, grid):
        assert row == expected
        expected += len(band)
        bands.append(band)
    return np.concatenate(bands)


def error_bound(grid: TileGrid) -> float:
    """Return the largest relative error of the weighted mean of n equal float32 values, if n tiles contain a pixel.

    The sum of products has n roundings, the sum of the weights n - 1, the division one, each at most half an epsilon:
    2 n eps / 2, and a hundredth more for the products of these errors.
    """
    tiles = max(len(segment.tiles) for segment in grid.row_segments)
    tiles *= max(len(segment.tiles) for segment in grid.col_segments)
    return 1.01 * tiles * float(np.finfo(np.float32).eps)


def test_the_largest_error_of_a_stored_probability_is_below_half_a_step():
    most = TileGrid(3 * LARGEST_TILE, 3 * LARGEST_TILE, LARGEST_TILE, LARGEST_TILE - 1)
    assert error_bound(most) * EXACT_PROBABILITY < 0.5


@examples(150)
@given(grid=grids(), seed=st.integers(0, 2**32 - 1), hidden=st.sampled_from([0.0, 0.3, 1.0]))
def test_stitching_the_tiles_of_any_stored_array_gives_that_array_back(grid, seed, hidden):
    rng = np.random.default_rng(seed)
    scene = rng.integers(0, 10_001, (grid.height, grid.width)).astype(np.uint16)
    scene[rng.random(scene.shape) < hidden] = NOT_OBSERVED
    np.testing.assert_array_equal(stitched(cut(scene, grid, NOT_OBSERVED), grid), scene)


@examples(60)
@given(grid=grids(), seed=st.integers(0, 2**32 - 1))
@example(grid=TileGrid(25, 36, 17, 16), seed=2)
def test_stitching_float_tiles_gives_the_array_back_and_keeps_nan(grid, seed):
    rng = np.random.default_rng(seed)
    scene = rng.random((grid.height, grid.width)).astype(np.float32)
    scene[rng.random(scene.shape) < 0.2] = np.nan
    np.testing.assert_allclose(
        stitched(cut(scene, grid, np.nan), grid), scene, rtol=error_bound(grid), atol=0.0, equal_nan=True
    )


ERROR = 2e-3


def shifted_maps(stitch, tile: int, overlap: int, shift: tuple[int, int], phase: float) -> float:
    """Return the largest difference of two maps of one smooth field, made with grids that are shifted to each other.

    Each tile errs as a network does at the borders of what it sees: most at the border, nothing `overlap` pixels
    inside, and with another sign on the other side. At the ends of a scene no neighbour can help; those are left out.
    """
    side = tile + 3 * (tile - overlap)
    grid = TileGrid(side, side, tile, overlap)
    fall = ERROR * (1 - (np.arange(overlap) + 0.5) / overlap)
    edge = np.zeros(tile)
    edge[:overlap] += fall
    edge[tile - overlap :] -= fall[::-1]
    error = (edge[:, np.newaxis] + edge).astype(np.float32)

    def mapped(row: int, col: int) -> np.ndarray:
        rows, cols = np.mgrid[row : row + side, col : col + side].astype(np.float32)
        field = 0.5 + 0.4 * np.sin(rows / 40 + phase) * np.cos(cols / 33)
        return stitch(cut(field, grid, np.nan) + error, grid)

    down, right = shift
    first = mapped(0, 0)[down + overlap : side - overlap, right + overlap : side - overlap]
    second = mapped(down, right)[overlap : side - overlap - down, overlap : side - overlap - right]
    assert first.size
    return float(np.abs(first - second).max())


@examples(60)
@given(data=st.data(), tile=st.integers(16, 40), phase=st.floats(0, 6))
def test_a_shifted_grid_changes_a_smooth_field_by_less_than_a_thousandth_though_tiles_err_by_more(data, tile, phase):
    overlap = data.draw(st.integers(4, tile // 2))
    shift = data.draw(st.tuples(*[st.integers(0, tile - overlap - 1)] * 2))
    assert shifted_maps(stitched, tile, overlap, shift, phase) < 1e-3


def cut_hard(tiles: np.ndarray, grid: TileGrid) -> np.ndarray:
    """Return a map with every pixel from one tile; the tile changes in the middle of the overlap."""
    half = grid.overlap // 2
    owner = [
        max(i for i, start in enumerate(grid.row_starts) if i == 0 or p >= start + half) for p in range(grid.height)
    ]
    inside = [p - grid.row_starts[i] for p, i in enumerate(owner)]
    index = np.array(owner)[:, np.newaxis] * len(grid.col_starts) + owner
    return tiles[index, np.array(inside)[:, np.newaxis], inside]


def test_tiles_cut_hard_would_break_that_promise():
    assert shifted_maps(cut_hard, 32, 12, (7, 9), 1.0) > 1.5e-3
    assert shifted_maps(stitched, 32, 12, (7, 9), 1.0) < 1e-3


def test_where_one_tile_does_not_observe_a_pixel_the_others_decide():
    grid = TileGrid(4, 6, 4, 2)
    tiles = np.full((2, 4, 4), 0.25, np.float32)
    tiles[1] = 0.75
    tiles[0, :, 3] = np.nan
    result = stitched(tiles, grid)
    np.testing.assert_allclose(result[:, 3], 0.75)
    assert np.isfinite(result).all()


def test_only_one_row_of_tiles_is_read_at_a_time():
    grid = TileGrid(100, 30, 10, 2)

    class Watched:
        shape = (len(grid), 10, 10)
        largest = 0

        def __getitem__(self, key):
            self.largest = max(self.largest, key.stop - key.start)
            return np.zeros((key.stop - key.start, 10, 10), np.uint16)

    watched = Watched()
    bands = [len(band) for _, band in stitch_rows(watched, grid)]
    assert sum(bands) == 100
    assert max(bands) <= 10
    assert watched.largest == len(grid.col_starts)


def test_an_array_of_another_grid_is_refused():
    with pytest.raises(InputError, match=r"shape \(3, 8, 8\)"):
        list(stitch_rows(np.zeros((3, 8, 8), np.uint16), TileGrid(20, 20, 8, 2)))


@given(st.lists(st.integers(0, 10_000) | st.just(NOT_OBSERVED), min_size=1, max_size=50))
def test_stored_probabilities_survive_decoding_and_encoding(values):
    stored = np.array(values, np.uint16)
    np.testing.assert_array_equal(encode(decode(stored)), stored)
