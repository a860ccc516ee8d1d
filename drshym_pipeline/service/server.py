"""The HTTP server around the application: how it is set up, and how it ends.

On a stop, requests that wait for a map are answered at once with their job, which is begun again at the
next start. uvicorn alone would let them wait until it ends them without an answer.
"""

from __future__ import annotations

import socket
from typing import Final

import uvicorn
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from drshym_pipeline.service.context import Service
from drshym_pipeline.service.settings import ServiceSettings

_GRACE_SECONDS: Final = 5


class Server(uvicorn.Server):
    """A uvicorn server that lets waiting requests return before it ends.

    Args:
        app: The application from `create_app`.
        settings: Its settings.
    """

    def __init__(self, app: FastAPI, settings: ServiceSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,  # the service writes its own, without queries
                proxy_headers=bool(settings.proxies),
                forwarded_allow_ips=list(settings.proxies),
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                lifespan="on",
            )
        )
        self._service: Service = app.state.service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that wait for a map, then end as uvicorn does."""
        await run_in_threadpool(self._service.engine.release_waiting)
        await super().shutdown(sockets)
