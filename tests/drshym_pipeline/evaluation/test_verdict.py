from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from drshym_pipeline.assessment.metrics import COUNT_NAMES
from drshym_pipeline.evaluation.verdict import Verdict, joint_verdict, verdict
from drshym_pipeline.settings import Floors

NO_FLOORS = Floors()


def table(hits: float, chips: int = 20, seed: int = 42, noise: float = 0.0) -> pd.DataFrame:
    """Return counts of chips with the same water and dry pixels whose share of found water is about `hits`."""
    water = np.random.default_rng(1).integers(100, 400, chips)
    rng = np.random.default_rng(seed)
    found = np.clip(hits + rng.normal(0, noise, chips), 0, 1)
    tp = np.rint(water * found).astype(int)
    frame = pd.DataFrame({"tp": tp, "fp": 20, "fn": water - tp, "tn": 500})
    frame.insert(0, "event", [f"event_{number // 2}" for number in range(chips)])
    frame.index = pd.Index([f"chip_{number}" for number in range(chips)], name="chip")
    return frame


@pytest.mark.parametrize(
    ("candidate", "in_service", "word"),
    [
        (table(0.9), table(0.8), "better"),
        (table(0.8), table(0.9), "worse"),
        (table(0.8), table(0.8), "not distinguishable"),
        (table(0.8, noise=0.1, seed=1), table(0.8, noise=0.1, seed=2), "not distinguishable"),
    ],
)
def test_the_word_follows_the_interval_of_the_paired_difference(candidate, in_service, word) -> None:
    found = verdict(candidate, in_service, NO_FLOORS)
    assert found.word == word
    assert found.difference.low <= found.difference.value <= found.difference.high
    assert f"{found.difference.value:+.3f}" in found.reason


def test_the_order_of_the_chips_does_not_matter() -> None:
    candidate, in_service = table(0.9, noise=0.05), table(0.85, noise=0.05, seed=3)
    assert verdict(candidate, in_service.iloc[::-1], NO_FLOORS) == verdict(candidate, in_service, NO_FLOORS)


def test_a_random_difference_is_seldom_called_better_or_worse() -> None:
    words = [
        verdict(table(0.8, noise=0.1, seed=2 * n), table(0.8, noise=0.1, seed=2 * n + 1), NO_FLOORS, resamples=300).word
        for n in range(100)
    ]
    assert words.count("not distinguishable") >= 80


@pytest.mark.parametrize(
    ("counts", "floors", "finite", "reason"),
    [
        (table(0.9), NO_FLOORS, False, "not finite"),
        (table(0.3), Floors(iou=0.5), True, "IoU 0.277 is below the floor 0.500"),
        (table(0.3), Floors(f1=0.6), True, "below the floor 0.600"),
        (table(0.9).iloc[:0], NO_FLOORS, True, "no water among 0 scored pixels"),
    ],
)
def test_a_broken_candidate_is_broken_before_anything_is_compared(counts, floors, finite, reason) -> None:
    found = verdict(counts, table(0.1), floors, finite=finite)
    assert found.word == "broken"
    assert reason in found.reason
    assert found.difference is None


def test_a_candidate_on_its_floor_is_not_broken() -> None:
    counts = pd.DataFrame([[5, 5, 0, 1], [5, 5, 0, 1]], columns=list(COUNT_NAMES), index=["a", "b"])
    counts.insert(0, "event", "one")
    assert verdict(counts, counts, Floors(iou=0.5)).word == "not distinguishable"


def test_one_chip_is_not_enough_for_a_verdict() -> None:
    found = verdict(table(0.9, chips=1), table(0.2, chips=1), NO_FLOORS)
    assert found.word == "not distinguishable"
    assert "too few" in found.reason


def test_one_wet_chip_among_dry_ones_is_not_enough_for_a_verdict() -> None:
    """Without an interval a candidate is never better, so it is never promoted, and never worse."""
    candidate, in_service = table(0.9), table(0.2)
    for frame in (candidate, in_service):
        frame.iloc[1:, frame.columns.get_indexer(["tp", "fp", "fn"])] = 0
    for here, there in ((candidate, in_service), (in_service, candidate)):
        found = verdict(here, there, NO_FLOORS)
        assert (found.word, found.difference.low) == ("not distinguishable", None)
        assert found.reason.endswith(", but the chips or events that count in it are too few for an interval.")
        assert json.loads(json.dumps(found.to_dict()))["difference"]["high"] is None


def test_verdicts_on_different_chips_are_refused() -> None:
    with pytest.raises(ValueError, match="same chips"):
        verdict(table(0.9), table(0.9, chips=19), NO_FLOORS)


def test_a_verdict_is_json() -> None:
    found = verdict(table(0.9), table(0.8), NO_FLOORS)
    assert json.loads(json.dumps(found.to_dict()))["difference"]["chips"] == 20


def test_the_reason_says_over_how_many_events_and_chips() -> None:
    found = verdict(table(0.9), table(0.8), NO_FLOORS)
    assert "over 10 events and their 20 chips" in found.reason
    one = [frame.assign(event="flood") for frame in (table(0.9), table(0.8))]
    assert "over the 20 chips of one event" in verdict(*one, NO_FLOORS).reason


@pytest.mark.parametrize(
    ("both", "alone", "word"),
    [
        ("better", "better", "better"),
        ("better", "not distinguishable", "better"),
        ("not distinguishable", "better", "better"),
        ("not distinguishable", "not distinguishable", "not distinguishable"),
        ("better", "worse", "worse"),
        ("worse", "better", "worse"),
        ("worse", "not distinguishable", "worse"),
        ("better", "broken", "broken"),
        ("broken", "better", "broken"),
    ],
)
def test_a_candidate_is_better_if_it_is_better_with_some_bands_and_worse_with_none(both, alone, word) -> None:
    found = joint_verdict({"VV and VH": Verdict(both, "It is so."), "VV alone": Verdict(alone, "That differs.")})
    assert found.word == word
    assert found.reason.count(". ") == 0, "one sentence"
    if word == "broken":
        assert found.reason == ("It is so." if both == "broken" else "That differs.")
    else:
        assert found.reason.endswith(f"; with VV and VH: {both}, it is so; with VV alone: {alone}, that differs.")


def test_with_one_kind_of_bands_the_verdict_is_that_one() -> None:
    only = Verdict("better", "It is so.")
    assert joint_verdict({"VV alone": only}) is only
