"""From logits to calibrated probabilities: a temperature, and a bias where it also helps on other events.

A network may be too confident (corrected by the temperature) or prefer one class (corrected by the bias). A temperature
is always fitted. A bias is used only when a bias fitted on some events lowers the log loss of other events: with few
scenes, an unusual share of water can look like an error of the network. All fits use a `LogitHistogram`. The module
`threshold` chooses the threshold of the map, and `reliability` measures the quality of the probabilities.

Temperature scaling: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017. With a bias: J. Platt,
Probabilistic Outputs for Support Vector Machines, 1999.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from drshym_pipeline.assessment.logit_histogram import LOGIT_CENTRES, LogitHistogram
from drshym_pipeline.assessment.threshold import best_threshold
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import BandMode, Calibration, Record
from drshym_pipeline.storage import write_json

__all__ = [
    "CalibrationFit",
    "LogitHistogram",
    "best_threshold",
    "calibrate",
    "fit_platt",
    "fit_temperature",
    "thresholds_document",
    "write_thresholds",
]

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
MAX_BIAS = 10.0
MAX_FOLDS = 10
_MINIMUM_EVENTS = 2


class CalibrationFit(Record):
    """How logits become probabilities, and the comparison that decided for or against a bias.

    Args:
        method: `temperature` or, with a bias, `platt`.
        T: Temperature, by which the logits are divided.
        bias: Value that is added after the division; 0 with `temperature`.
        events: Number of events with a counted pixel.
        folds: Number of parts into which the events were divided to compare the two methods; 0 without a comparison.
        held_out_temperature: Log loss in nats per pixel on events that the temperature was not fitted on; None without
            folds.
        held_out_platt: The same log loss for temperature and bias.
    """

    method: Literal["temperature", "platt"] = "temperature"
    T: float = Field(default=1.0, gt=0.0)
    bias: float = 0.0
    events: int = Field(default=0, ge=0)
    folds: int = Field(default=0, ge=0)
    held_out_temperature: float | None = None
    held_out_platt: float | None = None


def fit_temperature(hist: LogitHistogram) -> float:
    """Return the temperature with the lowest log loss, within [0.1, 10].

    Log loss is convex in 1 / T, so the search over log(1 / T) finds the one minimum. The result is 1 when no
    temperature is better than 1, and when there is no water, no dry land or no pixel at all: with one class alone the
    temperature would always reach an end of the range, which has no meaning for calibration.
    """
    if not hist.has_both:
        return 1.0

    def loss(log_inverse: float) -> float:
        return _loss(hist, float(np.exp(-log_inverse)))

    limits = (-np.log(MAX_TEMPERATURE), -np.log(MIN_TEMPERATURE))
    found = minimize_scalar(loss, bounds=limits, method="bounded", options={"xatol": 1e-7})
    best = min((0.0, float(found.x)), key=loss)
    return float(np.exp(-best))


def fit_platt(hist: LogitHistogram) -> tuple[float, float]:
    """Return temperature and bias with the lowest log loss, T within [0.1, 10] and the bias within [-10, 10].

    Log loss is convex in (1 / T, bias). It is minimised with its gradient, starting from the best temperature without a
    bias, so the result is never worse than that. Without water or without dry land the result is (1, 0).

    Returns:
        (T, bias) of sigmoid(logit / T + bias).
    """
    T = fit_temperature(hist)
    if not hist.has_both:
        return T, 0.0
    both = hist.water + hist.dry

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = LOGIT_CENTRES * parameters[0] + parameters[1]
        total = hist.water @ np.logaddexp(0.0, -scaled) + hist.dry @ np.logaddexp(0.0, scaled)
        excess = both * expit(scaled) - hist.water
        return float(total) / hist.pixels, np.array([excess @ LOGIT_CENTRES, excess.sum()]) / hist.pixels

    found = minimize(
        loss,
        np.array([1.0 / T, 0.0]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE), (-MAX_BIAS, MAX_BIAS)],
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000},
    )
    candidates = ((T, 0.0), (1.0 / float(found.x[0]), float(found.x[1])))
    return min(candidates, key=lambda pair: _loss(hist, *pair))


def calibrate(by_event: Mapping[str, LogitHistogram]) -> CalibrationFit:
    """Fit a temperature, and also a bias where it lowers the log loss of events that it was not fitted on.

    Each event is left out once (with more than ten events, each of ten parts of the events). Temperature alone and
    temperature with bias are fitted on the rest, and their log losses on the part that was left out are summed over all
    pixels. The better method is then fitted on all events. With fewer than two events there is no comparison and no
    bias.

    Args:
        by_event: Logits by label of the chips of each event; events without a counted pixel are left out.
    """
    counted = {event: hist for event, hist in sorted(by_event.items()) if hist.pixels}
    pooled = _merge(list(counted.values()))
    alone = CalibrationFit(T=fit_temperature(pooled), events=len(counted))
    if len(counted) < _MINIMUM_EVENTS or not pooled.has_both:
        return alone
    folds = _folds(counted)
    without, with_bias = 0.0, 0.0
    for left_out in folds:
        rest = _merge([part for part in folds if part is not left_out])
        without += left_out.pixels * _loss(left_out, fit_temperature(rest))
        with_bias += left_out.pixels * _loss(left_out, *fit_platt(rest))
    found = {
        "folds": len(folds),
        "held_out_temperature": without / pooled.pixels,
        "held_out_platt": with_bias / pooled.pixels,
    }
    if with_bias < without:
        T, bias = fit_platt(pooled)
        if bias != 0.0:
            return alone.model_copy(update={**found, "method": "platt", "T": T, "bias": bias})
    return alone.model_copy(update=found)


def thresholds_document(calibrations: Mapping[BandMode, Calibration], default_mode: BandMode) -> dict[str, Any]:
    """Return the content of `thresholds.json`.

    The first two keys are those of the default mode, with its bias where there is one.
    """
    default = calibrations[default_mode]
    calibration: dict[str, Any] = {"method": default.method, "T": default.T}
    if default.bias:
        calibration["bias"] = default.bias
    return {
        "threshold": default.threshold,
        "calibration": calibration,
        "modes": {
            mode: {"threshold": item.threshold, "T": item.T, "bias": item.bias} for mode, item in calibrations.items()
        },
    }


def write_thresholds(path: Path, calibrations: Mapping[BandMode, Calibration], default_mode: BandMode) -> None:
    """Write `thresholds.json` atomically.

    Raises:
        InputError: There is no calibration of the default mode.
    """
    if default_mode not in calibrations:
        raise InputError(path, f"no calibration of the default mode '{default_mode}'", "Calibrate that mode first")
    write_json(path, thresholds_document(calibrations, default_mode))


def _loss(hist: LogitHistogram, T: float, bias: float = 0.0) -> float:
    value = hist.log_loss(T, bias)
    assert value is not None
    return value


def _merge(parts: Sequence[LogitHistogram]) -> LogitHistogram:
    return reduce(add, parts, LogitHistogram())


def _folds(by_event: Mapping[str, LogitHistogram]) -> list[LogitHistogram]:
    """Return one histogram per event; more than ten events are distributed in turn over ten parts."""
    parts = list(by_event.values())
    return [_merge(parts[turn::MAX_FOLDS]) for turn in range(min(MAX_FOLDS, len(parts)))]
