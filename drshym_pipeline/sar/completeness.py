"""Whether a TIFF still has all its bytes: what reading pixels alone does not show.

An uncompressed file whose tail is missing, or was never filled by an interrupted download, may read as zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drshym_pipeline.errors import InputError

_CHUNK = 1 << 20
_REMEDY = "Download or copy it again"


@dataclass(frozen=True, slots=True)
class _Block:
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


def _stored_blocks(dataset: Any) -> Iterator[_Block]:
    """Where the stored blocks of full resolution lie in the file; sparse ones have no place."""
    bands = dataset.indexes if dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "BAND" else (1,)
    for band in bands:
        rows, cols = dataset.block_shapes[band - 1]
        for y in range(-(-dataset.height // rows)):
            for x in range(-(-dataset.width // cols)):
                offset = dataset.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=band)
                size = dataset.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=band)
                if offset is not None and size is not None and int(size) > 0:
                    yield _Block(int(offset), int(size))


def check_blocks(dataset: Any, path: Path) -> None:
    """Compare where the blocks should lie with the file's length, and look for compressed blocks of zero bytes.

    Raises:
        InputError: A block reaches past the end of the file, or was never written.
    """
    length = path.stat().st_size
    compressed = "COMPRESSION" in dataset.tags(ns="IMAGE_STRUCTURE")
    with path.open("rb") as handle:
        for block in _stored_blocks(dataset):
            if block.end > length:
                raise InputError(path, f"cut short: {length} bytes, but its pixels reach to {block.end}", _REMEDY)
            if compressed:
                # No compression in use begins a block with zero bytes.
                handle.seek(block.offset)
                head = handle.read(min(8, block.size))
                if not any(head) and block.size > len(head):
                    raise InputError(path, "incomplete: compressed blocks of nothing but zero bytes", _REMEDY)


def _zero_run(path: Path, start: int, end: int) -> int:
    """How many of the bytes before `end`, down to `start`, are zero without a break."""
    with path.open("rb") as handle:
        position = end
        while position > start:
            size = min(_CHUNK, position - start)
            handle.seek(position - size)
            values = np.frombuffer(handle.read(size), dtype=np.uint8)
            filled = np.flatnonzero(values)
            if filled.size:
                return end - (position - size + int(filled[-1]) + 1)
            position -= size
    return end - start


def check_zero_tail(dataset: Any, path: Path, zeros: int) -> str | None:
    """Find a preallocated file that was never filled to its end.

    Only uncompressed files can hide it: their missing part reads as zeros, which may as well be the fill of a scene's
    border. It is taken for damage when zero is not the declared fill, or when zeros are found nowhere else and begin in
    the middle of a row.

    Args:
        dataset: The open file.
        path: Its path.
        zeros: How many samples of the scene are exactly zero, in all bands that are read.

    Returns:
        A warning where it cannot be told from a border, else None.

    Raises:
        InputError: The tail was never written.
    """
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    if "COMPRESSION" in structure:
        return None
    blocks = sorted(_stored_blocks(dataset), key=lambda block: block.offset)
    if not blocks:
        return None
    itemsize = np.dtype(dataset.dtypes[0]).itemsize
    rows, cols = dataset.block_shapes[0]
    samples = dataset.count if structure.get("INTERLEAVE") == "PIXEL" else 1
    row_bytes = cols * itemsize * samples
    last = blocks[-1]
    run = _zero_run(path, blocks[0].offset, last.end)
    tiled = cols < dataset.width
    # The last tile of a scene is padded below and to the right, so that only whole tiles of zeros mean something.
    if run < (last.size if tiled or rows > dataset.height else 2 * row_bytes):
        return None
    share = run / sum(block.size for block in blocks)
    problem = f"incomplete: the last {share:.1%} of its pixels are zero bytes"
    if dataset.nodata is not None and dataset.nodata != 0:
        raise InputError(path, problem + ", which is not its nodata value", _REMEDY)
    begin = last.end - run
    home = max((block for block in blocks if block.offset <= begin), key=lambda block: block.offset)
    inside_row = itemsize <= (begin - home.offset) % row_bytes <= row_bytes - itemsize
    if inside_row and zeros - run // itemsize < 16:
        raise InputError(path, problem + ", beginning inside a row", _REMEDY)
    return f"{path.name}: the last {share:.1%} of its pixels are zero bytes: a border, or an interrupted download"
