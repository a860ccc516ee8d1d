"""Sentences with numbers: right for none, for one and for many."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.products.expiry import Expired
from drshym_pipeline.products.report import _polygons
from drshym_pipeline.records import MinimumArea, PolygonCounts, SceneNovelty, counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 tiles"), (1, "1 tile"), (2, "2 tiles"), (1200, "1,200 tiles")])
def test_a_number_has_its_noun(number: int, text: str) -> None:
    assert counted(number, "tile") == text


def test_a_noun_may_have_another_plural() -> None:
    assert [counted(number, "ash", "ashes") for number in (1, 2)] == ["1 ash", "2 ashes"]


@pytest.mark.parametrize(
    ("tiles", "unlike", "text"),
    [
        (1, 0, "the only tile is like the training chips (2 % of validation chips are unlike)"),
        (1, 1, "the only tile is unlike the training chips (2 % of validation chips are unlike)"),
        (20, 0, "none of 20 tiles is unlike the training chips (2 % of validation chips are unlike)"),
        (20, 1, "1 of 20 tiles is unlike the training chips (2 % of validation chips are unlike)"),
        (1500, 20, "20 of 1,500 tiles are unlike the training chips (2 % of validation chips are unlike)"),
    ],
)
def test_the_tiles_unlike_the_training_chips(tiles: int, unlike: int, text: str) -> None:
    assert SceneNovelty(tiles=tiles, unlike=unlike, score=0.5, false_alarm=0.02, chips=50).text() == text


def test_a_scene_of_one_tile_has_no_share_of_its_tiles() -> None:
    one = SceneNovelty(tiles=1, unlike=1, score=2.0)
    assert "(its only tile)" in one.warning()
    assert "(25 % of its tiles)" in SceneNovelty(tiles=8, unlike=2, score=2.0).warning()


@pytest.mark.parametrize(
    ("areas", "pixels", "text"),
    [(0, 0, "there was none"), (1, 1, "1 area (1 pixel in total)"), (2, 9, "2 areas (9 pixels in total)")],
)
def test_the_areas_below_the_minimum(areas: int, pixels: int, text: str) -> None:
    minimum = MinimumArea(ha=0.5, pixel_ha=0.01, removed=areas, removed_pixels=pixels, removed_km2=0.0)
    assert minimum.text() == f"water areas below 0.5 ha are mapped as dry: {text}"


@pytest.mark.parametrize(
    ("omitted", "pixels", "text"),
    [
        (0, 0, "3"),
        (1, 1, "3; 1 area of fewer than 5 pixels (1 pixel together) is in the mask only"),
        (2, 6, "3; 2 areas of fewer than 5 pixels (6 pixels together) are in the mask only"),
    ],
)
def test_the_areas_without_a_polygon(omitted: int, pixels: int, text: str) -> None:
    counts = PolygonCounts(count=3, km2=1.0, fewest_pixels=5, omitted=omitted, omitted_pixels=pixels, omitted_km2=0.0)
    assert _polygons(counts) == text


@pytest.mark.parametrize(("chips", "text"), [(1, "1 validation chip"), (2, "2 validation chips")])
def test_the_chips_of_an_interval(chips: int, text: str) -> None:
    errors = AreaErrorModel(quantile=0.3, chips=chips)
    assert f"of {text}" in errors.method.split(";")[0].split(",")[1]
    assert errors.source(None) == f"from area errors of {text}"


def test_the_deleted_items() -> None:
    path = Path("x")
    assert Expired(predictions=[path], maps=[path, path]).text() == (
        "deleted 1 prediction, 2 older maps, 0 versions of scenes without a map, 0 leftovers of interrupted work"
    )
