"""The option for long-term water maps and terrain, of the commands that map scenes."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final

import typer

from drshym_pipeline.errors import InputError

VARIABLE: Final = "DRSHYM_ANCILLARY"

AncillaryOption = Annotated[
    str | None,
    typer.Option(
        "--ancillary",
        envvar=VARIABLE,
        help="Folder or s3:// address of tiles of long-term water maps and elevation, to separate flood and to exclude "
        "steep ground.",
    ),
]


def ancillary_options(place: str | None) -> dict[str, Any]:
    """Return the options of `map_scene` about long-term layers and terrain; the limits come from the environment.

    Raises:
        InputError: The place is neither a folder nor an address of tiles, or a limit is out of its range.
        UnavailableError: The bucket cannot be asked now.
    """
    if place is None:
        if VARIABLE in os.environ:  # the reader of options takes an empty variable for one that is not set
            raise InputError(VARIABLE, "is empty", "Set it to a folder or an address of tiles, or unset it")
        return {}
    from drshym_pipeline.ancillary.places import open_tiles
    from drshym_pipeline.settings import PipelineSettings

    open_tiles(place)  # a place that cannot be used is reported once, not for every scene
    return {"ancillary": place, "limits": PipelineSettings.from_environment().terrain_limits}
