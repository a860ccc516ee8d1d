"""Requests whose bodies arrive too slowly, with a real server that has small limits. No worker is needed for them."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

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


def test_an_upload_that_is_fast_enough_may_take_longer_than_the_longest_pause(impatient):
    def steadily(connection: socket.socket) -> None:
        connection.sendall(_HEAD)
        for _ in range(8):
            time.sleep(0.1)
            connection.sendall(bytes(100_000))
        connection.sendall(bytes(1_000_000 - len(_HEAD) - 800_000 - len(_END)) + _END)
        connection.shutdown(socket.SHUT_WR)

    _, problem = answer_of(impatient, "/v1/segment/upload", _FORM, steadily)
    assert problem["code"] == "scene_refused"
    assert problem["detail"].startswith("x.tif: not a TIFF")


_END = b"\r\n--b--\r\n"


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
