"""The routes of the page: `/` is the document, `/static/...` are its style, its modules and Leaflet.

The page needs no token, because it contains only the program; its requests to the API do. It has no build step:
the files in `page/` are served as they are. The document has no script and no style inside it, and pictures are drawn
into canvases, so the strictest content security policy fits it; `guards` sets that and the other security headers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

# The browser asks each time whether a file has changed, so it never mixes the modules of two releases.
PAGE_HEADERS: Final = {"Cache-Control": "no-cache"}


def page_files() -> Path:
    """Return the folder of the page's files, in the installed package."""
    return Path(__file__).resolve().parent / "page"


class _PageFiles(StaticFiles):
    """The files below `/static`, with the headers of the page."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the answer for one file."""
        response = await super().get_response(path, scope)
        response.headers.update(PAGE_HEADERS)
        return response


def add_page(app: FastAPI) -> None:
    """Add the routes of the page to an application."""
    folder = page_files()

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    def page() -> FileResponse:
        """Return the document of the page."""
        return FileResponse(folder / "index.html", media_type="text/html", headers=PAGE_HEADERS)

    app.mount("/static", _PageFiles(directory=folder), name="static")
