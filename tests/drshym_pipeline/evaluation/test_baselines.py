from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drshym_pipeline.assessment.metrics import confusion
from drshym_pipeline.evaluation.baselines import (
    BASELINES,
    CEILINGS,
    FIXED_VH_DB,
    FIXED_VV_DB,
    baseline_masks,
    ceiling_masks,
    kittler_threshold,
    oracle_threshold,
    otsu_threshold,
)
from drshym_pipeline.evaluation.smoothing import local_mean, local_spread, median_filter, smooth_bands
from tests.examples import examples

fields = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.one_of(st.floats(-30, 0, width=32), st.just(float("nan"))),
)


@examples(60)
@given(fields)
def test_the_median_is_that_of_the_observed_pixels_in_the_square(db) -> None:
    out = median_filter(db)
    assert np.array_equal(np.isnan(out), np.isnan(db))
    for row, col in np.argwhere(~np.isnan(db)):
        square = db[max(row - 2, 0) : row + 3, max(col - 2, 0) : col + 3]
        assert out[row, col] == pytest.approx(np.nanmedian(square), abs=1e-5)


@examples(40)
@given(fields)
def test_mean_and_spread_are_those_of_the_observed_pixels_in_the_square(db) -> None:
    mean, spread = local_mean(db), local_spread(db)
    assert np.array_equal(np.isnan(mean), np.isnan(db))
    assert np.array_equal(np.isnan(spread), np.isnan(db))
    for row, col in np.argwhere(~np.isnan(db)):
        square = db[max(row - 2, 0) : row + 3, max(col - 2, 0) : col + 3].astype(float)
        assert mean[row, col] == pytest.approx(np.nanmean(square), abs=1e-4)
        assert spread[row, col] == pytest.approx(np.nanstd(square), abs=0.02)


def test_a_chip_taller_than_one_block_is_filtered_without_seams() -> None:
    db = np.random.default_rng(1).normal(-15, 3, (150, 12)).astype(np.float32)
    whole = median_filter(db)
    assert np.array_equal(whole[60:75], median_filter(db[50:90])[10:25])


def two_classes(seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    water = np.zeros((64, 64), bool)
    water[:, :24] = True
    vv = np.where(water, -20.0, -9.0) + rng.normal(0, 1.5, water.shape)
    vh = np.where(water, -27.0, -16.0) + rng.normal(0, 1.5, water.shape)
    return np.stack([vv, vh]).astype(np.float32), water


def test_otsu_maximises_the_variance_between_the_classes() -> None:
    db, _ = two_classes()
    values = np.sort(db[0].ravel()).astype(np.float64)
    threshold = otsu_threshold(db[0])

    def between(cut: float) -> float:
        low, high = values[values < cut], values[values >= cut]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    best = max(between((a + b) / 2) for a, b in zip(values[10:-11:7], values[11:-10:7], strict=True))
    assert between(threshold) >= best * 0.999


def test_every_baseline_finds_calm_water() -> None:
    db, water = two_classes()
    masks = baseline_masks(db)
    assert tuple(masks) == BASELINES
    for mask in masks.values():
        assert (mask == water).mean() > 0.95


def test_pixels_below_the_fixed_thresholds_are_water_and_pixels_on_them_are_not() -> None:
    level = np.full((8, 8), FIXED_VV_DB, np.float32)
    below = np.stack([level - 0.01, np.full((8, 8), FIXED_VH_DB - 0.01, np.float32)])
    at = np.stack([level, np.full((8, 8), FIXED_VH_DB, np.float32)])
    assert baseline_masks(below)["fixed_vv"].all()
    assert baseline_masks(below)["fixed_vh"].all()
    assert not baseline_masks(at)["fixed_vv"].any()
    assert not baseline_masks(at)["fixed_vh"].any()


def test_nothing_is_water_where_a_band_was_not_observed() -> None:
    db, _ = two_classes()
    db[1, :, :10] = np.nan
    db[0, :5] = np.nan
    for mask in baseline_masks(db).values():
        assert not mask[:, :10].any()
        assert not mask[:5].any()
        assert mask[10:, 12:20].any()


def test_a_chip_of_one_value_or_none_has_no_otsu_water() -> None:
    flat = np.full((1, 6, 6), -20.0, np.float32)
    assert otsu_threshold(flat) is None
    masks = baseline_masks(flat)
    assert tuple(masks) == ("otsu_vv", "kittler_vv", "fixed_vv", "pixel_vv")
    assert kittler_threshold(flat) is None
    assert not masks["otsu_vv"].any()
    assert masks["fixed_vv"].all()
    empty = baseline_masks(np.full((2, 6, 6), np.nan, np.float32))
    assert not any(mask.any() for mask in empty.values())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.85])
def test_the_minimum_error_threshold_is_where_two_normal_densities_cross(share) -> None:
    """With classes of unequal size Otsu's threshold moves into the larger class; this one does not."""
    rng = np.random.default_rng(42)
    n = 40_000
    values = np.concatenate([rng.normal(-21, 1.2, int(n * share)), rng.normal(-11, 2.0, n - int(n * share))])
    grid = np.linspace(-20, -12, 4001)
    density = [
        part / spread * np.exp(-((grid - middle) ** 2) / (2 * spread**2))
        for part, middle, spread in ((share, -21, 1.2), (1 - share, -11, 2.0))
    ]
    crossing = grid[np.argmin(np.abs(density[0] - density[1]))]
    assert kittler_threshold(values.astype(np.float32)) == pytest.approx(crossing, abs=0.5)


def test_the_minimum_error_threshold_does_not_divide_one_normal_class() -> None:
    values = np.random.default_rng(3).normal(-10, 1.5, 50_000).astype(np.float32)
    threshold = kittler_threshold(values)
    assert threshold is None or not 0.01 < (values < threshold).mean() < 0.99


@examples(60)
@given(fields, st.data())
def test_no_threshold_is_better_than_the_oracle_and_a_dry_chip_has_no_oracle(db, data) -> None:
    label = np.array(data.draw(hnp.arrays(np.int8, db.shape, elements=st.sampled_from([-1, 0, 1]))))
    observed = np.isfinite(db)
    best = oracle_threshold(db, label, observed)
    if best is None:
        assert not (observed & (label == 1)).any()
        return
    reached = confusion(db < best, label, observed).iou
    for cut in [*np.unique(db[observed]), np.float32(1.0)]:
        assert (confusion(db < cut, label, observed).iou or 0.0) <= reached + 1e-12


def test_ceilings_are_never_worse_than_the_thresholds_that_they_limit() -> None:
    db, water = two_classes(7)
    label, observed = water.astype(np.int8), np.ones(water.shape, bool)
    smooth = smooth_bands(db)
    ceilings = ceiling_masks(smooth, label, observed)
    assert tuple(ceilings) == CEILINGS
    masks = baseline_masks(db, smooth)
    for band in ("vv", "vh"):
        limit = confusion(ceilings[f"oracle_{band}"], label, observed).iou
        for method in ("otsu", "kittler", "fixed"):
            assert confusion(masks[f"{method}_{band}"], label, observed).iou <= limit
