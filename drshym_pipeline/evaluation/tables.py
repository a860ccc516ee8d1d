"""Figures and tables as Markdown: three decimals, `not defined` where there is no figure. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from drshym_pipeline.records import NO_INTERVAL, Score

NOT_DEFINED = "not defined"


def figure(value: Any) -> str:
    """Return a figure with three decimals, or `not defined`."""
    return NOT_DEFINED if value is None or value is pd.NA else f"{float(value):.3f}"


def text(score: Score) -> str:
    """Return a text such as `0.812 (0.780 to 0.840)`, or `0.812 (no interval)`."""
    return interval(score.value, score.low, score.high)


def interval(value: Any, low: Any, high: Any) -> str:
    """Return a figure and its interval; `not defined` without a figure."""
    if value is None or value is pd.NA:
        return NOT_DEFINED
    if low is None or low is pd.NA:
        return f"{figure(value)} ({NO_INTERVAL})"
    return f"{figure(value)} ({figure(low)} to {figure(high)})"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table; `None.` without rows."""
    lines = [[str(cell).replace("|", "/") for cell in row] for row in rows]
    if not lines:
        return "None."
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def join(parts: Iterable[str]) -> str:
    """Join the paragraphs of a page; the result ends with a newline."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
