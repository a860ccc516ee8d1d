"""Requests whose bodies arrive too slowly, with a real server that has small limits. No worker is needed for them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from drshym_pipeline.service.uploads import UploadLimits, received_upload
from tests.http_service import ExplicitSettings, served

_HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.tif"\r\n\r\n'
_FORM = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000"
_JSON = "Content-Type: application/json\r\nContent-Length: 1000"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("impatient")


@pytest.fixture(scope="module")
def impatient(root: Path, random_bundle) -> Iterator[httpx.Client]:
    settings = ExplicitSettings(
        root=root / "root",
        checkpoint=Path(random_bundle.save(root / "bundle")),
        workers=1,
        uploads_at_once=1,
        upload_seconds=0.5,
        upload_rate=1000,
        body_seconds=0.5,
        rate="100000/minute",
    )
    with served(settings, wait=False) as client:
        yield client


def answer_of(client: httpx.Client, path: str, head: str, send: Callable[[socket.socket], None]) -> tuple[bytes, dict]:
    """Send the head of a request, then what `send` sends, and return the head and the body of the answer."""
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        host = f"{client.base_url.host}:{client.base_url.port}"
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n".encode())
        send(connection)
        received = b""
        while block := connection.recv(65536):
            received += block
    top, _, body = received.partition(b"\r\n\r\n")
    return top, json.loads(body)


def nothing(_: socket.socket) -> None:
    """Send nothing more."""


def one_byte_now_and_then(connection: socket.socket) -> None:
    """Send bytes one by one until the other side has answered, each of them within the longest pause."""
    connection.sendall(_HEAD)
    connection.settimeout(0.1)
    while True:
        try:
            connection.sendall(b"x")
            connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            continue
        connection.settimeout(None)
        return


@pytest.mark.parametrize("send", [nothing, one_byte_now_and_then])
def test_an_upload_that_is_too_slow_is_ended_and_leaves_its_place_to_others(impatient, root, send):
    top, problem = answer_of(impatient, "/v1/segment/upload", _FORM, send)
    assert top.startswith(b"HTTP/1.1 408")
    assert problem["code"] == "upload_stalled"
    assert "no byte for 0.5 s, or fewer than 1000 bytes per second" in problem["detail"]
    assert list((root / "root" / "uploads").iterdir()) == []
    other = impatient.post("/v1/segment/upload", files={"file": ("x.tif", b"no scene")})
    assert other.json()["code"] == "scene_refused"


def test_an_upload_that_is_fast_enough_may_take_longer_than_the_longest_pause(tmp_path):
    blocks = [_HEAD, *(bytes(10_000) for _ in range(8)), b"\r\n--b--\r\n"]

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.3)
        return {"type": "http.request", "body": blocks.pop(0), "more_body": bool(blocks)}

    async def upload() -> int:
        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"multipart/form-data; boundary=b")]}
        limits = UploadLimits(most=1 << 20, seconds=2.5, rate=1000)
        async with received_upload(Request(scope, receive), tmp_path, limits) as found:
            return found.files[0].path.stat().st_size

    started = time.monotonic()
    assert asyncio.run(upload()) == 80_000
    assert time.monotonic() - started > 2.5


def test_a_body_that_does_not_arrive_in_time_is_ended(impatient):
    top, problem = answer_of(impatient, "/v1/segment", _JSON, nothing)
    assert top.startswith(b"HTTP/1.1 408")
    assert problem["code"] == "upload_stalled"

    def slowly(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the other side has closed the connection
            for _ in range(7):
                connection.sendall(b" ")
                time.sleep(0.1)

    assert answer_of(impatient, "/v1/segment", _JSON, slowly)[1]["code"] == "upload_stalled"
