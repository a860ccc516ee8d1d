"""How long-running science tells its caller how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total), done from 0 to total; cheap enough to be called for every tile."""


def silent(stage: str, done: int, total: int) -> None:
    """The default listener: ignores everything."""
    del stage, done, total
