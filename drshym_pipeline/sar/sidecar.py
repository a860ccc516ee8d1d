"""The side-car of a scene: a small JSON file beside it that says what its pixels cannot.

`<scene>.drshym.json` belongs to the scene of that name in the same folder: for `S1_rome.tif` it is
`S1_rome.drshym.json`, for the pair `x_VV.tif` and `x_VH.tif` it is `x.drshym.json`, the name without the polarisation.
No raster is opened here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date as Day
from pathlib import Path, PurePosixPath
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

    `units`, `bands`, `denoise` and `any_spacing` change how a scene is mapped. `pre_event`, `event` and `date` decide
    in the watched folder what the map is compared with. The others are checked and kept.

    Args:
        units: What the pixel values are: `db`, `power`, `amplitude`, `dn` or `intensity`.
        bands: The numbers of the bands to read, VV first: `[1]` or `[1, 2]`.
        denoise: Whether the thermal noise of a product is subtracted, if it has the tables for it.
        pre_event: A scene of the watched folder from before the event, as its name or the name of a file.
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


def sidecar_key(scene: str) -> str:
    """Return the path of the side-car of a scene.

    Args:
        scene: The path of a file of the scene, or of its SAFE folder or zip, with forward slashes.
    """
    path = PurePosixPath(scene)
    return path.with_name(scene_name(path.name) + SIDECAR_SUFFIX).as_posix()


def unused_sidecars(sidecars: Collection[str], scenes: Collection[str], claimed: Collection[str] = ()) -> list[str]:
    """Return the side-cars that no scene uses, each with the name that it should have, for a message.

    Args:
        sidecars: The paths of all side-cars of a folder, with forward slashes.
        scenes: The paths of one file of each scene, or of its SAFE folder or zip.
        claimed: Side-cars that a scene uses in spite of another name.
    """
    used = {sidecar_key(scene) for scene in scenes}.union(claimed)
    by_name: dict[str, list[str]] = {}  # the names that a user may mean: that of the scene, and that of its file
    for scene in scenes:
        name = PurePosixPath(scene).name
        for name_meant in {scene_name(name).casefold(), stem(name).casefold()}:
            by_name.setdefault(name_meant, []).append(sidecar_key(scene))
    texts = []
    for key in sorted(set(sidecars) - used):
        path = PurePosixPath(key)
        text = scene_name(path.name)  # `q_VV`, or `q.tif` of a user who kept the extension
        meant = {name.casefold() for name in (text, stem(text), scene_name(text))}
        found = {place for name in meant for place in by_name.get(name, ()) if place not in sidecars}
        here = {place for place in found if PurePosixPath(place).parent == path.parent} or found
        reason = f"it should be {next(iter(here))}" if len(here) == 1 else "there is no scene for it"
        texts.append(f"{key} ({reason})")
    return texts


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
