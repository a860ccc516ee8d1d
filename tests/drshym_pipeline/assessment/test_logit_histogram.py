from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from drshym_pipeline.assessment.logit_histogram import LOGIT_CENTRES, LogitHistogram
from drshym_pipeline.assessment.reliability import calibration_figures, water_side_ece
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Calibration
from tests.examples import examples

HALF_BIN = 0.005


def sample(seed: int, pixels: int = 20_000, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits whose true log odds are logit / sharpness, and labels."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.0, 2.0, pixels)
    label = (rng.random(pixels) < expit(odds)).astype(np.int8)
    return (odds * sharpness).astype(np.float32), label


def histogram(logits: np.ndarray, label: np.ndarray) -> LogitHistogram:
    filled = LogitHistogram()
    filled.add(logits, label)
    return filled


def exact_ece(p: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    index = np.minimum((p * bins).astype(int), bins - 1)
    return sum(abs((p - y)[index == bin_].sum()) for bin_ in range(bins)) / len(p)


@examples(50)
@given(
    hnp.arrays(np.float32, 200, elements=st.floats(-15, 15, width=32)),
    hnp.arrays(np.int8, 200, elements=st.sampled_from([0, 1])),
    st.floats(0.5, 5.0),
    st.floats(-2.0, 2.0),
)
def test_figures_from_bins_are_those_of_the_pixels_within_half_a_bin(logits, label, T, bias) -> None:
    filled = histogram(logits, label)
    p = expit(logits.astype(np.float64) / T + bias)
    assert filled.log_loss(T, bias) == pytest.approx(log_loss(label, p, labels=[0, 1]), abs=HALF_BIN / T + 1e-9)
    assert filled.brier(T, bias) == pytest.approx(brier_score_loss(label, p), abs=HALF_BIN / (2 * T) + 1e-9)
    # A pixel within half a bin of an edge of the 15 bins of probability may be counted in the neighbouring bin.
    edges = np.arange(1, 15) / 15
    near = np.abs(p[:, None] - edges).min(axis=1) <= HALF_BIN / (4 * T) + 1e-9
    tolerance = 2 * near.mean() + HALF_BIN / (4 * T) + 1e-9
    assert filled.ece(T, bias) == pytest.approx(exact_ece(p, label), abs=tolerance)


def test_figures_of_many_pixels_are_much_more_accurate_than_the_bound() -> None:
    logits, label = sample(1)
    filled = histogram(logits, label)
    p = expit(logits.astype(np.float64))
    assert filled.log_loss(1.0) == pytest.approx(log_loss(label, p), abs=2e-4)
    assert filled.brier(1.0) == pytest.approx(brier_score_loss(label, p), abs=1e-4)
    assert filled.ece(1.0) == pytest.approx(exact_ece(p, label), abs=1e-3)


def test_counts_at_a_threshold_of_a_half_are_exact() -> None:
    logits, label = sample(2)
    counts = histogram(logits, label).scores_at(0.5, 1.7)
    assert counts.tp == int(((logits >= 0) & (label == 1)).sum())
    assert counts.fp == int(((logits >= 0) & (label == 0)).sum())
    assert counts.fn == int(((logits < 0) & (label == 1)).sum())
    assert counts.tn == int(((logits < 0) & (label == 0)).sum())


def test_ignored_labels_and_not_observed_pixels_are_not_counted_and_very_large_logits_are() -> None:
    logits = np.array([[1.0, np.nan, 2.0, 1e9, -np.inf, np.inf]], np.float32)
    label = np.array([[-1, 1, 1, 0, 0, 1]], np.int8)
    filled = histogram(logits, label)
    assert filled.pixels == 4
    assert filled.water[-1] == 1
    assert filled.dry[0] == filled.dry[-1] == 1
    with pytest.raises(ValueError, match="shapes differ"):
        filled.add(logits, label[:, :2])


@examples(20)
@given(st.integers(0, 1000), st.integers(0, 500))
def test_histograms_can_be_added_and_written_to_json_and_read_again(seed, cut) -> None:
    logits, label = sample(seed, 500)
    whole = histogram(logits, label)
    merged = histogram(logits[:cut], label[:cut]) + histogram(logits[cut:], label[cut:])
    back = LogitHistogram.from_dict(json.loads(json.dumps(whole.to_dict())))
    for other in (merged, back):
        assert np.array_equal(other.water, whole.water)
        assert np.array_equal(other.dry, whole.dry)


def test_an_empty_histogram_has_no_figures_and_can_be_written_to_json() -> None:
    empty = LogitHistogram.from_dict(LogitHistogram().to_dict())
    assert (empty.log_loss(1.0), empty.brier(1.0), empty.ece(1.0)) == (None, None, None)
    assert empty.reliability(1.0)["predicted"].isna().all()


def test_a_histogram_of_other_bins_is_refused() -> None:
    with pytest.raises(InputError, match="other bins"):
        LogitHistogram.from_dict({**LogitHistogram().to_dict(), "bins": 10})


def test_calibrated_logits_have_the_same_predicted_and_found_shares() -> None:
    filled = histogram(*sample(5, 100_000, 1.0))
    table = filled.reliability(1.0).dropna()
    assert table["pixels"].sum() == 100_000
    assert (table["predicted"] - table["found"]).abs().max() < 0.04
    assert ((table["predicted"] >= table["low"]) & (table["predicted"] <= table["high"])).all()


def distinct(seed: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return different logits from the middles of bins, so that a histogram is exact, and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.choice(LOGIT_CENTRES[1000:3000], pixels, replace=False)
    return logits, (rng.random(pixels) < expit(logits / 2 - 0.5)).astype(np.int8)


@examples(30)
@given(st.integers(0, 10_000), st.integers(1, 40), st.floats(0.5, 3.0), st.floats(-1.0, 1.0))
def test_the_equal_mass_error_is_that_of_scikit_learns_quantile_bins(seed, pixels_per_bin, T, bias) -> None:
    logits, label = distinct(seed, 15 * pixels_per_bin)
    found, predicted = calibration_curve(label, expit(logits / T + bias), n_bins=15, strategy="quantile")
    exact = np.abs(found - predicted).mean()
    assert histogram(logits, label).ece_equal_mass(T, bias) == pytest.approx(exact, abs=1e-9)


def test_equal_mass_bins_show_errors_that_cancel_in_one_wide_bin() -> None:
    # The probability is too low for half of the land and too high for the other half. Both are in one bin of equal
    # width, where the errors cancel.
    rng = np.random.default_rng(42)
    logits = np.repeat([-6.0, -3.2], 50_000)
    truth = np.repeat([0.0391, 0.0024], 50_000)
    filled = histogram(logits, (rng.random(100_000) < truth).astype(np.int8))
    assert filled.ece(1.0) < 0.002
    assert filled.ece_equal_mass(1.0) > 0.03


@examples(30)
@given(st.integers(0, 10_000), st.floats(0.5, 3.0), st.floats(-1.0, 1.0))
def test_reliability_within_a_range_is_that_of_its_pixels(seed, T, bias) -> None:
    logits, label = distinct(seed, 600)
    p = expit(logits / T + bias)
    for low, high in ((0.5, 1.0), (0.1, 0.9)):
        inside = (p >= low) & (p <= high)
        index = np.minimum((p[inside] - low) / (high - low) * 8, 7).astype(int)
        gaps = [abs((p[inside] - label[inside])[index == turn].sum()) for turn in range(8)]
        result = histogram(logits, label).within(low, high, T, bias)
        assert result.pixels == inside.sum()
        assert result.share == pytest.approx(inside.mean())
        if inside.any():
            assert result.predicted == pytest.approx(p[inside].mean())
            assert result.found == pytest.approx(label[inside].mean())
            assert result.ece == pytest.approx(sum(gaps) / inside.sum())


def test_dry_land_lowers_the_calibration_error_but_not_that_of_the_water_side() -> None:
    rng = np.random.default_rng(3)
    water_side = histogram(np.full(2000, 2.0), (rng.random(2000) < 0.6).astype(np.int8))
    land = histogram(np.full(98_000, -8.0), np.zeros(98_000, np.int8))
    figures = calibration_figures(water_side + land, Calibration())
    assert figures.ece < 0.01
    assert figures.ece_water_side == pytest.approx(expit(2.0) - 0.6, abs=0.03)
    assert figures.ece_water_side == water_side_ece(water_side + land, Calibration())
    assert figures.uncertain_share == pytest.approx(0.02)
    assert figures.uncertain_predicted == pytest.approx(expit(2.0), abs=0.001)
    assert figures.uncertain_found == pytest.approx(0.6, abs=0.03)
    assert figures.ece_uncertain == pytest.approx(figures.ece_water_side)


def test_the_figures_of_a_range_without_pixels_are_missing() -> None:
    land = histogram(np.full(10, -8.0), np.zeros(10, np.int8))
    nothing = land.within(0.5, 1.0, 1.0)
    assert (nothing.pixels, nothing.share, nothing.predicted, nothing.found, nothing.ece) == (0, 0.0, None, None, None)
    assert LogitHistogram().within(0.5, 1.0, 1.0).share is None
    assert LogitHistogram().ece_equal_mass(1.0) is None
    with pytest.raises(ValueError, match="not a range"):
        land.within(0.9, 0.1, 1.0)
