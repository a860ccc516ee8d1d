"""The commands that score: `evaluate` one model quickly, `benchmark` several models on several sets, fit a `baseline`.

The scores and cards are made in `evaluation`.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from drshym_pipeline.commands.options import CheckpointOption, OutOption, PresentOnlyOption
from drshym_pipeline.console import result_line, shown_progress
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Record
from drshym_pipeline.settings import TrainConfig, load_config
from drshym_pipeline.storage import output_directory, read_json

_DATA_HELP = (
    "Folder of a labelled set; the layout of the folder shows which set it is. "
    "real_land is the set that comes with the package."
)


class Bands(StrEnum):
    """Values of a repeatable --mode, as the option parser does not accept a list of literals."""

    AUTO = "auto"
    VV = "vv"
    VV_VH = "vv_vh"


_MODES: dict[Bands, Literal["auto", "vv", "vv_vh"]] = {Bands.AUTO: "auto", Bands.VV: "vv", Bands.VV_VH: "vv_vh"}


def evaluate(
    *,
    data: Annotated[Path, typer.Option("--data", help=_DATA_HELP)],
    checkpoint: CheckpointOption = None,
    split: Annotated[
        str, typer.Option("--split", help="Split, such as valid, test, bolivia or hard, or an event or place.")
    ] = "test",
    mode: Annotated[
        Literal["auto", "vv", "vv_vh"], typer.Option("--mode", help="Bands; auto uses VH if there is one.")
    ] = "auto",
    present_only: PresentOnlyOption = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the card and the tables.")] = None,
) -> Record:
    """Score a model on labelled chips, with intervals and baselines."""
    from drshym_pipeline.commands.result_documents import EvaluateDocument
    from drshym_pipeline.datasets.open_set import detect_set
    from drshym_pipeline.datasets.provenance import provenance_of
    from drshym_pipeline.evaluation.card import markdown
    from drshym_pipeline.evaluation.evaluate import evaluate as score
    from drshym_pipeline.evaluation.files import write_evaluation
    from drshym_pipeline.evaluation.samples import note_on_absent
    from drshym_pipeline.model.choice import choose_model

    chips = detect_set(data)
    refs = chips.chips(split, present_only=present_only)
    bundle = choose_model(checkpoint).bundle
    with nullcontext() if out is None else output_directory(out):
        with shown_progress(bundle.name) as progress:
            evaluation = score(bundle, refs, mode=mode, provenance=provenance_of(chips, refs), progress=progress)
        if present_only and (note := note_on_absent(chips, split)):
            evaluation = replace(evaluation, notes=(note, *evaluation.notes))
        paths = {} if out is None else write_evaluation(evaluation, out)
    result_line(markdown(evaluation))
    return EvaluateDocument(
        evaluation={name: value for name, value in evaluation.to_dict().items() if name != "logits"},
        files=tuple(str(path.absolute()) for path in paths.values()),
    )


def benchmark(
    *,
    data: Annotated[list[Path], typer.Option("--data", help=f"{_DATA_HELP} Repeat it for more sets.")],
    out: OutOption,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            help="Folder of a sealed model: first the model of the card, then other seeds of its recipe. "
            "By default the model in service, or the shipped one if none is.",
        ),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option("--compare", metavar="NAME=BUNDLE", help="Another network, scored on the same pixels."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="Split, used for every set that has it; test by default. Repeatable."),
    ] = None,
    mode: Annotated[
        list[Bands] | None,
        typer.Option("--mode", help="Bands, repeatable; by default all bands of a set, and VV alone too if it has VH."),
    ] = None,
    present_only: PresentOnlyOption = False,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", help="CSV file to which every evaluation adds a line; for chips kept for reporting only."
        ),
    ] = None,
) -> Record:
    """Write the whole card of a model: seeds, opponents, calibration, shores, areas, pictures."""
    from drshym_pipeline.commands.result_documents import BenchmarkDocument
    from drshym_pipeline.evaluation.evaluation_log import append_log, check_log, log_rows
    from drshym_pipeline.evaluation.report import CARD, DATA, write_report
    from drshym_pipeline.evaluation.samples import open_samples
    from drshym_pipeline.evaluation.suite import run_suite
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.model.choice import choose_model

    named = [_named(item) for item in compare or []]
    samples = open_samples(data, split or ["test"], present_only=present_only)
    checkpoints = [ModelBundle.load(path) for path in checkpoint] if checkpoint else [choose_model().bundle]
    others = {name: ModelBundle.load(path) for name, path in named}
    if log is not None:
        check_log(log)
    with output_directory(out):
        with shown_progress() as progress:
            parts = run_suite(
                samples, checkpoints, others=others, modes=[_MODES[bands] for bands in mode or ()], progress=progress
            )
        if log is not None:
            # Before the card: chips that were scored are logged even if a picture fails afterwards.
            append_log(log, log_rows(parts))
        paths = write_report(parts, checkpoints[0], out)
    result_line(paths[CARD].read_text("utf-8").partition("\n## At a glance\n")[2].strip().partition("\n## ")[0])
    result_line(f"{paths[CARD]}")
    return BenchmarkDocument(
        benchmark=read_json(paths[DATA]), files=tuple(str(path.absolute()) for path in paths.values())
    )


def baseline(
    config: Annotated[Path, typer.Option("--config", help="Recipe whose chips the classifier is fitted on.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The JSON file to write.")],
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder of simulated chips; runs/<name>/data by default.")
    ] = None,
) -> Record:
    """Fit the pixel classifier that networks are compared with."""
    from drshym_pipeline.commands.result_documents import BaselineDocument
    from drshym_pipeline.datasets.prepare import prepare
    from drshym_pipeline.evaluation.pixel_classifier import fit, save

    recipe = load_config(config, TrainConfig)
    if out.is_dir():
        raise InputError(out, "is a folder", "Give the name of a JSON file")
    with shown_progress(recipe.name) as progress:
        chips = prepare(recipe.data, cache or Path("runs") / recipe.name / "data", progress)
        fitted = fit(
            chips.chips("train", recipe.data.labels),
            chips.chips("valid"),
            name=recipe.name,
            sha256=chips.sha256(),
            seed=recipe.seed,
            progress=progress,
        )
    save(fitted, out)
    result_line(f"{out}: {fitted.pixels:,} pixels of {fitted.chips} chips")
    return BaselineDocument(file=str(out.absolute()), pixels=fitted.pixels, chips=fitted.chips)


def _named(item: str) -> tuple[str, Path]:
    name, given, path = item.partition("=")
    if not (name.strip() and given and path):
        raise InputError("--compare", f"'{item}' is not NAME=BUNDLE", "Write it like original=runs/original/bundle")
    return name.strip(), Path(path)
