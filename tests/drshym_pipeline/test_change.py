"""The probability of flood and its area, computed from stored integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.change import flood_probability, flood_threshold, part_of_water
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.records import AreaEstimate
from drshym_pipeline.states import mask_of, mask_states

STEPS = st.integers(0, 10_000)


def one(water: int, reference: int) -> int:
    return int(flood_probability(np.array([water], np.uint16), np.array([reference], np.uint16))[0])


@given(STEPS, STEPS)
def test_the_probability_of_flood_is_the_exact_product_rounded_to_the_nearest_step(water, reference):
    exact = Fraction(water * (10_000 - reference), 10_000)
    assert abs(one(water, reference) - exact) <= Fraction(1, 2)
    assert one(water, reference) <= water


@pytest.mark.parametrize(
    ("pair", "flood"),
    [
        ((10_000, 0), 10_000),
        ((10_000, 10_000), 0),
        ((8_000, 2_500), 6_000),
        ((NOT_OBSERVED, 0), NOT_OBSERVED),
        ((9_000, NOT_OBSERVED), NOT_OBSERVED),
        ((NOT_OBSERVED, NOT_OBSERVED), NOT_OBSERVED),
    ],
)
def test_the_probability_of_flood_is_known_only_where_both_are_observed(pair, flood):
    assert one(*pair) == flood


@given(STEPS.filter(bool).map(lambda steps: steps / 10_000))
def test_water_on_ground_that_was_certainly_dry_is_flood_whatever_the_threshold_of_water(threshold):
    assert 0 < flood_threshold(threshold) <= threshold
    assert flood_threshold(threshold) <= 0.35
    mask = mask_of(np.arange(10_001, dtype=np.uint16), threshold)
    reference = np.zeros_like(mask, np.uint16)
    flood = flood_probability(np.arange(10_001, dtype=np.uint16), reference)
    np.testing.assert_array_equal(mask_states(mask, reference, flood, flood_threshold(threshold)), mask)


def test_the_interval_of_a_part_of_the_water_is_from_zero_to_the_upper_end_of_all_water():
    water = AreaEstimate(km2=9.0, low_km2=4.0, high_km2=12.0, level=0.9, method="whole chips", expected_km2=8.0)
    flood = part_of_water(3.0, water)
    assert (flood.km2, flood.low_km2, flood.high_km2, flood.level) == (3.0, 0.0, 12.0, 0.9)
    assert flood.expected_km2 is None
    assert "all water" in flood.method
    assert "whole chips" in flood.method
