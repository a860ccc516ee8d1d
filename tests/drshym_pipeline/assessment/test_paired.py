from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drshym_pipeline.assessment.metrics import METRICS, bootstrap_mean, bootstrap_score
from drshym_pipeline.assessment.paired import paired_difference, paired_mean_difference
from tests.examples import examples

count_arrays = hnp.arrays(np.int64, hnp.array_shapes(min_dims=1, max_dims=1, max_side=12).map(lambda s: (*s, 4)),
                          elements=st.integers(0, 500))  # fmt: skip


def events_of(counts: np.ndarray, chips: int = 3) -> list[str]:
    """Return an event for every chip; `chips` neighbours have the same one."""
    return [f"event {index // chips}" for index in range(len(counts))]


def random_counts(chips: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    water = rng.integers(20, 400, chips)
    hit = rng.binomial(water, rng.uniform(0.4, 0.95, chips))
    false = rng.binomial(1000 - water, rng.uniform(0.0, 0.1, chips))
    return np.stack([hit, false, water - hit, 1000 - water - false], axis=1)


def test_pairing_finds_a_small_constant_advantage_that_unpaired_intervals_do_not_show() -> None:
    worse = random_counts(30, 3)
    better = worse + np.array([[5, -0, -5, 0]])
    better = np.where((better < 0).any(axis=1, keepdims=True), worse, better)
    difference = paired_difference(better, worse, "iou", events_of(better))
    assert difference.low is not None
    assert difference.low > 0.0
    first, second = bootstrap_score(better, "iou", events_of(better)), bootstrap_score(worse, "iou", events_of(better))
    assert first.low < second.high


@examples(30)
@given(count_arrays, st.sampled_from(METRICS))
def test_a_method_does_not_differ_from_itself(counts, metric) -> None:
    difference = paired_difference(counts, counts, metric, events_of(counts), resamples=100)
    assert difference.value in (None, 0.0)
    assert difference.low in (None, 0.0)
    assert difference.high in (None, 0.0)


def test_a_difference_changes_its_sign_with_the_order() -> None:
    better = random_counts(20, 3)
    worse = better + np.minimum(better[:, [0]], 7) * np.array([[-1, 0, 1, 0]])
    there, back = (
        paired_difference(better, worse, "iou", events_of(better)),
        paired_difference(worse, better, "iou", events_of(better)),
    )
    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-back.high)


def test_methods_scored_on_different_pixels_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same pixels"):
        paired_difference(np.array([[5, 1, 1, 3]]), np.array([[5, 1, 1, 4]]), "iou", ["a"])
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference(np.array([[5, 1, 1, 3]]), np.zeros((2, 4), int), "iou", ["a"])


@examples(30)
@given(count_arrays, st.data())
def test_the_mean_difference_is_the_difference_of_the_two_means(counts, data) -> None:
    missed = np.array([data.draw(st.integers(0, int(n))) for n in counts[:, 0]])
    worse = counts + missed[:, None] * np.array([[-1, 0, 1, 0]])
    events = events_of(counts)
    found = paired_mean_difference(counts, worse, "iou", events, resamples=100)
    here, there = (
        bootstrap_mean(counts, "iou", events, resamples=100),
        bootstrap_mean(worse, "iou", events, resamples=100),
    )
    assert found.chips == here.chips
    if found.value is None:
        assert here.value is None
    else:
        assert found.value == pytest.approx(here.value - there.value)
        assert found.value >= 0.0


def test_the_difference_of_means_is_not_decided_by_one_large_flood() -> None:
    """One method is worse on nine small floods and better on a large one: pooled pixels and chips disagree."""
    one = np.array([[1_000_000, 0, 100_000, 0], *[[0, 0, 50, 50]] * 9])
    other = np.array([[900_000, 0, 200_000, 0], *[[50, 0, 0, 50]] * 9])
    assert paired_difference(one, other, "iou", list(map(str, range(10)))).value > 0.05
    assert paired_mean_difference(one, other, "iou", list(map(str, range(10)))).high < 0.0


def test_a_single_wet_chip_has_a_difference_without_an_interval() -> None:
    found = paired_mean_difference(
        np.array([[5, 0, 5, 0], [0, 1, 0, 9]]), np.array([[4, 0, 6, 0], [0, 9, 0, 1]]), "iou", ["a", "b"]
    )
    assert (found.value, found.low, found.high, found.chips) == (pytest.approx(0.1), None, None, 1)


def test_means_over_different_pixels_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same pixels"):
        paired_mean_difference(np.array([[5, 1, 1, 3]]), np.array([[5, 1, 1, 4]]), "iou", ["a"])


def test_an_advantage_in_one_of_few_events_is_not_certain_however_many_chips_it_has() -> None:
    """Thirty neighbouring chips of one event say as much about other events as one chip does."""
    worse = random_counts(60, 3)
    gain = np.minimum(worse[:, [2]], 60) * (np.arange(60) < 20)[:, None]
    better = worse + gain * np.array([[1, 0, -1, 0]])
    events = [f"event {index // 20}" for index in range(60)]
    by_chips = paired_difference(better, worse, "iou", [str(index) for index in range(60)])
    by_events = paired_difference(better, worse, "iou", events)
    assert by_chips.low > 0.0
    assert by_events.low == pytest.approx(0.0, abs=1e-9)
    assert (by_events.events, by_events.chips) == (3, 60)
    assert paired_mean_difference(better, worse, "iou", events).low == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("events", [list("aaa"), list("abc"), ["a", "b", "b"]])
def test_a_difference_that_rests_on_one_wet_chip_has_no_interval(events) -> None:
    dry = [[0, 0, 0, 100]] * 2
    better, worse = np.array([[50, 0, 10, 40], *dry]), np.array([[30, 0, 30, 40], *dry])
    found = paired_difference(better, worse, "iou", events)
    assert (found.value, found.low, found.high) == (pytest.approx(1 / 3), None, None)
    noisy = np.array([[30, 0, 30, 40], [0, 20, 0, 80], [0, 10, 0, 90]])
    assert bootstrap_score(noisy, "iou", events).low is not None
    assert paired_difference(better, noisy, "iou", events).low is None, "one of the two figures has no interval"
    assert paired_difference(noisy, better, "iou", events).low is None


def test_a_mean_difference_over_the_wet_chips_of_one_of_several_events_has_no_interval() -> None:
    better = np.array([[50, 0, 10, 40], [40, 0, 10, 50], [0, 0, 0, 100]])
    worse = np.array([[30, 0, 30, 40], [20, 0, 30, 50], [0, 0, 0, 100]])
    assert paired_mean_difference(better, worse, "iou", ["a", "a", "b"]).low is None
    assert paired_mean_difference(better, worse, "iou", ["a", "a", "a"]).low > 0.0
    assert paired_mean_difference(better, worse, "iou", ["a", "b", "b"]).low > 0.0
