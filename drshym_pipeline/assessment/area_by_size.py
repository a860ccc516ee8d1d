"""Area errors of scored chips by their share of water: size and sign of the errors, and coverage of the interval.

This module only reports; the intervals are fitted in `area`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drshym_pipeline.assessment.area import SIZE_EDGES, AreaErrorModel


def interval_holds(
    model: AreaErrorModel, predicted: NDArray[np.float64], true: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return whether the area interval of each chip contains its true water area.

    Args:
        model: Area errors of the band mode that the chips were mapped in.
        predicted: (chips,) shares of the scored area mapped as water, in [0, 1].
        true: (chips,) shares labelled as water, in [0, 1].

    Returns:
        (chips,) bool.
    """
    areas = [(model.estimate(float(share), 1.0), truth) for share, truth in zip(predicted, true, strict=True)]
    return np.array([area.low_km2 <= truth <= area.high_km2 for area, truth in areas], dtype=bool)


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
