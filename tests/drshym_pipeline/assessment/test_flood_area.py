"""The flooded area and the area of other water with their intervals, with and without fitted area errors."""

from __future__ import annotations

import numpy as np
import pytest

from drshym_pipeline.assessment.flood_area import SeparatedAreas, separated_estimates
from drshym_pipeline.assessment.pair_signs import pair_counts
from drshym_pipeline.change import flood_probability
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.records import AreaEstimate
from tests.flood_errors import ERRORS, part

THRESHOLD = 0.4
WATER = AreaEstimate(km2=6.0, low_km2=4.0, high_km2=9.0, level=0.9, method="signs", expected_km2=5.0)
KM2 = 0.01  # of a pixel


def areas(now: np.ndarray, before: np.ndarray) -> SeparatedAreas:
    """Return what a map of two rasters of probabilities in steps counts; one pixel has a hundredth of a km2."""
    flood = flood_probability(now, before)
    pair = pair_counts(now, before, flood, THRESHOLD)
    observed, compared = now != NOT_OBSERVED, flood != NOT_OBSERVED
    unknown = observed & ~compared
    water = observed & (now >= 4_000)
    total = int(now[observed].sum(dtype=int))
    return SeparatedAreas(
        pair=pair,
        flooded_km2=KM2 * (pair.flooded.mapped + int((water & unknown).sum())),
        other_km2=KM2 * pair.other_water.mapped,
        paired_km2=KM2 * int(compared.sum()),
        unpaired_km2=KM2 * int(unknown.sum()),
        unpaired_flooded_km2=KM2 * int((water & unknown).sum()),
        unpaired_other_km2=0.0,
        unpaired_mass=int(now[unknown].sum(dtype=int)) / max(total, 1),
    )


def raster(value: int, pixels: int = 1000) -> np.ndarray:
    return np.full(pixels, value, np.uint16)


NOW = np.concatenate([raster(9_500, 300), raster(9_800, 300), raster(100, 400)])
BEFORE = np.concatenate([raster(200, 300), raster(9_700, 300), raster(100, 400)])


def test_without_fitted_errors_each_part_is_between_zero_and_the_upper_end_of_all_water():
    for errors, found in ((None, areas(NOW, BEFORE)), (ERRORS, areas(NOW, raster(NOT_OBSERVED)))):
        for estimate in separated_estimates(found, WATER, errors):
            assert (estimate.low_km2, estimate.high_km2, estimate.expected_km2) == (0.0, WATER.high_km2, None)
            assert estimate.method == "0 to the upper end of the interval of all water (signs)"


def test_the_fitted_interval_is_that_of_the_compared_ground():
    found = areas(NOW, BEFORE)
    flooded, other = separated_estimates(found, WATER, ERRORS)
    for estimate, interval, name in ((flooded, ERRORS.flooded, "flooded"), (other, ERRORS.other_water, "other_water")):
        share = interval.estimate(found.pair.signs(name))
        assert [estimate.low_km2, estimate.expected_km2, estimate.high_km2] == pytest.approx(
            [value * 10.0 for value in (share.low, share.expected, share.high)]
        )
        assert estimate.level == 0.9
    assert (flooded.km2, other.km2) == pytest.approx((3.0, 3.0))
    assert 0.0 < flooded.low_km2 < flooded.expected_km2 < flooded.high_km2 < WATER.high_km2
    assert flooded.method == (
        "conformal, area errors of flood by signs of the pair of scenes, of 120 validation pairs of 40 events"
    )
    assert "area errors of other water" in other.method


def test_ground_without_a_reference_adds_nothing_to_the_lower_end_and_all_its_water_to_the_upper_end():
    known = areas(NOW, BEFORE)
    more = np.concatenate([NOW, raster(9_900, 200)])
    found = areas(more, np.concatenate([BEFORE, raster(NOT_OBSERVED, 200)]))
    water = WATER.model_copy(update={"km2": 8.0, "high_km2": 10.0, "expected_km2": 7.0})
    for estimate, alone, mapped in zip(
        separated_estimates(found, water, ERRORS), separated_estimates(known, WATER, ERRORS), (2.0, 0.0), strict=True
    ):
        assert estimate.km2 == pytest.approx(alone.km2 + mapped)
        assert estimate.low_km2 == alone.low_km2
        # All of it may be water: 200 pixels are 2 km2, less than its share of the upper end of all water.
        assert estimate.high_km2 == pytest.approx(alone.high_km2 + 2.0)
        assert "could not be compared with that scene, the lower end has none and the upper end all" in estimate.method
    flooded, other = separated_estimates(found, water, ERRORS)
    assert flooded.expected_km2 > separated_estimates(known, WATER, ERRORS)[0].expected_km2
    assert other.expected_km2 == separated_estimates(known, WATER, ERRORS)[1].expected_km2


def test_dry_ground_without_a_reference_can_hold_water_that_was_missed():
    found = areas(np.concatenate([NOW, raster(0, 1000)]), np.concatenate([BEFORE, raster(NOT_OBSERVED, 1000)]))
    flooded, _ = separated_estimates(found, WATER, ERRORS)
    alone, _ = separated_estimates(areas(NOW, BEFORE), WATER, ERRORS)
    assert flooded.high_km2 == pytest.approx(alone.high_km2 + 0.5 * WATER.high_km2)
    assert flooded.expected_km2 == alone.expected_km2


def test_the_level_is_the_lower_one_where_both_intervals_are_used():
    found = areas(np.concatenate([NOW, raster(9_900, 10)]), np.concatenate([BEFORE, raster(NOT_OBSERVED, 10)]))
    flooded, _ = separated_estimates(found, WATER.model_copy(update={"level": 0.8}), ERRORS)
    assert flooded.level == 0.8


@pytest.mark.parametrize(
    ("now", "before", "flooded_km2", "other_km2"),
    [
        (raster(100), raster(100), 0.0, 0.0),
        (raster(9_900), raster(9_900), 0.0, 10.0),
        (raster(9_900), raster(100), 10.0, 0.0),
        (np.concatenate([raster(9_900, 1), raster(100, 999)]), raster(100), 0.01, 0.0),
    ],
    ids=["no water", "no flood", "all flood", "one pixel of flood"],
)
def test_every_map_has_intervals_inside_the_compared_area(now, before, flooded_km2, other_km2):
    estimates = separated_estimates(areas(now, before), WATER, ERRORS)
    assert [estimate.km2 for estimate in estimates] == pytest.approx([flooded_km2, other_km2])
    for estimate in estimates:
        assert 0.0 <= estimate.low_km2 <= estimate.expected_km2 <= estimate.high_km2 <= 10.0
        assert estimate.low_km2 == 0.0 or estimate.km2 > 1.0
        assert estimate.high_km2 > 0.0


def test_a_map_without_flood_has_the_upper_end_of_such_maps():
    flooded, _ = separated_estimates(areas(raster(0), raster(0)), WATER, ERRORS)
    assert flooded.high_km2 == pytest.approx(0.01 * 10.0), "the share of empty maps, of 10 km2"


def test_a_level_that_few_events_reach_is_said():
    few = ERRORS.model_copy(update={"flooded": part(nominal_level=0.95)})
    flooded, _ = separated_estimates(areas(NOW, BEFORE), WATER, few)
    assert flooded.method.endswith(", too few for 95 %")
