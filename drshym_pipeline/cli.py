"""The `drshym` command: parse, call, print.

The modules that this one calls make every decision. Each command is a function in `commands/`; what they have in common
is in `commands.command_line`. Each command imports torch, rasterio and other heavy libraries only when it needs
them, so that help and usage errors appear at once. The exit codes are in `commands.exit_codes`; an input that cannot be
used is reported in one line.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import click
import typer

from drshym_pipeline.commands.command_line import CommandLine
from drshym_pipeline.commands.completion import completion
from drshym_pipeline.commands.converting import convert_checkpoint
from drshym_pipeline.commands.exit_codes import EXIT_CODES_HELP, SERVE_EXIT_CODES_HELP, ExitCode
from drshym_pipeline.commands.mapping import predict_folder, segment
from drshym_pipeline.commands.registering import register
from drshym_pipeline.commands.scoring import baseline, benchmark, evaluate
from drshym_pipeline.commands.serving import serve
from drshym_pipeline.commands.simulating import simulate
from drshym_pipeline.commands.status import status
from drshym_pipeline.commands.stopping import StoppedError, stopping_signals
from drshym_pipeline.commands.tiles import export_stitched, tile
from drshym_pipeline.commands.training import train
from drshym_pipeline.console import error_line
from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.version import __version__

PROGRAM = "drshym"

app = CommandLine(
    name=PROGRAM,
    no_args_is_help=True,
    suggest_commands=False,  # click suggests the nearest command itself; with both, the suggestion is printed twice
    pretty_exceptions_enable=False,
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


app.command()(segment)
app.command("predict-folder")(predict_folder)
app.command()(tile)
app.command("export-stitched")(export_stitched)
app.command()(train)
app.command()(register)
app.command()(evaluate)
app.command()(benchmark)
app.command()(baseline)
app.command()(simulate)
app.command("convert-checkpoint")(convert_checkpoint)
app.command()(status)
app.command(epilog=SERVE_EXIT_CODES_HELP)(serve)
app.command()(completion)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    # An image with control points has no transform. Each place that opens one silences rasterio for itself, but
    # `catch_warnings` is not safe between threads, so the warning would be printed now and then.
    warnings.filterwarnings("ignore", "Dataset has no geotransform|The given matrix is equal to Affine.identity")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A scene's name may have letters that the terminal's encoding lacks; stderr prints them in this way already.
        sys.stdout.reconfigure(errors="backslashreplace")
    with stopping_signals():
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
        error_line(StoppedError())
        return ExitCode.FAULT
    except DrShymError as error:
        error_line(error)
        return ExitCode.FAULT
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
