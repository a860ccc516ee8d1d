"""Dry ground without plants in simulated scenes, and how it differs from water under wind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from drshym_pipeline.datasets.simulator.artefacts import coarse_product
from drshym_pipeline.datasets.simulator.bare_ground import BareGround, bare_ground
from drshym_pipeline.datasets.simulator.conditions import BareFields, draw_conditions
from drshym_pipeline.datasets.simulator.landcover import BUILT, CROP, TREE, LandCover, make_fields
from drshym_pipeline.datasets.simulator.scene import generator, simulate_scene

SIDE = 192


def ground_of(seed: int, plan: BareFields) -> tuple[BareGround, LandCover]:
    """Draw bare ground on cropland with a wood and a town."""
    rng = generator(seed)
    classes = np.full((SIDE, SIDE), CROP, np.uint8)
    classes[:40], classes[:, :40] = TREE, BUILT
    nothing = np.zeros((SIDE, SIDE), bool)
    cover = LandCover(classes, nothing, nothing, nothing)
    return bare_ground(rng, plan, make_fields(rng, (SIDE, SIDE)), cover), cover


@pytest.mark.parametrize("seed", range(6))
def test_levels_of_bare_ground_are_those_of_smooth_and_tilled_fields(seed: int):
    for rank in range(200):
        plan = draw_conditions(generator(seed, rank)).bare
        if plan.share > 0:
            break
    ground, _ = ground_of(seed, plan)
    assert ground.vv.min() >= -16.5
    assert ground.vv.max() <= -10.5
    assert -30.0 <= ground.vh.min() <= ground.vh.max() <= -15.5
    difference = ground.vv - ground.vh
    assert difference.min() >= 4.999  # differences of float32
    assert difference.max() <= 13.501
    assert 6.0 < np.median(difference) < 12.5


def test_acquisitions_with_bare_fields_are_common_and_some_have_hardly_anything_else():
    shares = np.array([draw_conditions(generator(9, rank)).bare.share for rank in range(400)])
    assert 0.35 < (shares > 0).mean() < 0.55
    assert 0.03 < (shares > 0.6).mean() < 0.2


def test_forest_and_towns_are_not_bare_and_about_the_planned_share_of_the_fields_is():
    plan = BareFields(share=0.4, vv=-13.5, difference=9.5, rows=0.3)
    found = []
    for seed in range(12):
        ground, cover = ground_of(seed, plan)
        # Natural patches have soft edges, which reach a few pixels into their neighbours.
        inside = ndimage.binary_erosion(np.isin(cover.classes, (TREE, BUILT)), iterations=20)
        assert ground.share[inside].max() < 0.01
        found.append(float(ground.share[cover.classes == CROP].mean()))
    assert 0.3 < np.mean(found) < 0.65


def test_an_acquisition_without_bare_fields_has_no_bare_ground():
    ground, _ = ground_of(1, BareFields(share=0.0, vv=-13.5, difference=9.5, rows=0.3))
    assert not ground.share.any()


def test_vh_is_even_over_water_under_wind_and_uneven_over_bare_ground():
    """The difference that is left where both have the same level in VH; VH is averaged over 7 x 7 pixels."""
    unevenness: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(60):
        drawn = draw_conditions(generator(3, seed), "wind")
        plan = BareFields(share=0.9, vv=-13.5, difference=11.0, rows=0.3)
        wet = seed % 2 == 0
        conditions = replace(drawn, bare=plan, product="grd", cell=1, relief=3.0)
        scene = simulate_scene(
            seed, 160, 160, conditions=conditions, nodata_border=False, flood_share=0.9 if wet else 0.0
        )
        truth = ndimage.binary_erosion(scene.label == int(wet), iterations=5)
        if truth.sum() < 4000:
            continue
        mean = 10 * np.log10(ndimage.uniform_filter(10 ** (scene.db[1] / 10), 7))
        unevenness[wet].append(float(np.std(mean[truth])))
    assert min(len(values) for values in unevenness.values()) >= 8
    assert np.median(unevenness[True]) < 0.75 * np.median(unevenness[False])


@pytest.mark.parametrize("cell", [1, 2, 3])
def test_a_coarse_product_keeps_the_mean_and_loses_detail(cell: int):
    rng = generator(cell)
    db = np.asarray(rng.normal(-12.0, 2.0, (90, 70)), np.float32)
    coarse = coarse_product(db, cell)
    assert coarse.shape == db.shape
    assert coarse.dtype == np.float32
    power, before = 10 ** (coarse / 10), 10 ** (db / 10)
    assert abs(power.mean() / before.mean() - 1) < 0.05
    assert np.array_equal(coarse, db) if cell == 1 else coarse.std() < 0.8 * db.std()


def test_a_coarse_product_of_even_ground_is_even():
    even = np.full((50, 61), -17.0, np.float32)
    assert np.allclose(coarse_product(even, 3), -17.0, atol=1e-4)
