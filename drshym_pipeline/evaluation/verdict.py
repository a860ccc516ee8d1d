"""Whether a candidate is better than the model that it would replace: a pure function of counts.

A verdict is data; other modules decide what is done with it. Models are compared on the same pixels of the same chips,
by a paired bootstrap over events and their chips. One model is better only if the whole interval of the difference is
on one side of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drshym_pipeline.assessment.metrics import COUNT_NAMES, ConfusionCounts, Metric
from drshym_pipeline.assessment.paired import PairedDifference, paired_difference
from drshym_pipeline.records import counted
from drshym_pipeline.settings import Floors

Word = Literal["better", "not distinguishable", "worse", "broken"]

# The first of these words that one of several verdicts has decides.
_BY_WEIGHT: Final[tuple[Word, ...]] = ("worse", "better")
_SUMMARY: Final[dict[Word, str]] = {
    "worse": "Worse on scenes with some bands",
    "better": "Better on scenes with some bands and worse on none",
    "not distinguishable": "Neither better nor worse on scenes with any bands",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One word, the reason, and the figures behind it.

    Args:
        word: `better` or `worse` when the interval of the difference is on one side of zero, `broken` when the
            candidate must not be used, else `not distinguishable`.
        reason: One sentence with the figures.
        difference: Figure of the candidate minus that of the other model; None when nothing was compared.
        metric: The figure that was compared.
    """

    word: Word
    reason: str
    difference: PairedDifference | None = None
    metric: Metric = "iou"

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as a JSON value."""
        return asdict(self)


def verdict(
    candidate: pd.DataFrame,
    in_service: pd.DataFrame,
    floors: Floors,
    *,
    finite: bool = True,
    resamples: int = 1000,
    level: float = 0.9,
) -> Verdict:
    """Judge a candidate.

    Args:
        candidate: Counts by chip (index chip; columns event, tp, fp, fn, tn), such as `Evaluation.counts`.
        in_service: Counts of the model in service on the same chips, in any order.
        floors: Pooled IoU and F1 below which the candidate is broken.
        finite: False when a weight or an output of the candidate is not finite.
        resamples: Bootstrap resamples.
        level: Level of the interval.

    Raises:
        ValueError: The two models were not scored on the same pixels of the same chips.
    """
    fault = _fault(candidate, floors, finite)
    if fault:
        return Verdict("broken", fault)
    if set(candidate.index) != set(in_service.index):
        raise ValueError("the two were not scored on the same chips")
    difference = paired_difference(
        _array(candidate),
        _array(in_service.loc[candidate.index]),
        "iou",
        list(candidate["event"]),
        resamples=resamples,
        level=level,
    )
    return judged(difference, "the model in service", "iou", level)


def joint_verdict(by_bands: Mapping[str, Verdict]) -> Verdict:
    """Return one verdict from those on scenes with different bands.

    A candidate is better if it is better on scenes with some bands and worse on none: users with scenes of VV alone
    must not lose what other users gain. It is worse if it is worse on scenes with some bands. If one verdict is
    `broken`, it is returned.

    Args:
        by_bands: The verdicts by the bands of the scenes, such as `VV alone`; at least one.
    """
    found = list(by_bands.values())
    broken = next((verdict for verdict in found if verdict.word == "broken"), None)
    if broken is not None or len(found) == 1:
        return broken or found[0]
    words = [verdict.word for verdict in found]
    word: Word = next((name for name in _BY_WEIGHT if name in words), "not distinguishable")
    parts = (
        f"with {bands}: {item.word}, {item.reason[0].lower()}{item.reason[1:-1]}" for bands, item in by_bands.items()
    )
    return Verdict(word, f"{_SUMMARY[word]}; {'; '.join(parts)}.", found[0].difference, found[0].metric)


def _array(counts: pd.DataFrame) -> NDArray[np.int64]:
    array: NDArray[np.int64] = counts[list(COUNT_NAMES)].to_numpy(dtype=np.int64)
    return array


def _fault(counts: pd.DataFrame, floors: Floors, finite: bool) -> str | None:
    """Return why a candidate must not be used; None when it may be used."""
    if not finite:
        return "A weight or an output of the network is not finite."
    pooled = ConfusionCounts(*(int(n) for n in _array(counts).sum(axis=0)))
    for name, figure, floor in (("IoU", pooled.iou, floors.iou), ("F1", pooled.f1, floors.f1)):
        if figure is None:
            return f"The pooled {name} is not defined: there is no water among {pooled.pixels} scored pixels."
        if figure < floor:
            return f"The pooled {name} {figure:.3f} is below the floor {floor:.3f}."
    return None


def _resampled(difference: PairedDifference) -> str:
    """Return over what an interval was resampled, with the numbers."""
    if difference.events == 1:
        return f"the {counted(difference.chips, 'chip')} of one event"
    return f"{counted(difference.events, 'event')} and their {counted(difference.chips, 'chip')}"


def judged(
    difference: PairedDifference, other: str, metric: Metric, level: float, *, figure: str = "Pooled"
) -> Verdict:
    """Return the verdict for a paired difference.

    Args:
        difference: Figure of the candidate minus that of the other model.
        other: Name of the other model in the reason.
        metric: The figure that was compared.
        level: Level of the interval.
        figure: How the chips were combined, as the first word of a sentence.
    """
    name = {"iou": "IoU", "f1": "F1"}.get(metric, metric.replace("_", " "))
    if difference.value is None:
        reason = f"{figure} {name} cannot be compared with that of {other}: one of the two is not defined."
        return Verdict("not distinguishable", reason, difference, metric)
    differs = f"{figure} {name} differs from that of {other} by {difference.value:+.3f}"
    if difference.low is None or difference.high is None:
        reason = f"{differs}, but the chips or events that count in it are too few for an interval."
        return Verdict("not distinguishable", reason, difference, metric)
    word: Word = "better" if difference.low > 0 else "worse" if difference.high < 0 else "not distinguishable"
    reason = (
        f"{differs} ({100 * level:.0f} % interval {difference.low:+.3f} to {difference.high:+.3f} "
        f"over {_resampled(difference)})."
    )
    return Verdict(word, reason, difference, metric)
