"""Options that several commands share, and the model they mean. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drshym_pipeline.settings import PipelineSettings

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.records import ModelReference

OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
CheckpointOption = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="A sealed model; by default the one in service, else the shipped one."),
]
PresentOnlyOption = Annotated[
    bool, typer.Option("--present-only", help="Score what is there of a partial copy; the card says how much is not.")
]


def choose_model(checkpoint: Path | None) -> tuple[ModelBundle, ModelReference]:
    """The model to use: the named one, else the one in service, else the shipped one.

    Raises:
        InputError: It cannot be loaded.
    """
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.model.service_record import model_in_service

    if checkpoint is None:
        return model_in_service(PipelineSettings.from_environment().store_path)
    bundle = ModelBundle.load(checkpoint)
    return bundle, bundle.reference("checkpoint")
