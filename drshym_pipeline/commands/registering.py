"""The command that registers a bundle in MLflow: it starts the program of the checkout that can do it.

This package knows neither Dagster nor MLflow, and the wheel holds nothing else. The registry belongs to the code
location, so the command looks for its checkout and runs `assets.training.register` there in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import find_checkout, find_home

_PROGRAM = "assets.training.register"


def register(
    bundle: Annotated[Path, typer.Argument(help="A sealed model, such as runs/<name>/bundle.")],
) -> None:
    """Register a sealed model in MLflow as the candidate, for a reviewer to promote. Needs the checkout."""
    from drshym_pipeline.model.bundle import ModelBundle

    ModelBundle.load(bundle)  # before the slow imports of the other process
    checkout = find_checkout() or find_checkout(Path(__file__))
    if checkout is None:
        raise InputError(
            "register",
            "needs the checkout of the pipeline (the folder with workspace.yaml), which is not here",
            "Run it inside the checkout: the installed package alone has no model registry",
        )
    # The state is that of the folder the user is in, as for every other command.
    environment = {**os.environ, "DRSHYM_HOME": os.environ.get("DRSHYM_HOME") or str(find_home().absolute())}
    done = subprocess.run(
        [sys.executable, "-m", _PROGRAM, str(bundle.absolute())], cwd=checkout, env=environment, check=False
    )
    if done.returncode:
        raise typer.Exit(done.returncode)
