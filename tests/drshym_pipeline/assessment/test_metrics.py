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
    chip_weights,
    confusion,
)
from tests.examples import examples


def events_of(counts: np.ndarray, chips: int = 3) -> list[str]:
    """Return an event for every chip; `chips` neighbours have the same one."""
    return [f"event {index // chips}" for index in range(len(counts))]


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
    score = bootstrap_score(counts, metric, events_of(counts), resamples=100)
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
    score = bootstrap_score(counts, "iou", ["one"] * 40, resamples=4000)
    expected = naive_bootstrap(counts, 4000, np.random.default_rng(7))
    assert [score.low, score.high] == pytest.approx(expected, abs=0.006)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    counts = random_counts(15, 2)
    assert bootstrap_score(counts, "f1", events_of(counts)) == bootstrap_score(counts, "f1", events_of(counts))
    assert bootstrap_score(counts, "f1", events_of(counts), seed=1) != bootstrap_score(
        counts, "f1", events_of(counts), seed=2
    )


def test_one_chip_has_a_value_but_no_interval_and_unscored_chips_do_not_count() -> None:
    counts = np.array([[5, 1, 1, 3], [0, 0, 0, 0]])
    score = bootstrap_score(counts, "iou", events_of(counts))
    assert (score.value, score.low, score.high, score.chips) == (pytest.approx(5 / 7), None, None, 1)


def test_the_mean_over_chips_leaves_out_chips_without_water() -> None:
    counts = np.array([[1, 0, 1, 8], [9, 0, 1, 0], [0, 5, 0, 5], [0, 0, 0, 9]])
    score = bootstrap_mean(counts, "iou", events_of(counts))
    assert score.value == pytest.approx((0.5 + 0.9) / 2)
    assert score.chips == 2
    assert bootstrap_mean(counts[2:], "iou", ["a", "a"]).value is None


def naive_two_stages(counts, events, resamples, rng):
    names = sorted(set(events))
    members = {name: np.flatnonzero(np.array(events) == name) for name in names}
    draws = []
    for _ in range(resamples):
        rows = [rng.choice(members[names[i]], len(members[names[i]])) for i in rng.integers(0, len(names), len(names))]
        total = counts[np.concatenate(rows)].sum(axis=0)
        draws.append(total[0] / total[:3].sum())
    return np.quantile(draws, [0.05, 0.95])


def test_the_vectorised_bootstrap_agrees_with_drawing_events_and_then_their_chips() -> None:
    counts = random_counts(40, 1)
    events = [f"event {index % 3 + index % 5 * (index > 20)}" for index in range(40)]
    score = bootstrap_score(counts, "iou", events, resamples=4000)
    expected = naive_two_stages(counts, events, 4000, np.random.default_rng(7))
    assert [score.low, score.high] == pytest.approx(expected, abs=0.008)
    assert score.events == len(set(events))


@examples(40)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=20))
def test_an_event_is_drawn_with_as_many_chips_as_it_has(events) -> None:
    weights = chip_weights(events, 50, 42)
    drawn = {name: weights[:, [event == name for event in events]].sum(axis=1) / events.count(name) for name in events}
    for times in drawn.values():
        assert np.all(times == times.round())
    assert np.all(sum(drawn.values()) == len(set(events)))


def test_chips_of_one_event_that_are_alike_make_the_interval_as_wide_as_the_events() -> None:
    """Ten copies of a chip in each of six events hold no more information than one chip per event."""
    single = random_counts(6, 5)
    copies, events = np.repeat(single, 10, axis=0), [f"event {index // 10}" for index in range(60)]
    alone = bootstrap_score(single, "iou", list("abcdef"), resamples=2000)
    together = bootstrap_score(copies, "iou", events, resamples=2000)
    as_if_independent = bootstrap_score(copies, "iou", [f"chip {index}" for index in range(60)], resamples=2000)
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert as_if_independent.high - as_if_independent.low < 0.5 * (together.high - together.low)
    mean = bootstrap_mean(copies, "iou", events, resamples=2000)
    narrow = bootstrap_mean(copies, "iou", [str(index) for index in range(60)], resamples=2000)
    assert narrow.high - narrow.low < 0.5 * (mean.high - mean.low)


def test_chips_that_are_their_own_events_are_resampled_as_the_chips_of_one_event() -> None:
    counts = random_counts(30, 4)
    one, own = (
        bootstrap_score(counts, "iou", events, resamples=4000) for events in (["a"] * 30, list(map(str, range(30))))
    )
    assert [one.low, one.high] == pytest.approx([own.low, own.high], abs=0.006)
    assert (one.events, own.events) == (1, 30)


def test_every_chip_needs_an_event() -> None:
    with pytest.raises(ValueError, match="longer"):
        bootstrap_score(random_counts(3, 1), "iou", ["a", "b"])


WET, DRY = [90, 5, 10, 95], [0, 0, 0, 200]


@pytest.mark.parametrize(
    ("counts", "events", "without"),
    [
        ([WET, DRY, DRY], list("aaa"), {"iou", "f1", "precision", "recall", "mean"}),
        ([WET, DRY, DRY], list("abc"), {"iou", "f1", "precision", "recall", "mean"}),
        ([WET, WET, DRY, DRY], list("aabb"), {"iou", "f1", "precision", "recall", "mean"}),
        ([WET, [0, 7, 0, 193]], list("ab"), {"recall", "mean"}),
        ([WET, [80, 20, 0, 0]], list("ab"), set()),
        ([[90, 10, 5, 0], [0, 5, 0, 195], [50, 0, 50, 0]], list("aab"), {"false_water"}),
        ([[90, 10, 5, 0], [20, 0, 80, 0]], list("aa"), {"false_water"}),
    ],
)
def test_a_figure_in_which_one_chip_or_one_of_several_events_counts_has_no_interval(counts, events, without) -> None:
    """A chip that is drawn again and again gives the same figure: the interval would claim certainty."""
    table = np.array(counts)
    scores = {metric: bootstrap_score(table, metric, events) for metric in METRICS}
    scores["mean"] = bootstrap_mean(table, "iou", events)
    assert all(score.value is not None for score in scores.values())
    assert {name for name, score in scores.items() if score.low is None} == without
    assert {name for name, score in scores.items() if score.high is None} == without


@examples(60)
@given(count_arrays, st.sampled_from(METRICS), st.integers(1, 12))
def test_an_interval_without_width_needs_two_units_with_the_same_figure(counts, metric, chips) -> None:
    events = events_of(counts, chips)
    score = bootstrap_score(counts, metric, events, resamples=200)
    if score.low is None:
        return
    figures = [
        (ConfusionCounts(*map(int, row)).metric(metric), event) for row, event in zip(counts, events, strict=True)
    ]
    counted = [(figure, event) for figure, event in figures if figure is not None]
    assert len(counted) >= 2
    scored = {event for row, event in zip(counts, events, strict=True) if row.sum()}
    assert len(scored) == 1 or len({event for _, event in counted}) >= 2
