"""Which chip is drawn: by source, by water, by running loss; the same for the same generator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.datasets.sampling import ChipSampler, weighted_choice
from drshym_pipeline.errors import InputError


def sampler(weights=(1.0,), sources=None, *, labelled=None, water=None, water_share=0.0, hard_share=0.0) -> ChipSampler:
    labelled = np.full(6, 100) if labelled is None else np.asarray(labelled)
    water = np.array([50, 50, 0, 0, 50, 0]) if water is None else np.asarray(water)
    sources = np.zeros(len(labelled), np.int64) if sources is None else np.asarray(sources)
    return ChipSampler(labelled, water, sources, weights, water_share=water_share, hard_share=hard_share)


def shares(drawn: ChipSampler, count: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(42)
    return np.bincount([drawn.draw(rng)[0] for _ in range(count)], minlength=6) / count


@given(
    chances=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=20).filter(lambda values: sum(values) > 0),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_value_with_chance_zero_is_never_drawn(chances: list[float], seed: int) -> None:
    chosen = weighted_choice(np.arange(len(chances)), np.asarray(chances), np.random.default_rng(seed))
    assert chances[chosen] > 0.0


def test_sources_are_drawn_by_their_weights_independently_of_their_size() -> None:
    drawn = shares(sampler((3.0, 1.0), [0, 1, 1, 1, 1, 1]))
    assert drawn[0] == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(drawn[1:], 0.05, atol=0.02)


def test_a_source_of_no_weight_is_not_drawn() -> None:
    assert shares(sampler((1.0, 0.0), [0, 0, 0, 1, 1, 1]))[3:].sum() == 0.0


def test_chips_with_water_are_drawn_in_the_configured_share_within_every_source() -> None:
    rng = np.random.default_rng(1)
    drawn = [sampler((1.0, 1.0), [0, 0, 0, 1, 1, 1], water_share=1.0).draw(rng) for _ in range(300)]
    assert {chip for chip, _ in drawn} == {0, 1, 4}
    assert all(near_water for _, near_water in drawn)


def test_a_source_without_water_gives_one_of_its_dry_chips() -> None:
    rng = np.random.default_rng(1)
    dry = sampler(water=[0] * 6, water_share=1.0)
    assert {dry.draw(rng) for _ in range(200)} == {(chip, False) for chip in range(6)}


def test_hard_chips_are_drawn_in_proportion_to_their_running_loss() -> None:
    hard = sampler(hard_share=1.0)
    np.testing.assert_allclose(shares(hard), 1 / 6, atol=0.03)
    hard.learn(np.arange(6), np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.0]))
    np.testing.assert_allclose(shares(hard), [0.0, 0.1, 0.2, 0.3, 0.4, 0.0], atol=0.03)
    half = sampler(hard_share=0.5)
    half.losses = hard.losses
    np.testing.assert_allclose(shares(half), 0.5 / 6 + 0.5 * np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.0]), atol=0.03)


def test_a_chip_without_a_running_loss_gets_the_mean_of_the_others() -> None:
    hard = sampler(hard_share=1.0)
    hard.learn(np.array([0, 1]), np.array([1.0, 3.0]))
    np.testing.assert_allclose(shares(hard), np.array([1, 3, 2, 2, 2, 2]) / 12, atol=0.03)


def test_running_losses_change_slowly_and_nan_is_skipped() -> None:
    hard = sampler()
    hard.learn(np.array([2, 2, 2, 3]), np.array([1.0, 2.0, np.nan, np.nan]))
    assert hard.losses[2] == pytest.approx(0.7 * 1.0 + 0.3 * 2.0)
    assert np.isnan(hard.losses[[0, 1, 3, 4, 5]]).all()


def test_the_running_losses_are_the_whole_state() -> None:
    first, second = sampler(hard_share=0.7, water_share=0.5), sampler(hard_share=0.7, water_share=0.5)
    first.learn(np.array([0, 4]), np.array([0.2, 0.9]))
    second.losses = first.losses
    draws = [[drawn.draw(np.random.default_rng(seed)) for seed in range(50)] for drawn in (first, second)]
    assert draws[0] == draws[1]
    with pytest.raises(ValueError, match="expected"):
        first.losses = np.zeros(3)


def test_chips_without_a_label_are_never_drawn_and_a_source_with_only_such_chips_is_refused() -> None:
    assert shares(sampler(labelled=[100, 0, 100, 0, 0, 0], water=[0] * 6))[[1, 3, 4, 5]].sum() == 0.0
    with pytest.raises(InputError, match="training split: none of its 6 chips has a labelled, observed pixel"):
        sampler(labelled=[0] * 6)
    with pytest.raises(InputError, match="training source 2 of 2: none of its 2 chips"):
        sampler((1.0, 1.0), [0, 0, 0, 0, 1, 1], labelled=[9, 9, 9, 9, 0, 0])


@pytest.mark.parametrize("weights", [(0.0, 0.0), (1.0, -1.0)])
def test_weights_without_a_positive_sum_or_with_a_negative_value_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="training sources"):
        sampler(weights, [0, 0, 0, 1, 1, 1])
