"""The side-car of a scene: a small JSON file beside it that says what its pixels cannot.

`<scene>.drshym.json` belongs to the scene of that name in the same folder: for `S1_rome.tif` it is
`S1_rome.drshym.json`, for the pair `x_VV.tif` and `x_VH.tif` it is `x.drshym.json`, the name without the polarisation.
No raster is opened here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date as Day
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Record, Units, describe_validation
from drshym_pipeline.sar.file_names import pair_key, stem

SIDECAR_SUFFIX = ".drshym.json"
_MOST_BYTES = 65_536
_REMEDY = 'Write a JSON object such as {"units": "db"}, or remove the file'

BandNumber = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1, max_length=500)]


class SceneSidecar(Record):
    """The content of a side-car.

    `units`, `bands`, `denoise` and `any_spacing` change how a scene is mapped; the others are checked and kept.

    Args:
        units: What the pixel values are: `db`, `power`, `amplitude`, `dn` or `intensity`.
        bands: The numbers of the bands to read, VV first: `[1]` or `[1, 2]`.
        denoise: Whether the thermal noise of a product is subtracted, if it has the tables for it.
        pre_event: A scene from before the event, as a name or path.
        event: The event's name or code.
        date: The day of the event, such as 2021-01-11.
        title: A title for the map.
        place: The name of the place.
        any_spacing: Map the scene also if its pixels are larger than 60 m.
    """

    units: Units | None = None
    bands: Annotated[tuple[BandNumber, ...], Field(max_length=2)] = ()
    denoise: bool | None = None
    pre_event: Text | None = None
    event: Text | None = None
    date: Day | None = None
    title: Text | None = None
    place: Text | None = None
    any_spacing: bool | None = None


def is_sidecar(filename: str) -> bool:
    """Return whether a file name is that of a side-car."""
    return filename.lower().endswith(SIDECAR_SUFFIX) and len(filename) > len(SIDECAR_SUFFIX)


def scene_name(filename: str) -> str:
    """Return the name that a scene's file and its side-car share: `x` for `x_VV.tif` and for `x.drshym.json`."""
    if is_sidecar(filename):
        return filename[: -len(SIDECAR_SUFFIX)]
    name, polarisation = pair_key(filename)
    return name if polarisation else stem(filename)


def read_text(path: Path) -> str | None:
    """Read the text of a side-car, at most 64 KiB of it; return None when it cannot be read."""
    try:
        with path.open("rb") as handle:
            return handle.read(_MOST_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return None


def parse_sidecar(text: str | None, subject: str | Path) -> SceneSidecar:
    """Return the values in the text of a side-car.

    Args:
        text: The JSON from `read_text`; None when the file could not be read.
        subject: The name of the file in an error.

    Raises:
        InputError: The file could not be read, is not JSON, or has an unknown key or a wrong value.
    """
    if text is None:
        raise InputError(subject, "the side-car cannot be read", "Change its permissions, or remove it")
    try:
        return SceneSidecar.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(subject, describe_validation(error), _REMEDY) from error


def sidecar_of(sources: Sequence[Path]) -> SceneSidecar:
    """Read the side-car beside the files of a scene; return an empty one when there is none.

    Args:
        sources: The scene's files, VV first.

    Raises:
        InputError: The side-car cannot be used.
    """
    if not sources or not sources[0].name:
        return SceneSidecar()
    path = sources[0].with_name(scene_name(sources[0].name) + SIDECAR_SUFFIX)
    try:
        if not path.exists():
            return SceneSidecar()
    except OSError:  # its folder cannot be searched: reading the scene says so and names the scene
        return SceneSidecar()
    return parse_sidecar(read_text(path), path)
