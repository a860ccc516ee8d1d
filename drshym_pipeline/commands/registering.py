"""The command `register`: it registers a bundle in MLflow.

This package does not use MLflow, and the wheel contains only this package. The registry belongs to the Dagster code
location. So the command looks for the checkout and runs `assets.training.register` there in a new process.
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
    """Register a sealed model in MLflow as the candidate, for review. Works only with the checkout."""
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
    done = subprocess.run(
        [sys.executable, "-m", _PROGRAM, str(bundle.absolute())], cwd=checkout, env=environment, check=False
    )
    if done.returncode:
        raise typer.Exit(done.returncode)
