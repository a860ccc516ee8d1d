"""The log of evaluations: one line for every time a checkpoint was scored on chips that are for reporting only.

Figures on such chips mean less each time someone looks at them and decides something. The log is what tells how often
that was. Lines are only ever added.
"""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.suite import Part, calibrated
from drshym_pipeline.records import now
from drshym_pipeline.storage import write_text

UNKNOWN_COMMIT = "unknown"
UNCOMMITTED = "unknown (uncommitted changes)"
_DIRTY = "-dirty"
_HERE = Path(__file__).resolve().parent
COLUMNS = (
    "date_utc",
    "commit",
    "checkpoint",
    "sha256",
    "data",
    "split",
    "bands",
    "chips",
    "pooled_iou",
    "mean_wet_iou",
    "ece",
    "false_water",
)


def log_rows(parts: Sequence[Part], when: datetime | None = None) -> list[dict[str, str]]:
    """One row an evaluation, other networks included; figures with four decimals.

    An evaluation that stands in two parts, as that of a network with one mode does, is one look at the chips.
    """
    moment = when or now()
    looks = {id(found): (part, found) for part in parts for found in (*part.seeds, *part.others.values())}
    return [
        evaluation_row(
            found.model,
            data=part.sample.data,
            split=part.sample.split,
            bands="+".join(sorted(set(found.counts["mode"]), reverse=True)),
            chips=len(found.counts),
            figures=(
                found.scores["iou"].value,
                found.mean_chip_iou.value,
                calibrated(found, "ece"),
                found.scores["false_water"].value,
            ),
            when=moment,
        )
        for part, found in looks.values()
    ]


def evaluation_row(
    model: Mapping[str, str],
    *,
    data: str,
    split: str,
    bands: str,
    chips: int,
    figures: tuple[float | None, float | None, float | None, float | None],
    when: datetime | None = None,
) -> dict[str, str]:
    """One line of the log.

    Args:
        model: `name`, `version` and `sha256`.
        data: Of the chips.
        split: Of the chips.
        bands: The modes they were mapped in.
        chips: How many were scored.
        figures: Pooled IoU, mean IoU of wet chips, ECE and false water; None is an empty cell.
        when: The moment; now when left out.
    """
    told = [f"{model['name']} {model['version']}", model["sha256"][:12], data, split, bands, str(chips)]
    cells = [f"{when or now():%Y-%m-%dT%H:%M:%SZ}", code_version(), *told, *map(_figure, figures)]
    return dict(zip(COLUMNS, cells, strict=True))


def check_log(path: Path) -> None:
    """Refuse a file that lines of this log cannot be added to, before anything is scored for it.

    Raises:
        InputError: The path is a folder, cannot be read, or is a file of something else.
    """
    _existing(path)


def append_log(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Add lines to the log, which is made when it is not there; all of them or none.

    Raises:
        InputError: See `check_log`.
    """
    text = _existing(path)
    lines = io.StringIO()
    writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
    if not text:
        writer.writeheader()
    writer.writerows(rows)
    write_text(path, text + ("" if not text or text.endswith("\n") else "\n") + lines.getvalue())


def code_version(folder: Path = _HERE) -> str:
    """The commit of the checkout that a folder is in, as `stated_commit` says it; `unknown` where it is in none.

    Args:
        folder: By default that of the code that runs.
    """
    command = ["git", "describe", "--always", f"--dirty={_DIRTY}", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN_COMMIT
    return stated_commit(done.stdout.strip()) if done.returncode == 0 else UNKNOWN_COMMIT


def stated_commit(described: str) -> str:
    """What a card or a log says about a commit that git describes.

    With uncommitted changes no commit holds the code that ran: then none is named.

    Args:
        described: By `git describe --dirty`; also as a file of an earlier release has it.
    """
    return UNCOMMITTED if described.endswith(_DIRTY) else described


def _existing(path: Path) -> str:
    """What the log holds, empty when it is not there yet."""
    if not path.exists():
        return ""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"the log cannot be read ({error})", "Name a CSV file") from error
    if text and text.splitlines()[0] != ",".join(COLUMNS):
        raise InputError(path, "is not a log of evaluations", f"Its first line must be {','.join(COLUMNS)}")
    return text


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
