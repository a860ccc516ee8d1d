from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from drshym_pipeline.assessment.metrics import COUNT_NAMES
from drshym_pipeline.evaluation.verdict import verdict
from drshym_pipeline.settings import Floors

NO_FLOORS = Floors()


def table(hits: float, chips: int = 20, seed: int = 42, noise: float = 0.0) -> pd.DataFrame:
    """Return counts of chips with the same water and dry pixels whose share of found water is about `hits`."""
    water = np.random.default_rng(1).integers(100, 400, chips)
    rng = np.random.default_rng(seed)
    found = np.clip(hits + rng.normal(0, noise, chips), 0, 1)
    tp = np.rint(water * found).astype(int)
    frame = pd.DataFrame({"tp": tp, "fp": 20, "fn": water - tp, "tn": 500})
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
    assert verdict(counts, counts, Floors(iou=0.5)).word == "not distinguishable"


def test_one_chip_is_not_enough_for_a_verdict() -> None:
    found = verdict(table(0.9, chips=1), table(0.2, chips=1), NO_FLOORS)
    assert found.word == "not distinguishable"
    assert "too few" in found.reason


def test_verdicts_on_different_chips_are_refused() -> None:
    with pytest.raises(ValueError, match="same chips"):
        verdict(table(0.9), table(0.9, chips=19), NO_FLOORS)


def test_a_verdict_is_json() -> None:
    found = verdict(table(0.9), table(0.8), NO_FLOORS)
    assert json.loads(json.dumps(found.to_dict()))["difference"]["chips"] == 20
