"""The command `convert-checkpoint`: a checkpoint of the original system as a sealed model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from drshym_pipeline.commands.options import OutOption
from drshym_pipeline.console import result_line
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Record
from drshym_pipeline.storage import output_directory


def convert_checkpoint(
    *,
    source: Annotated[Path, typer.Argument(help="A checkpoint of the original system, such as best.pt.")],
    out: OutOption,
    encoder: Annotated[str | None, typer.Option("--encoder", help="Its encoder, if it is not a plain ResNet.")] = None,
    bands: Annotated[
        Literal["vv", "vv_vh"] | None, typer.Option("--bands", help="Its bands, if it has more than one.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Threshold of the map; by default that of the original system.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the model.")] = None,
) -> Record:
    """Convert a checkpoint of the original system (such as best.pt) into a sealed model; no code in it is run."""
    from drshym_pipeline.commands.result_documents import ConvertDocument, SealedModel
    from drshym_pipeline.training.convert import ORIGINAL_THRESHOLD
    from drshym_pipeline.training.convert import convert_checkpoint as convert

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(out, "exists already and is not empty", "Choose a new folder")
    chosen = ORIGINAL_THRESHOLD if threshold is None else threshold
    with output_directory(out):
        bundle = convert(source, out, encoder=encoder, bands=bands, threshold=chosen, name=name)
    result_line(f"{bundle.name} {bundle.version} in {out} (sha256 {bundle.sha256})")
    return ConvertDocument(
        model=SealedModel(
            name=bundle.name,
            version=bundle.version,
            sha256=bundle.sha256,
            folder=str(out.absolute()),
            calibration=bundle.calibration,
        )
    )
