"""The output of the command: progress and notes on stderr, results on stdout.

In a terminal progress is shown as bars, otherwise as plain lines. `Printing` says what the running command may print;
every text goes through the functions of this module, so `--json`, `--quiet` and `--no-progress` hold for all of them.
Nothing is computed here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from drshym_pipeline.progress import stage_text

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from drshym_pipeline.records import MapRecord

_QUIET_SECONDS: Final = 5.0
# What is counted in a stage, where its words do not say it.
_COUNTED: Final = {
    "stitched_scenes": "rows",
    "reference_layers": "rows",
    "exclusion": "rows",
    "train": "steps",
    "calibrate": "chips",
    "map pairs": "chips",
}


@dataclass(frozen=True, slots=True)
class Printing:
    """What the running command prints. Errors are always printed.

    Args:
        json: One JSON document is the only thing on stdout.
        quiet: Neither results as text nor notes nor progress.
        progress: Progress is shown.
    """

    json: bool = False
    quiet: bool = False
    progress: bool = True


_PRINTING: ContextVar[Printing | None] = ContextVar("printing", default=None)


@contextmanager
def printing_as(chosen: Printing) -> Iterator[None]:
    """Print as chosen until the end of the block."""
    token = _PRINTING.set(chosen)
    try:
        yield
    finally:
        _PRINTING.reset(token)


def printing() -> Printing:
    """Return what the running command prints."""
    return _PRINTING.get() or Printing()


def result_line(text: str) -> None:
    """Print one line of the result on stdout; nothing with `--json` or `--quiet`."""
    if not (printing().json or printing().quiet):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def note_line(text: str) -> None:
    """Print one line for the user on stderr, such as which model is used; nothing with `--quiet`."""
    if not printing().quiet:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _label(stage: str) -> str:
    """Return a stage in words, and what is counted in it."""
    return f"{stage_text(stage)} ({_COUNTED[stage]})" if stage in _COUNTED else stage_text(stage)


class Display(Protocol):
    """A progress callback that can also show lines and details."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show the progress of a stage."""

    def line(self, text: str) -> None:
        """Show one line that stays visible."""

    def detail(self, stage: str, text: str) -> None:
        """Set a text that is shown with the next progress of a stage, such as the loss."""


class _Notes:
    """Shows lines, and no progress; nothing with `--quiet`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def line(self, text: str) -> None:
        note_line(f"{self._prefix}{text}")

    def detail(self, stage: str, text: str) -> None:
        del stage, text

    def __call__(self, stage: str, done: int, total: int) -> None:
        del stage, done, total


class _PlainLines:
    """Prints lines while a long stage runs and when it ends; prints nothing for short stages."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._started: dict[str, float] = {}
        self._last = time.monotonic()
        self._details: dict[str, str] = {}

    def line(self, text: str) -> None:
        note_line(f"{self._prefix}{text}")

    def detail(self, stage: str, text: str) -> None:
        self._details[stage] = f", {text}"

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        start = self._started.setdefault(stage, now)
        finished = done >= total
        if finished:
            self._started.pop(stage)
        if now - max(self._last, start) < _QUIET_SECONDS and not (finished and now - start >= _QUIET_SECONDS):
            return
        self._last = now
        self.line(f"{_label(stage)}: {done}/{total}, {now - start:.0f} s{self._details.get(stage, '')}")


class _Bars:
    """Shows progress bars of Rich; lines are printed above them."""

    def __init__(self, prefix: str, bars: RichProgress) -> None:
        self._prefix = prefix
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._details: dict[str, str] = {}

    def line(self, text: str) -> None:
        from rich.text import Text

        self._bars.console.print(Text(self._prefix + text))

    def detail(self, stage: str, text: str) -> None:
        self._details[stage] = f", {text}"

    def __call__(self, stage: str, done: int, total: int) -> None:
        label = f"{self._prefix}{_label(stage)}{self._details.get(stage, '')}"
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(label, total=total)
        self._bars.update(self._tasks[stage], completed=done, description=label)


@contextmanager
def shown_progress(title: str = "") -> Iterator[Display]:
    """Yield a progress callback that shows the running stage, its progress and its time.

    Args:
        title: Shown before every stage, such as the name of a scene.
    """
    prefix = f"{title}: " if title else ""
    if printing().quiet or not printing().progress:
        yield _Notes(prefix)
        return
    if not sys.stderr.isatty():
        yield _PlainLines(prefix)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield _Bars(prefix, bars)


def error_line(error: object) -> None:
    """Print one line on stderr: `error: ...`."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout.

    In a terminal that is too narrow for the table, each row becomes several lines: the first column, then one line for
    each other column that is not empty. A row that is broken in several columns could not be read. Outside a terminal
    the table has its full width. With `--json` or `--quiet` nothing is printed.
    """
    if printing().json or printing().quiet:
        return
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    def line(cells: Sequence[str], style: str = "") -> Text:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True))
        return Text("  ".join(padded).rstrip(), style=style)

    table = [tuple(header), *map(tuple, rows)]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    console = Console(soft_wrap=True)
    console.print(Text(title))
    if not sys.stdout.isatty() or sum(widths) + 2 * (len(widths) - 1) <= console.width:
        console.print(line(table[0], "bold"))
        for row in table[1:]:
            console.print(line(row))
        return
    widest = max(map(cell_len, header[1:]), default=0)
    for first, *others in table[1:]:
        console.print(Text(first, style="bold"))
        for name, cell in zip(header[1:], others, strict=True):
            if cell:
                console.print(Text(f"  {name:<{widest}}  {cell}"))


def water_text(record: MapRecord) -> str:
    """Return the area of a map with its interval, after the words for what it is: open water, or flood."""
    from drshym_pipeline.records import no_area_text
    from drshym_pipeline.states import flooded_state

    if record.flooded is None:
        return no_area_text(record.exclusion)
    return f"{flooded_state(record.separation)}: {record.flooded.text()}"


def map_row(record: MapRecord, out: Path) -> tuple[str, str, str, str]:
    """Return the row of a scene in the result table: name, water or flood with its interval, observed share, mask."""
    observed = f"{record.observed_fraction:.0%}".replace("%", " %")
    return record.scene_id, water_text(record), observed, str(out / record.files["mask"])


def notes(records: Sequence[MapRecord]) -> list[str]:
    """Return the warnings of maps, each once; a warning that does not apply to all maps names its scenes."""
    found: dict[str, list[str]] = {}
    for record in records:
        for text in record.warnings:
            found.setdefault(text, []).append(record.scene_id)
    return [
        f"note: {text}" if len(scenes) == len(records) else f"note ({', '.join(scenes)}): {text}"
        for text, scenes in found.items()
    ]
