"""The figures that have an aim: how they are measured, and what a row says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drshym_pipeline.assessment.metrics import COUNT_NAMES
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.settings import SimulatedData
from experiments.aims import (
    AIMS,
    Aim,
    intervals,
    measure,
    score_checkpoint,
    table_markdown,
    trade_off,
    trade_off_markdown,
)
from experiments.card import REAL_SETS


@pytest.mark.parametrize(
    ("low", "high", "reached", "missed", "words"),
    [
        (0.9, None, 0.9, 0.89, "at least 0.9"),
        (None, 0.03, 0.03, 0.031, "at most 0.03"),
        (0.85, 0.95, 0.9, 1.0, "0.85 to 0.95"),
    ],
)
def test_an_aim_has_limits(low: float | None, high: float | None, reached: float, missed: float, words: str):
    aim = Aim("figure", lambda _: None, low, high)
    assert aim.is_reached(reached)
    assert not aim.is_reached(missed)
    assert not aim.is_reached(None), "a figure that is not defined reaches nothing"
    assert aim.text() == words


def test_the_first_checkpoint_decides_and_the_others_give_the_range():
    # A number stands for the evaluations of a checkpoint.
    aims = [Aim("recall", lambda found: found, low=0.9), Aim("undefined", lambda _: None, low=0.0)]
    rows = measure([0.85, 0.95, 0.9], aims)
    assert [row["reached"] for row in rows] == [False, False]
    table = table_markdown(rows)
    assert "| recall | 0.850 | 0.850 to 0.950 | at least 0.9 | no |" in table
    assert "| undefined | - | - | at least 0 | no |" in table


def test_every_aim_is_measured_on_labelled_chips(random_bundle: ModelBundle, tmp_path: Path):
    """The sets are stand-ins of simulated chips; the figures are compared with the counts of the chips."""
    sizes = SimulatedData(train=1, valid=1, test=6, hard=3, wind=3, size=64)
    chips = Sen1Floods11(write_dataset(tmp_path / "set", sizes))
    sets = {name: chips.chips(name) for name in ("test", "hard", "wind")}
    sets |= dict.fromkeys((*REAL_SETS, "real_land"), chips.chips("test"))
    found = score_checkpoint(random_bundle, sets)
    rows = {row["what"]: row["values"][0] for row in measure([found])}
    assert set(rows) == {aim.what for aim in AIMS}
    tp, fp, fn, tn = found["wind", "vv_vh"].counts[list(COUNT_NAMES)].sum()
    assert rows["simulated water under wind, found"] == pytest.approx(tp / (tp + fn))
    tp, fp, fn, tn = found["real_land", "vv_vh"].counts[list(COUNT_NAMES)].sum()
    assert rows["real_land: dry land mapped as water"] == pytest.approx(fp / (fp + tn))
    assert rows["Sri-Lanka, water under wind, found"] is None, "no chip of this name"
    (row,) = trade_off(found, [random_bundle.calibration["vv_vh"].threshold])
    # The histogram rounds a logit to its bin, so a pixel close to the threshold may change sides.
    assert row["wind_recall"] == pytest.approx(rows["simulated water under wind, found"], abs=0.02)
    assert trade_off_markdown([row]).count("|") == 3 * 6
    held, width = intervals(found["test", "vv_vh"], "vv_vh")
    assert rows["simulated test chips: intervals that hold"] == pytest.approx(np.mean(held))
    assert len(held) == len(sets["test"])
    assert (width >= 0).all()
