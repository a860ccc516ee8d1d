"""Measure whether real 8-bit sets help in training: every real event is held out once.

`python -m experiments leave-one-out --data REAL_ROOT --out FILE.json --steps N`

With the same number of steps a network is trained (a) on simulated chips alone and (b) on the same chips and all real
events except the one that is held out. Both map the held-out event, each with its own operating point. The floods of
OMBRIA are held out in two groups, those of 2021 and all others, because most of its tiles do not say which flood they
show. Fits are kept in a folder beside FILE and are not repeated; an interrupted fit is continued. FILE contains every
figure, FILE.md the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drshym_pipeline.assessment.metrics import COUNT_NAMES, bootstrap_mean, bootstrap_score
from drshym_pipeline.assessment.paired import paired_difference, paired_mean_difference
from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.labelled_set import LabelledSet, leave_one_event_out
from drshym_pipeline.datasets.open_set import SetKind, open_labelled_set
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.evaluate import evaluate
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.settings import SourceConfig, TrainConfig, load_config
from drshym_pipeline.storage import write_json, write_text
from experiments import fits
from experiments.paths import SIMULATED_RECIPE

KINDS: tuple[SetKind, ...] = ("etci2021", "emsr763", "ombria")
SIMULATED = "simulated"


@dataclass(frozen=True)
class Plan:
    """The settings that are the same in all fits.

    Args:
        recipe: Recipe of every fit, with its steps; its own sources are not used.
        share: Share of real crops in all crops of a mixed fit; it is divided evenly among the sets.
        label_weight: Weight of real labels in the loss.
        most: Largest number of chips of a held-out event that are scored; they are drawn evenly.
    """

    recipe: TrainConfig
    share: float = 0.3
    label_weight: float = 0.5
    most: int = 200


def open_sets(root: Path) -> dict[SetKind, LabelledSet]:
    """Open the real 8-bit sets below a folder.

    Raises:
        InputError: The folder has none of the sets, or a set does not have its layout.
    """
    found: dict[SetKind, LabelledSet] = {
        kind: open_labelled_set(kind, root / kind) for kind in KINDS if (root / kind).is_dir()
    }
    if not found:
        raise InputError(root, "holds none of the real 8-bit sets", f"Expected one of the folders {', '.join(KINDS)}")
    return found


def groups_of(sets: Mapping[SetKind, LabelledSet]) -> dict[str, str]:
    """Return the group of each event that is too small, or not known well enough, to be held out alone."""
    ombria = sets.get("ombria")
    events = ombria.events() if ombria else ()
    return {event: "ombria-unnamed" if event == "unnamed" else "ombria-2021" for event in events}


def sources_without(sets: Mapping[SetKind, LabelledSet], kept: Sequence[ChipRef], plan: Plan) -> list[SourceConfig]:
    """Return the training sources of the events that are not held out."""
    events = {ref.event for ref in kept}
    used = {
        kind: names for kind, data in sets.items() if (names := tuple(name for name in data.events() if name in events))
    }
    return [
        SourceConfig.model_validate(
            {
                "kind": kind,
                "root": sets[kind].root,
                "weight": plan.share / len(used),
                "label_weight": plan.label_weight,
                "events": names,
            }
        )
        for kind, names in used.items()
    ]


def thin(refs: Sequence[ChipRef], most: int) -> list[ChipRef]:
    """Return at most `most` chips, spread evenly over the list."""
    chosen = np.unique(np.linspace(0, len(refs) - 1, min(most, len(refs))).round().astype(int))
    return [refs[index] for index in chosen]


def fit(plan: Plan, folder: Path, sources: Sequence[SourceConfig], progress: Progress = silent) -> ModelBundle:
    """Return the sealed network of a fit; it is trained if it does not exist yet.

    Args:
        plan: The settings of all fits.
        folder: Folder with the simulated chips of all fits and one folder per fit.
        sources: Real events to train on as well.
        progress: Called after every step.

    Raises:
        InputError: The folder holds a fit with other settings, or a chip cannot be used.
    """
    held = sorted(event for source in sources for event in source.events)
    own = folder / "-".join([SIMULATED, *held])
    recipe = plan.recipe.model_copy(
        update={"data": plan.recipe.data.model_copy(update={"sources": tuple(sources)}), "name": "leave-one-out"}
    )
    return fits.fit(recipe, folder, own, progress)


def compare(alone: pd.DataFrame, mixed: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of both fits on the same chips, and their difference."""
    before, after = (frame[list(COUNT_NAMES)].to_numpy(np.int64) for frame in (alone, mixed))
    events = list(alone["event"])
    rows: dict[str, Any] = {}
    for name, counts in (("simulation", before), ("with_real_events", after)):
        rows[name] = {
            "pooled_iou": bootstrap_score(counts, "iou", events).model_dump(mode="json"),
            "mean_wet_iou": bootstrap_mean(counts, "iou", events).model_dump(mode="json"),
        }
    rows["difference"] = {
        "pooled_iou": asdict(paired_difference(after, before, "iou", events)),
        "mean_wet_iou": asdict(paired_mean_difference(after, before, "iou", events)),
    }
    return rows


def leave_one_out(
    sets: Mapping[SetKind, LabelledSet], plan: Plan, folder: Path, *, progress: Progress = silent
) -> Iterator[dict[str, Any]]:
    """Compare the two fits on every event or group, one after the other."""
    folds = list(leave_one_event_out(list(sets.values()), groups_of(sets)))
    if len(folds) == 1:
        raise InputError(folds[0][0], "is the only real event", "Give at least two, so that one can be held out")
    alone = fit(plan, folder, (), progress)
    for event, kept, held_out in folds:
        sources = sources_without(sets, kept, plan)
        mixed = fit(plan, folder, sources, progress)
        refs = thin(held_out, plan.most)
        scores = [evaluate(bundle, refs, progress=progress).counts for bundle in (alone, mixed)]
        yield {"event": event, "chips": len(refs), "steps": plan.recipe.training.max_steps, **compare(*scores)}


def table_markdown(rows: Sequence[Mapping[str, Any]], plan: Plan) -> str:
    """Return the rows as a Markdown table; figures have 90 % bootstrap intervals over the chips of one event."""
    lines = [
        f"{plan.recipe.training.max_steps} steps per fit, seed {plan.recipe.seed}; {plan.share:.0%} of the crops of a "
        f"mixed fit are real, and their labels have the weight {plan.label_weight:g}. There is one fit of each kind; "
        "another seed would give other figures. Tiles of one event are neighbours, so intervals over tiles are "
        "narrower than intervals over events.",
        "",
        "| held out | chips | figure | simulation alone | with the other real events | difference |",
        "|---|---|---|---|---|---|",
    ]
    titles = {"pooled_iou": "IoU, pooled", "mean_wet_iou": "IoU, mean over wet chips"}
    for row in rows:
        for figure, title in titles.items():
            cells = [fits.figure_text(row[part][figure]) for part in ("simulation", "with_real_events")]
            cells.append(fits.figure_text(row["difference"][figure], "+"))
            lines.append(f"| {row['event']} | {row['chips']} | {title} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> None:
    """Parse the options, run the comparison, and write the table after every event."""
    parser = argparse.ArgumentParser(prog="python -m experiments leave-one-out", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds etci2021, emsr763 and ombria")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; fits go to a folder beside it")
    parser.add_argument("--steps", type=int, default=300, help="optimiser steps of every fit")
    parser.add_argument("--config", type=Path, default=SIMULATED_RECIPE, help="recipe of all fits")
    parser.add_argument("--share", type=float, default=Plan.share, help="real share of the crops of a mixed fit")
    parser.add_argument("--label-weight", type=float, default=Plan.label_weight, help="weight of real labels")
    parser.add_argument("--most", type=int, default=Plan.most, help="chips of an event that are scored")
    options = parser.parse_args(arguments)
    recipe = load_config(options.config, TrainConfig)
    training = recipe.training.model_copy(update={"max_steps": options.steps})
    plan = Plan(recipe.model_copy(update={"training": training}), options.share, options.label_weight, options.most)

    rows: list[dict[str, Any]] = []
    for row in leave_one_out(open_sets(options.data), plan, options.out.with_suffix(""), progress=fits.print_progress):
        rows.append(row)
        write_json(options.out, rows)
        write_text(options.out.with_suffix(".md"), table_markdown(rows, plan))
    print(table_markdown(rows, plan))
