from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from drshym_pipeline.assessment.small_floods import SizeRecall, size_recall
from tests.examples import examples

SEEN = np.ones((40, 40), dtype=bool)


def bodies() -> np.ndarray:
    """Return a label with bodies of one pixel, 3 x 3 and 10 x 10, and two of 6 x 6 that touch at a corner."""
    label = np.zeros((40, 40), np.int8)
    label[1, 1] = 1
    label[5:8, 5:8] = 1
    label[12:22, 3:13] = 1
    label[24:30, 20:26] = label[30:36, 26:32] = 1
    return label


def test_bodies_are_counted_in_the_class_of_their_own_size() -> None:
    label = bodies()
    result = size_recall(label == 1, label, SEEN, 0.01, edges_ha=(0.05, 0.5, 1.0))
    # 0.01 ha, 0.09 ha, 0.72 ha (one body, because the corners touch) and 1 ha, which is exactly on an edge.
    assert result.bodies == result.found == (1, 1, 1, 1)
    assert result.pixels == result.found_pixels == (1, 9, 72, 100)


@pytest.mark.parametrize(("mapped_rows", "found"), [(4, 0), (5, 1), (10, 1)])
def test_a_body_is_found_when_half_of_it_is_mapped(mapped_rows, found) -> None:
    label = np.zeros((40, 40), np.int8)
    label[12:22, 3:13] = 1
    prediction = np.zeros((40, 40), bool)
    prediction[12 : 12 + mapped_rows] = True  # water mapped outside the body does not count
    result = size_recall(prediction, label, SEEN, 0.01)
    assert result.found == (0, found, 0, 0)
    assert result.found_pixels == (0, 10 * mapped_rows, 0, 0)


def test_unknown_and_unobserved_water_is_not_a_body() -> None:
    label = bodies()
    label[12:22, 3:13] = -1
    hidden = SEEN.copy()
    hidden[:10] = False
    result = size_recall(np.ones((40, 40), bool), label, hidden, 0.01, edges_ha=(0.05, 0.5, 1.0))
    assert result.bodies == (0, 0, 1, 0)


def test_chips_are_added_and_empty_classes_are_missing_in_the_table() -> None:
    label = bodies()
    missed = size_recall(np.zeros((40, 40), bool), label, SEEN, 0.01)
    total = SizeRecall.empty() + missed + size_recall(label == 1, label, SEEN, 0.01)
    table = total.table()
    assert table["bodies"].tolist() == [6, 2, 0, 0]
    assert table["found"].tolist() == [3, 1, 0, 0]
    assert table["body_recall"].tolist()[:2] == [0.5, 0.5]
    assert table["body_recall"].isna().tolist() == [False, False, True, True]
    assert table["pixel_recall"].tolist()[:2] == [0.5, 0.5]
    assert table[["low_ha", "high_ha"]].to_numpy().tolist() == [[0, 1], [1, 10], [10, 100], [100, np.inf]]
    with pytest.raises(ValueError, match="classes differ"):
        total + SizeRecall.empty((1.0,))


@examples(40)
@given(hnp.arrays(bool, (9, 8)), hnp.arrays(np.int8, (9, 8), elements=st.sampled_from([-1, 0, 1])))
def test_bodies_are_the_components_of_the_graph_of_touching_pixels(prediction, label) -> None:
    places = [tuple(place) for place in np.argwhere(label == 1)]
    touch = [
        (i, j)
        for i, a in enumerate(places)
        for j, b in enumerate(places)
        if max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= 1
    ]
    result = size_recall(prediction, label, np.ones(label.shape, bool), 1.0, edges_ha=(2.0, 5.0))
    if not places:
        assert result == SizeRecall.empty((2.0, 5.0))
        return
    rows, columns = np.array(touch).T
    number, member = connected_components(coo_array((np.ones(len(touch)), (rows, columns))), directed=False)
    size = np.bincount(member)
    hit = np.bincount(member, weights=[prediction[place] for place in places])
    of = [(size < 2), (size >= 2) & (size < 5), size >= 5]
    assert sum(result.bodies) == number
    assert result.bodies == tuple(int(inside.sum()) for inside in of)
    assert result.found == tuple(int((2 * hit >= size)[inside].sum()) for inside in of)
    assert result.pixels == tuple(int(size[inside].sum()) for inside in of)
    assert result.found_pixels == tuple(int(hit[inside].sum()) for inside in of)


@pytest.mark.parametrize(
    ("area", "edges", "fault"), [(0.0, (1.0,), "area"), (0.01, (10.0, 1.0), "rise"), (0.01, (0.0, 1.0), "rise")]
)
def test_impossible_sizes_are_refused(area, edges, fault) -> None:
    with pytest.raises(ValueError, match=fault):
        size_recall(SEEN, bodies(), SEEN, area, edges_ha=edges)


def test_arrays_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        size_recall(SEEN[:3], bodies(), SEEN, 0.01)
