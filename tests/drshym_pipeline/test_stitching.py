"""Stitching is the inverse of tiling, whatever the grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drshym_pipeline.assessment.probability import NOT_OBSERVED, decode, encode
from drshym_pipeline.errors import InputError
from drshym_pipeline.stitching import stitch_rows
from drshym_pipeline.tiling import TileGrid


@st.composite
def grids(draw):
    tile = draw(st.integers(1, 24))
    return TileGrid(draw(st.integers(1, 70)), draw(st.integers(1, 70)), tile, draw(st.integers(0, tile - 1)))


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


@settings(max_examples=150)
@given(grid=grids(), seed=st.integers(0, 2**32 - 1), hidden=st.sampled_from([0.0, 0.3, 1.0]))
def test_stitching_the_tiles_of_any_stored_array_gives_that_array_back(grid, seed, hidden):
    rng = np.random.default_rng(seed)
    scene = rng.integers(0, 10_001, (grid.height, grid.width)).astype(np.uint16)
    scene[rng.random(scene.shape) < hidden] = NOT_OBSERVED
    np.testing.assert_array_equal(encode(stitched(cut(scene, grid, NOT_OBSERVED), grid)), scene)


@settings(max_examples=60)
@given(grid=grids(), seed=st.integers(0, 2**32 - 1))
def test_stitching_float_tiles_gives_the_array_back_and_keeps_nan(grid, seed):
    rng = np.random.default_rng(seed)
    scene = rng.random((grid.height, grid.width)).astype(np.float32)
    scene[rng.random(scene.shape) < 0.2] = np.nan
    np.testing.assert_allclose(stitched(cut(scene, grid, np.nan), grid), scene, atol=1e-6, equal_nan=True)


@settings(max_examples=40)
@given(
    tile=st.integers(16, 40),
    shift=st.tuples(st.integers(0, 15), st.integers(0, 15)),
    phase=st.floats(0, 6),
    share=st.integers(4, 8),
)
def test_a_shifted_grid_changes_a_smooth_field_by_less_than_a_thousandth(tile, shift, phase, share):
    def field(height, width, row=0, col=0):
        rows, cols = np.mgrid[row : row + height, col : col + width].astype(np.float32)
        return 0.5 + 0.4 * np.sin(rows / 40 + phase) * np.cos(cols / 33)

    # A tile answers with a small error of its own, as a network does towards the borders of what it sees.
    overlap = tile // 2
    error = 4e-4 * np.sin(np.arange(tile) / share)
    whole = TileGrid(90, 90, tile, overlap)
    part = TileGrid(90 - shift[0], 90 - shift[1], tile, overlap)
    reference = stitched(cut(field(90, 90), whole, np.nan) + error.astype(np.float32), whole)
    moved = stitched(cut(field(*[90 - s for s in shift], *shift), part, np.nan) + error.astype(np.float32), part)
    assert np.abs(reference[shift[0] :, shift[1] :] - moved).max() < 1e-3


def test_where_one_tile_does_not_observe_a_pixel_the_others_decide():
    grid = TileGrid(4, 6, 4, 2)
    tiles = np.full((2, 4, 4), 0.25, np.float32)
    tiles[1] = 0.75
    tiles[0, :, 3] = np.nan
    result = stitched(tiles, grid)
    np.testing.assert_allclose(result[:, 3], 0.75)
    assert np.isfinite(result).all()


def test_only_one_row_of_tiles_is_asked_for_at_a_time():
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
