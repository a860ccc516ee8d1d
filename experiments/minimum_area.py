"""Score maps with a minimum area on labelled chips: `python -m experiments minimum-area --data FOLDER`.

The folder has the layout of Sen1Floods11. Small water areas are removed as in a map (`products.minimum_area`). An area
that a chip cuts is smaller on the chip than on the ground, so near the edges more is removed than in a scene.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.metrics import Metric, bootstrap_mean, bootstrap_score, confusion
from drshym_pipeline.datasets.chips import LabelledChip, read_chip
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.mapper import ChipMapper, Mode
from drshym_pipeline.evaluation.smoothing import observed_everywhere
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.model.model_card import score_text
from drshym_pipeline.products.minimum_area import SmallAreas
from drshym_pipeline.records import Score, check_min_area
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.states import FLOODED

_POOLED: tuple[Metric, ...] = ("iou", "false_water", "recall")
MINIMA_HA = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Row:
    """The scores of one split and one minimum area; scores are None where they are not defined."""

    ha: float
    chips: int
    iou: Score
    chip_iou: Score
    false_water: Score
    recall: Score

    def text(self) -> str:
        """Return the row of the table."""
        scores = (self.iou, self.chip_iou, self.false_water, self.recall)
        return f"| {self.ha:g} | " + " | ".join(map(score_text, scores)) + " |"


def without_small(chip: LabelledChip, water: NDArray[np.bool_], ha: float) -> NDArray[np.bool_]:
    """Return a (h, w) water mask without areas below `ha` hectares; 0 returns it unchanged."""
    if not ha:
        return water
    areas = PixelAreas.measure(chip.crs, chip.transform, *water.shape)
    (mask,) = SmallAreas(areas, ha).filtered([(0, water.astype(np.uint8))])
    kept: NDArray[np.bool_] = mask == FLOODED
    return kept


def measure(mapper: ChipMapper, chips: Iterable[LabelledChip], minima: Sequence[float]) -> list[Row]:
    """Return one row per minimum area."""
    tables: dict[float, list[tuple[int, int, int, int]]] = {ha: [] for ha in minima}
    events = []
    for chip in chips:
        water, seen = mapper.map_chip(chip), observed_everywhere(chip.db)
        events.append(chip.ref.event)
        for ha, table in tables.items():
            table.append(confusion(without_small(chip, water, ha), chip.label, seen).as_tuple())
    rows = []
    for ha, counted in tables.items():
        counts = np.array(counted, np.int64).reshape(-1, 4)
        iou, false_water, recall = (bootstrap_score(counts, name, events) for name in _POOLED)
        rows.append(Row(ha, len(counts), iou, bootstrap_mean(counts, "iou", events), false_water, recall))
    return rows


def main(arguments: list[str]) -> None:
    """Print one table per split."""
    parser = argparse.ArgumentParser(prog="python -m experiments minimum-area", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="labelled chips in the layout of Sen1Floods11")
    parser.add_argument("--splits", nargs="+", default=["test", "hard"], help="splits to score")
    parser.add_argument("--mode", choices=("auto", "vv", "vv_vh"), default="auto", help="bands that the model reads")
    parser.add_argument("--minima", nargs="+", type=float, default=list(MINIMA_HA), help="minimum areas in hectares")
    parser.add_argument("--checkpoint", type=Path, default=None, help="a bundle; the shipped one when not given")
    given = parser.parse_args(arguments)
    mode: Mode = given.mode
    try:
        minima = [check_min_area(ha) for ha in given.minima]
        bundle = shipped_bundle() if given.checkpoint is None else ModelBundle.load(given.checkpoint)
        data = Sen1Floods11(given.data)
        mapper = ChipMapper(bundle, mode)
        for split in given.splits:
            rows = measure(mapper, (read_chip(ref) for ref in data.chips(split)), minima)
            print(f"\n{split}, {rows[0].chips} chips, {bundle.version}, bands {mode}\n")
            print("| ha | pooled IoU | mean IoU of wet chips | dry land mapped as water | water that is found |")
            print("|---|---|---|---|---|")
            for row in rows:
                print(row.text())
    except InputError as error:
        parser.error(str(error))
