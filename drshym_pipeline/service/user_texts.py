"""The sentences of the science in the words of a user of the service.

The science names the options of the command, and files by their place on this machine. A user of the service has
neither: options are keys of a request, and an uploaded file has the name that the user gave to it. Both are changed
here, for each error and each failure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from drshym_pipeline.service.jobs import JobSpec
from drshym_pipeline.storage import TEMPORARY_PREFIX, to_uri

# An uploaded file has no side-car, and requests have no options for bands, noise and spacing.
_OPTIONS: Final = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (
            r'choose with --bands ([\d,]+) \(VV first\), or with "bands": \[[\d,]+\] in the side-car',
            r"give its bands \1 as two files with VV and VH in their names, or VV alone",
        ),
        (r"Leave --units out, or correct the side-car", 'Leave the option "units" out'),
        (r"pass --units (\w+)", r'give the option "units": "\1"'),
        (r"--units (\w+)", r'"units": "\1"'),
        (
            r'; to map this one all the same, give --any-spacing, or write \{"any_spacing": true\} into its side-car',
            "",
        ),
        (r", or give --no-denoise", ""),
        (r" \(--pre\)", ""),
        (r"as --pre, or leave --pre out", "as the scene from before, or leave it out"),
        (r", or leave --pre out", ", or leave the scene from before out"),
        (r"Choose another --out(?:, or replace it with --overwrite)?", "Tell the operator of the service"),
        (
            r"Give the folder of the tiles as --ancillary or DRSHYM_ANCILLARY, or leave both out",
            "Ask the operator of the service to set the folder of the tiles (DRSHYM_SERVICE_ANCILLARY)",
        ),
        (r"--ancillary", "DRSHYM_SERVICE_ANCILLARY"),
        (r"--min-area-ha", '"min_area_ha"'),
        (r"--(tile|overlap|threshold|units|pre|bands)\b", r'"\1"'),
    )
)


def in_request_words(text: str) -> str:
    """Return a text that names options as a request does."""
    for pattern, replacement in _OPTIONS:
        text = pattern.sub(replacement, text)
    return text


def with_shown_names(text: str, shown: Mapping[str, str]) -> str:
    """Return a text that names files as their user does.

    Args:
        text: The text, which may have the path, the address or the bare name of a stored file.
        shown: The name for the user by the path of the stored file.
    """
    names: dict[str, str] = {}
    for stored, name in shown.items():
        path = Path(stored)
        for written in (to_uri(path), os.path.realpath(path), stored, path.name):
            names.setdefault(written, name)
    if not names:
        return text
    # A name that is there already is kept as it is, also where it contains that of a stored file.
    names |= {name: name for name in shown.values() if name not in names}
    longest_first = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<![\w.-])(?:{longest_first})(?![\w-])", lambda found: names[found.group()], text)


def for_user(text: str, spec: JobSpec) -> str:
    """Return the sentence about a job in the words of its user."""
    text = with_shown_names(text, spec.shown_names)
    temporary = rf"(?:{re.escape(TEMPORARY_PREFIX)}[^/]*/)*"
    for folder in (*spec.uploads, spec.out):
        text = re.sub(rf"{re.escape(str(folder))}/{temporary}", "", text)
    return in_request_words(text)
