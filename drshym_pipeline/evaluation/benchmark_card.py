"""The card of a whole benchmark as Markdown: all data sets, modes, seeds and compared methods. Layout only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drshym_pipeline.evaluation import sections
from drshym_pipeline.evaluation.card import preamble, summary
from drshym_pipeline.evaluation.comparison import Comparison
from drshym_pipeline.evaluation.evaluation import Evaluation
from drshym_pipeline.evaluation.suite import Part
from drshym_pipeline.evaluation.tables import figure, join, table, text


def benchmark_markdown(
    parts: Sequence[Part], comparisons: Sequence[Mapping[str, Comparison]], pictures: Sequence[Mapping[str, str]]
) -> str:
    """Return the card as Markdown that ends with a newline.

    Args:
        parts: The scored parts, all with the same checkpoints.
        comparisons: For each part, the comparisons by the name of the other method.
        pictures: For each part, the paths of the pictures relative to the card, by title.
    """
    first = parts[0].first
    model = first.model
    return join(
        [
            f"# Benchmark of {model['name']} {model['version']}",
            preamble(first),
            _models(parts[0]),
            f"## At a glance\n\n{_overview(parts, comparisons)}",
            *(
                paragraph
                for part, found, shown in zip(parts, comparisons, pictures, strict=True)
                for paragraph in _part(part, found, shown)
            ),
        ]
    )


def _models(part: Part) -> str:
    rows = [
        [
            role,
            f"{found.model['name']} {found.model['version']}",
            f"`{found.model['sha256'][:12]}`",
            found.model.get("training", ""),
        ]
        for role, found in _roles(part)
    ]
    return table(["", "checkpoint", "sha256", "trained on"], rows)


def _roles(part: Part) -> list[tuple[str, Evaluation]]:
    seeds = [("this model" if place == 0 else f"seed {place + 1}", found) for place, found in enumerate(part.seeds)]
    return [*seeds, *part.others.items()]


def _overview(parts: Sequence[Part], comparisons: Sequence[Mapping[str, Comparison]]) -> str:
    rows = []
    for part, found in zip(parts, comparisons, strict=True):
        first, spread = part.first, part.spread()
        words = [sum(item.pooled.word == word for item in found.values()) for word in ("better", "worse")]
        wet = [sum(item.wet_chips.word == word for item in found.values()) for word in ("better", "worse")]
        rows.append(
            [
                part.title,
                len(first.counts),
                text(first.scores["iou"]),
                text(first.mean_chip_iou),
                f"{figure(spread['mean IoU of wet chips'].mean)} of {len(part.seeds)}",
                figure(spread["ECE, equal width"].figures[0]),
                text(first.scores["false_water"]),
                f"{words[0]} better, {words[1]} worse of {len(found)}",
                f"{wet[0]} better, {wet[1]} worse of {len(found)}",
            ]
        )
    head = ["data", "chips", "pooled IoU", "mean IoU of wet chips", "its mean over seeds", "ECE", "false water"]
    return table([*head, "against the others, by the pool", "by wet chips"], rows)


def _part(part: Part, comparisons: Mapping[str, Comparison], pictures: Mapping[str, str]) -> list[str]:
    first = part.first
    flood, unscored = sections.flood_alone(first), sections.unscored(first)
    return [
        f"## {part.title}\n\n{summary(first)}",
        sections.warnings(first),
        "### Seeds" if len(part.seeds) > 1 else "### One seed\n\nThe difference to other seeds is not known.",
        _spread(part),
        f"### Against other methods\n\n{sections.scores(first, comparisons, part.others)}",
        flood and f"### Flood alone\n\nWithout the pixels of permanent water.\n\n{flood}",
        f"### By event\n\n{sections.by_event(first)}",
        f"### Calibration\n\n{sections.calibration(first)}\n\n{sections.calibration_by_event(first)}",
        f"### Shores and water bodies\n\n{sections.shapes(first)}",
        f"### Areas\n\n{sections.areas(first)}",
        f"### Chips without water\n\n{sections.dry_chips(first)}",
        f"### Slices\n\n{sections.slices(first)}",
        f"### Every chip\n\n{sections.chips(first)}",
        unscored and f"### Not scored\n\n{unscored}",
        *(f"![{title}]({path})" for title, path in pictures.items()),
    ]


def _spread(part: Part) -> str:
    rows = []
    for title, spread in part.spread().items():
        values = [figure(value) for value in spread.figures]
        if len(values) > 1:
            low, high = (min(spread.known), max(spread.known)) if spread.known else (None, None)
            values += [figure(spread.mean), figure(spread.deviation), f"{figure(low)} to {figure(high)}"]
        rows.append([title, *values])
    names = [role for role, _ in _roles(part)][: len(part.seeds)]
    more = ["mean", "standard deviation", "range"] if len(part.seeds) > 1 else []
    return table(["", *names, *more], rows)
