"""The option for long-term water maps and terrain, of the commands that map scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

AncillaryOption = Annotated[
    Path | None,
    typer.Option(
        "--ancillary",
        envvar="DRSHYM_ANCILLARY",
        help="Folder of tiles of long-term water maps and elevation, to separate flood and to exclude steep ground.",
        readable=False,
    ),
]


def ancillary_options(folder: Path | None) -> dict[str, Any]:
    """Return the options of `map_scene` about long-term layers and terrain; the limits come from the environment.

    Raises:
        InputError: The folder is none, or a limit is out of its range.
    """
    if folder is None:
        return {}
    from drshym_pipeline.ancillary.folder import AncillaryFolder
    from drshym_pipeline.settings import PipelineSettings

    AncillaryFolder(folder)  # a folder that does not exist is reported once, not for every scene
    return {"ancillary": folder, "limits": PipelineSettings.from_environment().terrain_limits}
