"""What runs in a process that draws: it answers one request after the other."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from drshym_pipeline.errors import one_line
from drshym_pipeline.service.helper_process import READY
from drshym_pipeline.service.map_tiles.drawing import Drawing, DrawRequest, ReadRequest, drawing_environment
from drshym_pipeline.service.spawning import ignore_interrupt


@dataclass(frozen=True)
class Failure:
    """A request that could not be answered."""

    text: str


def serve_drawings(connection: Connection) -> None:
    """Answer requests until the other end is closed."""
    ignore_interrupt()
    import rio_tiler.reader  # noqa: F401  # loaded before the first request

    drawing = Drawing()
    with drawing_environment():
        connection.send(READY)
        while True:
            try:
                request = connection.recv()
            except (EOFError, OSError):
                return
            try:
                answer: Any = drawing.answer(request)
            except Exception as error:  # the next request is answered all the same
                answer = Failure(one_line(error))
            connection.send(answer)


def named_file(request: DrawRequest | ReadRequest) -> Path:
    """Return the file of a request, for an error; the first one if there are several."""
    if isinstance(request, DrawRequest):
        return request.raster.path
    return next(iter(request.pixels.values()))[0].path
