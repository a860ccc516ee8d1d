"""Options that several commands share. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Units

OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", help="Folder of a sealed model; by default the model in service, or the shipped one if none is."
    ),
]
UnitsOption = Annotated[
    Units | None,
    typer.Option("--units", help="Unit of the pixel values, if it cannot be recognised."),
]
BandsOption = Annotated[
    str | None,
    typer.Option("--bands", metavar="N[,N]", help="Bands to read, VV first, if their names do not say it: 1 or 1,2."),
]
DenoiseOption = Annotated[
    bool,
    typer.Option(
        "--denoise/--no-denoise", help="Subtract the thermal noise from digital numbers, with the product's own tables."
    ),
]
TileOption = Annotated[int, typer.Option("--tile", help="Tile side in pixels.")]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        help="Probability from which a pixel is water, instead of the model's threshold; the area then has no interval "
        "of the model.",
    ),
]
OverlapOption = Annotated[int, typer.Option("--overlap", help="Overlap of neighbouring tiles in pixels.")]
MinAreaOption = Annotated[
    float,
    typer.Option("--min-area-ha", help="Map water areas below this size as dry; in steps of 0.1 ha, 0 keeps all."),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace files of another scene that have the same names.")
]
# Whether a scene can be read is found when it is read: one bad file must not stop the others.
VVOption = Annotated[
    Path | None, typer.Option("--vv", help="The VV file of a scene that has one file per polarisation.", readable=False)
]
VHOption = Annotated[
    Path | None, typer.Option("--vh", help="The VH file of a scene that has one file per polarisation.", readable=False)
]
PresentOnlyOption = Annotated[
    bool, typer.Option("--present-only", help="Score the chips of a partial copy; the card says how many are missing.")
]


def band_numbers(text: str | None) -> tuple[int, ...]:
    """Return the numbers in the value of `--bands`; an empty tuple when it is not given.

    Raises:
        InputError: They are not one or two whole numbers from 1 on.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not 1 <= len(parts) <= 2 or not all(part.isascii() and part.isdecimal() and int(part) for part in parts):
        raise InputError("--bands", f"cannot be {text!r}", "Give one or two band numbers from 1 on, VV first: 1 or 1,2")
    return tuple(map(int, parts))
