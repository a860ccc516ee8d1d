"""The JSON documents that commands print with `--json`, as pydantic models. They hold values only."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Literal, Self

import typer
from pydantic import Field

from drshym_pipeline.model.choice import Choice, ChosenModel
from drshym_pipeline.records import SCHEMA_VERSION, MapRecord, ModelReference, Record, no_area_state

MapState = Literal["mapped", "nothing_observed", "all_excluded"]


class ModelUsed(ModelReference):
    """The model, and why it was chosen: `reason` is a sentence for people, `choice` a word for programs."""

    choice: Choice
    reason: str

    @classmethod
    def of(cls, chosen: ChosenModel) -> Self:
        """Return the description of a chosen model."""
        return cls(**chosen.reference.model_dump(), choice=chosen.choice, reason=chosen.reason)


class SceneMapped(Record):
    """A scene that was mapped; `record.files` are names in `folder`, which is an absolute path.

    With the state `nothing_observed` no pixel of the scene has a measurement, and with `all_excluded` the terrain
    excludes every pixel that has one: the files exist, but the map says nothing about water.
    """

    state: MapState
    folder: str
    record: MapRecord


class SceneFailed(Record):
    """A scene that was not mapped, or another input that cannot be used.

    `sources` are the files of the scene; empty when the problem is an option or the model. `file` is what the problem
    is about: one of the sources, an option, a variable or the model. `kind` is `input` for an input that cannot be
    used, `fault` for a fault of the program or the machine, and `stopped` when the command was stopped before the
    scene.
    """

    sources: tuple[str, ...] = ()
    file: str
    problem: str
    remedy: str
    kind: Literal["input", "fault", "stopped"]


class MappingDocument(Record):
    """What `drshym segment --json` and `drshym predict-folder --json` print.

    `model` is None when no model could be loaded.
    """

    schema_version: str = SCHEMA_VERSION
    command: Literal["segment", "predict-folder"]
    exit_code: int = Field(ge=0, le=3)
    model: ModelUsed | None
    maps: tuple[SceneMapped, ...]
    failures: tuple[SceneFailed, ...]


class StoredMap(Record):
    """A finished map of the store; `record.files` are names in `folder`, which is an absolute path.

    `version` is empty for a map of release 0.1.0. `outdated` is true when the map was not made by the
    model in service.
    """

    version: str
    scene_version: str
    newest: bool
    outdated: bool
    state: MapState
    folder: str
    record: MapRecord


class SceneInStore(Record):
    """The state of a scene that was requested.

    `state` is `mapped`, `waiting` (for its first map, or for a map of its newest files) or `failed`; `reason` says why
    it failed or since when it waits. A waiting or failed scene may have earlier maps. `files` are those in the watched
    folder. `maps` has the newest map; with `drshym status SCENE` it has all maps of the scene, newest first.
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
    """What `drshym status --json` prints. `model` is the model in service; None when an input cannot be used."""

    schema_version: str = SCHEMA_VERSION
    command: Literal["status"] = "status"
    exit_code: int = Field(ge=0, le=3)
    store: str
    model: ModelUsed | None = None
    scenes: tuple[SceneInStore, ...] = ()
    other_failures: tuple[OtherFailure, ...] = ()
    failures: tuple[SceneFailed, ...] = ()


def map_state(record: MapRecord) -> MapState:
    """Return the state of a finished map: whether it says anything about water, and why not."""
    return no_area_state(record.exclusion) if record.flooded is None else "mapped"


def print_document(document: Record) -> None:
    """Print one JSON document on stdout, in ASCII, so that it is the same in every locale."""
    typer.echo(json.dumps(document.model_dump(mode="json"), indent=2, allow_nan=False))
