from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drshym_pipeline.assessment.boundary import BoundaryCounts, boundary_counts
from tests.examples import examples

SEEN = np.ones((32, 32), dtype=bool)


def square(row: int, col: int, size: int = 12, shape: tuple[int, int] = (32, 32)) -> np.ndarray:
    water = np.zeros(shape, dtype=bool)
    water[row : row + size, col : col + size] = True
    return water


def by_hand(prediction: np.ndarray, label: np.ndarray, observed: np.ndarray, tolerance: float) -> BoundaryCounts:
    """Compute the counts by comparing every pair of pixels."""
    height, width = label.shape
    known = {(r, c) for r in range(height) for c in range(width) if observed[r, c] and label[r, c] >= 0}

    def shore(water: np.ndarray) -> list[tuple[int, int]]:
        steps = ((0, 1), (1, 0), (0, -1), (-1, 0))
        return [
            (r, c)
            for r, c in sorted(known)
            if water[r, c] and any((r + y, c + x) in known and not water[r + y, c + x] for y, x in steps)
        ]

    def near(place: tuple[int, int], others: list[tuple[int, int]]) -> bool:
        return any((place[0] - r) ** 2 + (place[1] - c) ** 2 <= tolerance**2 for r, c in others)

    frame = [(r, c) for r in range(-1, height + 1) for c in range(-1, width + 1)]
    unknown = [place for place in frame if place not in known]
    mapped, truth = shore(prediction), shore(label == 1)
    counted_mapped = [place for place in mapped if not near(place, unknown)]
    counted_truth = [place for place in truth if not near(place, unknown)]
    return BoundaryCounts(
        sum(near(place, truth) for place in counted_mapped),
        len(counted_mapped),
        sum(near(place, mapped) for place in counted_truth),
        len(counted_truth),
    )


@examples(40)
@given(
    hnp.arrays(bool, (12, 11)),
    hnp.arrays(np.int8, (12, 11), elements=st.sampled_from([0, 0, 0, 1, 1, 1, 1, -1]), fill=st.nothing()),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 10)), max_size=2),
    st.sampled_from([0.0, 1.0, 1.5]),
)
def test_counts_are_those_of_every_pair_of_pixels(prediction, label, gaps, tolerance) -> None:
    label = np.where(label == -1, np.where(np.arange(11) < 9, 1, -1), label).astype(np.int8)
    observed = np.ones(label.shape, dtype=bool)
    for place in gaps:
        observed[place] = False
    assert boundary_counts(prediction, label, observed, tolerance) == by_hand(prediction, label, observed, tolerance)


@pytest.mark.parametrize(("shift", "f1"), [(0, 1.0), (1, 1.0), (2, 1.0)])
def test_a_shore_within_the_tolerance_is_right(shift, f1) -> None:
    counts = boundary_counts(square(8, 8 + shift), square(8, 8).astype(np.int8), SEEN, tolerance=2)
    assert counts.f1 == f1
    assert counts.true == 44


def test_a_shore_beyond_the_tolerance_is_wrong_even_with_a_large_overlap() -> None:
    grown = square(5, 5, 18)
    counts = boundary_counts(grown, square(8, 8).astype(np.int8), SEEN, tolerance=2)
    assert (counts.precision, counts.recall, counts.f1) == (0.0, 0.0, 0.0)


def test_a_false_shore_lowers_precision_and_a_missed_shore_lowers_recall() -> None:
    one, two = square(5, 5, 8), square(5, 5, 8) | square(19, 19, 8)
    extra = boundary_counts(two, one.astype(np.int8), SEEN)
    missed = boundary_counts(one, two.astype(np.int8), SEEN)
    assert (extra.precision, extra.recall) == (0.5, 1.0)
    assert (missed.precision, missed.recall) == (1.0, 0.5)
    assert extra.f1 == missed.f1 == pytest.approx(2 / 3)


def test_shores_near_unknown_pixels_and_near_the_edge_do_not_count() -> None:
    truth = square(8, 8).astype(np.int8)
    truth[:, 22:] = -1  # two pixels from the eastern shore, at column 19
    hidden = SEEN.copy()
    hidden[:6] = False  # two pixels from the northern shore, at row 8
    counts = boundary_counts(square(8, 8), truth, hidden, tolerance=3)
    everything = boundary_counts(square(8, 8), square(8, 8).astype(np.int8), SEEN, tolerance=3)
    assert 0 < counts.true < everything.true
    assert counts.f1 == 1.0
    whole = np.ones((32, 32), np.int8)
    assert boundary_counts(whole == 1, whole, SEEN) == BoundaryCounts()
    at_the_edge = square(0, 0, 32)
    at_the_edge[2:] = False
    assert boundary_counts(at_the_edge, at_the_edge.astype(np.int8), SEEN, tolerance=2).true == 0


def test_water_mapped_over_unknown_ground_does_not_change_the_counts() -> None:
    truth = square(8, 8).astype(np.int8)
    truth[:, 26:] = -1
    with_more = square(8, 8) | (truth == -1)
    assert boundary_counts(with_more, truth, SEEN) == boundary_counts(square(8, 8), truth, SEEN)


def test_figures_are_none_where_there_is_no_shore() -> None:
    none = boundary_counts(np.zeros((32, 32), bool), np.zeros((32, 32), np.int8), SEEN)
    assert (none.precision, none.recall, none.f1) == (None, None, None)
    missed = boundary_counts(np.zeros((32, 32), bool), square(8, 8).astype(np.int8), SEEN)
    assert (missed.precision, missed.recall, missed.f1) == (None, 0.0, 0.0)
    assert missed + none + BoundaryCounts(1, 2, 3, 4) == BoundaryCounts(1, 2, 3, 48)


def test_arrays_of_other_shapes_and_a_negative_tolerance_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        boundary_counts(SEEN, np.zeros((3, 3), np.int8), SEEN)
    with pytest.raises(ValueError, match="negative"):
        boundary_counts(SEEN, np.zeros((32, 32), np.int8), SEEN, tolerance=-1)
