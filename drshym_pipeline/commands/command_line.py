"""What all commands have in common: spelling, `--json`, `--quiet`, `--no-progress`, and help with examples.

Every command that is registered with `CommandLine.command` gets all of it. A command returns the record that `--json`
prints, and prints everything else with the functions of `console`. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click
import typer
from click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup, TyperOption

from drshym_pipeline.commands.examples import EXAMPLES
from drshym_pipeline.commands.exit_codes import EXIT_CODES_HELP, ExitCode
from drshym_pipeline.commands.option_names import with_option_name
from drshym_pipeline.commands.stopping import stoppable
from drshym_pipeline.console import Printing, printing_as
from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.records import Record

_OPTIONS: Final = {
    "as_json": ("--json", "Print one JSON document on stdout instead of text (docs/command.md)."),
    "quiet": ("--quiet", "Print errors only; with --json the document too."),
    "no_progress": ("--no-progress", "Show no progress; notes and errors stay."),
}


def with_hyphens(name: str) -> str:
    """Return the name of a command or an option as the help shows it: `--batch-size` for `--batch_size`."""
    return name.replace("_", "-")


class Command(TyperCommand):
    """One command of the command line."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        given = settings.pop("params", None) or []
        more: list[click.Parameter] = [
            TyperOption(param_decls=[option, variable], is_flag=True, default=False, help=text)
            for variable, (option, text) in _OPTIONS.items()
        ]
        settings["epilog"] = _epilog(name)
        super().__init__(name, params=[*given, *more], **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and print its document if `--json` asks for it."""
        as_json, quiet, no_progress = (bool(ctx.params.pop(name)) for name in _OPTIONS)
        with printing_as(Printing(json=as_json, quiet=quiet, progress=not no_progress)):
            try:
                with stoppable():
                    result = super().invoke(ctx)
            except DrShymError as error:
                named = with_option_name(error)
                if as_json:
                    _print_refusal(str(self.name), named)
                raise named from error
            if not isinstance(result, Record):
                return result
            if as_json:
                from drshym_pipeline.commands.document_base import print_document

                print_document(result)
            return None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the options that begin with a text, spelled as the user spells them."""
        return _spelled(super().shell_complete(ctx, with_hyphens(incomplete)), incomplete)


class CommandGroup(TyperGroup):
    """All commands; an interrupt before or after a command is the same error as one while it runs."""

    def invoke(self, ctx: click.Context) -> Any:
        """Find the command, read its options and run it."""
        with stoppable():
            return super().invoke(ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with a text, spelled as the user spells them."""
        return _spelled(super().shell_complete(ctx, with_hyphens(incomplete)), incomplete)


class CommandLine(typer.Typer):
    """A command line whose commands are `Command`s, and whose names may be written with `_` instead of `-`."""

    def __init__(self, name: str, **settings: Any) -> None:
        context = {"help_option_names": ["-h", "--help"], "token_normalize_func": with_hyphens}
        super().__init__(name=name, cls=CommandGroup, context_settings=context, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Return a decorator that registers a function as a command."""
        return super().command(name, **{"cls": Command, **settings})


def _spelled(found: list[CompletionItem], incomplete: str) -> list[CompletionItem]:
    """Return completions with `_` instead of `-` if the user has begun like this; a shell compares the spelling."""
    if "_" not in incomplete:
        return found
    for item in found:
        hyphens = "--" if item.value.startswith("--") else ""
        item.value = hyphens + item.value.removeprefix("--").replace("-", "_")
    return found


def _epilog(name: str | None) -> str:
    """Return the end of a command's help: its examples and the exit codes."""
    examples = EXAMPLES.get(str(name), ())
    return "\n\n".join((["Examples:", *examples, ""] if examples else []) + [EXIT_CODES_HELP])


def _print_refusal(command: str, error: DrShymError) -> None:
    """Print the document of a command that could not do what it was asked for."""
    from drshym_pipeline.commands.document_base import CommandDocument, failure_of, print_document
    from drshym_pipeline.commands.result_documents import DOCUMENTS

    code = ExitCode.INPUT if isinstance(error, InputError) else ExitCode.FAULT
    kind = DOCUMENTS.get(command, CommandDocument)
    print_document(kind(command=command, exit_code=code, failures=(failure_of(command, error),)))
