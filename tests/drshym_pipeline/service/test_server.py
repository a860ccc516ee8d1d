"""How a service ends while requests are answered."""

from __future__ import annotations

import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from drshym_pipeline.service.engine import JOBS_FILE
from drshym_pipeline.service.jobs import JobStore
from tests.http_service import ExplicitSettings, ask_for, problem_of, served, service_tracebacks
from tests.small_scenes import write_lake_scene


@pytest.fixture
def settings(tmp_path: Path) -> ExplicitSettings:
    return ExplicitSettings(root=tmp_path / "root", input_roots=(tmp_path,), workers=1, at_once_seconds=600.0)


def test_a_request_that_waits_is_answered_with_its_job_when_the_service_stops(tmp_path, settings, caplog):
    scene = write_lake_scene(tmp_path / "scene.tif", shape=(64, 64))
    with ThreadPoolExecutor() as pool:
        with served(settings, wait=False) as client:
            # The worker still loads the model, so the job waits.
            request = pool.submit(lambda: ask_for(httpx.Client(base_url=client.base_url, timeout=600), str(scene)))
            while not (jobs := client.get("/v1/jobs").json()["jobs"]):
                assert not request.done()
                time.sleep(0.02)
        answer = request.result()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{jobs[0]['id']}"
    store = JobStore(settings.root / JOBS_FILE)
    assert [job.id for job in store.open_jobs()] == [jobs[0]["id"]], "it is mapped after the next start"
    store.close()
    assert service_tracebacks(caplog.records) == []


@pytest.mark.system
def test_an_upload_that_takes_too_long_for_the_end_is_told_so(settings, caplog):
    with served(settings, wait=False) as client:
        url = client.base_url
        connection = socket.create_connection((url.host, url.port), timeout=60)
        head = f"POST /v1/segment/upload HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: 1000\r\n"
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode())
        uploads = settings.root / "uploads"
        while not any(uploads.iterdir()):
            time.sleep(0.02)
    with connection, connection.makefile("rb") as stream:
        lines = stream.read().decode().split("\r\n")
    status = int(lines[0].split()[1])
    kind = next(line.partition(": ")[2] for line in lines if line.lower().startswith("content-type"))
    problem_of(httpx.Response(status, headers={"content-type": kind}, text=lines[-1]), 503, "not_ready")
    assert service_tracebacks(caplog.records) == []


@pytest.mark.parametrize("logger", ["drshym_pipeline.service.engine", "uvicorn.error", "asyncio"])
def test_a_traceback_of_the_service_is_found_and_one_of_another_package_is_not(logger, caplog):
    for name in ("sqlalchemy.pool.impl.NullPool", logger):
        logging.getLogger(name).error("ended", exc_info=OSError("gone"))
    assert [line.name for line in service_tracebacks(caplog.records)] == [logger]
