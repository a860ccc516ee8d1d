import numpy as np
import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.inputs import HOLE_DEPTH, channels, fill_small_holes, network_input

NAN = np.nan


def test_decibels_become_values_between_zero_and_one() -> None:
    db = np.array([[[-40.0, -30.0, -15.0, 0.0, 5.0]]], dtype=np.float32)
    np.testing.assert_allclose(network_input(db, "vv")[0, 0], [0, 0, 0.5, 1, 1], atol=1e-6)


def test_unobserved_pixels_are_zero_in_every_channel() -> None:
    db = np.full((2, 2, 2), -10.0, dtype=np.float32)
    db[:, 0, 1] = NAN
    out = network_input(db, "vv_vh")
    assert np.isfinite(out).all()
    assert (out[:, 0, 1] == 0).all()
    assert (out[:, 1, 1] > 0).all()


def test_the_input_of_a_two_band_network_shows_that_vh_is_absent() -> None:
    out = network_input(np.full((1, 3, 3), -10.0, dtype=np.float32), "vv_vh")
    assert out.shape == (len(channels("vv_vh")), 3, 3)
    assert (out[0] > 0).all()
    assert (out[1] == 0).all()
    assert (out[2] == 0.5).all()


def test_pixels_without_vh_keep_their_vv() -> None:
    db = np.full((2, 1, 2), -10.0, dtype=np.float32)
    db[1, 0, 0] = NAN
    out = network_input(db, "vv_vh")
    assert (out[0] > 0).all()
    assert out[2].tolist() == [[0.5, 1.0]]


def test_vv_network_ignores_vh() -> None:
    db = np.stack([np.full((2, 2), -12.0), np.full((2, 2), -20.0)]).astype(np.float32)
    np.testing.assert_array_equal(network_input(db, "vv"), network_input(db[:1], "vv"))


def test_an_array_without_bands_is_refused() -> None:
    with pytest.raises(InputError, match="1 or 2 bands"):
        network_input(np.zeros((4, 4), dtype=np.float32), "vv")


def holes(*squares: tuple[int, int, int]) -> np.ndarray:
    """Return codes that rise from left to right, with square holes of (row, column, side)."""
    codes = np.broadcast_to(np.arange(1, 81, dtype=np.uint16) * 100, (2, 60, 80)).copy()
    for row, col, side in squares:
        codes[:, row : row + side, col : col + side] = 0
    return codes


def test_small_holes_are_filled_with_the_nearest_value() -> None:
    codes = holes((10, 10, 1), (30, 40, 2 * HOLE_DEPTH), (50, 0, 3))
    filled = fill_small_holes(codes)
    assert (filled > 0).all()
    assert filled[0, 10, 10] in (1000, 1100, 1200)
    # The left half of a hole gets the value of its left edge.
    assert filled[1, 33, 40] == codes[1, 33, 39]
    kept = codes > 0
    np.testing.assert_array_equal(filled[kept], codes[kept])
    assert (codes == 0).any(), "the input must not change: it says where the map has no value"


def test_large_holes_and_their_edges_stay_empty() -> None:
    codes = holes((10, 10, 2 * HOLE_DEPTH + 1), (40, 40, 2))
    filled = fill_small_holes(codes)
    assert (filled[:, 10:19, 10:19] == 0).all()
    assert (filled[:, 40:42, 40:42] > 0).all()


@pytest.mark.parametrize("codes", [holes(), np.zeros((2, 9, 9), np.uint16), holes((0, 0, 60))])
def test_without_small_holes_nothing_is_copied(codes: np.ndarray) -> None:
    assert fill_small_holes(codes) is codes
