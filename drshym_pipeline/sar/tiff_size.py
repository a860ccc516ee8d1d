"""The width and height of a TIFF, from its header alone, read forwards.

GDAL needs a whole file on the disk. An image in a zip is not on the disk, and only its size has to be known before it
is unpacked. Format: TIFF 6.0, section 2, and BigTIFF.
"""

from __future__ import annotations

import struct
from typing import IO, Final

_WIDTH, _HEIGHT = 256, 257
# Format of an unsigned number in `struct`, by the type of a TIFF field: BYTE, SHORT, LONG, LONG8.
_FORMATS: Final = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MOST_FIELDS: Final = 4096  # an image has some twenty


def tiff_size(handle: IO[bytes]) -> tuple[int, int] | None:
    """Return the width and height of the first image of a TIFF in pixels.

    Args:
        handle: The file, at its beginning. It is never moved backwards.

    Returns:
        None if the file does not begin like a TIFF.

    Raises:
        ValueError: It begins like a TIFF, but its header is damaged.
    """
    head = handle.read(4)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 4:
        return None
    (version,) = struct.unpack(order + "H", head[2:])
    if version not in (42, 43):
        return None
    try:
        found = _fields(handle, order, is_big=version == 43)
        return found[_WIDTH], found[_HEIGHT]
    except (struct.error, KeyError) as error:
        raise ValueError("the header of the TIFF is damaged") from error


def _fields(handle: IO[bytes], order: str, *, is_big: bool) -> dict[int, int]:
    """Return the numbers of the first directory of a TIFF by their tag, as far as they have one value."""

    def numbers(text: str) -> tuple[int, ...]:
        return struct.unpack(order + text, handle.read(struct.calcsize(order + text)))

    start = numbers("HHQ")[2] if is_big else numbers("I")[0]
    handle.seek(start)
    (count,) = numbers("Q" if is_big else "H")
    if count > _MOST_FIELDS:
        raise struct.error
    found: dict[int, int] = {}
    for _ in range(count):
        tag, kind, values = numbers("HHQ" if is_big else "HHI")
        content = handle.read(8 if is_big else 4)
        if values == 1 and kind in _FORMATS and {_WIDTH, _HEIGHT} & {tag}:
            found[tag] = struct.unpack_from(order + _FORMATS[kind], content)[0]
    return found
