"""The states of a map's pixels follow from stored integers, and every pixel has exactly one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.states import (
    DRY,
    EXCLUDED,
    FLOODED,
    MASK_LEGEND,
    MASK_NOT_OBSERVED,
    PERMANENT,
    excluded_from,
    is_unseparated,
    mask_labels,
    mask_of,
    mask_states,
    water_state,
)

SHAPE = (7, 9)
STORED = arrays(np.uint16, SHAPE, elements=st.integers(0, 10_000) | st.just(NOT_OBSERVED), fill=st.nothing())
EXCLUSION = arrays(np.uint8, SHAPE, elements=st.integers(0, 15) | st.just(255), fill=st.nothing())
THRESHOLD = st.integers(1, 9_999).map(lambda steps: steps / 10_000)


def one(water: int, reference: int, flood: int, *, excluded: bool = False) -> int:
    """Return the state of one pixel with 0.45 as the threshold of water and 0.3 as that of flood."""
    mask = mask_of(np.array([water], np.uint16), 0.45)
    mask = excluded_from(mask, np.array([4 if excluded else 0], np.uint8))
    return int(mask_states(mask, np.array([reference], np.uint16), np.array([flood], np.uint16), 0.3)[0])


@pytest.mark.parametrize(
    ("pixel", "state"),
    [
        ((4_499, 0, 4_499), DRY),
        ((4_500, 0, 3_000), FLOODED),
        ((4_500, 0, 2_999), PERMANENT),
        ((9_000, 9_000, 900), PERMANENT),
        ((9_000, NOT_OBSERVED, NOT_OBSERVED), FLOODED),
        ((100, NOT_OBSERVED, NOT_OBSERVED), DRY),
        ((NOT_OBSERVED, 9_000, NOT_OBSERVED), MASK_NOT_OBSERVED),
    ],
)
def test_the_thresholds_act_on_the_stored_integers(pixel, state):
    assert one(*pixel) == state


def test_not_observed_comes_before_excluded_and_excluded_before_water_and_dry_land():
    assert one(NOT_OBSERVED, 0, NOT_OBSERVED, excluded=True) == MASK_NOT_OBSERVED
    assert one(9_000, 0, 9_000, excluded=True) == EXCLUDED
    assert one(0, 0, 0, excluded=True) == EXCLUDED


@given(STORED, STORED, STORED, EXCLUSION, THRESHOLD, THRESHOLD)
def test_the_counts_of_all_states_add_up_to_the_grid(water, reference, flood, exclusion, threshold, flood_threshold):
    excluded = (exclusion > 0) & (exclusion < 16)
    mask = mask_of(water, threshold)
    before = mask.copy()
    states = mask_states(excluded_from(mask, exclusion), reference, flood, flood_threshold)
    np.testing.assert_array_equal(mask, before)
    counts = {name: int((states == value).sum()) for name, value in MASK_LEGEND.items()}
    assert sum(counts.values()) == states.size
    assert counts["not_observed"] == int((water == NOT_OBSERVED).sum())
    assert counts["excluded"] == int((excluded & (water != NOT_OBSERVED)).sum())
    kept = ~excluded & (water != NOT_OBSERVED)
    is_water = kept & (water >= round(threshold * 10_000))
    assert counts["flooded"] + counts["permanent"] == int(is_water.sum())
    assert counts["dry"] == int((kept & ~is_water).sum())
    unseparated = is_unseparated(states, reference)
    np.testing.assert_array_equal(unseparated, is_water & (reference == NOT_OBSERVED))
    assert (states[unseparated] == FLOODED).all()


def test_legends_name_the_flooded_class_by_what_is_known_about_it():
    assert water_state(water_separated=False) == "open water, flood not separated"
    assert water_state(water_separated=True) == "flooded"
    assert "not known" in mask_labels(water_separated=True, unseparated=True)[FLOODED]
