"""Pixels of other sizes than the network's: how many parts, the values of the parts, and the way back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drshym_pipeline.model.resampling import (
    AxisScale,
    Resampling,
    axis_scale,
    mean_of_parts,
    merge_pixels,
    repeat_pixels,
    resampling_between,
    split_pixels,
)
from drshym_pipeline.records import PixelSpacing
from drshym_pipeline.tiling import Window

NAN = np.float32(np.nan)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (7.2, AxisScale()),
        (7.9, AxisScale()),
        (10.0, AxisScale()),
        (10.02, AxisScale()),
        (12.5, AxisScale()),
        (14.1, AxisScale()),
        (15.0, AxisScale(split=2)),
        (20.0, AxisScale(split=2)),
        (25.0, AxisScale(split=3)),
        (29.9, AxisScale(split=3)),
        (30.1, AxisScale(split=3)),
        (40.0, AxisScale(split=4)),
        (60.0, AxisScale(split=6)),
        (1000.0, AxisScale(split=6)),
        (7.0, AxisScale(merge=2)),
        (5.0, AxisScale(merge=2)),
        (3.5, AxisScale(merge=3)),
        (2.3, AxisScale(merge=4)),
    ],
)
def test_a_pixel_becomes_one_of_about_10_m(side, expected):
    assert axis_scale(side) == expected


@pytest.mark.parametrize("side", np.geomspace(0.5, 64.0, 60))
def test_the_networks_pixels_are_nearer_to_10_m_than_with_any_other_whole_number(side):
    found = axis_scale(side).network_m(side)
    others = [side / parts for parts in range(1, 30)] + [side * parts for parts in range(1, 30)]
    assert abs(math.log(found / 10)) == pytest.approx(min(abs(math.log(other / 10)) for other in others))
    assert 10 / math.sqrt(2) - 1e-9 <= found <= 10 * math.sqrt(2) + 1e-9


@pytest.mark.parametrize("sides", [(10.0, 20.0), (5.0, 5.0), (2.33, 14.1), (29.99, 29.98), (24.5, 40.0)])
def test_the_record_of_a_resampling_gives_it_back(sides):
    resampling = Resampling(along=axis_scale(sides[0]), down=axis_scale(sides[1]))
    record = PixelSpacing(scene_m=sides, network_m=resampling.network_m(*sides))
    assert resampling_between(PixelSpacing.model_validate_json(record.model_dump_json())) == resampling


def test_the_text_of_the_record_says_both_sizes():
    assert PixelSpacing(scene_m=(30.01, 30.0), network_m=(10.003, 10.0)).text() == (
        "pixels of 30 m: resampled to 10 m for the network"
    )
    assert PixelSpacing(scene_m=(10.0, 20.0), network_m=(10.0, 10.0)).text() == (
        "pixels of 10 x 20 m: resampled to 10 m for the network"
    )


def test_merged_pixels_have_the_mean_power_of_those_observed():
    db = np.array([[[0.0, 10.0, -20.0], [NAN, 0.0, NAN], [NAN, NAN, -30.0]]], np.float32)
    merged = merge_pixels(db, (2, 2))
    expected = [[10 * np.log10((1 + 10 + 1) / 3), -20.0], [np.nan, -30.0]]
    np.testing.assert_allclose(merged[0], expected, rtol=1e-5)
    assert merge_pixels(db, (1, 3)).shape == (1, 3, 1)


@pytest.mark.parametrize("split", [(2, 2), (3, 5), (6, 1), (4, 4)])
def test_the_mean_over_the_parts_of_a_pixel_is_its_value(split):
    db = np.random.default_rng(42).normal(-12, 3, (2, 31, 17)).astype(np.float32)
    fine = split_pixels(db, split)
    assert fine.shape == (2, 31 * split[0], 17 * split[1])
    for band, values in zip(fine, db, strict=True):
        np.testing.assert_allclose(mean_of_parts(band, split), values, atol=1e-4)
    np.testing.assert_allclose(split_pixels(np.full((1, 6, 8), -7.0, np.float32), split), -7.0, atol=1e-4)


def test_a_plane_stays_a_plane():
    rows, cols = np.mgrid[:40, :50].astype(np.float32)
    db = np.stack([-20 + rows + 0.5 * cols, -25 - rows + cols]).astype(np.float32)
    fine = split_pixels(db, (4, 2))
    # The pixels at the edge of the array have a neighbour of the same value outside it; this fades within a few pixels.
    expected = -20 + (np.arange(160)[:, None] - 1.5) / 4 + 0.5 * (np.arange(100) - 0.5) / 2
    np.testing.assert_allclose(fine[0, 60:-60, 30:-30], expected[60:-60, 30:-30], atol=1e-3)


def test_a_window_gives_the_parts_of_the_whole_image_except_near_its_edge():
    db = np.random.default_rng(42).normal(-12, 3, (1, 60, 60)).astype(np.float32)
    whole = split_pixels(db, (3, 3))
    part = split_pixels(db[:, 10:50, 10:50], (3, 3))
    np.testing.assert_allclose(part[:, 30:-30, 30:-30], whole[:, 60:-60, 60:-60], atol=1e-3)


def test_parts_of_missing_pixels_are_missing_and_do_not_darken_their_neighbours():
    db = np.full((2, 4, 5), -10.0, np.float32)
    db[:, 1, 2] = np.nan
    fine = split_pixels(db, (3, 3))
    np.testing.assert_array_equal(np.isnan(fine[1]), repeat_pixels(np.isnan(db[1]), (3, 3)))
    np.testing.assert_allclose(fine[np.isfinite(fine)], -10.0, atol=1e-5)
    assert np.isnan(split_pixels(np.full((1, 2, 2), np.nan, np.float32), (2, 3))).all()


def test_a_repeated_pixel_is_the_mean_of_its_parts():
    values = np.random.default_rng(42).random((5, 7)).astype(np.float32)
    np.testing.assert_allclose(mean_of_parts(repeat_pixels(values, (3, 2)), (3, 2)), values, rtol=1e-6)


@pytest.mark.parametrize("merge", [2, 3, 4])
@pytest.mark.parametrize("start", [0, 61, 448, 700])
def test_a_tile_of_fine_pixels_is_read_with_whole_groups_and_pixels_around_it(merge, start):
    resampling = Resampling(down=AxisScale(merge=merge))
    window = Window(start, 5, 300, 90)
    read = resampling.window_to_read(window, 1000, 100)
    assert (read.col, read.width) == (5, 90)
    assert read.row % merge == 0
    assert 0 <= read.row <= window.row
    assert window.row + window.height <= read.row + read.height <= 1000
    assert read.row == 0 or window.row - read.row >= 32 * merge
    assert read.row + read.height == 1000 or read.row + read.height == window.row + window.height + 32 * merge


def test_other_tiles_are_read_as_they_are():
    assert Resampling(down=AxisScale(split=3)).window_to_read(Window(3, 4, 5, 6), 20, 20) == Window(3, 4, 5, 6)
