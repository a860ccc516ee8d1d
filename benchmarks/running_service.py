"""A real `drshym serve` for measurements: it is started on a free port, waited for, used, and stopped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from benchmarks.measure import ROOT

PATIENCE_SECONDS: Final = 600.0
_OWN_VARIABLES: Final = ("DRSHYM_", "DAGSTER_HOME")
_END_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class RunningService:
    """A service that is ready.

    Args:
        address: Its address, such as `http://127.0.0.1:40001`.
        pid: The process that was started; its workers are its children.
        start_seconds: Time from the start of the command until `/ready` answered 200.
        start_processor_seconds: Processor time that all processes used until then.
    """

    address: str
    pid: int
    start_seconds: float
    start_processor_seconds: float

    def client(self) -> httpx.Client:
        """Return a client with connections of its own."""
        return httpx.Client(base_url=self.address, timeout=PATIENCE_SECONDS)

    def memory(self) -> float:
        """Return the memory of all its processes in bytes; a page that several processes use counts once."""
        return float(sum(process.memory_full_info().pss for process in _processes(self.pid)))


@contextmanager
def running_service(folder: Path, input_root: Path) -> Iterator[RunningService]:
    """Start a service, wait until it maps scenes, and stop it at the end of the block.

    Args:
        folder: Its maps and its log are in this folder, which is made.
        input_root: The folder whose scenes it may open.
    """
    folder.mkdir(parents=True)
    # Settings of the user would change what is measured. All requests come from one address, so there is no rate.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
    environment |= {"DAGSTER_HOME": str(folder / "home"), "DRSHYM_SERVICE_RATE": "1000000/minute"}
    command = [sys.executable, "-m", "drshym_pipeline", "serve", "--port", "0"]
    command += ["--root", str(folder / "root"), "--input-root", str(input_root)]
    log = folder / "service.log"
    start = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        address = _address_when_ready(process, log)
        seconds = time.perf_counter() - start
        used = [each.cpu_times() for each in _processes(process.pid)]
        yield RunningService(address, process.pid, seconds, sum(times.user + times.system for times in used))
    finally:
        process.terminate()
        process.wait(_END_SECONDS)


def _processes(pid: int) -> list[psutil.Process]:
    """Return a process and all below it."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _address_when_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"listens on (http://\S+)", log.read_text("utf-8", "replace")):
            with httpx.Client(base_url=found[1], timeout=PATIENCE_SECONDS) as client:
                while time.monotonic() < deadline and process.poll() is None:
                    if client.get("/ready").status_code == httpx.codes.OK:
                        return found[1]
                    time.sleep(_POLL_SECONDS)
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"the service is not ready: {log.read_text('utf-8', 'replace')}")


def map_by_address(client: httpx.Client, scene: Path) -> dict[str, Any]:
    """Let the service map a scene of this machine, and return the answer.

    Raises:
        RuntimeError: The answer is not a map.
    """
    return _map_in(client.post("/v1/segment", json={"domain": "flood_sar", "image_uri": str(scene)}))


def map_by_upload(client: httpx.Client, name: str, content: bytes) -> dict[str, Any]:
    """Let the service map an uploaded file, and return the answer.

    Raises:
        RuntimeError: The answer is not a map.
    """
    return _map_in(client.post("/v1/segment/upload", files={"file": (name, content)}))


def _map_in(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != httpx.codes.OK:
        raise RuntimeError(f"the service answered {answer.status_code}: {answer.text}")
    found: dict[str, Any] = answer.json()
    return found
