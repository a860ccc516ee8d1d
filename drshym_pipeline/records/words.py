"""Numbers with their nouns, for sentences that programs write."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, such as `1 tile`, `0 tiles` or `1,200 tiles`.

    Args:
        number: The number of things.
        noun: The noun for one.
        plural: The noun for any other number; None to add an `s`.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
