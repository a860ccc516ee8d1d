"""Intervals of the flooded area: the counts of pairs, the fit, its coverage over events, maps without flood."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from drshym_pipeline.assessment.flood_interval import ChipPair, FloodErrors, LabelledPair, fit_flood_errors, fit_part
from drshym_pipeline.assessment.pair_signs import PARTS, PairCounts, pair_counts
from drshym_pipeline.change import flood_probability, flood_threshold
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.states import FLOODED, PERMANENT, mask_of, mask_states
from drshym_pipeline.training.flood_pairs import MappedPair
from tests.examples import examples

THRESHOLD = 0.4
SIDE = 64
STEPS = st.one_of(st.integers(0, 10_000), st.just(NOT_OBSERVED))
RASTER = arrays(np.uint16, (7, 9), elements=STEPS)


def counts(now: np.ndarray, before: np.ndarray) -> PairCounts:
    return pair_counts(now, before, flood_probability(now, before), THRESHOLD)


@examples(60)
@given(RASTER, RASTER, st.integers(0, 7))
def test_the_counts_of_strips_add_up_to_those_of_the_map(now, before, row):
    assert counts(now[:row], before[:row]) + counts(now[row:], before[row:]) == counts(now, before)


@examples(60)
@given(RASTER, RASTER)
def test_the_mapped_pixels_are_those_of_the_mask_that_were_compared(now, before):
    found, flood = counts(now, before), flood_probability(now, before)
    mask = mask_states(mask_of(now, THRESHOLD), before, flood, flood_threshold(THRESHOLD))
    known = flood != NOT_OBSERVED
    assert found.pixels == np.count_nonzero(known)
    assert found.flooded.mapped == np.count_nonzero(known & (mask == FLOODED))
    assert found.other_water.mapped == np.count_nonzero(known & (mask == PERMANENT))


def test_the_signs_are_shares_of_the_compared_pixels():
    now = np.array([10_000, 8_000, 400, 5_000, NOT_OBSERVED, 9_000], np.uint16)
    before = np.array([0, 5_000, 0, 9_000, 0, NOT_OBSERVED], np.uint16)
    found = counts(now, before).signs("flooded")
    # Flood: 1.0, 0.4, 0.04 (faint), 0.05; the last two pixels were not compared.
    assert found.mapped == pytest.approx(2 / 4)
    assert found.mass == pytest.approx((1.0 + 0.4 + 0.05) / 4)
    assert found.uncertain == pytest.approx((0.4 + 0.05) / 4)
    assert found.uncertain_now == pytest.approx((0.2 + 0.5) / 4)
    assert found.uncertain_before == pytest.approx((0.5 + 0.1) / 4)
    other = counts(now, before).signs("other_water")
    assert other.mass == pytest.approx((0.4 + 0.45) / 4)
    assert other.mapped == pytest.approx(1 / 4)


def test_nothing_compared_has_no_signs():
    nothing = counts(np.full((3, 3), 9_000, np.uint16), np.full((3, 3), NOT_OBSERVED, np.uint16))
    assert nothing == PairCounts()
    assert set(vars(nothing.signs("flooded")).values()) == {0.0}


def pair(rng: np.random.Generator, event: int, *, flood: bool, doubt: bool) -> ChipPair:
    """Return a pair of chips with a lake that was there before, and with flood around it, sure or in doubt.

    In an event in doubt, half of the flood or more is right, alike in all chips of the event.
    """
    columns = np.arange(SIDE)
    lake = np.broadcast_to(columns < 10, (SIDE, SIDE))
    wet = np.broadcast_to((columns >= 10) & (columns < 10 + int(rng.integers(8, 40))), (SIDE, SIDE)) & flood
    share = np.random.default_rng(event).uniform(0.5, 1.0) if doubt else 0.99
    true = wet & (rng.random((SIDE, SIDE)) < share)
    p_flood = 0.6 if doubt else 0.97
    now = np.where(lake, 0.98, np.where(wet, p_flood, 0.01)) + rng.uniform(-0.01, 0.01, (SIDE, SIDE))
    before = np.where(lake, 0.96, 0.02) + rng.uniform(-0.01, 0.01, (SIDE, SIDE))
    stored = [np.rint(values * 10_000).astype(np.uint16) for values in (now, before)]
    return MappedPair(str(event), *stored, true, np.array(lake)).quarters(THRESHOLD)


def pairs(seed: int, events: int) -> list[ChipPair]:
    rng = np.random.default_rng(seed)
    return [
        pair(rng, seed * 1000 + number, flood=number % 4 > 0, doubt=number % 4 == 1)
        for number in range(events)
        for _ in range(3)
    ]


def whole(found: ChipPair) -> LabelledPair:
    return reduce(add, found.quarters)


@pytest.fixture(scope="module")
def fitted() -> FloodErrors:
    found = fit_flood_errors(pairs(1, 60))
    assert found is not None
    return found


def test_the_quarters_are_the_whole_pair():
    found = pair(np.random.default_rng(0), 3, flood=True, doubt=False)
    total = whole(found)
    assert len(found.quarters) == 4
    assert total.pixels == SIDE * SIDE
    assert total.other_water == 10 * SIDE
    assert total.flooded > 0


@pytest.mark.parametrize("part", PARTS)
def test_the_interval_of_new_events_has_its_coverage(fitted, part):
    interval = fitted.flooded if part == "flooded" else fitted.other_water
    held = []
    for found in pairs(2, 120):
        for unit in (*found.quarters, whole(found)):
            share = interval.estimate(unit.counts.signs(part))
            held.append(share.low <= unit.true(part) <= share.high)
    assert 0.86 <= np.mean(held) <= 1.0


def test_flood_in_doubt_has_a_wider_interval_than_sure_flood(fitted):
    rng = np.random.default_rng(5)
    widths = {}
    for doubt in (False, True):
        found = [whole(pair(rng, 9000 + number, flood=True, doubt=doubt)) for number in range(20)]
        shares = [fitted.flooded.estimate(unit.counts.signs("flooded")) for unit in found]
        mapped = [unit.counts.signs("flooded").mapped for unit in found]
        widths[doubt] = np.median([(share.high - share.low) / one for share, one in zip(shares, mapped, strict=True)])
    assert widths[False] < 0.3 < widths[True]


def test_a_map_without_flood_has_an_interval_from_zero(fitted):
    unit = whole(pair(np.random.default_rng(6), 5, flood=False, doubt=False))
    share = fitted.flooded.estimate(unit.counts.signs("flooded"))
    assert share.low == 0.0
    assert 0.0 < share.high < 0.02


def test_the_expected_share_is_near_the_mapped_one_where_nothing_is_in_doubt(fitted):
    unit = whole(pair(np.random.default_rng(7), 2, flood=True, doubt=False))
    share = fitted.flooded.estimate(unit.counts.signs("flooded"))
    assert share.low <= unit.true("flooded") <= share.high
    assert share.expected == pytest.approx(unit.counts.signs("flooded").mapped, rel=0.2)


def test_fewer_than_twenty_counted_pairs_give_no_interval():
    empty = np.full((SIDE, SIDE), NOT_OBSERVED, np.uint16)
    nothing = np.zeros((SIDE, SIDE), bool)
    unseen = MappedPair("unseen", empty, empty, nothing, nothing).quarters(THRESHOLD)
    assert fit_flood_errors([*pairs(1, 6), unseen, unseen]) is None
    assert fit_part([], "flooded") is None


@pytest.mark.parametrize(("events", "level"), [(7, 7 / 8), (30, 0.9)])
def test_too_few_events_for_the_level_lower_it(events, level):
    found = fit_part(pairs(3, events), "other_water")
    assert found is not None
    assert found.level == pytest.approx(level)
    assert (found.chips, found.events, found.nominal_level) == (3 * events, events, 0.9)


def test_the_order_of_the_pairs_changes_nothing():
    items = pairs(4, 12)
    again = [items[place] for place in np.random.default_rng(0).permutation(len(items))]
    one, other = fit_part(items, "flooded"), fit_part(again, "flooded")
    assert one is not None and other is not None
    assert one.factor == pytest.approx(other.factor)
    assert one.spread == pytest.approx(other.spread, abs=1e-6)
