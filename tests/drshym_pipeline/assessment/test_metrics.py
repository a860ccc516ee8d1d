from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from drshym_pipeline.assessment.metrics import (
    METRICS,
    ChipScores,
    ConfusionCounts,
    bootstrap_mean,
    bootstrap_score,
    confusion,
)
from tests.examples import examples

SHAPE = (7, 9)
labels = hnp.arrays(np.int8, SHAPE, elements=st.sampled_from([-1, 0, 1]))
masks = hnp.arrays(np.bool_, SHAPE)
count_arrays = hnp.arrays(np.int64, hnp.array_shapes(min_dims=1, max_dims=1, max_side=12).map(lambda s: (*s, 4)),
                          elements=st.integers(0, 500))  # fmt: skip


@examples(60)
@given(masks, labels, masks)
def test_figures_are_those_of_scikit_learn_on_the_scored_pixels(prediction, label, observed) -> None:
    counts = confusion(prediction, label, observed)
    scored = observed & (label >= 0)
    truth, guess = label[scored] == 1, prediction[scored]
    assert counts.pixels == scored.sum()
    judges = {"iou": jaccard_score, "f1": f1_score, "precision": precision_score, "recall": recall_score}
    for name, judge in judges.items():
        ours = counts.metric(name)
        if ours is not None:
            assert ours == pytest.approx(judge(truth, guess))
    assert (counts.iou is None) == (not truth.any() and not guess.any())
    assert (counts.precision is None) == (not guess.any())
    assert (counts.recall is None) == (not truth.any())


@examples(40)
@given(masks, labels, masks)
def test_predictions_outside_the_scored_pixels_do_not_change_the_counts(prediction, label, observed) -> None:
    outside = ~observed | (label == -1)
    assert confusion(prediction ^ outside, label, observed) == confusion(prediction, label, observed)


@examples(40)
@given(masks, labels, masks, st.integers(0, SHAPE[0]))
def test_counts_of_two_parts_add_up_to_those_of_the_whole(prediction, label, observed, cut) -> None:
    scores = ChipScores()
    for rows in (slice(0, cut), slice(cut, None)):
        scores.add("chip", "event", confusion(prediction[rows], label[rows], observed[rows]))
    assert len(scores) == 1
    assert scores.pooled() == confusion(prediction, label, observed)


def test_undefined_figures_are_none_and_missing_in_the_table() -> None:
    scores = ChipScores()
    scores.add("dry", "e", ConfusionCounts(tn=10))
    scores.add("empty", "e", ConfusionCounts())
    scores.add("wet", "e", ConfusionCounts(tp=3, fp=1, fn=1, tn=5))
    table = scores.table()
    assert list(table.index) == ["dry", "empty", "wet"]
    assert table.loc["dry", ["iou", "f1", "precision", "recall"]].isna().all()
    assert table.loc["dry", "false_water"] == 0.0
    assert table.loc["empty", list(METRICS)].isna().all()
    assert table.loc["wet", "iou"] == pytest.approx(0.6)
    assert isinstance(table["iou"].dtype, pd.Float64Dtype)
    assert ConfusionCounts().iou is None
    assert ConfusionCounts().false_water is None


def test_a_chip_cannot_change_its_event() -> None:
    scores = ChipScores()
    scores.add("a", "one", ConfusionCounts(1, 0, 0, 0))
    with pytest.raises(ValueError, match="belongs to one"):
        scores.add("a", "two", ConfusionCounts(1, 0, 0, 0))


def test_arrays_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        confusion(np.zeros((2, 2), bool), np.zeros((2, 3), np.int8), np.ones((2, 2), bool))


@examples(60)
@given(count_arrays, st.sampled_from(METRICS))
def test_the_interval_is_within_0_and_1_and_the_value_is_pooled(counts, metric) -> None:
    score = bootstrap_score(counts, metric, resamples=100)
    pooled = ConfusionCounts(*(int(n) for n in counts.sum(axis=0)))
    assert score.value == pooled.metric(metric)
    assert score.chips == int((counts.sum(axis=1) > 0).sum())
    if score.low is not None and score.high is not None:
        assert 0.0 <= score.low <= score.high <= 1.0
    if score.value is None:
        assert score.low is None
        assert score.high is None


def naive_bootstrap(counts, resamples, rng):
    draws = []
    for _ in range(resamples):
        total = counts[rng.integers(0, len(counts), len(counts))].sum(axis=0)
        draws.append(total[0] / total[:3].sum())
    return np.quantile(draws, [0.05, 0.95])


def random_counts(chips: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    water = rng.integers(20, 400, chips)
    hit = rng.binomial(water, rng.uniform(0.4, 0.95, chips))
    false = rng.binomial(1000 - water, rng.uniform(0.0, 0.1, chips))
    return np.stack([hit, false, water - hit, 1000 - water - false], axis=1)


def test_the_vectorised_bootstrap_agrees_with_drawing_chips_one_by_one() -> None:
    counts = random_counts(40, 1)
    score = bootstrap_score(counts, "iou", resamples=4000)
    expected = naive_bootstrap(counts, 4000, np.random.default_rng(7))
    assert [score.low, score.high] == pytest.approx(expected, abs=0.006)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    counts = random_counts(15, 2)
    assert bootstrap_score(counts, "f1") == bootstrap_score(counts, "f1")
    assert bootstrap_score(counts, "f1", seed=1) != bootstrap_score(counts, "f1", seed=2)


def test_one_chip_has_a_value_but_no_interval_and_unscored_chips_do_not_count() -> None:
    counts = np.array([[5, 1, 1, 3], [0, 0, 0, 0]])
    score = bootstrap_score(counts, "iou")
    assert (score.value, score.low, score.high, score.chips) == (pytest.approx(5 / 7), None, None, 1)


def test_the_mean_over_chips_leaves_out_chips_without_water() -> None:
    counts = np.array([[1, 0, 1, 8], [9, 0, 1, 0], [0, 5, 0, 5], [0, 0, 0, 9]])
    score = bootstrap_mean(counts, "iou")
    assert score.value == pytest.approx((0.5 + 0.9) / 2)
    assert score.chips == 2
    assert bootstrap_mean(counts[2:], "iou").value is None
