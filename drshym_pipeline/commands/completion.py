"""The command `completion`: it prints the script with which a shell completes commands and options."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import click
import typer

from drshym_pipeline.console import printing
from drshym_pipeline.records import Record

# A file in a folder of `fpath` must begin with `#compdef`. It is run at the first completion, which it must answer.
_ZSH_AUTOLOADED: Final = """\
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _{program}_completion "$@"
fi"""


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.", show_default=False)],
) -> Record:
    """Print the script that completes commands and options in bash, zsh or fish."""
    from click.shell_completion import get_completion_class

    from drshym_pipeline.commands.result_documents import CompletionDocument

    root = click.get_current_context().find_root()
    program = str(root.info_name)
    # Typer registers its own classes, whose scripts work with the requests that its command lines answer.
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(root.command, {}, program, f"_{program.replace('-', '_').upper()}_COMPLETE").source().strip()
    if shell == "zsh":
        script = f"{script}\n\n{_ZSH_AUTOLOADED.format(program=program)}"
    if not printing().json:
        typer.echo(script)  # also with --quiet: the script is what was asked for
    return CompletionDocument(shell=shell, script=script)
