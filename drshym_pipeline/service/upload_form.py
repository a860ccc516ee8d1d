"""The form of an upload: it is split into its parts as they arrive, and its files are written to the disk.

The bytes are counted as they arrive, whatever the headers say. The name that a user gives to a file is kept for
messages; the name on the disk is made of it by the rules for scene names and never leads out of the upload's folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from python_multipart.multipart import MultipartParser, parse_options_header

from drshym_pipeline.sar.scene_names import safe_file_stem
from drshym_pipeline.service.invalid_requests import shown_value
from drshym_pipeline.service.problems import ProblemError

SCENE_FIELD: Final = "file"
PRE_FIELD: Final = "pre_file"
FILE_FIELDS: Final = (SCENE_FIELD, PRE_FIELD)
TEXT_FIELDS: Final = ("options", "name", "wait", "domain")
_MOST_FILES: Final = 2  # per field: one per polarisation
_MOST_TEXT: Final = 1 << 16
_EXTENSIONS: Final = (".tif", ".tiff", ".zip")
_LONGEST_STEM: Final = 180


@dataclass(frozen=True)
class UploadedFile:
    """A file that has arrived.

    Args:
        field: The field of the form: `file` or `pre_file`.
        name: The name that the user's file has, without folders.
        path: Where it is.
        sha256: The hash of its bytes.
    """

    field: str
    name: str
    path: Path
    sha256: str


@dataclass
class _OpenFile:
    field: str
    name: str
    path: Path
    handle: IO[bytes]
    digest: hashlib._Hash = dataclasses.field(default_factory=hashlib.sha256)


def _invalid(detail: str) -> ProblemError:
    return ProblemError("invalid_request", detail)


def base_name(filename: str) -> str:
    """Return the last part of a name that a browser sent, with the separators of any system.

    Control characters are left out, because the name is shown in messages and logs.
    """
    last = filename.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())


def stored_name(name: str) -> str:
    """Return the name of a file on the disk for the name that the user gave.

    Polarisations, dates and units in it stay readable. The extension is one of a scene, so that no upload can be a
    side-car or a table of another one. Two names may give one result.
    """
    path = PurePosixPath(name)
    extension = path.suffix.lower()
    stem = path.stem if extension in _EXTENSIONS else name
    return safe_file_stem(stem, _LONGEST_STEM) + (extension if extension in _EXTENSIONS else ".tif")


class UploadForm:
    """Splits a form into its parts as they arrive.

    The parser calls it for each piece; it only notes what is to be written, because writing is the task of a thread.

    Args:
        folder: The folder of the upload.
        boundary: What separates the parts.
        most: The largest number of bytes of all files together.
    """

    def __init__(self, folder: Path, boundary: bytes, most: int) -> None:
        self._folder = folder
        self._most = most
        self._written = 0
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._text: tuple[str, bytearray] | None = None
        self._file: _OpenFile | None = None
        self._complete = False
        self.files: list[UploadedFile] = []
        self.texts: dict[str, str] = {}
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_header,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def write(self, block: bytes) -> None:
        """Take one block of the body; called in a thread, because it writes to the disk."""
        self._parser.write(block)

    def finish(self) -> None:
        """Check that the form is whole."""
        self._parser.finalize()
        if not self._complete:
            raise ProblemError("malformed_request", "The form ends before its last boundary. Send it again.")

    def close(self) -> None:
        """Close a file that has not arrived as a whole."""
        if self._file is not None:
            self._file.handle.close()

    def _begin(self) -> None:
        self._disposition = b""

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name in FILE_FIELDS:
            self._open(name, options.get(b"filename", b"").decode("utf-8", "replace"))
        elif name in TEXT_FIELDS:
            if name in self.texts:
                raise _invalid(f"form: the field '{name}' is given twice. Give it once.")
            self._text = name, bytearray()
        else:
            known = ", ".join((*FILE_FIELDS, *TEXT_FIELDS))
            raise _invalid(f"form: unknown field {shown_value(name)}. Known fields: {known}.")

    def _open(self, field_name: str, filename: str) -> None:
        name = base_name(filename)
        if not name:
            raise _invalid(f"form: the field '{field_name}' must be a file with a name. Choose a file.")
        same = [file for file in self.files if file.field == field_name]
        if len(same) >= _MOST_FILES:
            raise _invalid(f"form: the field '{field_name}' is given {_MOST_FILES + 1} times. Give one scene.")
        if any(file.name == name for file in same):
            raise _invalid(
                f"form: two files have the name {shown_value(name)}. Give the VV and the VH file of one scene."
            )
        path = self._folder / field_name / self._free_name(name)
        path.parent.mkdir(exist_ok=True)
        self._file = _OpenFile(field_name, name, path, path.open("xb"))

    def _free_name(self, name: str) -> str:
        """Return a name on the disk that no file of another name has, so that messages name the right file."""
        others = {file.path.name for file in self.files if file.name != name}
        plain = PurePosixPath(stored_name(name))
        numbered = (f"{plain.stem}_{number}{plain.suffix}" for number in itertools.count(2))
        return next(free for free in (str(plain), *itertools.islice(numbered, len(others))) if free not in others)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._written += end - start
            if self._written > self._most:
                raise too_large(self._most)
            self._file.digest.update(data[start:end])
            self._file.handle.write(data[start:end])
        elif self._text is not None:
            if len(self._text[1]) + end - start > _MOST_TEXT:
                raise _invalid(f"form: the field '{self._text[0]}' has more than {_MOST_TEXT} bytes. Shorten it.")
            self._text[1].extend(data[start:end])

    def _on_part_end(self) -> None:
        if self._file is not None:
            done, self._file = self._file, None
            # A job that waits survives a power cut, so its files must too.
            with done.handle as handle:
                handle.flush()
                os.fsync(handle.fileno())
            self.files.append(UploadedFile(done.field, done.name, done.path, done.digest.hexdigest()))
        elif self._text is not None:
            name, content = self._text
            self._text = None
            try:
                self.texts[name] = content.decode("utf-8")
            except UnicodeDecodeError as error:
                raise _invalid(f"form: the field '{name}' is not UTF-8. Send it as UTF-8.") from error

    def _on_end(self) -> None:
        self._complete = True


def too_large(most: int) -> ProblemError:
    """Return the answer for an upload that has too many bytes."""
    return ProblemError(
        "too_large",
        f"The upload has more than {most} bytes. Cut the scene into parts, or ask the operator for a larger limit.",
        {"Connection": "close"},
    )
