"""A model that was sealed with few chips says what it lacks, why, and what to do."""

from __future__ import annotations

import pytest

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.assessment.sign_interval import SignInterval
from drshym_pipeline.model.missing_parts import missing_parts
from tests.flood_errors import ERRORS

SIGNS = SignInterval(expected=(1.0, 1.0, 1.0), spread=(1.0, 1.0, 1.0, 1.0), factor=1.0, level=0.9, chips=40, events=10)
WITH = AreaErrorModel(quantile=0.3, chips=40, signs=SIGNS, flood=ERRORS)
WITHOUT = AreaErrorModel(quantile=0.3, chips=12, flood=ERRORS)


def test_a_complete_model_lacks_nothing() -> None:
    assert missing_parts({"vv": WITH, "vv_vh": WITH}, ["vv", "vv_vh"], 100, 40) == []


@pytest.mark.parametrize(
    ("errors", "modes", "interval"),
    [
        ({"vv_vh": WITHOUT, "vv": WITHOUT}, "VV and VH and for VV alone", "the interval by mapped share"),
        ({"vv_vh": WITH, "vv": WITHOUT}, "VV alone", "the interval by mapped share"),
        ({"vv": AreaErrorModel(flood=ERRORS)}, "VV alone", "the whole observed area as their interval"),
    ],
)
def test_a_missing_interval_is_one_line(errors, modes: str, interval: str) -> None:
    (line,) = missing_parts(errors, list(errors), 100, 12)
    assert line.startswith(f"No area interval by signs of the scene for {modes}: it needs 20 labelled chips")
    assert "there are 12 validation chips. Maps have " + interval in line
    assert line.endswith("Add validation chips, or a set in data.calibration, and train again.")


def test_a_missing_interval_of_the_flooded_area_is_one_line() -> None:
    (line,) = missing_parts({"vv_vh": WITH, "vv": WITH.model_copy(update={"flood": None})}, ["vv_vh", "vv"], 100, 40)
    assert line.startswith("No interval of the flooded area for VV alone: it needs 20 validation chips")
    assert "0 to the upper end of the interval of all water" in line


def test_a_missing_score_is_one_line() -> None:
    (line,) = missing_parts({"vv_vh": WITH, "vv": WITH}, ["vv"], 1500, 19)
    assert line.startswith("No check for scenes unlike the training chips for VV and VH: it needs 20 training chips")
    assert "there are 1,500 and 19 chips in all" in line
    assert line.endswith("Add chips to the smaller split and train again.")
