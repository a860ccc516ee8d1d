"""Options that several commands share, and the model they mean. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
UnitsOption = Annotated[
    Literal["db", "power", "amplitude", "dn"] | None,
    typer.Option("--units", help="What the pixel values are, where it cannot be told from them."),
]
TileOption = Annotated[int, typer.Option("--tile", help="Tile side in pixels.")]
OverlapOption = Annotated[int, typer.Option("--overlap", help="Overlap of neighbouring tiles in pixels.")]
VVOption = Annotated[Path | None, typer.Option("--vv", help="The VV file of a scene with one file a polarisation.")]
VHOption = Annotated[Path | None, typer.Option("--vh", help="The VH file that belongs to --vv.")]
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
