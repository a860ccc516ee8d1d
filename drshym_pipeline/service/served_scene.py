"""How one finished map is read, of the service or of a store of the lineage. Which maps there are: `scenes`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from pydantic import Field, ValidationError

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import MapRecord, Record, describe_validation, now
from drshym_pipeline.sar.scene_names import is_scene_id
from drshym_pipeline.scene_folder import ProductKind, product_name
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.service.schemas import SceneOrigin
from drshym_pipeline.storage import read_json

LINEAGE_PREFIX: Final = "lineage."
BACKSCATTER_SUFFIX: Final = "_backscatter.tif"
BACKSCATTER_BEFORE_SUFFIX: Final = "_backscatter_before.tif"
JOB_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"  # the name of the folder of a job
_MAP_AGAIN: Final = "Map the scene again, or delete its folder"

RecordT = TypeVar("RecordT", bound=Record)


class SceneSource(Record):
    """Whose map a folder has: the name of the scene, and the SHA-256 of the addresses or the bytes of its files."""

    scene_name: str
    identity: str
    at: datetime = Field(default_factory=now)


class CurrentJob(Record):
    """The job that made the current map of a scene, and the name of the record in its folder."""

    job: str = Field(pattern=JOB_ID)
    record: str = Field(pattern=r"^[^/]+$")
    at: datetime = Field(default_factory=now)


@dataclass(frozen=True)
class ServedScene:
    """A finished map that the service shows.

    Args:
        id: Its id in addresses.
        origin: The program that made it.
        folder: The folder of its products.
        record: The record of the map.
        backscatter: The image in dB, where it was kept.
        backscatter_before: The same of the scene from before the event.
    """

    id: str
    origin: SceneOrigin
    folder: Path
    record: MapRecord
    backscatter: Path | None = None
    backscatter_before: Path | None = None

    def file(self, kind: ProductKind) -> Path | None:
        """Return the path of one product, None if this map does not have it."""
        path = self.folder / product_name(self.record.scene_id, kind)
        return path if path.is_file() else None


# A map, and the files whose change means that it must be read again.
Found: TypeAlias = tuple[ServedScene, tuple[Path, ...]]


def read_note(path: Path, model: type[RecordT]) -> RecordT | None:
    """Return the content of a small file, None if it does not exist.

    Raises:
        InputError: It is damaged.
    """
    if not path.is_file():
        return None
    try:
        return model.model_validate(read_json(path, remedy=_MAP_AGAIN))
    except ValidationError as error:
        raise InputError(path, describe_validation(error), _MAP_AGAIN) from error


def read_own(id: str, folder: Path, pointer: CurrentJob) -> Found:
    """Return a map of the service.

    Args:
        id: The id of its scene.
        folder: The folder of the scene.
        pointer: Which of the maps in it.

    Raises:
        InputError: Its record is missing or damaged.
    """
    path = folder / pointer.job / pointer.record
    record = read_note(path, MapRecord)
    if record is None:
        raise InputError(path, "the file does not exist", _MAP_AGAIN)
    if not is_scene_id(record.scene_id) or product_name(record.scene_id, "record") != path.name:
        raise InputError(path, f"is the record of another scene, {record.scene_id!r}", _MAP_AGAIN)
    names = (f"{record.scene_id}{suffix}" for suffix in (BACKSCATTER_SUFFIX, BACKSCATTER_BEFORE_SUFFIX))
    return ServedScene(id, "service", path.parent, record, *(_if_there(path.parent / name) for name in names)), (path,)


def read_from_store(store: SceneStore, name: str) -> Found:
    """Return the newest map of a scene of the lineage.

    Raises:
        InputError: It is not complete, or a file is damaged.
    """
    found = store.current(name)
    if found is None or not found.is_complete():
        raise InputError(store.folder / name, "its newest map is not complete", _MAP_AGAIN)
    record, image = found.record(), found.scene.backscatter
    if not is_scene_id(record.scene_id):
        raise InputError(found.product("record"), "the name of the scene cannot be in a path", _MAP_AGAIN)
    scene = ServedScene(f"{LINEAGE_PREFIX}{name}", "lineage", found.products, record, _if_there(image))
    # The lineage deletes the image after some time, and makes it again when it needs it.
    return scene, (found.product("record"), image)


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None
