"""What a real service answers when it gets SIGTERM while it maps a scene, and what it prints until then."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from drshym_pipeline.service.engine import JOBS_FILE
from drshym_pipeline.service.jobs import JobStore
from tests.service.running_service import map_upload, running_service
from tests.small_scenes import write_lake_scene

pytestmark = pytest.mark.system
SIDE = 3000  # mapping takes far longer than it takes to notice that it has begun


def test_a_scene_that_is_being_mapped_is_mapped_after_the_next_start(tmp_path: Path) -> None:
    scene = write_lake_scene(tmp_path / "scene.tif", shape=(SIDE, SIDE))
    limits = {"DRSHYM_SERVICE_AT_ONCE_PIXELS": str(SIDE * SIDE), "DRSHYM_SERVICE_AT_ONCE_SECONDS": "600"}

    def upload(address: str) -> httpx.Response:
        with scene.open("rb") as content:
            return httpx.post(f"{address}/v1/segment/upload", files={"file": (scene.name, content)}, timeout=600)

    with ThreadPoolExecutor() as pool:
        with running_service(tmp_path / "service", limits) as address:
            request = pool.submit(upload, address)
            while not any(job["state"] == "running" for job in httpx.get(f"{address}/v1/jobs").json()["jobs"]):
                assert not request.done(), request.result().text
                time.sleep(0.05)
        answer = request.result()
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    store = JobStore(tmp_path / "service" / "root" / JOBS_FILE)
    assert [(job.id, job.state) for job in store.open_jobs()] == [(answer.json()["id"], "queued")]
    store.close()
    assert "Traceback" not in (tmp_path / "service" / "service.log").read_text("utf-8")


@pytest.mark.parametrize(("options", "logged"), [((), True), (("--quiet",), False)])
def test_a_quiet_service_prints_its_address_and_nothing_else(
    tmp_path: Path, options: tuple[str, ...], logged: bool
) -> None:
    scene = write_lake_scene(tmp_path / "scene.tif", shape=(64, 64))
    with running_service(tmp_path / "service", options=options) as address, httpx.Client(base_url=address) as client:
        map_upload(client, scene)
    lines = (tmp_path / "service" / "service.log").read_text("utf-8").splitlines()
    assert sum("listens on" in line for line in lines) == 1
    assert (len(lines) > 1) is logged, lines
