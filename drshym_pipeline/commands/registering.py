"""The command `register`: it registers a bundle in MLflow.

This package does not use MLflow, and the wheel contains only this package. The registry belongs to the Dagster code
location. So the command looks for the checkout and runs `assets.training.register` there in a new process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drshym_pipeline.console import printing, result_line
from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.records import Record
from drshym_pipeline.settings import find_checkout, find_home

if TYPE_CHECKING:
    from drshym_pipeline.commands.result_documents import RegisterDocument

_PROGRAM = "assets.training.register"


def register(
    bundle: Annotated[Path, typer.Argument(help="A sealed model, such as runs/<name>/bundle.")],
) -> Record:
    """Register a sealed model in MLflow as the candidate, for review. Works only with the checkout."""
    from drshym_pipeline.commands.result_documents import RegisterDocument
    from drshym_pipeline.model.bundle import ModelBundle

    ModelBundle.load(bundle)  # checks the bundle before the slow imports of the other process
    checkout = find_checkout() or find_checkout(Path(__file__))
    if checkout is None:
        raise InputError(
            "register",
            "needs the checkout of the pipeline (the folder with workspace.yaml), which was not found",
            "Run the command inside the checkout: the installed package alone has no model registry",
        )
    # The state is that of the user's working directory, as for every other command.
    environment = {**os.environ, "DRSHYM_HOME": os.environ.get("DRSHYM_HOME") or str(find_home().absolute())}
    # With --quiet the log lines of MLflow are not shown either; the errors come in the document.
    unseen = subprocess.DEVNULL if printing().quiet else None
    program = [sys.executable, "-m", _PROGRAM, str(bundle.absolute())]
    # In a group of its own, so Ctrl+C in a terminal does not reach it and it prints no traceback: when this process is
    # interrupted, `run` ends it.
    done = subprocess.run(
        program,
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=unseen,
        text=True,
        check=False,
        process_group=0,
    )
    lines = done.stdout.splitlines()
    if not lines:
        raise DrShymError(f"The registration ended with exit code {done.returncode}. Run it again without --quiet.")
    made = RegisterDocument.model_validate_json(lines[-1])
    for failure in made.failures:
        if failure.kind == "input":
            raise InputError(failure.file, failure.problem, failure.remedy)
        raise DrShymError(failure.problem)
    for line in registered_lines(made):
        result_line(line)
    return made


def registered_lines(made: RegisterDocument) -> list[str]:
    """Return the result of a registration as lines."""
    begin = "Registered as" if made.is_new else "Registered before as"
    return [
        f"{begin} {made.name} version {made.version}, alias {made.alias}, verdict: {made.verdict}",
        *([] if made.note is None else [f"Also: {made.note}"]),
        f"sha256: {made.sha256}",
        f"registry: {made.registry}",
        f"page: {made.page}",
        "To put it in service, a reviewer sets the alias champion to this version in MLflow.",
    ]
