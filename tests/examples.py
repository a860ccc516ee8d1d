"""The number of examples of a property test: as many as it requests in `make test`, many more in `make fuzz`."""

from __future__ import annotations

from hypothesis import settings

USUAL = 100  # examples of a test that requests no number


def examples(count: int, more: int = 1) -> settings:
    """The settings of a property test.

    Args:
        count: Examples in `make test`; a profile with more examples than usual tries proportionally more.
        more: By how much a profile with more examples than usual multiplies them in addition.
    """
    tried = settings().max_examples
    return settings(max_examples=max(1, count * tried // USUAL * (more if tried > USUAL else 1)))
