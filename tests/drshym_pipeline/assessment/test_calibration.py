from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss, precision_recall_curve

from drshym_pipeline.assessment.calibration import (
    LogitHistogram,
    best_threshold,
    calibrate,
    fit_temperature,
    write_thresholds,
)
from drshym_pipeline.assessment.probability import encode, is_water, probability
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Calibration

HALF_BIN = 0.005


def sample(seed: int, pixels: int = 20_000, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true log odds are logit / sharpness."""
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


@settings(max_examples=50)
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
    # A pixel within half a bin of an edge of the 15 bins of probability may be counted on its other side.
    edges = np.arange(1, 15) / 15
    near = np.abs(p[:, None] - edges).min(axis=1) <= HALF_BIN / (4 * T) + 1e-9
    tolerance = 2 * near.mean() + HALF_BIN / (4 * T) + 1e-9
    assert filled.ece(T, bias) == pytest.approx(exact_ece(p, label), abs=tolerance)


def test_figures_of_many_pixels_agree_far_closer_than_the_bound() -> None:
    logits, label = sample(1)
    filled = histogram(logits, label)
    p = expit(logits.astype(np.float64))
    assert filled.log_loss(1.0) == pytest.approx(log_loss(label, p), abs=2e-4)
    assert filled.brier(1.0) == pytest.approx(brier_score_loss(label, p), abs=1e-4)
    assert filled.ece(1.0) == pytest.approx(exact_ece(p, label), abs=1e-3)


def test_counts_at_a_half_are_exact() -> None:
    logits, label = sample(2)
    counts = histogram(logits, label).scores_at(0.5, 1.7)
    assert counts.tp == int(((logits >= 0) & (label == 1)).sum())
    assert counts.fp == int(((logits >= 0) & (label == 0)).sum())
    assert counts.fn == int(((logits < 0) & (label == 1)).sum())
    assert counts.tn == int(((logits < 0) & (label == 0)).sum())


def test_ignored_labels_and_not_observed_pixels_are_not_counted_and_far_logits_are() -> None:
    logits = np.array([[1.0, np.nan, 2.0, 1e9, -np.inf, np.inf]], np.float32)
    label = np.array([[-1, 1, 1, 0, 0, 1]], np.int8)
    filled = histogram(logits, label)
    assert filled.pixels == 4
    assert filled.water[-1] == 1
    assert filled.dry[0] == filled.dry[-1] == 1
    with pytest.raises(ValueError, match="shapes differ"):
        filled.add(logits, label[:, :2])


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(0, 500))
def test_histograms_merge_and_survive_json(seed, cut) -> None:
    logits, label = sample(seed, 500)
    whole = histogram(logits, label)
    merged = histogram(logits[:cut], label[:cut]) + histogram(logits[cut:], label[cut:])
    back = LogitHistogram.from_dict(json.loads(json.dumps(whole.to_dict())))
    for other in (merged, back):
        assert np.array_equal(other.water, whole.water)
        assert np.array_equal(other.dry, whole.dry)


def test_an_empty_histogram_has_no_figures_and_survives_json() -> None:
    empty = LogitHistogram.from_dict(LogitHistogram().to_dict())
    assert (empty.log_loss(1.0), empty.brier(1.0), empty.ece(1.0)) == (None, None, None)
    assert empty.reliability(1.0)["predicted"].isna().all()


def test_a_histogram_of_other_bins_is_refused() -> None:
    with pytest.raises(InputError, match="other bins"):
        LogitHistogram.from_dict({**LogitHistogram().to_dict(), "bins": 10})


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0, 4.0])
def test_the_temperature_undoes_a_known_overconfidence(sharpness) -> None:
    filled = histogram(*sample(3, 60_000, sharpness))
    T = fit_temperature(filled)
    assert pytest.approx(sharpness, rel=0.05) == T
    assert filled.ece(T) < 0.02
    assert filled.log_loss(T) <= filled.log_loss(1.0)


@settings(max_examples=40)
@given(
    hnp.arrays(np.float32, 60, elements=st.floats(-18, 18, width=32)),
    hnp.arrays(np.int8, 60, elements=st.sampled_from([-1, 0, 1])),
)
def test_scaling_is_never_worse_than_none_and_never_worse_than_a_grid_of_temperatures(logits, label) -> None:
    filled = histogram(logits, label)
    T = fit_temperature(filled)
    assert 0.1 - 1e-9 <= T <= 10 + 1e-9
    if not filled.pixels:
        assert T == 1.0
        return
    assert filled.log_loss(T) <= filled.log_loss(1.0)
    if filled.has_both:
        grid = min(filled.log_loss(t) for t in np.geomspace(0.1, 10, 60))
        assert filled.log_loss(T) <= grid + 1e-6


@pytest.mark.parametrize("label", [0, 1, -1])
def test_one_class_alone_leaves_temperature_and_threshold_at_rest(label) -> None:
    filled = histogram(np.linspace(-3, 3, 50, dtype=np.float32), np.full(50, label, np.int8))
    fit = calibrate({"here": filled, "there": filled})
    assert (fit.method, fit.T, fit.bias, fit.folds) == ("temperature", 1.0, 0.0, 0)
    assert best_threshold(filled, 1.0) == (0.5, None)


def test_the_threshold_has_the_best_f1_of_all_and_lies_on_the_grid() -> None:
    logits, label = sample(4, 5000)
    filled = histogram(logits, label)
    threshold, f1 = best_threshold(filled, 2.0)
    assert round(threshold * 10_000) / 10_000 == threshold
    assert filled.scores_at(threshold, 2.0).f1 == f1
    precision, recall, _ = precision_recall_curve(label, expit(logits / 2.0))
    exact = np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    assert f1 == pytest.approx(exact, abs=2e-3)
    assert all(filled.scores_at(t, 2.0).f1 <= f1 for t in np.arange(0.01, 1.0, 0.01))


def test_of_equal_thresholds_the_nearest_to_a_half_wins() -> None:
    apart = histogram(np.array([-4.0, -3.0, 3.0, 4.0], np.float32), np.array([0, 0, 1, 1], np.int8))
    assert best_threshold(apart, 1.0) == (0.5, 1.0)
    low = histogram(np.array([-4.0, -3.0, -2.0], np.float32), np.array([0, 0, 1], np.int8))
    threshold, f1 = best_threshold(low, 1.0)
    assert f1 == 1.0
    assert threshold == pytest.approx(expit(-1.995), abs=1e-4)


def test_the_reliability_of_calibrated_logits_lies_on_the_diagonal() -> None:
    filled = histogram(*sample(5, 100_000, 1.0))
    table = filled.reliability(1.0).dropna()
    assert table["pixels"].sum() == 100_000
    assert (table["predicted"] - table["found"]).abs().max() < 0.04
    assert ((table["predicted"] >= table["low"]) & (table["predicted"] <= table["high"])).all()


def test_probability_and_water_follow_the_stored_steps() -> None:
    p = probability(np.array([0.0, np.nan, 100.0]), Calibration(T=2.0, bias=0.5))
    assert p[0] == pytest.approx(expit(0.5))
    assert np.isnan(p[1])
    assert p[2] == 1.0
    assert is_water(encode(np.array([0.44996, 0.4499, np.nan, 0.45])), 0.45).tolist() == [True, False, False, True]


def test_thresholds_json_has_the_keys_of_the_contract(tmp_path) -> None:
    path = tmp_path / "thresholds.json"
    modes = {"vv": Calibration(T=1.5, threshold=0.3), "vv_vh": Calibration(T=1.2, threshold=0.45)}
    write_thresholds(path, modes, "vv_vh")
    assert json.loads(path.read_text()) == {
        "threshold": 0.45,
        "calibration": {"method": "temperature", "T": 1.2},
        "modes": {"vv": {"threshold": 0.3, "T": 1.5, "bias": 0.0}, "vv_vh": {"threshold": 0.45, "T": 1.2, "bias": 0.0}},
    }
    with pytest.raises(InputError, match="vv_vh"):
        write_thresholds(tmp_path / "other.json", {"vv": modes["vv"]}, "vv_vh")
    assert [file.name for file in tmp_path.iterdir()] == ["thresholds.json"]
