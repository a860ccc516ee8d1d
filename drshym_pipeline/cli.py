"""The `drshym` command: parse, call, print.

The modules that this one calls make every decision. The commands that map scenes are in `commands.mapping`, those that
score models in `commands.scoring`. Each command imports torch, rasterio and other heavy libraries only when it needs
them, so that help and usage errors appear at once. The exit codes are in `commands.exit_codes`; an input that cannot be
used is reported in one line.
"""

from __future__ import annotations

import io
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import click
import typer

from drshym_pipeline.commands.exit_codes import EXIT_CODES_HELP, ExitCode
from drshym_pipeline.commands.mapping import predict_folder, segment
from drshym_pipeline.commands.options import (
    BandsOption,
    DenoiseOption,
    OutOption,
    OverlapOption,
    TileOption,
    UnitsOption,
    VHOption,
    band_numbers,
)
from drshym_pipeline.commands.registering import register
from drshym_pipeline.commands.scoring import baseline, benchmark, evaluate
from drshym_pipeline.commands.status import status
from drshym_pipeline.commands.training import train
from drshym_pipeline.console import error_line, shown_progress
from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.records import counted
from drshym_pipeline.settings import SEED, SimulatedData, is_address
from drshym_pipeline.storage import output_directory
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE
from drshym_pipeline.version import __version__

PROGRAM = "drshym"

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    suggest_commands=False,  # click suggests the nearest command itself; with both, the suggestion is printed twice
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(epilog=EXIT_CODES_HELP)
def program(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Flood maps from Sentinel-1 SAR."""


app.command(epilog=EXIT_CODES_HELP)(segment)
app.command("predict-folder", epilog=EXIT_CODES_HELP)(predict_folder)


app.command()(train)
app.command()(register)
app.command()(evaluate)
app.command()(benchmark)
app.command()(baseline)


@app.command()
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
) -> None:
    """Simulate a flooded scene with its other rasters, or labelled chips in the layout of Sen1Floods11."""
    from drshym_pipeline.datasets.simulator.ancillary_tiles import write_ancillary_tiles
    from drshym_pipeline.datasets.simulator.scene import simulate_scene
    from drshym_pipeline.datasets.simulator.writer import write_dataset, write_scene

    if ancillary is not None and is_address(ancillary):
        raise InputError("--ancillary", "is an address, but tiles are written to a folder", "Give a folder")
    if kind == "scene":
        side = size or 1024
        with output_directory(out):
            scene = simulate_scene(seed, side, side, kind="hard" if hard else "standard")
            typer.echo(str(write_scene(out, f"simulated_{seed}", scene)))
        if ancillary is not None:
            with output_directory(Path(ancillary)):
                for path in write_ancillary_tiles(Path(ancillary), scene):
                    typer.echo(str(path))
        return
    if ancillary is not None:
        raise InputError("--ancillary", "is only for one scene", "Leave it out with --kind chips")
    counts = {"valid": other_chips, "test": other_chips, "hard": other_chips}
    settings = SimulatedData(seed=seed, size=size or 256, train=train_chips, **counts)
    with output_directory(out), shown_progress(out.name) as progress:
        typer.echo(str(write_dataset(out, settings, progress)))


@app.command()
def tile(
    *,
    out: OutOption,
    scene: Annotated[Path, typer.Argument(help="A Sentinel-1 GeoTIFF, a .SAFE folder, or a zip of it.")],
    vh: VHOption = None,
    units: UnitsOption = None,
    bands: BandsOption = None,
    denoise: DenoiseOption = True,
    size: TileOption = DEFAULT_TILE,
    overlap: OverlapOption = DEFAULT_OVERLAP,
) -> None:
    """Cut a scene (a Sentinel-1 GeoTIFF) into GeoTIFF chips in dB, each with its record as JSON beside it."""
    from drshym_pipeline.products.chips import write_chips

    sources, chosen = [scene] if vh is None else [scene, vh], band_numbers(bands)
    with shown_progress(scene.name) as progress:
        count = write_chips(
            sources,
            out,
            units=units,
            bands=chosen,
            denoise=denoise,
            tile=size,
            overlap=overlap,
            progress=progress,
        )
    typer.echo(f"{counted(count, 'chip')} in {out}")


@app.command("convert-checkpoint")
def convert_checkpoint(
    *,
    source: Annotated[Path, typer.Argument(help="A checkpoint of the original system, such as best.pt.")],
    out: OutOption,
    encoder: Annotated[str | None, typer.Option("--encoder", help="Its encoder, if it is not a plain ResNet.")] = None,
    bands: Annotated[
        Literal["vv", "vv_vh"] | None, typer.Option("--bands", help="Its bands, if it has more than one.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Threshold of the map; by default that of the original system.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the model.")] = None,
) -> None:
    """Convert a checkpoint of the original system (such as best.pt) into a sealed model; no code in it is run."""
    from drshym_pipeline.training.convert import ORIGINAL_THRESHOLD
    from drshym_pipeline.training.convert import convert_checkpoint as convert

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(out, "exists already and is not empty", "Choose a new folder")
    chosen = ORIGINAL_THRESHOLD if threshold is None else threshold
    with output_directory(out):
        bundle = convert(source, out, encoder=encoder, bands=bands, threshold=chosen, name=name)
    typer.echo(f"{bundle.name} {bundle.version} in {out} (sha256 {bundle.sha256})")


app.command()(status)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Treat SIGTERM, which `timeout` and service managers send, as Ctrl+C: remove temporary files and say so."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only the main thread may set a handler
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    # An image with control points has no transform. Each place that opens one silences rasterio for itself, but
    # `catch_warnings` is not safe between threads, so the warning would be printed now and then.
    warnings.filterwarnings("ignore", "Dataset has no geotransform|The given matrix is equal to Affine.identity")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A scene's name may have letters that the terminal's encoding lacks; stderr prints them in this way already.
        sys.stdout.reconfigure(errors="backslashreplace")
    with _terminated_like_interrupted():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        result = app(args=given, prog_name=PROGRAM, standalone_mode=False)
    except InputError as error:
        error_line(error)
        return ExitCode.INPUT
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.INPUT
    except click.ClickException as error:
        error_line(error.format_message())
        return ExitCode.INPUT
    except (KeyboardInterrupt, click.Abort):
        error_line("stopped")
        return ExitCode.FAULT
    except DrShymError as error:
        error_line(error)
        return ExitCode.FAULT
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
