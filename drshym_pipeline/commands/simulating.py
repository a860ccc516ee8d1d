"""The command `simulate`: a flooded scene with its other rasters, or labelled chips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from drshym_pipeline.commands.options import OutOption
from drshym_pipeline.console import result_line, shown_progress
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Record
from drshym_pipeline.settings import SEED, SimulatedData, is_address
from drshym_pipeline.storage import output_directory


def simulate(
    *,
    out: OutOption,
    kind: Annotated[Literal["scene", "chips"], typer.Option("--kind", help="One scene, or labelled chips.")] = "scene",
    seed: Annotated[int, typer.Option("--seed", min=0)] = SEED,
    size: Annotated[int | None, typer.Option("--size", min=64, help="Side in pixels; default 1024 or 256.")] = None,
    hard: Annotated[bool, typer.Option("--hard", help="A scene with wind and look-alikes of water.")] = False,
    ancillary: Annotated[
        str | None,
        typer.Option("--ancillary", help="Folder for the scene's water maps and elevation under the official names."),
    ] = None,
    train_chips: Annotated[int, typer.Option("--train", min=1, help="Training chips.")] = 96,
    other_chips: Annotated[int, typer.Option("--other", min=1, help="Chips of each other split.")] = 24,
) -> Record:
    """Simulate a flooded scene with its other rasters, or labelled chips in the layout of Sen1Floods11."""
    from drshym_pipeline.commands.result_documents import SimulateDocument
    from drshym_pipeline.datasets.simulator.writer import write_dataset

    if ancillary is not None and is_address(ancillary):
        raise InputError("--ancillary", "is an address, but tiles are written to a folder", "Give a folder")
    if kind == "scene":
        files = _scene(out, seed, size or 1024, None if ancillary is None else Path(ancillary), hard=hard)
    elif ancillary is not None:
        raise InputError("--ancillary", "is only for one scene", "Leave it out with --kind chips")
    else:
        counts = {"valid": other_chips, "test": other_chips, "hard": other_chips}
        settings = SimulatedData(seed=seed, size=size or 256, train=train_chips, **counts)
        with output_directory(out), shown_progress(out.name) as progress:
            files = [write_dataset(out, settings, progress)]
    for path in files:
        result_line(str(path))
    return SimulateDocument(files=tuple(str(path.absolute()) for path in files))


def _scene(out: Path, seed: int, side: int, ancillary: Path | None, *, hard: bool) -> list[Path]:
    from drshym_pipeline.datasets.simulator.ancillary_tiles import write_ancillary_tiles
    from drshym_pipeline.datasets.simulator.scene import simulate_scene
    from drshym_pipeline.datasets.simulator.writer import write_scene

    with output_directory(out):
        scene = simulate_scene(seed, side, side, kind="hard" if hard else "standard")
        files = [write_scene(out, f"simulated_{seed}", scene)]
    if ancillary is not None:
        with output_directory(ancillary):
            files += write_ancillary_tiles(ancillary, scene)
    return files
