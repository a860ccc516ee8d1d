"""The names of options in errors: the science says `tile`, the command has `--tile`. Imports nothing heavy."""

from __future__ import annotations

from typing import Final, TypeVar

import click

from drshym_pipeline.errors import DrShymError, ExplainedError

# What the science calls the options that it checks itself.
_CHECKED_BELOW: Final = frozenset(["batch-size", "min-area-ha", "overlap", "precision", "threshold", "tile"])

Error = TypeVar("Error", bound=DrShymError)


def with_option_name(error: Error) -> Error:
    """Return an error about an option of the running command with the name that the user writes."""
    context = click.get_current_context(silent=True)
    if context is None or not isinstance(error, ExplainedError) or error.subject not in _CHECKED_BELOW:
        return error
    option = f"--{error.subject}"
    if not any(option in parameter.opts for parameter in context.command.params):
        return error
    return type(error)(option, error.problem, error.remedy)
