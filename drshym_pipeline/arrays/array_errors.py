"""Messages in Python: its options instead of those of the command, and the names of arrays.

An error of the science names the options as the command has them, such as `--units dn`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, get_args

from drshym_pipeline.arrays.array_scene import ArrayScene
from drshym_pipeline.errors import ExplainedError
from drshym_pipeline.records import MapRecord, Units
from drshym_pipeline.storage import to_uri

_OPTIONS: Final = (
    *("out", "overwrite", "units", "bands", "pre", "ancillary", "denoise", "tile", "overlap", "threshold"),
    "precision",
)


def _rules(*rules: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), text) for pattern, text in rules)


# An array has no side-car, and nobody can change its temporary file. These rules come first.
_OF_ARRAYS: Final = _rules(
    (r', or with "bands": \[[\d,]+\] in the side-car', ""),
    (r"Leave --units out, or correct the side-car", "Leave --units out"),
    (r'give --any-spacing, or write \{"any_spacing": true\} into its side-car', "give --any-spacing"),
    (r"rio edit-info --crs EPSG:n FILE", 'array.rio.write_crs("EPSG:n")'),
    (
        r"run: rio edit-info --nodata (\S+) \S+?(?=\.?(?:$|\s))",
        r"write the number into it: array.rio.write_nodata(\1)",
    ),
)
# The options of the command as those of the functions, with their values.
_IN_PYTHON: Final = _rules(
    (rf"--units ({'|'.join(get_args(Units))})\b", r'units="\1"'),
    (r"--bands (\d+)(?![\d,])", r"bands=[\1]"),
    (r"--bands (\d+),(\d+)", r"bands=[\1, \2]"),
    (r"(?<=[Gg]ive )--any-spacing\b", "any_spacing=True"),
    (r"--no-denoise\b", "denoise=False"),
    (r"with --overwrite\b", "with overwrite=True"),
    (r"as --ancillary or DRSHYM_ANCILLARY, or leave both out", "as ancillary, or leave it out"),
    (r"--any-spacing\b", "any_spacing"),
    (rf"(?<![\w./-])--({'|'.join(_OPTIONS)})\b", r"\1"),  # not in a path
)


def in_python(text: str, scenes: Sequence[ArrayScene]) -> str:
    """Return a message with the names of arrays and of the options of Python.

    Args:
        text: The message.
        scenes: The arrays that were written as files; none if the scene is a file.
    """
    labels: dict[str, str] = {}
    for scene in scenes:
        # Some messages have the bare name of the file, beside words such as "on the same grid as".
        # A name that is there already is kept as it is, also where it contains that of a file.
        written = (to_uri(scene.path), str(scene.path.resolve()), str(scene.path), scene.path.name, scene.label)
        labels |= dict.fromkeys(written, scene.label)
    if labels:
        longest_first = "|".join(map(re.escape, sorted(labels, key=len, reverse=True)))
        text = re.sub(longest_first, lambda found: labels[found.group()], text)
    for pattern, replacement in (*(_OF_ARRAYS if scenes else ()), *_IN_PYTHON):
        text = pattern.sub(replacement, text)
    return text


def record_in_python(record: MapRecord, scenes: Sequence[ArrayScene]) -> MapRecord:
    """Return a record with the same changes in all its texts, such as its warnings."""

    def changed(value: Any) -> Any:
        if isinstance(value, str):
            return in_python(value, scenes)
        if isinstance(value, dict):
            return {key: changed(part) for key, part in value.items()}
        return [changed(part) for part in value] if isinstance(value, list) else value

    # The files of the map have names of their own, which may contain that of the scene.
    return MapRecord.model_validate({**changed(record.model_dump(mode="json")), "files": record.files})


@contextmanager
def errors_in_python(scenes: Sequence[ArrayScene] = ()) -> Iterator[None]:
    """Name the options of Python, and the arrays, in every error of the block that a user reads.

    Args:
        scenes: The arrays that were written as files; more may be added in the block.

    Raises:
        ExplainedError: The same error, of the same type.
    """
    try:
        yield
    except ExplainedError as error:
        texts = [in_python(text, scenes) for text in (error.subject, error.problem, error.remedy)]
        raise type(error)(*texts) from error
