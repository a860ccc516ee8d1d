from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from drshym_pipeline.assessment.calibration import (
    CalibrationFit,
    best_threshold,
    calibrate,
    fit_platt,
    fit_temperature,
    write_thresholds,
)
from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.errors import InputError
from drshym_pipeline.probabilities import encode, is_water, probability
from drshym_pipeline.records import Calibration
from tests.examples import examples


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


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0, 4.0])
def test_the_temperature_corrects_a_known_overconfidence(sharpness) -> None:
    filled = histogram(*sample(3, 60_000, sharpness))
    T = fit_temperature(filled)
    assert pytest.approx(sharpness, rel=0.05) == T
    assert filled.ece(T) < 0.02
    assert filled.log_loss(T) <= filled.log_loss(1.0)


@examples(40)
@given(
    hnp.arrays(np.float32, 60, elements=st.floats(-18, 18, width=32)),
    hnp.arrays(np.int8, 60, elements=st.sampled_from([-1, 0, 1])),
)
def test_the_temperature_is_never_worse_than_one_and_never_worse_than_a_grid_of_temperatures(logits, label) -> None:
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
def test_with_one_class_alone_temperature_and_threshold_keep_their_defaults(label) -> None:
    filled = histogram(np.linspace(-3, 3, 50, dtype=np.float32), np.full(50, label, np.int8))
    fit = calibrate({"here": filled, "there": filled})
    assert (fit.method, fit.T, fit.bias, fit.folds) == ("temperature", 1.0, 0.0, 0)
    assert best_threshold(filled, 1.0) == (0.5, None)


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


def test_thresholds_json_contains_the_bias(tmp_path) -> None:
    write_thresholds(tmp_path / "thresholds.json", {"vv": Calibration(T=1.5, bias=0.25, threshold=0.3)}, "vv")
    values = json.loads((tmp_path / "thresholds.json").read_text())
    assert values["calibration"] == {"method": "platt", "T": 1.5, "bias": 0.25}
    assert values["modes"]["vv"]["bias"] == 0.25


def under_predicting(seed: int, bias: float, sharpness: float = 2.0, pixels: int = 20_000) -> LogitHistogram:
    """Return a histogram of logits whose true log odds are logit / sharpness + bias."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.0, 2.0, pixels)
    label = (rng.random(pixels) < expit(odds)).astype(np.int8)
    return histogram(((odds - bias) * sharpness).astype(np.float32), label)


@pytest.mark.parametrize(("sharpness", "bias"), [(0.7, -1.0), (1.0, 0.0), (2.0, 0.8), (3.0, 2.0)])
def test_scale_and_bias_are_those_of_a_logistic_regression_without_penalty(sharpness, bias) -> None:
    filled = under_predicting(7, bias, sharpness, pixels=5000)
    rows = np.flatnonzero(filled.water + filled.dry)
    centres = (rows + 0.5) / 100 - 20.0
    judge = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        np.concatenate([centres, centres])[:, None],
        np.repeat([1, 0], len(rows)),
        sample_weight=np.concatenate([filled.water[rows], filled.dry[rows]]),
    )
    T, fitted = fit_platt(filled)
    assert pytest.approx(float(judge.coef_[0, 0]), rel=1e-3) == 1.0 / T
    assert fitted == pytest.approx(float(judge.intercept_[0]), abs=2e-3)
    assert fitted == pytest.approx(bias, abs=0.15)
    assert pytest.approx(sharpness, rel=0.1) == T


@examples(40)
@given(
    hnp.arrays(np.float32, 60, elements=st.floats(-18, 18, width=32)),
    hnp.arrays(np.int8, 60, elements=st.sampled_from([-1, 0, 1])),
)
def test_a_bias_is_never_worse_than_temperature_alone_and_stays_in_bounds(logits, label) -> None:
    filled = histogram(logits, label)
    T, bias = fit_platt(filled)
    assert 0.1 - 1e-9 <= T <= 10 + 1e-9
    assert abs(bias) <= 10
    if not filled.has_both:
        assert (T, bias) == (1.0, 0.0)
        return
    assert filled.log_loss(T, bias) <= filled.log_loss(fit_temperature(filled))
    grid = min(filled.log_loss(t, b) for t in np.geomspace(0.1, 10, 8) for b in np.linspace(-6, 6, 13))
    assert filled.log_loss(T, bias) <= grid + 1e-6


def test_a_bias_that_all_events_share_is_used() -> None:
    events = {f"e{turn}": under_predicting(turn, bias=0.8) for turn in range(4)}
    fit = calibrate(events)
    assert fit.method == "platt"
    assert fit.bias == pytest.approx(0.8, abs=0.1)
    assert pytest.approx(2.0, rel=0.05) == fit.T
    assert (fit.events, fit.folds) == (4, 4)
    assert fit.held_out_platt < fit.held_out_temperature


def test_a_bias_that_does_not_help_on_other_events_is_not_used() -> None:
    # Each event has another bias, so the mean bias of three events is wrong for the fourth.
    events = {f"e{turn}": under_predicting(turn, bias) for turn, bias in enumerate([1.5, -1.5, 1.5, -1.5])}
    fit = calibrate(events)
    assert (fit.method, fit.bias) == ("temperature", 0.0)
    assert fit.held_out_platt >= fit.held_out_temperature
    pooled = sum(events.values(), LogitHistogram())
    assert pytest.approx(fit_temperature(pooled)) == fit.T
    assert pooled.log_loss(*fit_platt(pooled)) < pooled.log_loss(fit.T), "pooled pixels alone favour the bias"


def test_with_one_event_there_is_no_comparison_and_no_bias() -> None:
    fit = calibrate({"only": under_predicting(1, bias=2.0), "empty": LogitHistogram()})
    assert (fit.method, fit.events, fit.folds) == ("temperature", 1, 0)
    assert (fit.held_out_temperature, fit.held_out_platt) == (None, None)


def test_held_out_losses_are_those_of_events_that_were_not_fitted() -> None:
    events = {f"e{turn}": under_predicting(turn, bias=0.3 * turn, pixels=2000 * (turn + 1)) for turn in range(3)}
    sums = {"held_out_temperature": 0.0, "held_out_platt": 0.0}
    for left_out, hist in events.items():
        rest = sum((other for event, other in events.items() if event != left_out), LogitHistogram())
        sums["held_out_temperature"] += hist.pixels * hist.log_loss(fit_temperature(rest))
        sums["held_out_platt"] += hist.pixels * hist.log_loss(*fit_platt(rest))
    fit = calibrate(events)
    for name, total in sums.items():
        assert getattr(fit, name) == pytest.approx(total / sum(hist.pixels for hist in events.values()))


def test_many_events_are_compared_in_ten_parts_independently_of_their_order() -> None:
    events = {f"e{turn:02d}": under_predicting(turn, bias=0.5, pixels=1000) for turn in range(23)}
    fit = calibrate(events)
    assert (fit.events, fit.folds) == (23, 10)
    assert fit == calibrate(dict(reversed(events.items())))
    assert CalibrationFit.model_validate_json(fit.model_dump_json()) == fit
