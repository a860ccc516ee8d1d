"""The lists of files that go from one step of tiles as files to the next, and whether the files are still those.

`<scene>_meta.json` lists the chips of a scene and `<scene>_prediction.json` its predicted tiles. Each of the two also
has a hash of its own content. A file that was changed, damaged or exchanged since is refused: it could show another
place or other water.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import ListedTile, PixelWindow, Record
from drshym_pipeline.storage import sha256_file, sha256_json
from drshym_pipeline.tiling import Window

_HASH_FIELD = "content_sha256"
_List = TypeVar("_List", bound=Record)


def pixel_window(window: Window) -> PixelWindow:
    """Return a window as records contain it."""
    return PixelWindow(row=window.row, col=window.col, height=window.height, width=window.width)


def listed_tile(image_id: str, window: Window, raster: Path) -> ListedTile:
    """Return the entry of a tile that is completely written: its GeoTIFF, and its record as JSON beside it."""
    return ListedTile(
        image_id=image_id,
        window=pixel_window(window),
        raster_sha256=sha256_file(raster),
        record_sha256=sha256_file(raster.with_suffix(".json")),
    )


def with_content_hash(record: _List) -> _List:
    """Return a record with the SHA-256 of its other fields in its field `content_sha256`."""
    return record.model_copy(update={_HASH_FIELD: _content_hash(json.loads(record.model_dump_json()))})


def check_content(path: Path, value: Mapping[str, Any], remedy: str) -> None:
    """Compare the content of a record with its `content_sha256`.

    Args:
        path: Its file.
        value: The JSON value in the file.
        remedy: How the file is made again.

    Raises:
        InputError: It was changed after it was written.
    """
    if value.get(_HASH_FIELD) != _content_hash(value):
        raise InputError(path, f"was changed after it was written (its {_HASH_FIELD} is of other content)", remedy)


def check_file(path: Path, sha256: str, listed_in: str, remedy: str) -> None:
    """Compare a file with its entry in a list.

    Args:
        path: The file.
        sha256: The hash in the list.
        listed_in: The name of the file with the list.
        remedy: How the file is made again.

    Raises:
        InputError: It is missing, cannot be read, or is not the file that was listed.
    """
    try:
        found = sha256_file(path)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", remedy) from error
    if found != sha256:
        raise InputError(path, f"is not the file that {listed_in} lists: it was changed, damaged or exchanged", remedy)


def _content_hash(value: Mapping[str, Any]) -> str:
    return sha256_json({name: content for name, content in value.items() if name != _HASH_FIELD})
