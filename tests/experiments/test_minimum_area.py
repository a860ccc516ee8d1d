"""The scores of maps with a minimum area: which areas a chip loses, and what the table counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from drshym_pipeline.datasets.chips import ChipRef, LabelledChip
from experiments.minimum_area import main, measure, without_small

PLACE = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 2_000_000.0)


def chip(label: np.ndarray, event: str = "a") -> LabelledChip:
    db = np.full((2, *label.shape), -12.0, np.float32)
    return LabelledChip(ChipRef("c", event, "test", Path("c.tif")), db, label, "EPSG:32644", PLACE)


@dataclass
class Fixed:
    """A mapper that returns one mask."""

    water: np.ndarray

    def map_chip(self, chip: LabelledChip) -> np.ndarray:
        return self.water


def test_areas_are_measured_on_the_grid_of_the_chip():
    water = np.zeros((30, 30), bool)
    water[:10, :10], water[20, 20:25] = True, True
    label = np.zeros((30, 30), np.int8)
    np.testing.assert_array_equal(without_small(chip(label), water, 0.0), water)
    small = without_small(chip(label), water, 0.1)
    assert (small[:10, :10].all(), small[20].any()) == (True, False)
    assert not without_small(chip(label), water, 2.0).any()


def test_the_scores_are_those_of_the_mask_that_remains():
    label = np.zeros((30, 30), np.int8)
    label[:10, :10] = 1
    water = label == 1
    water[20, 20:25] = True
    plain, minimum = measure(Fixed(water), [chip(label), chip(label, "b")], [0.0, 0.1])
    assert (plain.chips, plain.ha, minimum.ha) == (2, 0.0, 0.1)
    assert plain.iou.value == pytest.approx(100 / 105)
    assert plain.false_water.value == pytest.approx(5 / 800)
    assert (minimum.iou.value, minimum.chip_iou.value, minimum.false_water.value) == (1.0, 1.0, 0.0)
    assert minimum.text() == (
        "| 0.1 | 1.000 (1.000 to 1.000) | 1.000 (1.000 to 1.000) | 0.000 (0.000 to 0.000) | 1.000 (1.000 to 1.000) |"
    )


def test_a_minimum_that_maps_refuse_is_refused_here(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path), "--minima", "0.25"])
    assert "multiple of 0.1 ha" in capsys.readouterr().err
