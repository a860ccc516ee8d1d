"""Checks that a TIFF still has all its bytes. Reading pixels alone does not show this.

A file whose end is missing, or was preallocated and never filled, may be read without an error: as zeros when it is not
compressed, as noise inside a compressed block.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from drshym_pipeline.errors import InputError, one_line

_REMEDY = "Download or copy it again"
_STREAMS = {"DEFLATE", "LZW", "ZSTD", "LZMA", "PACKBITS"}
# Streams begin with a marker and end with a checksum or an end code, so they never have so many zero bytes there.
_STREAM_ZEROS = 16
# Fewer zero samples than this prove nothing.
_FEW = 16


@dataclass(frozen=True, slots=True)
class _Block:
    """A stored block: its bytes in the file, and how many of its rows and columns are inside the scene."""

    offset: int
    size: int
    rows: int
    cols: int

    @property
    def end(self) -> int:
        return self.offset + self.size


def _stored_blocks(dataset: Any) -> Iterator[_Block]:
    """Yield the position of each block of full resolution in the file; sparse blocks have none and are left out."""
    bands = dataset.indexes if dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "BAND" else (1,)
    for band in bands:
        height, width = dataset.block_shapes[band - 1]
        for y in range(-(-dataset.height // height)):
            for x in range(-(-dataset.width // width)):
                offset = dataset.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=band)
                size = dataset.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=band)
                if offset is not None and size is not None and int(size) > 0:
                    rows, cols = min(height, dataset.height - y * height), min(width, dataset.width - x * width)
                    yield _Block(int(offset), int(size), rows, cols)


def check_blocks(dataset: Any, path: Path) -> None:
    """Compare the positions of the blocks with the file's length, and find compressed blocks that were never written.

    Raises:
        InputError: A block ends after the end of the file, or contains zero bytes instead of a compressed stream.
    """
    length = path.stat().st_size
    streams = dataset.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION") in _STREAMS
    with path.open("rb") as handle:
        for block in _stored_blocks(dataset):
            if block.end > length:
                raise InputError(path, f"cut short: {length} bytes, but its pixels reach to {block.end}", _REMEDY)
            if streams and block.size > _STREAM_ZEROS:
                handle.seek(block.offset)
                head = handle.read(_STREAM_ZEROS)
                handle.seek(block.end - _STREAM_ZEROS)
                if not any(head) or not any(handle.read(_STREAM_ZEROS)):
                    raise InputError(path, "incomplete: a compressed block begins or ends with zero bytes", _REMEDY)


def missing_block(dataset: Any, path: Path) -> str | None:
    """Describe the first block that is missing or ends after the end of the file; None when there is none.

    A file that was cut may still open, and only the positions of its blocks show the cut.

    Args:
        dataset: The open file, written without sparse blocks.
        path: Its path.
    """
    size = path.stat().st_size
    for band in dataset.indexes:
        height, width = dataset.block_shapes[band - 1]
        for (row, column), _ in dataset.block_windows(band):
            start = dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=band)
            length = dataset.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=band)
            if start is None or length is None or int(start) + int(length) > size:
                return f"the block of band {band} at row {row * height}, column {column * width} is cut"
    return None


def check_written(path: Path) -> None:
    """Check that a GeoTIFF of ours is on the disk: GDAL writes most of it when it closes, and reports no error then.

    Raises:
        OSError: A part is missing. This is a fault of the machine, such as a full disk, never one of the scene.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver="GTiff", sharing=False) as dataset:
                cut = missing_block(dataset, path)
    except (RasterioError, CPLE_BaseError) as error:
        cut = one_line(error)
    if cut is not None:
        raise OSError(f"{path}: cannot be written ({cut}); is the disk full?")


@dataclass(frozen=True, slots=True)
class _Tail:
    """The zeros at the end of an uncompressed file, counted in samples inside the scene.

    Args:
        samples: How many there are.
        total: All samples of the file.
        inside: Whether they begin inside a row or a tile.
        row: Samples of a stored row.
        border: Whether there are other zeros before them.
    """

    samples: int
    total: int
    inside: bool
    row: int
    border: bool


def _zero_tail(dataset: Any, path: Path, blocks: list[_Block]) -> _Tail | None:
    """Count the zeros at the end of a file, in the order of its bytes."""
    itemsize = np.dtype(dataset.dtypes[0]).itemsize
    pixel_bytes = itemsize * (dataset.count if dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL" else 1)
    row_bytes = dataset.block_shapes[0][1] * pixel_bytes
    total = sum(block.rows * block.cols for block in blocks) * pixel_bytes // itemsize
    tiles_across = dataset.block_shapes[0][1] < dataset.width
    tail = row = zeros_before = 0
    inside: bool | None = None  # known as soon as a sample that is not zero was found
    for block in reversed(blocks):
        if block.size % row_bytes or block.size < block.rows * row_bytes:
            return None  # samples packed into bits: backscatter is never stored like that
        stored = np.memmap(path, np.uint8, "r", block.offset, (block.size // row_bytes, row_bytes))
        row = block.cols * pixel_bytes // itemsize
        for line in range(block.rows - 1, -1, -1):
            samples = stored[line, : block.cols * pixel_bytes].reshape(row, itemsize).any(axis=1)
            filled = np.flatnonzero(samples)
            if inside is None and not filled.size:
                tail += row
                continue
            rest = row - (int(filled[-1]) + 1) if filled.size else 0
            if inside is None:
                # Zeros of a border at the bottom would fill the neighbouring tiles to the same row.
                inside = rest > 0 or (tiles_across and line < block.rows - 1)
                tail += rest
                zeros_before -= rest
                if tail < _FEW:
                    return None
            zeros_before += row - filled.size
            if zeros_before >= _FEW:
                return _Tail(tail, total, inside, row, border=True)
    return _Tail(tail, total, bool(inside), row, border=False)


def check_zero_tail(dataset: Any, path: Path) -> str | None:
    """Find an uncompressed file that was preallocated and never filled to its end.

    Its missing part is read as zeros, but zeros may also be the fill of a scene's border. They count as damage when
    there are no other zeros in the file and they begin inside a row or a tile.

    Args:
        dataset: The open file.
        path: Its path.

    Returns:
        A warning when the zeros may be a border or damage, else None.

    Raises:
        InputError: The end of the file was never written.
    """
    if "COMPRESSION" in dataset.tags(ns="IMAGE_STRUCTURE"):
        return None
    blocks = sorted(_stored_blocks(dataset), key=lambda block: block.offset)
    try:
        tail = _zero_tail(dataset, path, blocks) if blocks else None
    except (ValueError, FileNotFoundError) as error:  # the file became shorter or was removed after it was opened
        raise InputError(path, "changed while it was read", "Wait until the file is completely written") from error
    if tail is None:
        return None
    share = f"the last {tail.samples / tail.total:.1%} of its pixels are zero bytes"
    if tail.inside and not tail.border:
        raise InputError(path, f"incomplete: {share}, beginning inside a row or a tile", _REMEDY)
    if tail.samples < 2 * tail.row:
        return None
    return f"{path.name}: {share}: this is a border, or an interrupted download"
