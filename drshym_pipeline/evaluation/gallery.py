"""Pictures of chips for a visual check: VV, VH, truth, map and difference side by side.

The chips are chosen by their scores. Their masks are computed again, because an evaluation keeps counts and no pixels.
Nothing is scored here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drshym_pipeline.datasets.chips import ChipRef, LabelledChip, read_chip
from drshym_pipeline.evaluation.mapper import ChipMapper
from drshym_pipeline.evaluation.plots import BLUE, ORANGE
from drshym_pipeline.evaluation.smoothing import observed_everywhere

if TYPE_CHECKING:
    from PIL.Image import Image

    from drshym_pipeline.evaluation.evaluation import Evaluation

SMALL_SET = 12
SHOWN = 6
_SIDE = 132
_GAP = 4
_TEXT = 13
_MISSED = "#F0E442"
_DRY, _UNKNOWN, _BLIND = "#E6E6E6", "#B0A0A8", "#202020"
_LEGEND = (
    ("water found", BLUE),
    ("false water", ORANGE),
    ("water missed", _MISSED),
    ("dry", _DRY),
    ("label unknown", _UNKNOWN),
    ("not observed", _BLIND),
)
_COLUMNS = ("VV", "VH", "truth", "map", "difference")


def worst_chips(evaluation: Evaluation, most: int = SHOWN) -> list[str]:
    """Return the chips to show: all chips of a small set, else the worst ones.

    Args:
        evaluation: Evaluation of the chips.
        most: Number of chips to show of a larger set. Up to a third of them are the dry chips with the most false
            water; the others are the wet chips with the lowest IoU.

    Returns:
        Names of the chips: the wet chips, worst first, then the dry chips, worst first.
    """
    table = evaluation.chips()
    wet = table[table["tp"] + table["fn"] > 0].sort_values("iou", kind="stable")
    dry = evaluation.dry_chips().sort_values("false_water", ascending=False, kind="stable")
    if len(table) > SMALL_SET:
        dry = dry[dry["fp"] > 0].head(most // 3)
        wet = wet.head(most - len(dry))
    return [str(chip) for chip in pd.concat([wet, dry]).index]


def draw_gallery(refs: Sequence[ChipRef], chips: Sequence[str], mapper: ChipMapper, evaluation: Evaluation) -> bytes:
    """Draw chips, one per row.

    Args:
        refs: The chips of the evaluation.
        chips: Names of the chips to draw, in this order.
        mapper: The model in the mode of the evaluation.
        evaluation: Evaluation whose figures are written above the chips.

    Returns:
        A PNG; VV is shown from -25 to 0 dB and VH from -32 to -5 dB.
    """
    from PIL import Image, ImageDraw, ImageFont

    by_name, scores = {ref.chip_id: ref for ref in refs}, evaluation.chips()
    font = ImageFont.load_default(_TEXT - 2)
    width = len(_COLUMNS) * (_SIDE + _GAP) + _GAP
    row_height = _SIDE + _TEXT + 2 * _GAP
    page = Image.new("RGB", (width, 2 * _TEXT + 3 * _GAP + row_height * len(chips)), "white")
    draw = ImageDraw.Draw(page)
    left = _GAP
    for name, colour in _LEGEND:
        draw.rectangle((left, _GAP, left + 9, _GAP + 9), fill=colour)
        draw.text((left + 13, _GAP - 2), name, fill="black", font=font)
        left += 24 + round(draw.textlength(name, font=font))
    for column, name in enumerate(_COLUMNS):
        draw.text((_GAP + column * (_SIDE + _GAP), _TEXT + 2 * _GAP), name, fill="black", font=font)
    for row, name in enumerate(chips):
        top = 2 * _TEXT + 3 * _GAP + row * row_height
        chip = read_chip(by_name[name])
        draw.text((_GAP, top), _caption(name, scores.loc[name]), fill="black", font=font)
        for column, panel in enumerate(_panels(chip, mapper.map_chip(chip))):
            page.paste(panel, (_GAP + column * (_SIDE + _GAP), top + _TEXT + _GAP))
    buffer = io.BytesIO()
    page.save(buffer, format="PNG")
    return buffer.getvalue()


def difference_codes(
    water: NDArray[np.bool_], label: NDArray[np.int8], observed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the index of every pixel in the legend: found, false, missed, dry, unknown, not observed, (h, w)."""
    codes = np.select([~observed, label < 0, water & (label == 1), water, label == 1], [5, 4, 0, 1, 2], default=3)
    return np.asarray(codes, dtype=np.int64)


def truth_codes(label: NDArray[np.int8], observed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the index of every pixel of the truth in the legend; arrays are (h, w)."""
    return difference_codes(label == 1, label, observed)


def _panels(chip: LabelledChip, water: NDArray[np.bool_]) -> list[Image]:
    observed, label = observed_everywhere(chip.db), chip.label
    mapped = np.select([~observed, water], [5, 0], default=3)
    radar = [_grey(band, low, high) for band, (low, high) in zip(chip.db, ((-25, 0), (-32, -5)), strict=False)]
    if len(radar) == 1:
        radar.append(_flat(np.full(label.shape, 5)))
    return [*radar, _flat(truth_codes(label, observed)), _flat(mapped), _flat(difference_codes(water, label, observed))]


def _grey(db: NDArray[np.float32], low: float, high: float) -> Image:
    from PIL import Image

    shade = np.clip((db - low) / (high - low), 0.0, 1.0)
    image = Image.fromarray(np.nan_to_num(255 * shade).astype(np.uint8))
    return image.resize((_SIDE, _SIDE), Image.Resampling.BOX).convert("RGB")


def _flat(codes: NDArray[Any]) -> Image:
    from PIL import Image, ImageColor

    palette = np.array([ImageColor.getrgb(colour)[:3] for _, colour in _LEGEND], dtype=np.uint8)
    return Image.fromarray(palette[codes]).resize((_SIDE, _SIDE), Image.Resampling.NEAREST)


def _caption(name: str, row: pd.Series) -> str:
    pixels = row["tp"] + row["fp"] + row["fn"] + row["tn"]
    water = 100 * (row["tp"] + row["fn"]) / pixels
    found = f"IoU {row['iou']:.3f}" if row["tp"] + row["fn"] else f"dry, false water {100 * row['false_water']:.2f} %"
    return f"{name}  {water:.1f} % water  {found}"
