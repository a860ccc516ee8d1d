"""Zips of unknown origin that contain one Sentinel-1 product: what is in them, and the unpacking of the needed files.

A zip is refused before anything is written if it is damaged, encrypted, too large when unpacked, or contains anything
but one SAFE folder, paths that lead out of it, or links. While a file is written, its bytes are counted again, because
the sizes in a zip are only what its writer says.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from drshym_pipeline.errors import InputError, one_line
from drshym_pipeline.sar.product_tables import MEASUREMENT_FOLDER
from drshym_pipeline.sar.safe_product import choose_images, is_safe_name, needed_files
from drshym_pipeline.sar.tiff_size import tiff_size
from drshym_pipeline.storage import temporary_directory

MAX_ENTRIES: Final = 2_000  # a product has some fifty files
MAX_UNPACKED_BYTES: Final = 24 << 30  # a product has 1 to 8 GiB
MAX_RATIO: Final = 1_100  # deflate cannot do more; zeros along the edge of an image reach it in places only
_MAX_DIRECTORY_BYTES: Final = 4 << 20  # the list of the entries, which is read into memory
_CHUNK: Final = 1 << 20
_END: Final = b"PK\5\6"
_END_64: Final = b"PK\6\6"
_RECORDS_64: Final = 76  # bytes of the two records of a large zip, just before the end record
_TAIL: Final = (1 << 16) + 22 + _RECORDS_64  # with the longest comment
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error)
_AGAIN = "Download or copy it again"
_ALONE = "Give a zip that contains one .SAFE folder and nothing else, or unpack it and give the folder"


def _damaged(path: Path, error: BaseException) -> InputError:
    return InputError(path, f"damaged or cut short ({one_line(error).rstrip('.')})", _AGAIN)


def _check_directory(path: Path, handle: IO[bytes]) -> None:
    """Refuse a zip with a list of entries that would fill the memory."""
    size = handle.seek(0, 2)
    handle.seek(max(0, size - _TAIL))
    tail = handle.read(_TAIL)
    end = tail.rfind(_END)
    if end < 0 or len(tail) < end + 22:
        raise InputError(path, "is not a zip, or is incomplete", _AGAIN)
    count, length = struct.unpack_from("<HI", tail, end + 10)
    if end >= _RECORDS_64 and tail[end - _RECORDS_64 :].startswith(_END_64):
        count, length = struct.unpack_from("<QQ", tail, end - _RECORDS_64 + 32)
    if count > MAX_ENTRIES or length > _MAX_DIRECTORY_BYTES:
        raise InputError(path, f"contains {count} files, more than {MAX_ENTRIES}", _ALONE)


def _check_entry(path: Path, entry: zipfile.ZipInfo) -> None:
    """Refuse an entry that no product has."""
    name = entry.orig_filename
    parts = name.rstrip("/").split("/")
    mode = entry.external_attr >> 16
    if "\\" in name or ":" in name or "\0" in name or name.startswith("/") or not {"", ".", ".."}.isdisjoint(parts):
        raise InputError(path, f"contains a path that leads out of it or cannot be written ({name!r})", _ALONE)
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
        raise InputError(path, f"contains a link or a device ({name!r})", _ALONE)
    if entry.flag_bits & 0x1:
        raise InputError(path, f"is encrypted ({name!r})", "Unpack it with its password and give the .SAFE folder")
    if entry.compress_type not in _METHODS:
        raise InputError(path, f"is compressed in an unusual way ({name!r})", "Unpack it and give the .SAFE folder")


def _product_of(path: Path, entries: list[zipfile.ZipInfo]) -> str:
    """Return the name of the one SAFE folder of a zip."""
    tops = sorted({entry.filename.split("/")[0] for entry in entries})
    if not tops:
        raise InputError(path, "contains no .SAFE folder", _ALONE)
    others = [top for top in tops if not is_safe_name(top)]
    if len(tops) != 1 or others:
        shown = ", ".join((others or tops)[:3])
        problem = "contains more than one product" if not others else "does not contain one .SAFE folder alone"
        raise InputError(path, f"{problem} ({shown})", _ALONE)
    if any(entry.filename == tops[0] for entry in entries):
        raise InputError(path, f"{tops[0]} in it is not a folder", _ALONE)
    return tops[0]


def _check_sizes(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    total = sum(entry.file_size for entry in entries)
    if total > MAX_UNPACKED_BYTES:
        raise InputError(
            path, f"is {total / 2**30:.1f} GiB when unpacked, more than {MAX_UNPACKED_BYTES >> 30} GiB", _ALONE
        )
    packed = max(sum(entry.compress_size for entry in entries), 1)
    if packed > path.stat().st_size or total / packed > MAX_RATIO:
        raise InputError(path, f"{path.stat().st_size} bytes claim to be {total} bytes when unpacked", _ALONE)


def _needed(path: Path, archive: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return the entries to unpack, by their path below the temporary folder; the images are first."""
    entries = archive.infolist()
    for entry in entries:
        _check_entry(path, entry)
    product = _product_of(path, entries)
    files = {PurePosixPath(entry.filename): entry for entry in entries if not entry.is_dir()}
    if len({str(name).lower() for name in files}) != sum(not entry.is_dir() for entry in entries):
        raise InputError(path, "contains a file twice", _ALONE)
    _check_sizes(path, entries)
    inside = [name.relative_to(product) for name in files]
    images = choose_images(path, product, inside)
    return {(name := PurePosixPath(product) / file): files[name] for file in needed_files(images, inside)}


def _write(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """Write one entry, and never more bytes than it announces."""
    written = 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as out:
        while block := source.read(_CHUNK):
            written += len(block)
            if written > entry.file_size:
                raise InputError(path, f"{entry.filename} is larger than the zip says", _AGAIN)
            out.write(block)
    if written != entry.file_size:
        raise InputError(path, f"{entry.filename} is shorter than the zip says", _AGAIN)


@contextmanager
def unpacked(path: Path, parent: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Unpack the files of a product that are read; they are deleted at the end of the block.

    Args:
        path: A zip that contains one SAFE folder of a ground-range product and nothing else.
        parent: The folder in which the temporary folder is made.

    Yields:
        The temporary folder, which contains the SAFE folder, and the images in it: VV, and VH if there is one.

    Raises:
        InputError: The zip cannot be used.
    """
    with temporary_directory(parent) as folder:
        with _opened(path) as archive:
            names = _needed(path, archive)
            for name, entry in names.items():
                _write(path, archive, entry, folder / name)
        yield folder, [folder / name for name in names if _is_image(name)]


def packed_sizes(path: Path) -> list[tuple[int, int]]:
    """Return the width and height in pixels of the images of a product in a zip, which is not unpacked.

    Only the headers of the images are read: at once if they are at the beginning, as in most files.

    Args:
        path: A zip as for `unpacked`.

    Raises:
        InputError: The zip cannot be used, or an image in it is not a TIFF.
    """
    sizes = []
    with _opened(path) as archive:
        for name, entry in _needed(path, archive).items():
            if not _is_image(name):
                continue
            with archive.open(entry) as image:
                try:
                    size = tiff_size(image)
                except ValueError as error:
                    raise InputError(str(name), f"damaged or cut short ({error})", _AGAIN) from error
            if size is None:
                raise InputError(str(name), "not a TIFF", "Give a GeoTIFF with Sentinel-1 backscatter")
            sizes.append(size)
    return sizes


def _is_image(name: PurePosixPath) -> bool:
    return name.parent.name == MEASUREMENT_FOLDER


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip. Damage that is found inside the block is reported as an error of this file."""
    try:
        with path.open("rb") as handle:
            _check_directory(path, handle)
            with zipfile.ZipFile(handle) as archive:
                yield archive
    except _DAMAGED as error:
        raise _damaged(path, error) from error
