"""The JSON documents that commands print with `--json`, as pydantic models. They hold values only."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Literal, Self

import typer
from pydantic import Field

from drshym_pipeline.model.choice import Choice, ChosenModel
from drshym_pipeline.records import SCHEMA_VERSION, MapRecord, ModelReference, Record


class ModelUsed(ModelReference):
    """The model, and why it was taken: `reason` is the sentence for people, `choice` the word for programs."""

    choice: Choice
    reason: str

    @classmethod
    def of(cls, chosen: ChosenModel) -> Self:
        """The description of a chosen model."""
        return cls(**chosen.reference.model_dump(), choice=chosen.choice, reason=chosen.reason)


class SceneMapped(Record):
    """A scene that was mapped; `record.files` are names in `folder`, which is an absolute path.

    With the state `nothing_observed` no pixel of the scene holds a measurement: the files are there, the map is empty
    and says nothing about water.
    """

    state: Literal["mapped", "nothing_observed"]
    folder: str
    record: MapRecord


class SceneFailed(Record):
    """A scene that was not mapped, or an input for which no scene was.

    `sources` are the files of the scene; none when the fault lies in an option or in the model. `file` is what the
    problem is about: one of the sources, an option, a variable or the model. `kind` is `input` for an input that cannot
    be used, `fault` for a fault of the program or the machine, `stopped` when the command was stopped before.
    """

    sources: tuple[str, ...] = ()
    file: str
    problem: str
    remedy: str
    kind: Literal["input", "fault", "stopped"]


class MappingDocument(Record):
    """What `drshym segment --json` and `drshym predict-folder --json` print.

    `model` is None when none could be loaded.
    """

    schema_version: str = SCHEMA_VERSION
    command: Literal["segment", "predict-folder"]
    exit_code: int = Field(ge=0, le=3)
    model: ModelUsed | None
    maps: tuple[SceneMapped, ...]
    failures: tuple[SceneFailed, ...]


class StoredMap(Record):
    """A finished map of the store; `record.files` are names in `folder`, which is an absolute path.

    `version` is empty for a map of release 0.1.0. `outdated` says that another model than the one in service made it.
    """

    version: str
    scene_version: str
    newest: bool
    outdated: bool
    state: Literal["mapped", "nothing_observed"]
    folder: str
    record: MapRecord


class SceneInStore(Record):
    """What has become of a scene that was requested.

    `state` is `mapped`, `waiting` for its map or for that of its newest files, or `failed`; `reason` says why it failed
    or since when it waits. A waiting or failed scene may have earlier maps. `files` are those in the watched folder.
    `maps` holds the newest map; all of them, newest first, when one scene is asked for.
    """

    scene: str
    state: Literal["mapped", "waiting", "failed"]
    reason: str
    files: tuple[str, ...]
    maps: tuple[StoredMap, ...]


class OtherFailure(Record):
    """The last failure of a run without a scene, such as a training."""

    name: str
    at: datetime
    reason: str


class StatusDocument(Record):
    """What `drshym status --json` prints. `model` is the one in service; None when an input cannot be used."""

    schema_version: str = SCHEMA_VERSION
    command: Literal["status"] = "status"
    exit_code: int = Field(ge=0, le=3)
    store: str
    model: ModelUsed | None = None
    scenes: tuple[SceneInStore, ...] = ()
    other_failures: tuple[OtherFailure, ...] = ()
    failures: tuple[SceneFailed, ...] = ()


def observation(record: MapRecord) -> Literal["mapped", "nothing_observed"]:
    """The state of a finished map: whether anything was observed."""
    return "nothing_observed" if record.flooded is None else "mapped"


def print_document(document: Record) -> None:
    """One JSON document on stdout, in ASCII, so that it is the same in every locale."""
    typer.echo(json.dumps(document.model_dump(mode="json"), indent=2, allow_nan=False))
