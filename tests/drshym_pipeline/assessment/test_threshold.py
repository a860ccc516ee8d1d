from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import f1_score, jaccard_score, precision_recall_curve

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.threshold import best_threshold, choose_threshold
from tests.examples import examples


def sample(seed: int, pixels: int = 20_000, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits whose true log odds are logit / sharpness, and labels."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.0, 2.0, pixels)
    label = (rng.random(pixels) < expit(odds)).astype(np.int8)
    return (odds * sharpness).astype(np.float32), label


def histogram(logits: np.ndarray, label: np.ndarray) -> LogitHistogram:
    filled = LogitHistogram()
    filled.add(logits, label)
    return filled


def test_the_threshold_has_the_best_f1_of_all_and_is_a_multiple_of_the_step() -> None:
    logits, label = sample(4, 5000)
    filled = histogram(logits, label)
    threshold, f1 = best_threshold(filled, 2.0)
    assert round(threshold * 10_000) / 10_000 == threshold
    assert filled.scores_at(threshold, 2.0).f1 == f1
    precision, recall, _ = precision_recall_curve(label, expit(logits / 2.0))
    exact = np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    assert f1 == pytest.approx(exact, abs=2e-3)
    assert all(filled.scores_at(t, 2.0).f1 <= f1 for t in np.arange(0.01, 1.0, 0.01))


def test_of_equally_good_thresholds_the_one_nearest_to_a_half_is_used() -> None:
    apart = histogram(np.array([-4.0, -3.0, 3.0, 4.0], np.float32), np.array([0, 0, 1, 1], np.int8))
    assert best_threshold(apart, 1.0) == (0.5, 1.0)
    low = histogram(np.array([-4.0, -3.0, -2.0], np.float32), np.array([0, 0, 1], np.int8))
    threshold, f1 = best_threshold(low, 1.0)
    assert f1 == 1.0
    assert threshold == pytest.approx(expit(-1.995), abs=1e-4)


def scene(seed: int, pixels: int, water: float, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels of a chip with a share of water; `shift` is added to all logits, like another wind."""
    rng = np.random.default_rng(seed)
    label = (rng.random(pixels) < water).astype(np.int8)
    return rng.normal(np.where(label == 1, 1.0, -3.0) + shift, 1.2), label


@examples(8)
@given(st.integers(0, 1000), st.floats(0.7, 2.0), st.floats(-1.0, 1.0))
def test_each_aim_has_the_best_threshold_and_its_plateau_is_within_half_a_percent_of_it(seed, T, bias) -> None:
    chips = [scene(seed + turn, 400, water, shift) for turn, (water, shift) in enumerate([(0.6, 0.5), (0.05, -1.0)])]
    choice = choose_threshold([histogram(*chip) for chip in chips], T, bias)

    def mean_iou(threshold: float) -> float:
        return float(np.mean([jaccard_score(y, wet(x, threshold)) for x, y in chips]))

    def pooled_f1(threshold: float) -> float:
        return float(
            f1_score(np.concatenate([y for _, y in chips]), np.concatenate([wet(x, threshold) for x, _ in chips]))
        )

    def wet(logits: np.ndarray, threshold: float) -> np.ndarray:
        # The histogram counts logits at the middle of their bins.
        binned = (np.floor(logits * 100) + 0.5) / 100
        return expit(binned / T + bias) >= threshold

    for aim, score in (("mean_iou", mean_iou), ("pooled_f1", pooled_f1)):
        point = choice.points[aim]
        grid = np.linspace(0.02, 0.98, 25)
        assert max(score(t) for t in grid) <= point.best + 1e-9
        inside = np.round(np.linspace(point.low, point.high, 5), 4)
        assert min(score(t) for t in inside) >= 0.995 * point.best - 1e-9
        for outside in (point.low - 1e-4, point.high + 1e-4):
            if 0.0 < outside < 1.0:
                assert score(outside) < 0.995 * point.best
        assert point.low <= point.threshold <= point.high
        assert point.threshold == pytest.approx((point.low + point.high) / 2, abs=1.01e-4)
        assert (point.mean_iou, point.pooled_f1) == (
            pytest.approx(mean_iou(point.threshold)),
            pytest.approx(pooled_f1(point.threshold)),
        )


def test_one_large_flood_decides_the_pooled_aim_but_not_the_mean_aim() -> None:
    large = histogram(*scene(1, 40_000, 0.9, shift=2.0))
    small = [histogram(*scene(2 + turn, 1000, 0.03, shift=-2.0)) for turn in range(5)]
    pooled, fair = (choose_threshold([large, *small], 1.0, aim=aim) for aim in ("pooled_f1", "mean_iou"))
    assert pooled.threshold > fair.threshold
    assert pooled.points == fair.points
    assert fair.points["mean_iou"].mean_iou > fair.points["pooled_f1"].mean_iou
    assert fair.points["pooled_f1"].pooled_f1 >= fair.points["mean_iou"].pooled_f1


def test_the_middle_of_the_plateau_works_in_a_brighter_scene_where_the_highest_point_does_not() -> None:
    # The curve is nearly flat above -1, where the logits of land end; its highest point is right beside them.
    logits = np.concatenate([np.linspace(-3, -1, 1000), np.linspace(-0.9, 2, 10), np.linspace(2, 4, 990)])
    label = np.repeat([0, 1], 1000).astype(np.int8)
    here, brighter = histogram(logits, label), histogram(logits + 0.5, label)
    steps = np.arange(1, 10_000) / 10_000
    counts = here.curve(steps, 1.0)
    highest = steps[int((counts[:, 0] / counts[:, :3].sum(axis=1)).argmax())]
    middle = choose_threshold([here], 1.0).threshold
    assert here.scores_at(middle, 1.0).iou > 0.995 * here.scores_at(highest, 1.0).iou
    assert brighter.scores_at(highest, 1.0).iou < 0.85
    assert brighter.scores_at(middle, 1.0).iou > 0.99


def test_false_water_of_chips_without_water_is_reported_for_the_aim_that_does_not_use_them() -> None:
    wet, dry = histogram(*scene(5, 2000, 0.3)), histogram(*scene(6, 2000, 0.0, shift=2.0))
    with_dry, alone = choose_threshold([wet, dry], 1.0), choose_threshold([wet], 1.0)
    point = with_dry.points["mean_iou"]
    assert with_dry.threshold == alone.threshold
    assert point.dry_false_water == pytest.approx(dry.scores_at(point.threshold, 1.0).false_water)
    assert alone.points["mean_iou"].dry_false_water is None


@pytest.mark.parametrize("label", [0, 1, -1])
def test_with_one_class_alone_the_threshold_is_a_half(label) -> None:
    chips = [histogram(np.linspace(-3, 3, 50), np.full(50, label, np.int8)), LogitHistogram()]
    choice = choose_threshold(chips, 1.0)
    assert choice.threshold == 0.5
    assert all(point.best is None for point in choice.points.values())
