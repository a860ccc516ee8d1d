"""The area of water of simulated scenes: what counts as inside, and the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.model.bundle import shipped_bundle
from experiments.area_scenes import SEEDS, area_scenes, is_inside, summary, table_markdown

ROW = {
    "seed": 1,
    "water": "calm",
    "product": "grd",
    "bare_share": 0.0,
    "true_km2": 10.0,
    "undecided_km2": 0.5,
    "observed_km2": 40.0,
    "mapped_km2": 12.0,
    "low_km2": 8.0,
    "high_km2": 14.0,
}


def test_twenty_scenes_have_seeds_of_their_own():
    assert len(set(SEEDS)) == 20


@pytest.mark.parametrize(
    ("low", "high", "inside"), [(8.0, 14.0, True), (10.4, 14.0, True), (10.6, 14.0, False), (2.0, 9.9, False)]
)
def test_undecided_pixels_may_be_water_or_not(low: float, high: float, inside: bool):
    assert is_inside({**ROW, "low_km2": low, "high_km2": high}) is inside


def test_the_summary_counts_errors_of_scenes_with_water_only():
    dry = {**ROW, "true_km2": 0.0, "undecided_km2": 0.0, "mapped_km2": 0.0, "low_km2": 0.0, "high_km2": 0.1}
    found = summary([ROW, {**ROW, "mapped_km2": 20.0, "high_km2": 9.0}, dry])
    assert found["scenes"] == 3
    assert found["median_error"] == pytest.approx((0.2 + 1.0) / 2)
    assert found["within_a_quarter"] == 1
    assert found["inside"] == 2


def test_a_small_scene_is_mapped_and_stands_in_the_table(tmp_path: Path):
    (row,) = area_scenes(shipped_bundle(), seeds=SEEDS[:1], sizes=((160, 192),))
    assert row["observed_km2"] == pytest.approx(160 * 192 * 1e-4, rel=0.35)  # a border without data is possible
    assert row["low_km2"] <= row["mapped_km2"] <= row["high_km2"]
    assert f"| {SEEDS[0]} |" in table_markdown([row])
    assert "1 scenes" in table_markdown([row])
