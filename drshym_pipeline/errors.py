"""The errors that users read.

An input that cannot be used (a file, a configuration key, an option) raises an `InputError`: one line that names the
input, says what is wrong and what to do. The command line returns exit code 2 for it; a Dagster asset fails and is not
retried. Any other error is a fault of this program or of the machine and keeps its traceback (exit code 1).
"""

from __future__ import annotations

from pathlib import Path


class DrShymError(Exception):
    """Base class of all errors that this package raises on purpose."""


class InputError(DrShymError):
    """An input that cannot be used.

    Args:
        subject: The file, configuration key or option that cannot be used.
        problem: What is wrong with it, without a full stop.
        remedy: What the user can do about it, without a full stop; a question keeps its question mark.
    """

    def __init__(self, subject: str | Path, problem: str, remedy: str) -> None:
        self.subject = str(subject)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{self.subject}: {problem}. {remedy}{'' if remedy.endswith('?') else '.'}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        # Exceptions with several arguments do not survive pickling by default, and data loader workers pickle them.
        return (type(self), (self.subject, self.problem, self.remedy))


def one_line(error: BaseException) -> str:
    """Return the whole message of an error in one line, or the name of its type if it has no message.

    A message is never cut: libraries write the path first, so the reason at the end would be lost under a long path.
    """
    return " ".join(str(error).split()) or type(error).__name__
