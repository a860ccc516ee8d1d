"""How an area is printed, everywhere: at least two significant digits, and no more than its interval allows."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.products.caption import area_text, write_caption
from drshym_pipeline.products.map_texts import map_warnings
from drshym_pipeline.records import AreaEstimate, PredictionSummary, area_figure
from drshym_pipeline.scene_folder import Prediction
from tests.examples import examples
from tests.map_samples import BOTH, of, prediction, scene


def estimate(km2: float, low: float, high: float) -> AreaEstimate:
    return AreaEstimate(km2=km2, low_km2=low, high_km2=high, level=0.9, method="m")


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.04, 0.0, 16.0), "0.040 km2 (90 % interval 0 to 16 km2)"),
        ((0.04, 0.012, 16.3), "0.040 km2 (90 % interval 0.012 to 16 km2)"),
        ((12.34, 10.0, 15.0), "12.3 km2 (90 % interval 10.0 to 15.0 km2)"),
        ((1.24, 1.16, 1.34), "1.24 km2 (90 % interval 1.16 to 1.34 km2)"),
        ((1234.5, 800.1, 1600.9), "1234 km2 (90 % interval 800 to 1601 km2)"),
        ((0.0, 0.0, 3.456), "0 km2 (90 % interval 0 to 3.5 km2)"),
        ((0.0, 0.0, 0.0), "0 km2 (90 % interval 0 to 0 km2)"),
        ((0.00123, 0.0007, 0.0021), "0.0012 km2 (90 % interval 0.00070 to 0.0021 km2)"),
    ],
)
def test_an_estimate_has_the_digits_of_its_interval(numbers, text):
    assert estimate(*numbers).text() == text


def test_an_expected_area_stands_between_the_mapped_one_and_its_interval():
    area = estimate(30.2, 5.1, 14.2).model_copy(update={"expected_km2": 8.04})
    assert area.text() == "30.2 km2 mapped; likely 8.0 km2 (90 % interval 5.1 to 14.2 km2)"
    assert area.text("from here").endswith("14.2 km2, from here)")
    assert area.sentence("open water", "from here") == (
        "about 30.2 km2 are mapped as open water; likely about 8.0 km2 (90 % interval 5.1 to 14.2 km2, from here) "
        "are open water"
    )
    nothing = estimate(0.0, 0.0, 0.31).model_copy(update={"expected_km2": 0.0})
    assert nothing.text() == "0 km2 mapped; likely 0 km2 (90 % interval 0 to 0.31 km2)"


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((30.2, 5.1, 14.2), ("30.2 km2, is above its interval (5.1 to 14.2 km2)", "had less water than")),
        ((2.0, 5.1, 14.2), ("2.0 km2, is below its interval (5.1 to 14.2 km2)", "had more water than")),
        ((0.0, 0.4, 3.0), ("0 km2, is below its interval (0.40 to 3.0 km2)", "had more water than")),
        ((5.1, 5.1, 14.2), None),
        ((14.2, 5.1, 14.2), None),
        ((14.24, 5.1, 14.2), None),  # the same printed figure
        ((0.0, 0.0, 0.0), None),
    ],
)
def test_a_mapped_area_outside_its_interval_is_a_warning(numbers, words):
    area = estimate(*numbers).model_copy(update={"expected_km2": 8.0})
    warning = area.warning()
    text = write_caption(scene(10, 10, bands=BOTH), prediction(mode="vv_vh"), area, 250.0)
    found = map_warnings(scene(10, 10, bands=BOTH), of(prediction(mode="vv_vh")), 1.0, flooded=area)
    if words is None:
        assert warning is None
        assert "its interval" not in text
        assert not any("its interval" in line for line in found)
    else:
        assert all(part in warning for part in words)
        assert "probability map" in warning
        assert text.endswith(f" {warning}")
        assert found.count(warning) == 1


@pytest.mark.parametrize(
    ("numbers", "warned"),
    [((12.3, 0.0, 15.0), True), ((12.3, 0.001, 15.0), False), ((12.3, 2.0, 15.0), False), ((0.0, 0.0, 3.0), False)],
)
def test_a_fitted_interval_that_begins_at_0_is_a_warning(numbers, warned):
    meta, area, summary = scene(10, 10, bands=BOTH), estimate(*numbers), prediction(mode="vv_vh")
    errors = AreaErrorModel(quantile=0.5, chips=100)

    def said(summary: PredictionSummary, errors: AreaErrorModel) -> list[str]:
        found = map_warnings(meta, Prediction(summary=summary, area_errors=errors), 1.0, flooded=area)
        return [line for line in found if line.startswith("The interval begins at 0")]

    assert len(said(summary, errors)) == warned
    # Without fitted errors, or with a chosen threshold, the interval is the whole area, and other sentences say so.
    assert said(summary, AreaErrorModel()) == []
    assert said(summary.model_copy(update={"model_threshold": 0.9}), errors) == []


def test_the_record_of_an_area_of_earlier_releases_is_read():
    old = estimate(12.3, 10.0, 15.0).model_dump(exclude={"expected_km2"})
    area = AreaEstimate.model_validate(old)
    assert area.expected_km2 is None
    assert area.sentence("open water") == "about 12.3 km2 (90 % interval 10.0 to 15.0 km2) appear to be open water"


def significant_digits(text: str) -> int:
    return len(text.replace(".", "").lstrip("0"))


areas = st.floats(1e-6, 1e6)


@examples(200)
@given(areas, st.floats(0, 1), st.floats(1, 1e4))
@example(0.0996, 0.5, 2.0)
@example(9.96, 0.99, 1.01)
def test_every_number_shows_two_significant_digits_and_is_not_changed_by_more_than_its_last_one(km2, below, above):
    found = estimate(km2, km2 * below, km2 * above)
    shown = re.findall(r"[\d.]+", found.text().replace("90 %", "").replace("km2", ""))
    for text, value in zip(shown, (found.km2, found.low_km2, found.high_km2), strict=True):
        if value < 1e-11:
            continue
        assert significant_digits(text) >= 2
        assert float(text) == pytest.approx(value, rel=0.051)
        # Half a unit of the second digit of the interval's width is the largest error; pixels are exact to 1e-4.
        assert abs(float(text) - value) <= 0.051 * max(found.high_km2 - found.low_km2, 1e-4 * value)


@examples(100)
@given(areas)
def test_a_counted_area_is_right_to_half_a_per_cent(km2):
    text = area_text(km2).removesuffix(" km2")
    assert text == area_figure(km2)
    assert float(text) == pytest.approx(km2, rel=0.0051)
    assert significant_digits(text) <= max(4, len(str(round(km2))))


@pytest.mark.parametrize(
    ("errors", "data", "words"),
    [
        (
            AreaErrorModel(quantile=0.3, chips=640),
            "simulated Sentinel-1 scenes",
            "(90 % interval 10.0 to 15.0 km2, from area errors of 640 validation chips of simulated Sentinel-1 scenes)",
        ),
        (
            AreaErrorModel(quantile=0.3, chips=90),
            None,
            "(90 % interval 10.0 to 15.0 km2, from area errors of 90 validation chips)",
        ),
        (AreaErrorModel(), "any", "km2, which is the whole observed area, because the model has no area errors)"),
    ],
)
def test_the_caption_says_what_its_interval_comes_from(errors, data, words):
    text = write_caption(
        scene(10, 10, bands=BOTH), prediction(mode="vv_vh"), estimate(12.34, 10.0, 15.0), 250.0,
        interval_source=errors.source(data),
    )  # fmt: skip
    assert words in text
    assert text.count(". ") == 1, "two sentences"
