"""Measure whether the real patches of `real_land` help a network that exists: every place is held out once.

`python -m experiments leave-one-place-out --start BUNDLE --out FILE.json --steps N --share S --guard FOLDER`

For every place the network of BUNDLE is trained further on the simulated chips of a recipe and on the patches of all
other places. Then both networks map the place that is held out, each with its own operating point. The figures are the
share of dry land that is mapped as water and the share of water that is found, per place and over all places. A network
that maps less dry land as water may also miss water under wind. So every fit is scored on the chips of the guard as
well, a folder in the layout of Sen1Floods11 whose split `wind` or `hard` has such water.

Fits are kept in a folder beside FILE and are not repeated; an interrupted fit is continued. FILE contains every figure,
FILE.md the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drshym_pipeline.assessment.metrics import COUNT_NAMES, Metric, bootstrap_score
from drshym_pipeline.assessment.paired import paired_difference
from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.labelled_set import leave_one_event_out
from drshym_pipeline.datasets.real_land import RealLand
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.evaluate import evaluate
from drshym_pipeline.model.bundle import SHIPPED, ModelBundle, shipped_path
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode
from drshym_pipeline.settings import SourceConfig, TrainConfig, TrainingConfig, load_config, parse_config
from drshym_pipeline.storage import write_json, write_text
from experiments import fits
from experiments.paths import SIMULATED_RECIPE

FIGURES: dict[Metric, str] = {"false_water": "dry land mapped as water", "recall": "water found"}
GUARD_SPLITS = ("wind", "hard")
ALL_PLACES = "all places"
_BANDS = {"vv": "VV", "vv_vh": "VV+VH"}

Counts = dict[BandMode, pd.DataFrame]
"""Counts (tp, fp, fn, tn) and event of every chip, by the bands that the chips were mapped with."""


@dataclass(frozen=True)
class Plan:
    """The settings that are the same in all fits.

    Args:
        recipe: Recipe of every fit, with its steps; its own sources and its network are not used.
        start: Folder of the bundle that every fit starts from.
        share: Share of real crops in all crops.
        label_weight: Weight of the labels of real crops in the loss.
        laid_water: Share of the real crops into which simulated water is copied.
    """

    recipe: TrainConfig
    start: Path
    share: float = 0.3
    label_weight: float = 0.5
    laid_water: float = 0.0


def recipe_without(place: str, data: RealLand, plan: Plan) -> TrainConfig:
    """Return the recipe of the fit that is not trained on a place.

    Raises:
        InputError: There is no other place.
    """
    others = tuple(name for name in data.events() if name != place)
    if not others:
        raise InputError(
            data.root, f"has no other place than {place}", "Give at least two, so that one can be held out"
        )
    share = {"weight": plan.share, "label_weight": plan.label_weight, "laid_water": plan.laid_water}
    source = parse_config(
        SourceConfig,
        {"kind": "real_land", "root": data.root, "events": others, **share},
        "--share, --label-weight, --laid-water",
    )
    # The recipe's own sources and calibration sets are dropped: they may contain the place that is held out.
    chips = plan.recipe.data.model_copy(update={"sources": (source,), "calibration": ()})
    network = ModelBundle.load(plan.start).network.model_copy(update={"start": str(plan.start.resolve())})
    return plan.recipe.model_copy(update={"data": chips, "network": network, "name": "leave-one-place-out"})


def guard_chips(folder: Path) -> list[ChipRef]:
    """Return the chips with water under wind, on which a fit must not lose what its start has found.

    Args:
        folder: Folder in the layout of Sen1Floods11 with a split `wind` or, if it has none, `hard`.

    Raises:
        InputError: The folder lacks the layout, both splits or a chip.
    """
    data = Sen1Floods11(folder)
    split = next((name for name in GUARD_SPLITS if name in data.splits()), None)
    if split is None:
        raise InputError(
            folder, f"has no split {' or '.join(GUARD_SPLITS)}", f"Splits here: {', '.join(data.splits())}"
        )
    return data.chips(split)


def count(bundle: ModelBundle, refs: Sequence[ChipRef], progress: Progress = silent) -> Counts:
    """Map chips with all bands that a network can use, and count right and wrong pixels per chip."""
    return {
        mode: evaluate(bundle, refs, mode=mode, classical=False, progress=progress).counts
        for mode in bundle.calibration
    }


def compare(start: Counts, tuned: Counts) -> dict[str, Any]:
    """Return the figures of both networks on the same chips, and the change, by bands and figure."""
    return {mode: {name: _change(start[mode], tuned[mode], name) for name in FIGURES} for mode in start}


def _change(start: pd.DataFrame, tuned: pd.DataFrame, name: Metric) -> dict[str, Any]:
    before, after = (frame[list(COUNT_NAMES)].to_numpy(np.int64) for frame in (start, tuned))
    events = list(start["event"])
    return {
        "start": bootstrap_score(before, name, events).model_dump(mode="json"),
        "fine_tuned": bootstrap_score(after, name, events).model_dump(mode="json"),
        "change": asdict(paired_difference(after, before, name, events)),
    }


def leave_one_place_out(
    data: RealLand, plan: Plan, folder: Path, *, guard: Sequence[ChipRef] = (), progress: Progress = silent
) -> Iterator[list[dict[str, Any]]]:
    """Compare the start with a fit for every place.

    Args:
        data: The patches.
        plan: The settings of all fits.
        folder: Folder of the simulated chips and of all fits.
        guard: More chips to score every fit on, see `guard_chips`.
        progress: Called after every step and every chip.

    Yields:
        After every place the rows so far: one per place, and a last one over all of them, in which every place is
        mapped by the network that was not trained on it.
    """
    start = ModelBundle.load(plan.start)
    guarded = count(start, guard, progress) if guard else {}
    rows: list[dict[str, Any]] = []
    found: list[tuple[Counts, Counts, Counts]] = []
    for place, _, held_out in leave_one_event_out([data]):
        tuned = fits.fit(recipe_without(place, data, plan), folder, folder / f"without-{place}", progress)
        before, after = (count(bundle, held_out, progress) for bundle in (start, tuned))
        kept = count(tuned, guard, progress) if guard else {}
        found.append((before, after, kept))
        rows.append(_row(place, len(held_out), compare(before, after), compare(guarded, kept)))
        pooled = [_join([part[number] for part in found]) for number in range(2)]
        patches = sum(row["patches"] for row in rows)
        guards = sum_counts([guarded] * len(found)), sum_counts([kept for _, _, kept in found])
        total = _row(ALL_PLACES, patches, compare(*pooled), compare(*guards))
        yield [*rows, total]


def _row(place: str, patches: int, figures: dict[str, Any], guard: dict[str, Any]) -> dict[str, Any]:
    return {"place": place, "patches": patches, "figures": figures, "guard": guard}


def _join(parts: Sequence[Counts]) -> Counts:
    """Return the counts of several folds as one table per mode."""
    return {mode: pd.concat([part[mode] for part in parts]) for mode in parts[0]}


def sum_counts(parts: Sequence[Counts]) -> Counts:
    """Return the sums of the counts of several fits on the same chips, one row per chip.

    The rows of one chip are not independent: as several rows, they would make an interval too narrow.
    """
    names = list(COUNT_NAMES)
    return {
        mode: first.assign(**{name: sum(part[mode].loc[first.index, name] for part in parts) for name in names})
        for mode, first in parts[0].items()
    }


def table_markdown(rows: Sequence[dict[str, Any]], plan: Plan) -> str:
    """Return the rows as a Markdown table; figures have 90 % bootstrap intervals over places and their patches."""
    lines = [
        f"Start: {ModelBundle.load(plan.start).version}. {plan.recipe.training.max_steps} steps per fit, seed "
        f"{plan.recipe.seed}; {plan.share:.0%} of the crops are real, and their labels have the weight "
        f"{plan.label_weight:g}; simulated water is copied into {plan.laid_water:.0%} of them. "
        "There is one fit per place; another seed would give other figures. In the row over "
        "all places every place is mapped by the network that was not trained on it. The guard has simulated water "
        "under wind; every fit maps the same chips of it. In the row over all places the counts of all fits are added "
        "per chip of the guard, so that its interval is over chips. A place with one patch has no interval.",
        "",
        "| held out | patches | scored on | bands | figure | start | fine-tuned | change |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for scored, modes in (("held-out patches", row["figures"]), ("guard", row["guard"])):
            for mode, figures in modes.items():
                for name, title in FIGURES.items():
                    values = figures[name]
                    if values["start"]["value"] is not None:
                        lines.append(
                            f"| {row['place']} | {row['patches']} | {scored} | {_BANDS[mode]} | {title} "
                            f"| {fits.figure_text(values['start'])} | {fits.figure_text(values['fine_tuned'])} "
                            f"| {fits.figure_text(values['change'], '+')} |"
                        )
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> None:
    """Parse the options, run the comparison, and write the table after every place."""
    parser = argparse.ArgumentParser(prog="python -m experiments leave-one-place-out", description=__doc__)
    parser.add_argument("--start", type=Path, required=True, help="bundle that every fit starts from, or shipped")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; fits go to a folder beside it")
    parser.add_argument("--steps", type=int, default=300, help="optimiser steps of every fit")
    parser.add_argument("--learning-rate", type=float, default=None, help="highest learning rate; the recipe's if none")
    parser.add_argument("--config", type=Path, default=SIMULATED_RECIPE, help="recipe of all fits")
    parser.add_argument("--share", type=float, default=Plan.share, help="real share of the crops")
    parser.add_argument("--label-weight", type=float, default=Plan.label_weight, help="weight of real labels")
    parser.add_argument("--laid-water", type=float, default=Plan.laid_water, help="share of real crops that get water")
    parser.add_argument("--data", type=Path, default=None, help="another folder in the layout of real_land")
    parser.add_argument("--guard", type=Path, default=None, help="folder with a split wind or hard, to score as well")
    options = parser.parse_args(arguments)
    # The last weights are kept: validation chips are simulated, and could prefer weights that saw little real land.
    changes = {"max_steps": options.steps, "keep_best": "last"}
    if options.learning_rate is not None:
        changes["learning_rate"] = options.learning_rate
    rows: list[dict[str, Any]] = []
    try:
        recipe = load_config(options.config, TrainConfig)
        training = parse_config(TrainingConfig, recipe.training.model_dump() | changes, "--steps, --learning-rate")
        start = shipped_path() if str(options.start) == SHIPPED else options.start
        recipe = recipe.model_copy(update={"training": training})
        plan = Plan(recipe, start, options.share, options.label_weight, options.laid_water)
        guard = guard_chips(options.guard) if options.guard else []
        folder = options.out.with_suffix("")
        for rows in leave_one_place_out(
            RealLand(options.data, named="--data"), plan, folder, guard=guard, progress=fits.print_progress
        ):
            write_json(options.out, rows)
            write_text(options.out.with_suffix(".md"), table_markdown(rows, plan))
    except InputError as error:
        parser.error(str(error))
    print(table_markdown(rows, plan))
