"""8-bit pictures as dB: modes are found without labels, fill is not observed, and boxes in labels are ignored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.datasets.eight_bit import EightBitForm, filled_boxes, read_picture, read_picture_chip, unobserved
from drshym_pipeline.datasets.grey_levels import LAND_DB, WATER_DB, Levels, find_scale, to_db
from drshym_pipeline.errors import InputError
from tests.pictures import LAND, SIDE, WATER, grey, lake_mask, save

ALL = np.ones((SIDE, SIDE), bool)


@given(land=st.integers(100, 255), contrast=st.integers(20, 100))
def test_land_and_water_get_the_usual_levels_and_the_order_of_grey_values_is_kept(land, contrast):
    ramp = np.arange(256, dtype=np.uint8)[None]
    levels = Levels(land, land - contrast)
    db = to_db([ramp, ramp], (levels, levels))
    assert (np.diff(db, axis=2) >= 0).all()
    assert db[:, 0, land] == pytest.approx(LAND_DB, abs=1e-4)
    assert db[:, 0, land - contrast] == pytest.approx(WATER_DB, abs=1e-4)


def test_the_modes_of_land_and_water_are_found_in_both_bands():
    scale = find_scale([((grey(seed, 0), grey(seed, 1)), ALL) for seed in range(3)])
    for levels, land, water in zip(scale, LAND, WATER, strict=True):
        assert levels.land == pytest.approx(land, abs=5)
        assert levels.water == pytest.approx(water, abs=5)


def test_the_water_level_of_vh_comes_from_the_pixels_that_are_water_in_vv():
    """Fields that are dark in VH are not water; without VV they would be counted as water."""
    rng = np.random.default_rng(1)
    fields = (np.mgrid[:SIDE, :SIDE][0] // 16) % 2 == 0
    vv = grey(1, 0)
    vh = np.where(lake_mask(), 60, np.where(fields, 180, 110)) + rng.normal(0, 8, (SIDE, SIDE))
    scale = find_scale([((vv, vh.astype(np.uint8)), ALL)])
    assert scale[1].water == pytest.approx(60, abs=6)


def test_water_cut_off_at_zero_is_still_the_level_of_water():
    vv = np.where(lake_mask(), 0, grey(1))
    assert find_scale([([vv.astype(np.uint8)], ALL)])[0].water == 0


def test_a_tile_without_water_is_scaled_by_its_land_and_shows_none():
    land = grey(3, water=np.zeros((SIDE, SIDE), bool))
    db = to_db([land], find_scale([([land], ALL)]))
    assert np.median(db) == pytest.approx(LAND_DB[0], abs=0.5)
    assert (db < (LAND_DB[0] + WATER_DB[0]) / 2).mean() < 0.01


def test_land_is_found_where_water_fills_most_of_the_picture():
    picture = grey(4, water=lake_mask() | (np.mgrid[:SIDE, :SIDE][0] > 40))
    (levels,) = find_scale([([picture], ALL)])
    assert (levels.land, levels.water) == pytest.approx((LAND[0], WATER[0]), abs=5)


def test_one_stretch_for_all_tiles_keeps_their_differences():
    bright, dark = grey(1), np.clip(grey(1).astype(int) - 15, 0, 255).astype(np.uint8)
    scale = find_scale([([bright], ALL), ([dark], ALL)])
    assert np.median(to_db([bright], scale)) > np.median(to_db([dark], scale)) + 0.5


@pytest.mark.parametrize("fill", [0, 219, 255])
def test_a_flat_patch_is_fill_and_speckle_is_not(fill):
    picture = grey(5)
    picture[:30, 90:] = fill
    found = unobserved([picture], zero_is_border=True)
    assert found[:30, 90:].mean() > 0.95
    assert not found[31:].any()
    assert not found[:, :89].any()


def test_water_cut_off_at_zero_is_observed_where_zero_is_no_border():
    picture = np.where(lake_mask(), 0, grey(5)).astype(np.uint8)
    assert not unobserved([picture], zero_is_border=False).any()
    assert unobserved([picture], zero_is_border=True)[lake_mask()].mean() > 0.9


def test_a_pixel_that_one_picture_of_a_place_shows_was_observed():
    fill = np.where(lake_mask(), 255, grey(5)).astype(np.uint8)
    assert not unobserved([fill, grey(6)], zero_is_border=True).any()


def test_filled_boxes_are_found_even_when_a_river_touches_them():
    river = np.zeros((SIDE, SIDE), bool)
    river[60:68] = True
    box = np.zeros((SIDE, SIDE), bool)
    box[40:90, 10:70] = True
    found = filled_boxes(river | box)
    assert found[box].mean() > 0.99
    assert not found[~box].any()


_ROWS, _COLS = np.mgrid[:SIDE, :SIDE]


@pytest.mark.parametrize(
    "mask",
    [lake_mask(), (_ROWS - 64) ** 2 + (_COLS - 40) ** 2 < 45**2, ALL, ~ALL],
    ids=["slanting shore", "round lake", "all water", "dry"],
)
def test_natural_water_is_not_a_box(mask):
    assert not filled_boxes(mask).any()


def test_dark_ground_that_was_dark_before_is_ignored_outside_the_mask(tmp_path):
    dry = np.zeros((SIDE, SIDE), bool)
    river = dry.copy()
    river[:20] = True
    field = dry.copy()
    field[100:, 60:] = True
    vv = save(tmp_path / "vv.png", grey(1, water=river | lake_mask()))
    before = save(tmp_path / "before.png", grey(2, water=river | field))
    mask = save(tmp_path / "mask.png", lake_mask() & ~river)
    form = EightBitForm(scale=(Levels(150, 40),), before=(before,), dark_before=95)
    chip = read_picture_chip(vv, None, mask, form)
    assert chip.ignored[river].all()
    assert chip.water[lake_mask() & ~river].all()
    # The field was dark before and is bright now, so it is certainly dry.
    assert not chip.ignored[field].any()


def test_a_picture_that_is_not_a_png_is_refused_by_name(tmp_path):
    path = tmp_path / "tile_vv.png"
    path.write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"tile_vv\.png: not a readable PNG"):
        read_picture(path)


def test_a_picture_in_colour_is_refused(tmp_path):
    path = save(tmp_path / "tile_vv.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="mode RGB"):
        read_picture(path)


@pytest.mark.parametrize("odd", ["vh", "mask"])
def test_a_band_or_mask_of_another_size_is_refused_naming_both(tmp_path, odd):
    files = {name: save(tmp_path / f"{name}.png", grey(1)) for name in ("vv", "vh", "mask")}
    save(files[odd], grey(1, side=64))
    with pytest.raises(InputError, match=rf"{odd}\.png: has 64 x 64 pixels, .*vv\.png has 128 x 128"):
        read_picture_chip(files["vv"], files["vh"], files["mask"], EightBitForm())
