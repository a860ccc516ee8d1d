"""The JSON documents about maps and the store, as pydantic models. They hold values only."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field

from drshym_pipeline.commands.document_base import SceneFailed
from drshym_pipeline.model.choice import Choice, ChosenModel
from drshym_pipeline.records import SCHEMA_VERSION, Calibration, MapRecord, ModelReference, Record, no_area_state

if TYPE_CHECKING:
    from drshym_pipeline.tile_folders.predicting import TilesPrediction

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


class TilesPredicted(Record):
    """A scene whose tiles were predicted: `present` tiles of `count` in `folder`, an absolute path.

    `prediction` is the file in that folder that says how they were made. `mean` is the mean probability of water of the
    observed pixels, None if there are none.
    """

    scene_id: str
    scene_version: str
    folder: str
    prediction: str
    present: int
    count: int
    tile: int
    overlap: int
    model: ModelReference
    calibration: Calibration
    mean: float | None

    @classmethod
    def of(cls, made: TilesPrediction, folder: Path) -> Self:
        """Return the description of a prediction in a folder."""
        from drshym_pipeline.tile_folders.predicting import PREDICTION_SUFFIX

        summary = made.prediction.summary
        return cls(
            scene_id=made.scene_id,
            scene_version=made.scene_version,
            folder=str(folder.absolute()),
            prediction=f"{made.scene_id}{PREDICTION_SUFFIX}",
            present=made.present,
            count=made.count,
            tile=made.tile,
            overlap=made.overlap,
            model=summary.reference,
            calibration=summary.calibration,
            mean=summary.mean,
        )


class MappingDocument(Record):
    """What `drshym segment`, `drshym predict-folder` and `drshym export-stitched` print with `--json`.

    `model` is None when no model could be loaded, and for `export-stitched`, which loads none: `record.model` names it.
    `tiles` has the scenes of a folder of tiles.
    """

    schema_version: str = SCHEMA_VERSION
    command: Literal["segment", "predict-folder", "export-stitched"]
    exit_code: int = Field(ge=0, le=3)
    model: ModelUsed | None
    maps: tuple[SceneMapped, ...]
    tiles: tuple[TilesPredicted, ...] = ()
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
