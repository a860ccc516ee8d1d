"""The simulator: the same seed gives the same scene, and the backscatter behaves as in real scenes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from drshym_pipeline.datasets.simulator.backscatter import terrain_gain
from drshym_pipeline.datasets.simulator.conditions import draw_conditions
from drshym_pipeline.datasets.simulator.scene import generator, simulate_scene
from drshym_pipeline.datasets.simulator.speckle import speckle
from drshym_pipeline.errors import InputError
from tests.examples import examples

WORLDCOVER = {10, 20, 30, 40, 50, 60, 80, 90}


@pytest.fixture(scope="module")
def scenes():
    return [simulate_scene(seed, 128, 128, kind="hard" if seed % 4 == 3 else "standard") for seed in range(32)]


def test_the_same_seed_gives_the_same_scene_and_another_seed_another():
    first, again, other = (simulate_scene(seed, 64, 80) for seed in (5, 5, 6))
    for name in ("db", "label", "flood", "permanent_water", "dem", "landcover", "pre_event_db"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.db, other.db)


def test_label_is_all_water_where_decided_and_ignored_where_not_observed(scenes):
    for scene in scenes:
        assert not (scene.flood & scene.permanent_water).any()
        decided = scene.label >= 0
        np.testing.assert_array_equal((scene.label == 1)[decided], (scene.flood | scene.permanent_water)[decided])
        assert (scene.label[np.isnan(scene.db).any(axis=0)] == -1).all()
        # Undecided pixels must be a small part of the scene.
        assert decided[~np.isnan(scene.db[0])].mean() > 0.5


def test_rasters_have_the_documented_shapes_types_and_codes(scenes):
    for scene in scenes:
        assert scene.db.shape == scene.pre_event_db.shape == (2, 128, 128)
        assert scene.db.dtype == scene.pre_event_db.dtype == scene.dem.dtype == np.float32
        assert scene.label.dtype == np.int8
        assert scene.landcover.dtype == np.uint8
        assert set(np.unique(scene.landcover)) <= WORLDCOVER
        assert (scene.landcover[scene.permanent_water] == 80).all()
        assert np.isfinite(scene.dem).all()
        assert np.isfinite(scene.pre_event_db).all()
        np.testing.assert_array_equal(np.isnan(scene.db[0]), np.isnan(scene.db[1]))


def _medians(scenes, band, water):
    """Return the median dB over water or dry land of the scenes that have enough of both."""
    found = []
    for scene in scenes:
        masks = scene.label == 1, scene.label == 0
        if min(mask.sum() for mask in masks) > 300:
            found.append(np.median(scene.db[band][masks[0] if water else masks[1]]))
    assert len(found) > 8
    return np.array(found)


def test_water_is_darker_than_land_in_vh_in_every_scene(scenes):
    # Bare ground is as dark as water in VH: tests/drshym_pipeline/datasets/test_simulated_bare_ground.py.
    scenes = [scene for scene in scenes if scene.conditions.bare.share == 0]
    assert (_medians(scenes, 1, water=True) < _medians(scenes, 1, water=False) - 1.0).all()


def test_levels_of_land_and_water_are_those_of_real_scenes(scenes):
    assert -13.0 < np.median(_medians(scenes, 0, water=False)) < -8.5
    assert -20.0 < np.median(_medians(scenes, 1, water=False)) < -14.5
    assert -36.0 < _medians(scenes, 1, water=True).min() < -24.0


def test_vh_of_land_is_weaker_than_vv(scenes):
    ratios = [np.nanmedian(scene.db[0] - scene.db[1]) for scene in scenes]
    assert 4.0 < np.median(ratios) < 9.0


def test_wind_brings_water_near_land_in_vv_but_not_in_vh():
    for rank in range(200):
        conditions = draw_conditions(generator(1, rank))
        assert conditions.open_water[1] <= conditions.land[1] - 3.0
        if conditions.water == "wind":
            assert -17.5 < conditions.open_water[0] <= min(-8.0, conditions.land[0] + 2.0)
            measured = 10 * np.log10(10 ** (conditions.open_water[1] / 10) + conditions.residual_noise[1])
            assert 10.5 < conditions.open_water[0] - measured < 18.5
        elif conditions.water == "calm":
            assert conditions.open_water[0] <= conditions.land[0] - 5.0


def test_a_scene_has_pixels_of_its_own_size():
    cells = {simulate_scene(seed, 32, 32).conditions.cell for seed in range(60)}
    assert cells == {1}
    assert {draw_conditions(generator(6, rank)).cell for rank in range(100)} == {1, 2, 3}, "chips also have larger ones"


def test_most_standard_acquisitions_are_calm_and_most_hard_acquisitions_are_not():
    share = {
        kind: np.mean([draw_conditions(generator(2, rank), kind, rank).water == "calm" for rank in range(60)])
        for kind in ("standard", "hard")
    }
    assert 0.55 <= share["standard"] <= 0.72
    assert share["hard"] <= 0.2


def test_every_acquisition_of_the_wind_set_has_water_under_wind():
    drawn = [draw_conditions(generator(4, rank), "wind", rank) for rank in range(40)]
    assert {conditions.water for conditions in drawn} == {"wind"}


def test_before_the_event_only_permanent_water_is_dark():
    checked = 0
    for seed in range(40):
        scene = simulate_scene(seed, 96, 96, nodata_border=False, flood_share=0.3)
        conditions = scene.conditions
        if conditions.water != "calm" or conditions.double_bounce or scene.flood.sum() < 400:
            continue
        before, during = (np.median(db[:, scene.flood], axis=1) for db in (scene.pre_event_db, scene.db))
        # Bare and fallow ground is as dark as water in VH alone, calm water is darker in VV.
        assert (before - during).max() > 2.0
        # Pixels at a shore are partly water, and mud beside it is dark; both change. The land behind must not.
        dry = ndimage.binary_erosion(~(scene.flood | scene.permanent_water), iterations=8)
        if dry.sum() < 1000:
            continue
        # A few thousand pixels of correlated speckle leave the median uncertain by about 0.15 dB.
        assert abs(np.median((scene.pre_event_db - scene.db)[0][dry])) < 0.6
        # The speckle is independent: on dry land the two acquisitions differ pixel by pixel.
        assert np.abs(scene.pre_event_db[0][dry] - scene.db[0][dry]).mean() > 1.0
        checked += 1
    assert checked >= 5


def test_some_scenes_are_dry_some_are_flooded_and_some_have_nodata(scenes):
    shares = np.array([(scene.label == 1).mean() for scene in scenes])
    borders = np.array([np.isnan(scene.db[0]).any() for scene in scenes])
    assert (shares == 0).any()
    assert (shares > 0.5).any()
    assert 0.05 < borders.mean() < 0.45


def test_scenes_have_no_border_when_it_is_switched_off():
    assert not any(np.isnan(simulate_scene(seed, 48, 48, nodata_border=False).db).any() for seed in range(15))


def test_the_flood_covers_about_the_requested_share():
    assert not simulate_scene(3, 96, 96, flood_share=0.0).flood.any()
    shares = [simulate_scene(seed, 96, 96, flood_share=0.5).flood.mean() for seed in range(6)]
    assert 0.1 < np.mean(shares) <= 0.6


def test_a_scene_keeps_the_grid_it_was_given():
    scene = simulate_scene(1, 40, 56, crs="EPSG:32631", pixel_spacing=20.0, origin=(400_000.0, 5_000_000.0))
    assert scene.crs == "EPSG:32631"
    assert scene.transform @ (0, 0) == (400_000.0, 5_000_000.0)
    assert scene.transform @ (56, 40) == (401_120.0, 4_999_200.0)


def test_a_scene_that_is_too_small_is_refused():
    with pytest.raises(InputError, match="16 x 16"):
        simulate_scene(1, 8, 100)


@examples(12)
@given(looks=st.floats(3.0, 8.0), down=st.floats(0.45, 0.65), along=st.floats(0.45, 0.65))
def test_speckle_has_unit_mean_and_the_wanted_looks(looks, down, along):
    field = speckle(generator(4), (400, 400), looks, (down, along))
    assert field.mean() == pytest.approx(1.0, abs=0.02)
    assert field.mean() ** 2 / field.var() == pytest.approx(looks, rel=0.08)


def test_speckle_is_correlated_as_in_real_products():
    field = speckle(generator(5), (300, 300), 4.4, (0.56, 0.56))
    field = field - field.mean()
    near = (field[1:] * field[:-1]).mean() / field.var()
    far = (field[4:] * field[:-4]).mean() / field.var()
    assert 0.6 < near < 0.8
    assert abs(far) < 0.05


def test_slopes_that_face_the_sensor_are_bright_and_steep_slopes_behind_a_hill_are_in_shadow():
    profile = np.concatenate([np.zeros(20), np.linspace(0, 400, 60), np.linspace(400, 0, 20), np.zeros(60)])
    dem = np.tile(profile.astype(np.float32), (4, 1))
    angle = np.full((1, dem.shape[1]), 38.0, np.float32)
    gain, shadow = terrain_gain(dem, angle, 10.0, look_right=True)
    assert gain[:, 30:70].min() > 2.0
    assert np.abs(gain[:, :15]).max() < 1e-3
    assert not shadow[:, :80].any()
    assert shadow[:, 85:100].all()
    mirrored_gain, mirrored_shadow = terrain_gain(dem[:, ::-1], angle, 10.0, look_right=False)
    np.testing.assert_allclose(mirrored_gain[:, ::-1], gain, atol=1e-5)
    np.testing.assert_array_equal(mirrored_shadow[:, ::-1], shadow)
