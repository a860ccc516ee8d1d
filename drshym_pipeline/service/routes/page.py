"""The page: `/` and its files below `/static/`. They come with the package and are the same for everybody."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.responses import FileResponse

from drshym_pipeline.service.problems import ServiceProblem

router = APIRouter(include_in_schema=False)

FOLDER: Final = Path(__file__).parents[1] / "page"
_START: Final = "index.html"
# The icon and modules of JavaScript; the type of `.js` differs between machines, and a wrong one stops the page.
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


def _page_files() -> frozenset[str]:
    return frozenset(
        path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file() and path.suffix in _TYPES
    )


_FILES: Final = _page_files()


@router.api_route("/", methods=["GET", "HEAD"])
def start() -> Response:
    """Return the page."""
    return _file(_START)


@router.api_route("/static/{name:path}", methods=["GET", "HEAD"])
def static(name: str, request: Request) -> Response:
    """Return a file of the page, or 304 if the browser has it."""
    del request
    return _file(name)


def _file(name: str) -> Response:
    if name not in _FILES:
        raise ServiceProblem("not_found", "The page has no such file.")
    return FileResponse(
        FOLDER / name, media_type=_TYPES[PurePosixPath(name).suffix], headers={"Cache-Control": "no-cache"}
    )
