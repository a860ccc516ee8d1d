"""The errors that users read.

An input that cannot be used (a file, a configuration key, an option) raises an `InputError`: one line that names the
input, says what is wrong and what to do. The command line returns exit code 2 for it; a Dagster asset fails and is not
retried. An input that cannot be reached now raises an `UnavailableError` in the same form: exit code 1, and a run that
may be tried again. Any other error is a fault of this program or of the machine and keeps its traceback (exit code 1).
"""

from __future__ import annotations

from pathlib import Path


class DrShymError(Exception):
    """Base class of all errors that this package raises on purpose."""


class ExplainedError(DrShymError):
    """An error in one sentence: what it is about, what is wrong, what to do.

    Args:
        subject: The file, configuration key, option or address that the error is about.
        problem: What is wrong with it, without a full stop.
        remedy: What the user can do about it, without a full stop; a question keeps its question mark.
    """

    def __init__(self, subject: str | Path, problem: str, remedy: str) -> None:
        self.subject = str(subject)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{self.subject}: {problem}. {remedy}{'' if remedy.endswith('?') else '.'}")

    def __reduce__(self) -> tuple[type[ExplainedError], tuple[str, str, str]]:
        # Exceptions with several arguments do not survive pickling by default, and data loader workers pickle them.
        return (type(self), (self.subject, self.problem, self.remedy))


class InputError(ExplainedError):
    """An input that cannot be used: the same input gives the same error."""


class UnavailableError(ExplainedError):
    """An input that could not be reached now, such as a bucket without network: it may work later."""


def one_line(error: BaseException) -> str:
    """Return the whole message of an error in one line, or the name of its type if it has no message.

    A message is never cut: libraries write the path first, so the reason at the end would be lost under a long path.
    """
    return " ".join(str(error).split()) or type(error).__name__
