from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drshym_pipeline.assessment.area import AreaErrorModel, area_shares, fit_area_errors

shares = st.integers(0, 40).flatmap(
    lambda chips: st.tuples(*(hnp.arrays(np.float64, chips, elements=st.floats(0, 1)) for _ in range(2)))
)


def chips(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Chips from dry to wet whose mapped share errs by a factor and by a little false water."""
    true = rng.beta(0.5, 4.0, number) * (rng.random(number) < 0.85)
    predicted = true * np.exp(rng.normal(-0.1, 0.35, number)) + rng.exponential(0.004, number)
    return np.clip(predicted, 0.0, 1.0), true


@pytest.mark.parametrize("fitted_on", [12, 24, 90])
def test_ninety_percent_intervals_hold_ninety_percent_of_unseen_chips(fitted_on) -> None:
    rng = np.random.default_rng(42)
    held = []
    for _ in range(400):
        model = fit_area_errors(*chips(rng, fitted_on), level=0.9)
        for predicted, true in zip(*chips(rng, 25), strict=True):
            area = model.estimate(predicted * 80.0, 80.0)
            held.append(area.low_km2 <= true * 80.0 <= area.high_km2)
    assert model.level == 0.9
    # Conformal coverage lies in [level, level + 1 / (n + 1)]; 400 fits leave about 0.01 of sampling error.
    assert 0.88 <= np.mean(held) <= 0.9 + 1 / (fitted_on + 1) + 0.02


@settings(max_examples=60)
@given(shares, st.floats(0.05, 0.99), st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 1e6))
def test_the_interval_holds_the_estimate_stays_within_the_observed_and_grows_with_it(
    fitted, level, first, second, observed
) -> None:
    model = fit_area_errors(*fitted, level=level)
    low, high = (model.estimate(share * observed, observed) for share in sorted((first, second)))
    for area in (low, high):
        assert 0.0 <= area.low_km2 <= area.km2 <= area.high_km2 <= observed
    assert low.low_km2 <= high.low_km2 + 1e-9 * observed
    assert low.high_km2 <= high.high_km2 + 1e-9 * observed


@settings(max_examples=40)
@given(shares, st.floats(0.05, 0.95))
def test_a_fitted_model_holds_its_share_of_the_chips_it_was_fitted_on(fitted, level) -> None:
    predicted, true = fitted
    model = fit_area_errors(predicted, true, level=level)
    if not len(predicted):
        assert model.quantile is None
        return
    areas = [model.estimate(share, 1.0) for share in predicted]
    held = [area.low_km2 - 1e-9 <= t <= area.high_km2 + 1e-9 for area, t in zip(areas, true, strict=True)]
    assert np.mean(held) >= model.level - 1e-9


def test_the_relative_interval_does_not_shrink_with_the_scene() -> None:
    model = fit_area_errors(*chips(np.random.default_rng(1), 30))
    small, large = model.estimate(3.0, 26.0), model.estimate(3000.0, 26_000.0)
    assert (large.high_km2 - large.low_km2) / 3000.0 == pytest.approx((small.high_km2 - small.low_km2) / 3.0)


def test_too_few_chips_lower_the_stated_level_instead_of_pretending() -> None:
    model = fit_area_errors(np.array([0.1, 0.2, 0.3]), np.array([0.12, 0.2, 0.2]), level=0.9)
    assert model.level == pytest.approx(0.75)
    assert model.nominal_level == 0.9
    assert "too few for 90 %" in model.estimate(1.0, 10.0).method
    assert fit_area_errors(*chips(np.random.default_rng(0), 9), level=0.9).level == 0.9
    assert fit_area_errors(*chips(np.random.default_rng(0), 8), level=0.9).level == pytest.approx(8 / 9)


def test_without_a_fit_the_interval_is_the_whole_observed_area() -> None:
    area = AreaErrorModel().estimate(2.0, 50.0)
    assert (area.low_km2, area.high_km2) == (0.0, 50.0)
    assert "not calibrated" in area.method


def test_a_perfect_network_has_a_narrow_but_honest_interval_and_a_dry_scene_a_high_end() -> None:
    model = fit_area_errors(*chips(np.random.default_rng(5), 40))
    dry = model.estimate(0.0, 100.0)
    assert dry.low_km2 == 0.0
    assert 0.0 < dry.high_km2 < 10.0
    assert AreaErrorModel().estimate(0.0, 0.0).high_km2 == 0.0


@pytest.mark.parametrize(("flooded", "observed"), [(-1.0, 2.0), (3.0, 2.0), (float("nan"), 2.0), (1.0, float("inf"))])
def test_areas_that_cannot_be_are_refused(flooded, observed) -> None:
    with pytest.raises(ValueError, match=r"finite|observed"):
        AreaErrorModel().estimate(flooded, observed)


@pytest.mark.parametrize(
    ("predicted", "true"), [([0.1], [0.1, 0.2]), ([0.1, float("nan")], [0.1, 0.2]), ([0.1], [1.2])]
)
def test_shares_that_cannot_be_are_refused(predicted, true) -> None:
    with pytest.raises(ValueError, match="shares"):
        fit_area_errors(np.array(predicted), np.array(true))


def test_the_model_survives_json() -> None:
    model = fit_area_errors(*chips(np.random.default_rng(3), 20))
    assert AreaErrorModel.model_validate_json(model.model_dump_json()) == model


def test_shares_come_from_the_scored_pixels_of_scored_chips() -> None:
    predicted, true = area_shares(np.array([[2, 1, 3, 4], [0, 0, 0, 0]]))
    assert predicted == pytest.approx([0.3])
    assert true == pytest.approx([0.5])
