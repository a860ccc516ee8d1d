"""What all JSON documents of the command have in common, and how one is printed. Imports nothing heavy."""

from __future__ import annotations

import json
import sys
from typing import Literal

from pydantic import Field

from drshym_pipeline.commands.exit_codes import ExitCode
from drshym_pipeline.commands.stopping import RUN_AGAIN, StoppedError
from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.records import SCHEMA_VERSION, Record


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


class CommandDocument(Record):
    """What every command prints with `--json`: its name, its exit code, and why it failed."""

    schema_version: str = SCHEMA_VERSION
    command: str
    exit_code: int = Field(default=ExitCode.DONE, ge=0, le=3)
    failures: tuple[SceneFailed, ...] = ()


def failure_of(command: str, error: DrShymError) -> SceneFailed:
    """Return the entry for an error that ended a command."""
    if isinstance(error, InputError):
        return SceneFailed(file=error.subject, problem=error.problem, remedy=error.remedy, kind="input")
    if isinstance(error, StoppedError):
        return SceneFailed(file=command, problem="the command was stopped", remedy=RUN_AGAIN, kind="stopped")
    remedy = "Repair what the message names, then run the command again"
    return SceneFailed(file=command, problem=str(error), remedy=remedy, kind="fault")


def print_document(document: Record) -> None:
    """Print one JSON document on stdout, in ASCII, so that it is the same in every locale."""
    sys.stdout.write(json.dumps(document.model_dump(mode="json"), indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()
