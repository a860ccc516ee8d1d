"""Uploads: the body of a request is received into a folder, within limits of bytes and of time.

Nothing but one block of a file is ever in memory. When the upload does not end well, for any reason, its folder is
deleted.
"""

from __future__ import annotations

import asyncio
import shutil
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool

from drshym_pipeline.service.problems import ProblemError
from drshym_pipeline.service.upload_form import UploadedFile, UploadForm, too_large

_FORM_BYTES: Final = 1 << 20  # texts, headers and boundaries, beside the files
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Upload:
    """A whole upload.

    Args:
        folder: Everything of it is in this folder.
        files: Its files in the order of the form.
        texts: The other fields.
    """

    folder: Path
    files: tuple[UploadedFile, ...]
    texts: dict[str, str]

    def named(self, field: str) -> tuple[UploadedFile, ...]:
        """Return the files of one field."""
        return tuple(file for file in self.files if file.field == field)

    @property
    def shown_names(self) -> dict[str, str]:
        """The names that the user gave to the files, by the paths of the stored ones."""
        return {str(file.path): file.name for file in self.files}


def _boundary(request: Request, most: int) -> bytes:
    """Return what separates the parts of a form.

    Raises:
        ProblemError: The body is not a form, or its header says that it is too large.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise ProblemError(
            "unsupported_media_type",
            "The body must be multipart/form-data, as of a form with a file. Send it in this form.",
        )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most + _FORM_BYTES:
        raise too_large(most)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise ProblemError("malformed_request", "The header Content-Type has no boundary. Let the program set it.")
    return boundary


@dataclass(frozen=True)
class UploadLimits:
    """What an upload may be.

    Args:
        most: The largest number of bytes of all files together.
        seconds: The longest pause, and the time after which the mean rate counts.
        rate: The lowest mean rate in bytes per second.
    """

    most: int
    seconds: float
    rate: int


def _stalled(limits: UploadLimits) -> ProblemError:
    return ProblemError(
        "upload_stalled",
        f"The upload arrived too slowly: no byte for {limits.seconds:g} s, or fewer than {limits.rate} bytes per "
        "second on the whole. Send it again over a better connection.",
        {"Connection": "close"},
    )


async def _chunks(request: Request, limits: UploadLimits) -> AsyncGenerator[bytes]:
    """Yield the body of a request as it arrives, while it arrives fast enough.

    The time for which the service itself is busy with the bytes does not count.
    """
    stream = request.stream()
    total, waited = 0, 0.0
    while True:
        started = time.monotonic()
        # A connection that sends a byte now and then is ended as soon as it is too slow on the whole.
        allowed = limits.seconds
        if limits.rate:
            allowed = min(allowed, max(limits.seconds, total / limits.rate) - waited)
        try:
            async with asyncio.timeout(max(allowed, 0.0)):
                chunk = await anext(stream, None)
        except TimeoutError as error:
            raise _stalled(limits) from error
        if chunk is None:
            return
        waited += time.monotonic() - started
        total += len(chunk)
        yield chunk


async def _receive(request: Request, form: UploadForm, limits: UploadLimits) -> None:
    """Write the body of a request through a form, in blocks of about one MiB."""
    waiting = bytearray()
    total = 0
    async with aclosing(_chunks(request, limits)) as chunks:
        async for chunk in chunks:
            total += len(chunk)
            if total > limits.most + _FORM_BYTES:
                raise too_large(limits.most)
            waiting += chunk
            if len(waiting) >= _BLOCK:
                await run_in_threadpool(form.write, bytes(waiting))
                waiting.clear()
    await run_in_threadpool(form.write, bytes(waiting))
    await run_in_threadpool(form.finish)


@asynccontextmanager
async def received_upload(request: Request, folder: Path, limits: UploadLimits) -> AsyncIterator[Upload]:
    """Receive the upload of a request. If the block raises, everything that has arrived is deleted.

    Args:
        request: The request, whose body has not been read.
        folder: The folder of all uploads.
        limits: What the upload may be.

    Raises:
        ProblemError: The body is not a form, is too large, has fields that are not known, or is too slow.
        ClientDisconnect: The client went away.
    """
    boundary = _boundary(request, limits.most)
    own = folder / uuid.uuid4().hex
    await run_in_threadpool(own.mkdir, parents=True)
    try:
        try:
            form = UploadForm(own, boundary, limits.most)
        except FormParserError as error:
            raise ProblemError("malformed_request", "The boundary of the form is too long. Shorten it.") from error
        try:
            await _receive(request, form, limits)
        except FormParserError as error:
            raise ProblemError("malformed_request", "The form cannot be read. Send it again.") from error
        finally:
            form.close()
        yield Upload(own, tuple(form.files), form.texts)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(shutil.rmtree, own, ignore_errors=True)
        raise
