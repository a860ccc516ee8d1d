"""The exit codes of the `drshym` command, in one place. Imports nothing heavy."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """The exit codes of a command."""

    DONE = 0
    FAULT = 1
    INPUT = 2
    PART = 3


EXIT_CODES_HELP: Final = (
    "Exit codes: 0 done; 1 a fault of the program or the machine, or the command was stopped; "
    "2 an input that cannot be used; 3 done in part: some scenes were mapped, others were not."
)
SERVE_EXIT_CODES_HELP: Final = (
    "Exit codes: 0 stopped normally by Ctrl+C or SIGTERM; 1 a fault of the program or the machine; "
    "2 an option, a setting or a model that cannot be used."
)
