"""The progress callback: how a long computation reports its progress to its caller."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total), with done from 0 to total; must be fast enough to be called after every tile."""


def silent(stage: str, done: int, total: int) -> None:
    """Do nothing; the default callback."""
    del stage, done, total
