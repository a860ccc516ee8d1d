"""The measurement of inputs that are unlike the training chips: the changes, and what the table counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from drshym_pipeline.datasets.chips import ChipRef, LabelledChip
from experiments.novelty import CHANGES, USUAL, area_under_curve, changed_chips, main, table


def chip(level: float = -12.0) -> LabelledChip:
    db = np.random.default_rng(1).normal((level, level - 7), 1.0, (40, 50, 2)).transpose(2, 0, 1).astype(np.float32)
    db[:, :4] = np.nan
    return LabelledChip(
        ChipRef("c", "a", "test", Path("c.tif")), db, np.zeros((40, 50), np.int8), "EPSG:32644", Affine.identity()
    )


class Levels:
    """Scores of a chip that follow from its level."""

    unsure_limit = -5.0

    def distance(self, chip: LabelledChip) -> float:
        return abs(float(np.nanmedian(chip.db[0])) + 12.0)

    def unsure(self, chip: LabelledChip) -> float:
        return float(np.nanmedian(chip.db[0]))


def test_every_change_changes_the_pixels_and_keeps_their_number():
    before = chip()
    found = dict(changed_chips([before]))
    assert set(found) == set(CHANGES)
    for name, changed in found.items():
        assert changed.db.shape == before.db.shape, name
        assert not np.array_equal(changed.db, before.db, equal_nan=True), name
    again = dict(changed_chips([before]))
    for name, changed in found.items():
        np.testing.assert_array_equal(changed.db, again[name].db)


def test_the_table_compares_every_kind_with_the_usual_one():
    rows = table(Levels(), [(USUAL, chip()), (USUAL, chip(-12.1)), ("brighter", chip(-2.0)), ("the same", chip())])
    assert [row.split("|")[1].strip() for row in rows] == [USUAL, "brighter", "the same"]
    assert rows[0].endswith("| 2 | 0.500 / 0.00 | 0.500 / 0.00 |")
    assert rows[1].endswith("| 1 | 1.000 / 1.00 | 1.000 / 1.00 |")


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order():
    assert area_under_curve([1.0, 2.0], [3.0, 0.0]) == pytest.approx(0.5)
    assert area_under_curve([1.0, 2.0], [3.0]) == 1.0


def test_a_folder_without_chips_is_refused(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path)])
    assert str(tmp_path) in capsys.readouterr().err
