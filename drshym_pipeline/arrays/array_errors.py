"""Messages about arrays: the name of the array instead of that of its temporary file, and the options of Python."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from drshym_pipeline.arrays.array_scene import ArrayScene
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import MapRecord
from drshym_pipeline.storage import to_uri

# An array has no side-car, and nobody can change its temporary file.
_IN_PYTHON: Final = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (
            r'choose with --bands ([\d,]+) \(VV first\), or with "bands": \[[\d,]+\] in the side-car',
            r"choose with bands=[\1] (VV first)",
        ),
        (r"--bands ([\d,]+)", r"bands=[\1]"),
        (r"Leave --units out, or correct the side-car", "Leave units out"),
        (r"--units (\w+)", r'units="\1"'),
        (r'give --any-spacing, or write \{"any_spacing": true\} into its side-car', "give any_spacing=True"),
        (r"rio edit-info --crs EPSG:n FILE", 'array.rio.write_crs("EPSG:n")'),
        (
            r"run: rio edit-info --nodata (\S+) \S+?(?=\.?(?:$|\s))",
            r"write the number into it: array.rio.write_nodata(\1)",
        ),
        (r"as --pre, or leave --pre out", "as pre, or leave pre out"),
        (r"--(bands|units|pre)\b", r"\1"),
    )
)


def in_python(text: str, scenes: Sequence[ArrayScene]) -> str:
    """Return a message with the names of arrays and of the options of Python.

    Args:
        text: The message.
        scenes: The arrays that were written as files.
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
    for pattern, replacement in _IN_PYTHON:
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
def named_as_arrays(scenes: Sequence[ArrayScene]) -> Iterator[None]:
    """Name the arrays in every error of the block about an input.

    Raises:
        InputError: The same error.
    """
    try:
        yield
    except InputError as error:
        if not scenes:
            raise
        texts = (in_python(text, scenes) for text in (error.subject, error.problem, error.remedy))
        raise InputError(*texts) from error
