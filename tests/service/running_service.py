"""A real `drshym serve` on a free port of the loopback address, for tests that use it as a client does."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 600.0  # a busy machine needs minutes; a service that ends while it starts is reported at once


@contextlib.contextmanager
def running_service(
    folder: Path, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
) -> Iterator[str]:
    """Start a service with one worker, wait until it maps scenes, and stop it afterwards. Yields its address.

    Args:
        folder: Its maps and its log are in this folder.
        environment: Variables beside those of the test.
        options: More options of the command.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "service.log"
    command = [sys.executable, "-m", "drshym_pipeline", "serve", "--root", str(folder / "root"), "--port", "0"]
    command += ["--workers", "1", *options]
    variables = {**os.environ, "DAGSTER_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT), **(environment or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=output, stderr=output)
    try:
        yield _address_when_ready(process, log)
    finally:
        process.terminate()
        process.wait(60)


def _address_when_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    last = time.monotonic() + START_SECONDS
    while time.monotonic() < last:
        assert process.poll() is None, log.read_text("utf-8", "replace")
        found = re.search(r"listens on (http://\S+)", log.read_text("utf-8", "replace"))
        if found:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{found[1]}/ready").status_code == 200:
                    return found[1]
        time.sleep(0.2)
    raise AssertionError(f"the service is not ready: {log.read_text('utf-8', 'replace')}")


def map_upload(client: httpx.Client, *files: Path, pre: tuple[Path, ...] = (), name: str | None = None) -> str:
    """Upload a scene as a program does, wait for its map, and return the id of the scene."""
    parts = [("file", (path.name, path.read_bytes())) for path in files]
    parts += [("pre_file", (path.name, path.read_bytes())) for path in pre]
    answer = client.post("/v1/segment/upload", files=parts, data={"name": name} if name else {}).raise_for_status()
    while answer.status_code == httpx.codes.ACCEPTED:
        time.sleep(0.2)
        job = client.get(answer.headers["Location"]).raise_for_status().json()
        assert job["problem"] is None, job["problem"]
        if job["state"] == "done":
            return str(job["result"]["scene_id"])
    return str(answer.json()["scene_id"])
