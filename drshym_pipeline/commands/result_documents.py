"""The JSON documents of the commands that neither map scenes nor show the store: one record for each command.

Every field of a result is empty when the input could not be used; `failures` then says why.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from drshym_pipeline.commands.document_base import CommandDocument
from drshym_pipeline.records import BandMode, Calibration, Record


class SimulateDocument(CommandDocument):
    """What `drshym simulate --json` prints: the files of a scene, or the folder of the chips."""

    command: Literal["simulate"] = "simulate"
    files: tuple[str, ...] = ()


class TileDocument(CommandDocument):
    """What `drshym tile --json` prints: the chips of a scene. `scene_meta` is the record of the scene beside them."""

    command: Literal["tile"] = "tile"
    scene_id: str | None = None
    folder: str | None = None
    scene_meta: str | None = None
    chips: int = 0
    tile: int | None = None
    overlap: int | None = None


class SealedModel(Record):
    """A model on the disk: its name, version and hash, its folder, and its calibration by band mode."""

    name: str
    version: str
    sha256: str
    folder: str
    calibration: dict[BandMode, Calibration]


class TrainDocument(CommandDocument):
    """What `drshym train --json` prints.

    `scores` are the validation scores of the weights that were kept, `start` those of the weights that the training
    began with. The weights were chosen on these chips, so the scores are optimistic.
    """

    command: Literal["train"] = "train"
    model: SealedModel | None = None
    steps: int | None = None
    best_step: int | None = None
    stopped_early: bool | None = None
    seconds: float | None = None
    scores: dict[str, float] = Field(default_factory=dict)
    start: dict[str, float] | None = None
    notes: tuple[str, ...] = ()


class EvaluateDocument(CommandDocument):
    """What `drshym evaluate --json` prints. `evaluation` is as in `evaluation.json`, without the counted logits."""

    command: Literal["evaluate"] = "evaluate"
    evaluation: dict[str, Any] | None = None
    files: tuple[str, ...] = ()


class BenchmarkDocument(CommandDocument):
    """What `drshym benchmark --json` prints. `benchmark` is as in `card.json`."""

    command: Literal["benchmark"] = "benchmark"
    benchmark: dict[str, Any] | None = None
    files: tuple[str, ...] = ()


class BaselineDocument(CommandDocument):
    """What `drshym baseline --json` prints: the fitted pixel classifier, and what it was fitted on."""

    command: Literal["baseline"] = "baseline"
    file: str | None = None
    pixels: int = 0
    chips: int = 0


class RegisterDocument(CommandDocument):
    """What `drshym register --json` prints: the version in the registry. `is_new` is false if it was there before."""

    command: Literal["register"] = "register"
    name: str | None = None
    version: str | None = None
    alias: str | None = None
    verdict: str | None = None
    sha256: str | None = None
    is_new: bool | None = None
    registry: str | None = None
    page: str | None = None
    note: str | None = None


class ConvertDocument(CommandDocument):
    """What `drshym convert-checkpoint --json` prints."""

    command: Literal["convert-checkpoint"] = "convert-checkpoint"
    model: SealedModel | None = None


class CompletionDocument(CommandDocument):
    """What `drshym completion --json` prints: the script of a shell."""

    command: Literal["completion"] = "completion"
    shell: str | None = None
    script: str | None = None


class ServeDocument(CommandDocument):
    """What `drshym serve --json` prints when it starts, in one line: the address that it listens on."""

    command: Literal["serve"] = "serve"
    address: str | None = None


DOCUMENTS: Final[dict[str, type[CommandDocument]]] = {
    "simulate": SimulateDocument,
    "tile": TileDocument,
    "train": TrainDocument,
    "evaluate": EvaluateDocument,
    "benchmark": BenchmarkDocument,
    "baseline": BaselineDocument,
    "register": RegisterDocument,
    "convert-checkpoint": ConvertDocument,
    "completion": CompletionDocument,
    "serve": ServeDocument,
}
