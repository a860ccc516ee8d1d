"""Area errors of scored chips by their share of water, and coverage of the intervals by size and by width.

This module only reports; the intervals are fitted in `area`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drshym_pipeline.assessment.area import SIZE_EDGES, AreaErrorModel
from drshym_pipeline.assessment.conformal import EMPTY_MAPPED
from drshym_pipeline.assessment.scene_signs import SceneSigns

# Edges between narrow, medium and wide intervals, as a multiple of the mapped area. Half of it is useful for planning;
# more than twice of it says little.
WIDTH_EDGES: Final = (0.5, 2.0)
NOTHING_MAPPED: Final = "nothing mapped"
WIDTHS: Final = ("narrow", "medium", "wide", NOTHING_MAPPED)


def chip_intervals(
    model: AreaErrorModel, predicted: NDArray[np.float64], signs: Sequence[SceneSigns | None] | None = None
) -> NDArray[np.float64]:
    """Return the area interval of each chip as a share of its scored area.

    Args:
        model: Area errors of the band mode that the chips were mapped in.
        predicted: (chips,) shares of the scored area mapped as water, in [0, 1].
        signs: The signs of each chip; None where they are not known.

    Returns:
        (chips, 2) float64, lower and upper ends.
    """
    found = signs if signs is not None else [None] * len(predicted)
    areas = [model.estimate(float(share), 1.0, sign) for share, sign in zip(predicted, found, strict=True)]
    return np.array([(area.low_km2, area.high_km2) for area in areas], dtype=np.float64).reshape(-1, 2)


def coverage_by_width(
    ends: NDArray[np.float64], predicted: NDArray[np.float64], true: NDArray[np.float64]
) -> pd.DataFrame:
    """Return how often intervals contain the truth, by their width in multiples of the mapped area.

    A model whose narrow intervals fail is worse than its total coverage says: they are the ones that readers rely on.

    Args:
        ends: (chips, 2) lower and upper ends, as `chip_intervals` returns them.
        predicted: (chips,) shares of the scored area mapped as water, in [0, 1].
        true: (chips,) shares labelled as water, in [0, 1].

    Returns:
        One row per class of `WIDTHS`; chips with at most 0.1 % mapped are the last one. The columns are `width`,
        `chips`, `coverage`, `median_width` (share of the scored area) and `median_relative_width` (multiple of the
        mapped area). Figures are Float64 and missing where a class is empty or the figure is not defined.
    """
    held = (ends[:, 0] <= true) & (true <= ends[:, 1])
    width = ends[:, 1] - ends[:, 0]
    empty = predicted <= EMPTY_MAPPED
    relative = width / np.where(empty, 1.0, predicted)
    index = np.where(empty, len(WIDTH_EDGES) + 1, np.searchsorted(WIDTH_EDGES, relative, side="right"))
    rows = []
    for turn, name in enumerate(WIDTHS):
        inside = index == turn
        some = bool(inside.any())
        rows.append(
            {
                "width": name,
                "chips": int(np.count_nonzero(inside)),
                "coverage": float(np.mean(held[inside])) if some else None,
                "median_width": float(np.median(width[inside])) if some else None,
                "median_relative_width": float(np.median(relative[inside])) if some and name in WIDTHS[:-1] else None,
            }
        )
    figures = ["coverage", "median_width", "median_relative_width"]
    return pd.DataFrame(rows).astype(dict.fromkeys(figures, "Float64"))


def interval_holds(
    model: AreaErrorModel,
    predicted: NDArray[np.float64],
    true: NDArray[np.float64],
    signs: Sequence[SceneSigns | None] | None = None,
) -> NDArray[np.bool_]:
    """Return whether the area interval of each chip contains its true water area.

    Args:
        model: Area errors of the band mode that the chips were mapped in.
        predicted: (chips,) shares of the scored area mapped as water, in [0, 1].
        true: (chips,) shares labelled as water, in [0, 1].
        signs: The signs of each chip; None where they are not known.

    Returns:
        (chips,) bool.

    Raises:
        ValueError: The arrays differ in length.
    """
    if len(predicted) != len(true):
        raise ValueError(f"{len(predicted)} predicted shares and {len(true)} true ones")
    ends = chip_intervals(model, predicted, signs)
    held: NDArray[np.bool_] = (ends[:, 0] <= true) & (true <= ends[:, 1])
    return held


def area_error_by_size(
    predicted: NDArray[np.float64],
    true: NDArray[np.float64],
    held: NDArray[np.bool_] | None = None,
    edges: tuple[float, ...] = SIZE_EDGES,
) -> pd.DataFrame:
    """Return the area errors of chips by their true share of water.

    Args:
        predicted: (chips,) shares of the scored area mapped as water, in [0, 1].
        true: (chips,) shares labelled as water, in [0, 1].
        held: (chips,) bool, whether the interval contains the truth, see `interval_holds`; None without intervals.
        edges: Rising edges between the classes, in (0, 1); a share on an edge belongs to the upper class.

    Returns:
        One row per class, from small to large. Chips without any water are a class of their own before the others. The
        columns are `low` and `high` (edges, both 0 for no water), `chips`, `median_absolute_error` (of the share),
        `bias` (mean of predicted - true), `median_relative_error` (absolute error divided by the true share) and
        `coverage` (share of the chips whose interval contains the truth). Figures are Float64 and missing where a class
        is empty or the figure is not defined.

    Raises:
        ValueError: The arrays differ in length.
    """
    if not len(predicted) == len(true) == (len(true) if held is None else len(held)):
        raise ValueError(f"{len(predicted)} predicted shares and {len(true)} true ones")
    low, high = (0.0, 0.0, *edges), (0.0, *edges, 1.0)
    error = np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)
    index = np.where(true > 0.0, 1 + np.searchsorted(np.asarray(edges), true, side="right"), 0)
    rows = []
    for turn in range(len(low)):
        inside = index == turn
        wet = inside & (true > 0.0)
        rows.append(
            {
                "low": low[turn],
                "high": high[turn],
                "chips": int(np.count_nonzero(inside)),
                "median_absolute_error": float(np.median(np.abs(error[inside]))) if inside.any() else None,
                "bias": float(np.mean(error[inside])) if inside.any() else None,
                "median_relative_error": float(np.median(np.abs(error[wet]) / true[wet])) if wet.any() else None,
                "coverage": float(np.mean(held[inside])) if held is not None and inside.any() else None,
            }
        )
    frame = pd.DataFrame(rows)
    figures = ["median_absolute_error", "bias", "median_relative_error", "coverage"]
    return frame.astype(dict.fromkeys(figures, "Float64"))
