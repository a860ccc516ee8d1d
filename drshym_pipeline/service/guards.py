"""What every request passes before a route answers it: host, origin, rate and token, and what every answer gets.

This is one ASGI middleware, the outermost one. It adds the security headers, counts and logs each request, and turns
what no other handler has caught into an answer without a traceback.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drshym_pipeline.service.access import check_token, is_loopback
from drshym_pipeline.service.limiting import RequestRate
from drshym_pipeline.service.metrics import ServiceMetrics
from drshym_pipeline.service.problems import fault_response, problem_response
from drshym_pipeline.service.settings import ServiceSettings

_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_OPEN_PAGES: Final = ("/", "/health", "/ready")
_OPEN_FOLDER: Final = "/static/"
_UPLOADS: Final = "/v1/segment/upload"
_MOST_BODY_BYTES: Final = 1 << 20  # of all requests but uploads, which count their bytes themselves
_UNCOUNTED: Final = ("/health", "/ready")
_HOST: Final = re.compile(r"(?:\[[0-9a-f:.]+\]|[\w.-]+)(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE | re.ASCII)
_HIGHEST_PORT: Final = 65_535
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
# Everything comes from the service itself, and nothing is written inside the page. Pictures that were fetched with the
# token are blobs.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_access = logging.getLogger("drshym.access")


class Guards:
    """The middleware around all routes.

    Args:
        app: The application.
        settings: Hosts and token.
        rate: The limit of requests.
        metrics: Counts the requests.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings, rate: RequestRate, metrics: ServiceMetrics) -> None:
        self._app = app
        self._settings = settings
        self._rate = rate
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; other kinds of messages are passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            refused = self._refusal(scope)
            if refused is not None:
                await refused(scope, receive, guarded)
            else:
                await self._app(scope, self._checked(scope, receive), guarded)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:  # the service stops, and the request has taken too long for that
            if not status:
                detail = "The service is being stopped. Send the request again when it has started."
                await problem_response("not_ready", detail, {"Retry-After": "10"})(scope, receive, guarded)
        except Exception as error:  # any other way out would show the client a traceback or nothing
            response = fault_response(error, _line(scope))
            if not status:
                await response(scope, receive, guarded)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(
                scope.get("route"), "path", _OPEN_FOLDER if scope["path"].startswith(_OPEN_FOLDER) else "none"
            )
            self._metrics.note_request(str(scope["method"]), route, status, seconds)
            # Supervisors ask every few seconds.
            level = logging.DEBUG if scope["path"] in _UNCOUNTED else logging.INFO
            _access.log(level, "%s %s %s %.0f ms", _client(scope), _line(scope), _status_text(status), 1000 * seconds)

    def _checked(self, scope: Scope, receive: Receive) -> Receive:
        """Return the function that receives the body of a request within the limits; uploads have their own."""
        if scope["path"] == _UPLOADS:
            return receive
        return _limited(receive, None if scope["method"] in _SAFE_METHODS else self._settings.body_seconds)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer for a request that no route gets to see, None for all others."""
        headers = Headers(scope=scope)
        if not _is_readable_host(headers.getlist("host")):
            return problem_response(
                "malformed_request", "The header Host must be given once, as a name or address with or without a port."
            )
        if not self._is_own_host(headers.get("host")):
            return problem_response(
                "unknown_host",
                "The header Host does not name this service. Use its address, or ask the operator to add the name to "
                "DRSHYM_SERVICE_HOSTS.",
            )
        length = headers.get("content-length", "")
        if scope["path"] != _UPLOADS and length.isdecimal() and int(length) > _MOST_BODY_BYTES:
            return problem_response("too_large", "The body of the request is too large. Send large files as an upload.")
        if scope["method"] not in _SAFE_METHODS and not self._is_own_origin(scope["scheme"], headers):
            return problem_response(
                "foreign_origin", "The request was sent by a page of another site. Send it from the service's own page."
            )
        return self._too_many(scope) or self._without_token(scope, headers)

    def _too_many(self, scope: Scope) -> Response | None:
        """Count a request, and return the answer if it is one too many."""
        path = scope["path"]
        if path in _UNCOUNTED or path.startswith(_OPEN_FOLDER):
            return None
        picture = path.endswith(".png")
        seconds = self._rate.seconds_to_wait(_client(scope), picture=picture)
        if seconds is None:
            return None
        return problem_response(
            "too_many_requests",
            f"This address has sent more than {self._rate.text(picture=picture)}. Try again in {seconds} s.",
            {"Retry-After": str(seconds)},
        )

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer if a request needs the token and does not have it."""
        path = scope["path"]
        if path in _OPEN_PAGES or path.startswith(_OPEN_FOLDER):
            return None
        if check_token(headers.get("authorization"), self._settings.token):
            return None
        return problem_response(
            "token_needed",
            "This service needs its token. Send it in the header `Authorization: Bearer TOKEN`.",
            {"WWW-Authenticate": 'Bearer realm="drshym"'},
        )

    def _is_own_host(self, header: str | None) -> bool:
        """Return whether a header `Host` is for this service.

        A page of another site can have a name that its owner lets point to the loopback address. So a service on this
        address answers only to the names of the loopback. Such a page cannot have one of these names itself, so they
        are always accepted: health checks on the machine use them.
        """
        name = host_name(header or "")
        if name in (*self._settings.hosts, *_LOOPBACK_NAMES):
            return True
        if is_loopback(self._settings.host):
            return name == self._settings.host.strip("[]").lower()
        # On other addresses each request needs the token, which such a page does not know.
        return not self._settings.hosts

    def _is_own_origin(self, request_scheme: str, headers: Headers) -> bool:
        """Return whether a request that changes something comes from the service's own page, or from no page."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        scheme, _, place = origin.lower().partition("://")
        if scheme == request_scheme and place == (headers.get("host") or "").lower():
            return True
        # A proxy has TLS for its names, and the service may not know it.
        return scheme == "https" and host_name(place) in self._settings.hosts


def _is_readable_host(values: list[str]) -> bool:
    """Return whether a request has at most one header `Host`, with a name and perhaps a port and nothing else."""
    if len(values) > 1:
        return False
    found = _HOST.fullmatch(values[0].strip()) if values and values[0].strip() else None
    return not values or not values[0].strip() or (found is not None and int(found["port"] or 0) <= _HIGHEST_PORT)


def _limited(receive: Receive, seconds: float | None) -> Receive:
    """Return a function that receives the body of a request until it is too large or too late.

    Args:
        receive: Receives the next part of the body.
        seconds: The time limit for all of the body; None without a limit.
    """
    total, has_ended = 0, seconds is None
    last: float | None = None

    async def received() -> Message:
        nonlocal total, has_ended, last
        if has_ended:  # what follows is the end of the connection, for which a long answer may wait
            message = await receive()
        else:
            last = last or time.monotonic() + (seconds or 0.0)
            try:
                async with asyncio.timeout(max(last - time.monotonic(), 0.0)):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, headers={"Connection": "close"}) from error
            has_ended = not message.get("more_body", False)
        total += len(message.get("body", b""))
        if total > _MOST_BODY_BYTES:
            # The framework passes on this kind of error while it reads a body; it hides all others.
            raise HTTPException(413)
        return message

    return received


def host_name(header: str) -> str:
    """Return the name in a header `Host`, without port and brackets, in lower case."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"


def _line(scope: Scope) -> str:
    # Without the query, which may have anything in it.
    return f"{scope['method']} {scope['path']!a}"


def _status_text(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}" if status else "no answer"
