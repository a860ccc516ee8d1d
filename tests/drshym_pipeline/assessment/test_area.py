from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drshym_pipeline.assessment.area import AreaErrorModel, SizeInterval, area_shares, fit_area_errors
from drshym_pipeline.assessment.area_by_size import area_error_by_size, coverage_by_width, interval_holds
from tests.examples import examples

shares = st.integers(0, 40).flatmap(
    lambda chips: st.tuples(*(hnp.arrays(np.float64, chips, elements=st.floats(0, 1)) for _ in range(2)))
)


def chips(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mapped and true shares of dry and wet chips; the mapped share has a random factor and some false water."""
    true = rng.beta(0.5, 4.0, number) * (rng.random(number) < 0.85)
    predicted = true * np.exp(rng.normal(-0.1, 0.35, number)) + rng.exponential(0.004, number)
    return np.clip(predicted, 0.0, 1.0), true


@pytest.mark.parametrize("fitted_on", [12, 24, 90])
def test_intervals_of_ninety_percent_contain_the_truth_of_ninety_percent_of_unseen_chips(fitted_on) -> None:
    rng = np.random.default_rng(42)
    held = []
    for _ in range(400):
        model = fit_area_errors(*chips(rng, fitted_on), level=0.9)
        for predicted, true in zip(*chips(rng, 25), strict=True):
            area = model.estimate(predicted * 80.0, 80.0)
            held.append(area.low_km2 <= true * 80.0 <= area.high_km2)
    assert model.level == 0.9
    # Conformal coverage is in [level, level + 1 / (n + 1)], where n is the number of chips of a class of size.
    # Intervals near the edges of classes are wider. The sampling error of 400 fits is about 0.01.
    assert 0.88 <= np.mean(held) <= 0.9 + 1 / (min(fitted_on, 24) + 1) + 0.02


@examples(60)
@given(shares, st.floats(0.05, 0.99), st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 1e6))
def test_the_interval_contains_the_estimate_is_within_the_observed_area_and_grows_with_the_estimate(
    fitted, level, first, second, observed
) -> None:
    model = fit_area_errors(*fitted, level=level)
    low, high = (model.estimate(share * observed, observed) for share in sorted((first, second)))
    for area in (low, high):
        assert 0.0 <= area.low_km2 <= area.km2 <= area.high_km2 <= observed
    assert low.low_km2 <= high.low_km2 + 1e-9 * observed
    assert low.high_km2 <= high.high_km2 + 1e-9 * observed


@examples(40)
@given(shares, st.floats(0.05, 0.95))
def test_intervals_contain_the_truth_of_the_stated_share_of_the_fitted_chips(fitted, level) -> None:
    predicted, true = fitted
    model = fit_area_errors(predicted, true, level=level)
    if not len(predicted):
        assert model.quantile is None
        return
    areas = [model.estimate(share, 1.0) for share in predicted]
    held = [area.low_km2 - 1e-9 <= t <= area.high_km2 + 1e-9 for area, t in zip(areas, true, strict=True)]
    assert np.mean(held) >= model.level - 1e-9


def chips_worse_when_small(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mapped shares from 0.05 % to 90 % and true shares, with errors up to a factor of ten for small shares."""
    predicted = np.exp(rng.uniform(np.log(5e-4), np.log(0.9), number))
    spread = 0.08 + 0.9 * np.exp(-predicted / 0.02)
    return predicted, np.clip(predicted * np.exp(rng.normal(0.0, spread, number)), 0.0, 1.0)


def test_intervals_by_size_have_the_coverage_that_one_relative_error_for_all_does_not_have() -> None:
    rng = np.random.default_rng(42)
    edges = np.array([0.01, 0.1, 0.3])
    held = {"by size": np.zeros(4), "one for all": np.zeros(4)}
    seen = np.zeros(4)
    for _ in range(60):
        model = fit_area_errors(*chips_worse_when_small(rng, 200), level=0.9)
        relative = model.model_copy(update={"sizes": ()})
        predicted, true = chips_worse_when_small(rng, 200)
        size = np.searchsorted(edges, predicted, side="right")
        seen += np.bincount(size, minlength=4)
        for name, fitted in (("by size", model), ("one for all", relative)):
            held[name] += np.bincount(size, weights=interval_holds(fitted, predicted, true), minlength=4)
    assert (held["by size"] / seen >= 0.88).all()
    assert (held["one for all"] / seen).min() < 0.85


def test_sizes_narrow_the_interval_of_large_floods() -> None:
    model = fit_area_errors(*chips_worse_when_small(np.random.default_rng(2), 300), level=0.9)
    relative = model.model_copy(update={"sizes": ()})
    large, before = model.estimate(60.0, 100.0), relative.estimate(60.0, 100.0)
    assert large.high_km2 - large.low_km2 < 0.8 * (before.high_km2 - before.low_km2)
    small = model.estimate(0.5, 100.0)
    assert (large.high_km2 - large.low_km2) / 60.0 < 0.5 * (small.high_km2 - small.low_km2) / 0.5
    assert "by mapped share" in large.method


def test_with_too_few_chips_for_classes_of_size_all_chips_have_one_relative_error() -> None:
    assert fit_area_errors(*chips_worse_when_small(np.random.default_rng(2), 30)).sizes == ()
    assert fit_area_errors(*chips_worse_when_small(np.random.default_rng(2), 300), level=0.999).sizes == ()


@examples(60)
@given(
    st.integers(0, 10**6),
    st.integers(1, 150),
    st.floats(0.3, 8.0),
    st.lists(st.floats(0, 1), min_size=2),
    st.floats(0.5, 0.95),
)
def test_intervals_by_size_contain_the_estimate_and_grow_with_it(seed, number, dryness, shares, level) -> None:
    rng = np.random.default_rng(seed)
    predicted, true = rng.random(number) ** dryness, rng.random(number) ** dryness
    model = fit_area_errors(predicted, true, level=level)
    areas = [model.estimate(share * 7.0, 7.0) for share in sorted(shares)]
    assert all(0.0 <= area.low_km2 <= area.km2 <= area.high_km2 <= 7.0 for area in areas)
    assert all(np.diff([area.low_km2 for area in areas]) >= -1e-9)
    assert all(np.diff([area.high_km2 for area in areas]) >= -1e-9)
    fitted_on = [model.estimate(share, 1.0) for share in predicted]
    held = [area.low_km2 - 1e-9 <= t <= area.high_km2 + 1e-9 for area, t in zip(fitted_on, true, strict=True)]
    assert np.mean(held) >= model.level - 1e-9


def test_models_of_earlier_releases_are_read_and_give_the_same_intervals() -> None:
    old = AreaErrorModel.model_validate(
        {"level": 0.9, "nominal_level": 0.9, "floor": 0.02, "quantile": 0.5, "chips": 96}
    )
    area = old.estimate(10.0, 100.0)
    assert (area.low_km2, area.high_km2) == (pytest.approx(4.0), pytest.approx(16.0))
    assert area.method == "conformal, relative area errors of 96 validation chips"


@pytest.mark.parametrize(
    "sizes",
    [
        [(0.0, 0.0, 0.1), (0.5, 0.4, 0.6)],
        [(0.0, 0.0, 0.1), (1.0, 0.4, 0.9)],
        [(0.0, 0.0, 0.9), (0.5, 0.4, 0.6), (1.0, 0.9, 1.0)],
    ],
    ids=["does not reach 1", "does not contain its share", "does not grow"],
)
def test_invalid_sizes_are_refused(sizes) -> None:
    intervals = tuple(SizeInterval(share=share, low=low, high=high) for share, low, high in sizes)
    with pytest.raises(ValueError, match="size"):
        AreaErrorModel(quantile=0.5, chips=50, sizes=intervals)


def test_area_errors_by_size_are_those_of_the_chips_of_each_class() -> None:
    true = np.array([0.0, 0.004, 0.006, 0.05, 0.2, 0.5, 0.3])
    predicted = np.array([0.01, 0.0, 0.009, 0.06, 0.1, 0.55, 0.3])
    held = np.array([True, False, True, True, True, False, True])
    table = area_error_by_size(predicted, true, held)
    assert table["chips"].tolist() == [1, 2, 1, 1, 2]
    assert table["low"].tolist() == [0.0, 0.0, 0.01, 0.1, 0.3]
    assert table["high"].tolist() == [0.0, 0.01, 0.1, 0.3, 1.0]
    assert table["median_absolute_error"].tolist() == pytest.approx([0.01, 0.0035, 0.01, 0.1, 0.025])
    assert table["bias"].tolist() == pytest.approx([0.01, -0.0005, 0.01, -0.1, 0.025])
    assert table["median_relative_error"].isna().tolist() == [True, False, False, False, False]
    assert table["median_relative_error"].tolist()[1:] == pytest.approx([0.75, 0.2, 0.5, 0.05])
    assert table["coverage"].tolist() == pytest.approx([1.0, 0.5, 1.0, 1.0, 0.5])


def test_area_errors_without_chips_are_missing_and_arrays_of_different_length_are_refused() -> None:
    table = area_error_by_size(np.array([]), np.array([]))
    assert table["chips"].sum() == 0
    assert table[["median_absolute_error", "bias", "median_relative_error", "coverage"]].isna().all().all()
    with pytest.raises(ValueError, match="2 predicted shares and 1 true"):
        area_error_by_size(np.array([0.1, 0.2]), np.array([0.1]))


def test_the_relative_interval_does_not_depend_on_the_size_of_the_scene() -> None:
    model = fit_area_errors(*chips(np.random.default_rng(1), 30))
    small, large = model.estimate(3.0, 26.0), model.estimate(3000.0, 26_000.0)
    assert (large.high_km2 - large.low_km2) / 3000.0 == pytest.approx((small.high_km2 - small.low_km2) / 3.0)


def test_too_few_chips_lower_the_stated_level() -> None:
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


def test_a_scene_mapped_as_dry_has_an_interval_from_zero_to_a_small_area() -> None:
    model = fit_area_errors(*chips(np.random.default_rng(5), 40))
    dry = model.estimate(0.0, 100.0)
    assert dry.low_km2 == 0.0
    assert 0.0 < dry.high_km2 < 10.0
    assert AreaErrorModel().estimate(0.0, 0.0).high_km2 == 0.0


@pytest.mark.parametrize(("flooded", "observed"), [(-1.0, 2.0), (3.0, 2.0), (float("nan"), 2.0), (1.0, float("inf"))])
def test_impossible_areas_are_refused(flooded, observed) -> None:
    with pytest.raises(ValueError, match=r"finite|observed"):
        AreaErrorModel().estimate(flooded, observed)


@pytest.mark.parametrize(
    ("predicted", "true"), [([0.1], [0.1, 0.2]), ([0.1, float("nan")], [0.1, 0.2]), ([0.1], [1.2])]
)
def test_impossible_shares_are_refused(predicted, true) -> None:
    with pytest.raises(ValueError, match="shares"):
        fit_area_errors(np.array(predicted), np.array(true))


@pytest.mark.parametrize("number", [20, 300], ids=["one relative error", "by size"])
def test_a_model_written_to_json_and_read_again_is_the_same(number) -> None:
    model = fit_area_errors(*chips(np.random.default_rng(3), number))
    assert bool(model.sizes) == (number == 300)
    assert AreaErrorModel.model_validate_json(model.model_dump_json()) == model


def test_shares_come_from_the_scored_pixels_of_scored_chips() -> None:
    predicted, true = area_shares(np.array([[2, 1, 3, 4], [0, 0, 0, 0]]))
    assert predicted == pytest.approx([0.3])
    assert true == pytest.approx([0.5])


def test_coverage_by_width_counts_each_chip_once_in_the_class_of_its_interval() -> None:
    predicted = np.array([0.2, 0.2, 0.2, 0.4, 0.0005, 0.0])
    ends = np.array([[0.18, 0.22], [0.15, 0.24], [0.1, 0.3], [0.0, 0.9], [0.0, 0.01], [0.0, 0.03]])
    true = np.array([0.21, 0.3, 0.12, 0.3, 0.02, 0.0])
    table = coverage_by_width(ends, predicted, true).set_index("width")
    assert table["chips"].to_dict() == {"narrow": 2, "medium": 1, "wide": 1, "nothing mapped": 2}
    assert table["coverage"].to_dict() == {"narrow": 0.5, "medium": 1.0, "wide": 1.0, "nothing mapped": 0.5}
    assert table.loc["narrow", "median_relative_width"] == pytest.approx(0.325)
    assert table.loc["nothing mapped", "median_width"] == pytest.approx(0.02)
    assert table.loc["nothing mapped", "median_relative_width"] is pd.NA
    empty = coverage_by_width(np.empty((0, 2)), np.array([]), np.array([]))
    assert empty["chips"].sum() == 0
    assert empty["coverage"].isna().all()
