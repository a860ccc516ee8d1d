"""Answers that are files: with ranges, HEAD, an ETag, and the right content type.

QGIS and GDAL read the GeoTIFFs in parts by their address. A file of a map never changes, and a new map of the same
scene has new files, so the ETag follows from size and time.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.responses import FileResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from drshym_pipeline.service.problems import ProblemError, problem_response

_TYPES: Final = {
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".geojson": "application/geo+json",
    ".json": "application/json",
    ".png": "image/png",
    ".html": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".qml": "application/xml",
    ".zip": "application/zip",
}
# A page of a map has styles and pictures inside, and no script. `sandbox` separates it from the service's own page.
_REPORT_POLICY: Final = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
_CHUNK: Final = 1 << 20
_MOST_DIGITS: Final = 20
# Files of a map are immutable, but their address is not: the next map of the scene has the same names.
_REVALIDATE: Final = "private, no-cache"


class _RangedFile(FileResponse):
    """A file with ranges whose errors are problems like all others."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).getlist("range")
        size = int(self.headers["content-length"])
        # A range that cannot be understood is ignored, as the standard of HTTP says; so are several headers.
        ranges = _ranges(given[0]) if len(given) == 1 and self._may_be_partial(scope) else None
        others = [item for item in scope["headers"] if item[0] != b"range"]
        if ranges is None:
            await super().__call__({**scope, "headers": others}, receive, send)
        elif inside := _inside(ranges, size):
            text = "bytes=" + ",".join(f"{first}-{last}" for first, last in inside)
            await super().__call__({**scope, "headers": [*others, (b"range", text.encode())]}, receive, send)
        else:
            response = problem_response(
                "range_not_satisfiable",
                f"The file has {size} bytes, and the range is outside of it. Ask for a range inside.",
                {"Content-Range": f"bytes */{size}"},
            )
            await response(scope, receive, send)

    def _may_be_partial(self, scope: Scope) -> bool:
        condition = Headers(scope=scope).get("if-range")
        return condition is None or self._should_use_range(condition)


def _ranges(header: str) -> list[tuple[int | None, int | None]] | None:
    """Return the ranges of a header `Range`: first and last byte, or None and the length at the end of the file.

    Returns:
        None if it does not ask for bytes in the form `first-last`, `first-` or `-length`.
    """
    unit, sign, text = header.partition("=")
    if unit.strip().lower() != "bytes" or not sign:
        return None
    found: list[tuple[int | None, int | None]] = []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if (
            not dash
            or not (first or last)
            or not all(word.isascii() and word.isdecimal() for word in (first, last) if word)
        ):
            return None
        start, end = (_position(word) if word else None for word in (first, last))
        if start is not None and end is not None and start > end:
            return None
        found.append((start, end))
    return found


def _position(digits: str) -> int:
    """Return a number of decimal digits. One with very many digits, which Python does not read, is beyond any file."""
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _inside(ranges: Iterable[tuple[int | None, int | None]], size: int) -> list[tuple[int, int]]:
    """Return the first and last byte of those ranges that begin inside a file of this size."""
    found = []
    for first, last in ranges:
        if first is None:
            start, end = max(size - (last or 0), 0), size - 1
        else:
            start, end = first, size - 1 if last is None else min(last, size - 1)
        if start <= end:
            found.append((start, end))
    return found


def file_response(request: Request, path: Path, *, attachment: bool) -> Response:
    """Return a file, a part of it, or 304 if the client has it.

    Args:
        request: The request with its headers.
        path: The file.
        attachment: Whether a browser should save it under its name instead of showing it.

    Raises:
        ProblemError: The file is not there any more.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ProblemError("unknown_file", "The file was deleted. List the files of the scene again.") from error
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    headers = {"ETag": etag, "Cache-Control": _REVALIDATE}
    if path.suffix == ".html":
        headers["Content-Security-Policy"] = _REPORT_POLICY
    if _is_known(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return _RangedFile(
        path,
        headers=headers,
        media_type=_TYPES.get(path.suffix, "application/octet-stream"),
        filename=path.name,
        stat_result=stat,
        content_disposition_type="attachment" if attachment else "inline",
    )


def _is_known(header: str | None, etag: str) -> bool:
    """Return whether a header `If-None-Match` names an ETag."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return etag in tags or tags == ["*"]


class _Pipe(io.RawIOBase):
    """Receives the bytes of a zip. They are taken out repeatedly, so it cannot be read or moved back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _zipped(files: Iterable[Path]) -> Iterator[bytes]:
    """Yield the bytes of a zip of files, which is never whole in memory or on the disk.

    The files are stored as they are, because rasters and pictures are compressed already.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            with path.open("rb") as source, archive.open(zipfile.ZipInfo.from_file(path, path.name), "w") as target:
                while block := source.read(_CHUNK):
                    target.write(block)
                    yield pipe.take()
    yield pipe.take()


def archive_response(request: Request, name: str, files: Iterable[Path]) -> Response:
    """Return a zip of files under a name for the file of the user; for HEAD its headers alone."""
    from urllib.parse import quote

    headers = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(name)}", "Cache-Control": _REVALIDATE}
    if request.method == "HEAD":
        return StreamingResponse(iter(()), media_type=_TYPES[".zip"], headers=headers)
    return StreamingResponse(_zipped(files), media_type=_TYPES[".zip"], headers=headers)
