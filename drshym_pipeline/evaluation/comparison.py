"""A model against every other method on the same pixels: by the pool, and by the chips that have water.

The pool is what one large flood says, the chips are what most floods say: a method is better only where its word says
so, and both words are told. The oracle thresholds are no opponents and are compared with nothing.
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
    """Both words on one opponent.

    Args:
        pooled: By the IoU pooled over pixels.
        wet_chips: By the mean IoU over the chips that have water.
    """

    pooled: Verdict
    wet_chips: Verdict

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"pooled": self.pooled.to_dict(), "wet_chips": self.wet_chips.to_dict()}


def compare(evaluation: Evaluation, counts: pd.DataFrame, other: str) -> Comparison:
    """Compare a model with any method that was scored on the same chips.

    Args:
        evaluation: Of the model.
        counts: Of the other method, indexed by chip, in any order.
        other: What to call it.

    Raises:
        ValueError: The two were not scored on the same pixels of the same chips.
    """
    if set(evaluation.counts.index) != set(counts.index):
        raise ValueError("the two were not scored on the same chips")
    here, there = count_array(evaluation.counts), count_array(counts.loc[evaluation.counts.index])
    options: dict[str, Any] = {"resamples": evaluation.resamples, "level": evaluation.level}
    pooled = paired_difference(here, there, "iou", **options)
    wet = paired_mean_difference(here, there, "iou", **options)
    return Comparison(
        judged(pooled, other, "iou", evaluation.level),
        judged(wet, other, "iou", evaluation.level, figure="Mean"),
    )


def compare_all(evaluation: Evaluation, others: Mapping[str, Evaluation] | None = None) -> dict[str, Comparison]:
    """Compare a model with its baselines and with other networks.

    Args:
        evaluation: Of the model.
        others: Evaluations of other models on the same chips, by name.

    Returns:
        By the title of the baseline or the name of the other model.
    """
    opponents = {TITLES[name]: counts for name, counts in evaluation.baselines.items()}
    opponents |= {name: other.counts for name, other in (others or {}).items()}
    return {name: compare(evaluation, counts, name) for name, counts in opponents.items()}
