"""The log of evaluations: one line for every time a checkpoint was scored on chips that are for reporting only.

Every time a decision is based on figures of such chips, these figures become less meaningful. The log shows how often
the chips were used. Lines are added and never changed.
"""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.evaluation import Evaluation
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
    """Return one row per evaluation, including those of other networks; figures have four decimals.

    An evaluation that is in two parts, as that of a network with one mode, is counted once.
    """
    moment = when or now()
    evaluations = {id(found): (part, found) for part in parts for found in (*part.seeds, *part.others.values())}
    return [log_row(found, part.sample.data, part.sample.split, moment) for part, found in evaluations.values()]


def log_row(found: Evaluation, data: str, split: str, when: datetime | None = None) -> dict[str, str]:
    """Return the line of one evaluation; figures have four decimals.

    Args:
        found: The evaluation.
        data: Name of the data set of the chips.
        split: Split of the chips.
        when: Time of the evaluation; None for the current time.
    """
    return evaluation_row(
        found.model,
        data=data,
        split=split,
        bands="+".join(sorted(set(found.counts["mode"]), reverse=True)),
        chips=len(found.counts),
        figures=(
            found.scores["iou"].value,
            found.mean_chip_iou.value,
            calibrated(found, "ece"),
            found.scores["false_water"].value,
        ),
        when=when,
    )


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
    """Return one line of the log.

    Args:
        model: `name`, `version` and `sha256` of the model.
        data: Name of the data set of the chips.
        split: Split of the chips.
        bands: The modes in which the chips were mapped.
        chips: Number of scored chips.
        figures: Pooled IoU, mean IoU of wet chips, ECE and false water; None is an empty cell.
        when: Time of the evaluation; None for the current time.
    """
    described = [f"{model['name']} {model['version']}", model["sha256"][:12], data, split, bands, str(chips)]
    cells = [f"{when or now():%Y-%m-%dT%H:%M:%SZ}", running_version(), *described, *map(_figure, figures)]
    return dict(zip(COLUMNS, cells, strict=True))


def check_log(path: Path) -> None:
    """Check that lines can be added to a log, before anything is scored for it.

    Raises:
        InputError: The path is a folder, cannot be read, or is another kind of file.
    """
    _existing(path)


def append_log(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Add lines to the log, all of them or none; the file is created when it does not exist.

    Raises:
        InputError: The file cannot be used, see `check_log`.
    """
    text = _existing(path)
    lines = io.StringIO()
    writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
    if not text:
        writer.writeheader()
    writer.writerows(rows)
    write_text(path, text + ("" if not text or text.endswith("\n") else "\n") + lines.getvalue())


def code_version(folder: Path = _HERE) -> str:
    """Return the commit of the checkout of a folder, as text from `stated_commit`; `unknown` without a checkout.

    Args:
        folder: The folder; by default the folder of the running code.
    """
    command = ["git", "describe", "--always", f"--dirty={_DIRTY}", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN_COMMIT
    return stated_commit(done.stdout.strip()) if done.returncode == 0 else UNKNOWN_COMMIT


@cache
def running_version() -> str:
    """Return the commit of the running code. It is read once, so files that the run itself writes do not count."""
    return code_version()


def stated_commit(described: str) -> str:
    """Return the text that a card or a log shows for a commit that git describes.

    With uncommitted changes no commit contains the code that ran, so no commit is named.

    Args:
        described: Output of `git describe --dirty`, also from a file of an earlier release.
    """
    return UNCOMMITTED if described.endswith(_DIRTY) else described


def _existing(path: Path) -> str:
    """Read the log; an empty string when it does not exist yet."""
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
