"""How many examples a property test tries: as many as it asks for in `make test`, many more in `make fuzz`."""

from __future__ import annotations

from hypothesis import settings

USUAL = 100  # examples of a test that asks for no number


def examples(count: int) -> settings:
    """The settings of a property test.

    Args:
        count: Examples in `make test`; a profile that tries more than the usual number tries more here in proportion.
    """
    return settings(max_examples=max(1, count * settings().max_examples // USUAL))
