"""The card of one evaluation as Markdown: which parts it has, in which order. Their tables are in `sections`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drshym_pipeline.evaluation import sections
from drshym_pipeline.evaluation.comparison import compare_all
from drshym_pipeline.evaluation.tables import join, text
from drshym_pipeline.records import NO_INTERVAL, counted

if TYPE_CHECKING:
    from drshym_pipeline.evaluation.evaluation import Evaluation


def markdown(evaluation: Evaluation) -> str:
    """Return the card as Markdown that ends with a newline."""
    model, unscored, flood = evaluation.model, sections.unscored(evaluation), sections.flood_alone(evaluation)
    return join(
        [
            f"# {model['name']} {model['version']} on {evaluation.data}",
            f"Model `{model['sha256'][:12]}`. {preamble(evaluation)}",
            sections.warnings(evaluation),
            f"## Scores\n\n{summary(evaluation)}",
            sections.scores(evaluation, compare_all(evaluation)),
            flood and f"## Flood alone\n\nWithout the pixels of permanent water.\n\n{flood}",
            f"## By event\n\n{sections.by_event(evaluation)}",
            f"## Calibration\n\nOf the probability of water, before and after scaling.\n\n"
            f"{sections.calibration(evaluation)}",
            f"## Shores and water bodies\n\n{sections.shapes(evaluation)}",
            f"## Areas\n\n{sections.areas(evaluation)}",
            f"## Slices\n\n{sections.slices(evaluation)}",
            unscored and f"## Not scored\n\n{unscored}",
        ]
    )


def preamble(evaluation: Evaluation) -> str:
    """Return the paragraph that explains the figures of a card."""
    return (
        "Water is the positive class; pixels that are labelled unknown or were not observed are not scored, and every "
        "method is scored on the same pixels. Intervals: "
        f"{100 * evaluation.level:.0f} %, bootstrap over {evaluation.resampling} ({evaluation.resamples} resamples); "
        "those of one event alone are over its chips. A figure in which only one event, or only one chip of a single "
        f"event, counts has {NO_INTERVAL}. "
        '"False water" is the share of dry pixels mapped as water; wet chips are those with a labelled water pixel. '
        "`better`, `worse` and `not distinguishable` compare this model with the method of the row, by a paired "
        "bootstrap of the difference beside them. A ceiling was chosen with the truth, so it is not compared."
    )


def summary(evaluation: Evaluation) -> str:
    """Return one paragraph that says how many pixels and chips were scored."""
    wet, dry = evaluation.mean_chip_iou.chips, len(evaluation.dry_chips())
    return (
        f"{counted(evaluation.pooled.pixels, 'pixel')} of {counted(len(evaluation.counts), 'chip')}, "
        f"{wet} with water and {dry} dry. "
        f"Mean IoU of the chips that have water: {text(evaluation.mean_chip_iou)}."
    )
