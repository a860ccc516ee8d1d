"""Area intervals by the signs of a scene: coverage over events, width by signs, empty maps, few chips."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.assessment.area import AreaErrorModel, fit_area_errors
from drshym_pipeline.assessment.scene_signs import LogitCounts, SceneSigns, quarter_counts
from drshym_pipeline.assessment.sign_interval import ChipSigns, SignInterval, fit_sign_interval
from drshym_pipeline.records import Calibration
from drshym_pipeline.sar.codes import encode_db
from tests.examples import examples

CALIBRATION = Calibration(method="temperature", T=1.0, threshold=0.4)
SIDE = 64
CALM, WINDY, EMPTY = "calm", "windy", "empty"


def chip(rng: np.random.Generator, event: str, kind: str) -> ChipSigns:
    """Return a chip of an event: calm water with sharp probabilities, water under wind with middle ones, or none."""
    lake = np.zeros((SIDE, SIDE), bool)
    lake[:, : rng.integers(8, 40)] = kind != EMPTY
    doubt = kind == WINDY
    # In a windy event, all middle probabilities of the lake are right, or all of them are wrong.
    truth = lake & (not doubt or int(event) % 2 == 0)
    labels = np.where(rng.random(lake.shape) < 0.0005, ~truth & (kind != EMPTY), truth).astype(np.int8)
    logits = np.where(lake, rng.normal(0.2 if doubt else 6.0, 0.3, lake.shape), rng.normal(-6.0, 0.5, lake.shape))
    vv = np.where(lake, -12.0 if doubt else -20.0, -9.0)
    vh = np.where(lake, -26.0, -16.0)
    codes = encode_db((np.stack([vv, vh]) + rng.normal(0, 1.5, (2, SIDE, SIDE))).astype(np.float32))
    return ChipSigns(event, quarter_counts(logits, labels, codes))


def chips(seed: int, events: int, kinds: tuple[str, ...] = (CALM, WINDY, EMPTY)) -> list[ChipSigns]:
    rng = np.random.default_rng(seed)
    return [chip(rng, str(number), kinds[number // 2 % len(kinds)]) for number in range(events) for _ in range(3)]


def whole(item: ChipSigns) -> LogitCounts:
    return reduce(add, item.quarters)


@pytest.fixture(scope="module")
def fitted() -> SignInterval:
    found = fit_sign_interval(chips(1, 60), CALIBRATION)
    assert found is not None
    return found


def width(interval: SignInterval, item: LogitCounts) -> float:
    share = interval.estimate(item.signs(CALIBRATION))
    return share.high - share.low


def test_calm_water_gets_a_narrow_interval_and_water_under_wind_a_wide_one(fitted: SignInterval) -> None:
    calm = [width(fitted, whole(item)) / whole(item).true for item in chips(2, 20, (CALM,))]
    windy = [width(fitted, whole(item)) / whole(item).signs(CALIBRATION).mapped for item in chips(2, 20, (WINDY,))]
    assert np.median(calm) < 0.2
    assert np.median(windy) > 0.9


def test_an_empty_map_has_an_upper_end_of_the_size_of_what_such_chips_had(fitted: SignInterval) -> None:
    share = fitted.estimate(SceneSigns((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.002, 0.0))
    assert fitted.empty_high is not None
    assert share.low == 0.0
    assert share.high == fitted.empty_high < 0.004


def test_the_interval_of_new_events_has_its_coverage(fitted: SignInterval) -> None:
    held = []
    for item in chips(3, 120):
        for unit in (*item.quarters, whole(item)):
            share = fitted.estimate(unit.signs(CALIBRATION))
            held.append(share.low <= unit.true <= share.high)
    assert 0.86 <= np.mean(held) <= 1.0


def noisy(seed: int, events: int, share: float = 0.3) -> list[ChipSigns]:
    """Return events with one error each: the true share of all chips of an event deviates alike from the expected."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(events):
        factor = float(np.exp(rng.normal(0.0, 0.3)))
        for _ in range(3):
            counts = np.zeros((3, 800), np.int32)
            counts[0, 500], counts[0, 280] = int(4000 * share), 4000 - int(4000 * share)
            quarter = LogitCounts(counts, int(4000 * min(share * factor, 1.0)))
            found.append(ChipSigns(str(number), (quarter,) * 4))
    return found


def test_units_of_one_event_do_not_count_as_independent() -> None:
    """The mean coverage over many fits is that of the level, although an event has 16 units with the same error."""
    held = []
    for seed in range(40):
        interval = fit_sign_interval(noisy(seed, 25), CALIBRATION, 0.9)
        assert interval is not None
        for item in noisy(1000 + seed, 25)[::3]:
            share = interval.estimate(whole(item).signs(CALIBRATION))
            held.append(share.low <= whole(item).true <= share.high)
    assert 0.87 <= np.mean(held) <= 0.95


@pytest.mark.parametrize(("events", "level"), [(7, 7 / 8), (9, 0.9), (30, 0.9)])
def test_too_few_events_for_the_level_lower_it(events: int, level: float) -> None:
    found = fit_sign_interval(noisy(1, events), CALIBRATION, 0.9)
    assert found is not None
    assert found.level == pytest.approx(level)
    assert found.nominal_level == 0.9
    method = AreaErrorModel(quantile=0.1, chips=3 * events, signs=found).sign_method
    assert method.endswith(f" of {events} events{', too few for 90 %' if events < 9 else ''}")
    # Bundles of earlier versions store no requested level with the signs; that of the model is the same.
    old = SignInterval.model_validate(found.model_dump(exclude={"nominal_level"}))
    assert old.nominal_level is None
    assert AreaErrorModel(quantile=0.1, chips=3 * events, signs=old).sign_method == method
    assert (found.chips, found.events) == (3 * events, events)


def test_with_one_event_its_chips_are_the_independent_units() -> None:
    same = [replace(item, event="one") for item in noisy(4, 10)]
    found = fit_sign_interval(same, CALIBRATION)
    assert found is not None
    assert (found.level, found.chips, found.events) == (0.9, 30, 1)


def test_fewer_than_twenty_counted_chips_give_no_interval() -> None:
    nothing = ChipSigns("x", (LogitCounts(np.zeros((3, 800), np.int32), 0),) * 4)
    assert fit_sign_interval([*chips(1, 6), nothing, nothing], CALIBRATION) is None
    assert fit_sign_interval([], CALIBRATION) is None
    errors = fit_area_errors(np.full(18, 0.2), np.linspace(0.1, 0.3, 18))
    assert errors.estimate(1.0, 10.0, whole(chips(1, 2)[0]).signs(CALIBRATION)) == errors.estimate(1.0, 10.0)
    assert errors.method.endswith("fewer than the 20 needed for an interval by signs of the scene")


def test_the_order_of_the_chips_changes_nothing() -> None:
    items = chips(5, 12)
    order = np.random.default_rng(0).permutation(len(items))
    found = fit_sign_interval(items, CALIBRATION)
    again = fit_sign_interval([items[turn] for turn in order], CALIBRATION)
    assert found is not None and again is not None
    assert found.expected == pytest.approx(again.expected, abs=1e-6)
    assert found.spread == pytest.approx(again.spread, abs=1e-6)
    assert found.factor == pytest.approx(again.factor)
    assert found.empty_high == again.empty_high


def test_a_surface_that_no_chip_shows_counts_with_its_probabilities_and_is_uncertain() -> None:
    found = fit_sign_interval(chips(6, 30, (CALM,)), CALIBRATION)
    assert found is not None
    assert found.expected[1] == pytest.approx(1.0)
    assert found.spread[2] == pytest.approx(1.0)


MISSED = 0.16  # probability that a chip without mapped water has some


def unmapped(rng: np.random.Generator, event: str, doubt: int) -> ChipSigns:
    """Return a chip without a mapped pixel; some have water in one quarter, as the network misses it in VV alone.

    Args:
        rng: Gives the water.
        event: The event of the chip.
        doubt: Pixels of each quarter with a probability of about 0.15, below the threshold; the others have nearly 0.
    """
    counts = np.zeros((3, 800), np.int32)
    counts[0, 365], counts[0, 280] = doubt, 4000 - doubt
    water = np.zeros(4, int)
    if rng.random() < MISSED:
        water[rng.integers(4)] = int(4000 * rng.uniform(0.2, 0.6))
    return ChipSigns(event, tuple(LogitCounts(counts, int(number)) for number in water))


def mostly_unmapped(rng: np.random.Generator, event: str, doubt: int) -> list[ChipSigns]:
    """Return two chips without mapped water, and three with a lake in a quarter and dry land in the others."""
    lake, land = np.zeros((3, 800), np.int32), np.zeros((3, 800), np.int32)
    lake[0, 500], lake[0, 280], land[0, 280] = 2000, 2000, 4000
    water = int(2000 * rng.uniform(0.9, 1.1))
    mapped = ChipSigns(event, (LogitCounts(lake, water), *(LogitCounts(land, 0),) * 3))
    return [mapped, mapped, mapped, unmapped(rng, event, doubt), unmapped(rng, event, doubt)]


def mixed(seed: int, empty_events: int, events: int) -> list[ChipSigns]:
    """Return events without a mapped pixel, each of three chips, and events of `noisy`."""
    rng = np.random.default_rng(seed)
    empty = [unmapped(rng, f"empty {number}", 0) for number in range(empty_events) for _ in range(3)]
    return [*empty, *noisy(seed, events)]


@pytest.mark.parametrize("doubt", [0, 800], ids=["no expected water", "expected water"])
def test_chips_with_nothing_mapped_have_the_coverage_of_the_level(doubt: int) -> None:
    """The water that is missed is below the upper end in 90 % of such chips of new events.

    More than 10 % of the chips have water, but fewer than 10 % of all units, and of the quarters.
    """
    held = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        fitted = [item for number in range(30) for item in mostly_unmapped(rng, str(number), doubt)]
        interval = fit_sign_interval(fitted, CALIBRATION, 0.9)
        assert interval is not None
        assert interval.empty_level == interval.level == 0.9
        for number in range(100):
            item = whole(unmapped(rng, str(number), doubt))
            assert item.signs(CALIBRATION).mapped == 0.0
            share = interval.estimate(item.signs(CALIBRATION))
            held.append(share.low <= item.true <= share.high)
    # Three standard errors of 2,000 chips are 0.02.
    assert np.mean(held) >= 0.9 - 0.02


def test_the_factor_of_maps_with_water_does_not_come_from_maps_of_nothing() -> None:
    alone, beside = (fit_sign_interval(mixed(3, number, 20), CALIBRATION) for number in (0, 40))
    assert alone is not None and beside is not None
    held = []
    for item in noisy(77, 60):
        share = beside.estimate(whole(item).signs(CALIBRATION))
        held.append(share.low <= whole(item).true <= share.high)
    assert np.mean(held) >= 0.8
    assert beside.level == alone.level == 0.9


@pytest.mark.parametrize(("events", "level"), [(7, 7 / 8), (9, 0.9)])
def test_too_few_events_with_maps_of_nothing_lower_the_level_of_such_maps_alone(events: int, level: float) -> None:
    found = fit_sign_interval(mixed(5, events, 12), CALIBRATION, 0.9)
    assert found is not None
    assert (found.level, found.empty_level) == (0.9, pytest.approx(level))
    model = AreaErrorModel(quantile=0.1, chips=found.chips, signs=found)
    empty = whole(unmapped(np.random.default_rng(1), "x", 0)).signs(CALIBRATION)
    mapped = whole(noisy(1, 1)[0]).signs(CALIBRATION)
    area = model.estimate(0.0, 10.0, empty)
    assert area.level == pytest.approx(level)
    assert area.method.endswith(", too few for 90 %") is (level < 0.9)
    assert model.estimate(3.0, 10.0, mapped).level == 0.9
    assert not model.estimate(3.0, 10.0, mapped).method.endswith("too few for 90 %")
    # Intervals of earlier versions have one level for all maps.
    old = SignInterval.model_validate(found.model_dump(exclude={"empty_level"}))
    assert old.estimate(empty).level == 0.9


share = st.floats(0.0, 1.0)


@examples(200)
@given(share, st.tuples(share, share, share), share, share)
def test_every_interval_is_ordered_and_within_the_observed_area(fitted, mapped, parts, faint, uncertain) -> None:
    total = max(sum(parts), 1.0)
    expected = (parts[0] / total, parts[1] / total, parts[2] / total)
    found = fitted.estimate(SceneSigns((mapped, 0.0, 0.0), expected, 0.05 * faint, 0.5 * uncertain))
    assert 0.0 <= found.low <= found.expected <= found.high <= 1.0


@examples(50)
@given(st.floats(0.0, 0.02))
def test_the_interval_changes_without_a_jump_between_empty_and_other_maps(fitted, mapped) -> None:
    def ends(value: float) -> np.ndarray:
        return np.array(fitted.estimate(SceneSigns((value, 0.0, 0.0), (value, 0.0, 0.0), 0.001, value / 2)))

    assert np.abs(ends(mapped + 1e-6) - ends(mapped)).max() < 1e-3


def test_an_area_model_uses_the_signs_and_old_models_do_not(fitted: SignInterval) -> None:
    errors = fit_area_errors(np.linspace(0, 0.5, 60), np.linspace(0, 0.4, 60))
    model = AreaErrorModel.model_validate_json(errors.model_copy(update={"signs": fitted}).model_dump_json())
    assert model.signs == fitted
    signs = whole(chips(7, 1, (CALM,))[0]).signs(CALIBRATION)
    found, wanted = model.estimate(3.0, 10.0, signs), fitted.estimate(signs)
    assert found.km2 == 3.0
    assert [found.low_km2, found.expected_km2, found.high_km2] == pytest.approx(
        [10 * wanted.low, 10 * wanted.expected, 10 * wanted.high]
    )
    assert found.method == "conformal, area errors by signs of the scene, of 180 validation chips of 60 events"
    assert model.estimate(3.0, 10.0) == errors.estimate(3.0, 10.0) == errors.estimate(3.0, 10.0, signs)
    assert AreaErrorModel().sign_method == "not calibrated: the whole observed area"
