"""Comparison of a model with every other method on the same pixels, by pooled pixels and by the chips that have water.

Pooled pixels are decided by the largest floods, the chips by most of the floods. Both verdicts are reported. The oracle
thresholds are not compared with the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from drshym_pipeline.assessment.paired import paired_difference, paired_mean_difference
from drshym_pipeline.evaluation.baselines import TITLES
from drshym_pipeline.evaluation.evaluation import Evaluation, count_array
from drshym_pipeline.evaluation.verdict import Verdict, judged


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both verdicts on a model against one other method.

    Args:
        pooled: Verdict by the IoU pooled over pixels.
        wet_chips: Verdict by the mean IoU over the chips that have water.
    """

    pooled: Verdict
    wet_chips: Verdict

    def to_dict(self) -> dict[str, Any]:
        """Return both verdicts as a JSON value."""
        return {"pooled": self.pooled.to_dict(), "wet_chips": self.wet_chips.to_dict()}


def compare(evaluation: Evaluation, counts: pd.DataFrame, other: str) -> Comparison:
    """Compare a model with any method that was scored on the same chips.

    Args:
        evaluation: Evaluation of the model.
        counts: Counts of the other method, indexed by chip, in any order.
        other: Name of the other method.

    Raises:
        ValueError: Model and method were not scored on the same pixels of the same chips.
    """
    if set(evaluation.counts.index) != set(counts.index):
        raise ValueError("the two were not scored on the same chips")
    here, there = count_array(evaluation.counts), count_array(counts.loc[evaluation.counts.index])
    events = list(evaluation.counts["event"])
    options: dict[str, Any] = {"resamples": evaluation.resamples, "level": evaluation.level}
    pooled = paired_difference(here, there, "iou", events, **options)
    wet = paired_mean_difference(here, there, "iou", events, **options)
    return Comparison(
        judged(pooled, other, "iou", evaluation.level),
        judged(wet, other, "iou", evaluation.level, figure="Mean"),
    )


def compare_all(evaluation: Evaluation, others: Mapping[str, Evaluation] | None = None) -> dict[str, Comparison]:
    """Compare a model with its baselines and with other networks.

    Args:
        evaluation: Evaluation of the model.
        others: Evaluations of other models on the same chips, by name.

    Returns:
        The comparisons, by the title of the baseline or the name of the other model.
    """
    opponents = {TITLES[name]: counts for name, counts in evaluation.baselines.items()}
    opponents |= {name: other.counts for name, other in (others or {}).items()}
    return {name: compare(evaluation, counts, name) for name, counts in opponents.items()}
