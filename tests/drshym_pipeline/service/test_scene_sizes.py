"""The processes that look up sizes: a crash or a hang costs one request, and the service itself opens no raster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.service.problems import ProblemError
from drshym_pipeline.service.scene_sizes import SceneSizes
from tests.products.safe_product import write_safe, zip_safe
from tests.small_scenes import write_lake_scene

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def sizes() -> Iterator[SceneSizes]:
    sizes = SceneSizes(processes=1)
    sizes.pool.start()
    yield sizes
    sizes.pool.stop()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_lake_scene(tmp_path / "lake.tif", shape=(64, 96))


def test_files_folders_and_zips_are_measured(sizes: SceneSizes, scene: Path, tmp_path: Path):
    assert sizes.pixels([scene], "lake.tif") == 64 * 96
    assert sizes.pixels([scene, write_lake_scene(tmp_path / "other.tif", shape=(64, 100))], "lake.tif") == 64 * 100
    safe = write_safe(tmp_path)
    assert sizes.pixels([safe], safe.name) == sizes.pixels([zip_safe(safe)], "x.zip") > 100 * 100


def test_a_file_that_is_no_scene_is_an_error_of_the_file(sizes: SceneSizes, scene: Path, tmp_path: Path):
    bad = tmp_path / "text.tif"
    bad.write_text("this is no raster")
    with pytest.raises(InputError, match=r"text\.tif: not a TIFF"):
        sizes.pixels([bad], "text.tif")
    assert sizes.pixels([scene], "lake.tif") == 64 * 96


def being_asked(sizes: SceneSizes, scene: Path, pool: ThreadPoolExecutor) -> tuple[int, Future[int]]:
    """Return the id of a process that has got a request and cannot answer it, and the answer to come."""
    assert sizes.pixels([scene], "lake.tif") == 64 * 96
    (process,) = sizes.pool.processes()
    os.kill(process, signal.SIGSTOP)
    answer = pool.submit(sizes.pixels, [scene], "lake.tif")
    while not sizes.pool._free.empty():
        time.sleep(0.01)
    return process, answer


def test_a_process_that_is_killed_while_it_looks_gives_an_error_and_the_next_request_is_answered(
    sizes: SceneSizes, scene: Path
):
    with ThreadPoolExecutor(1) as pool:
        process, answer = being_asked(sizes, scene, pool)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(ProblemError, match=r"lake\.tif: the process that read its header ended") as caught:
            answer.result()
    assert caught.value.code == "worker_ended"
    assert sizes.pixels([scene], "lake.tif") == 64 * 96
    assert sizes.pool.processes() != [process]


def test_a_process_that_hangs_is_replaced_after_the_time_limit(scene: Path):
    sizes = SceneSizes(processes=1, seconds=3.0)
    sizes.pool.start()
    try:
        with ThreadPoolExecutor(1) as pool:
            process, answer = being_asked(sizes, scene, pool)
            with pytest.raises(ProblemError, match="not read within 3 seconds") as caught:
                answer.result()
        assert caught.value.code == "time_limit"
        assert not psutil.pid_exists(process)
        assert sizes.pixels([scene], "lake.tif") == 64 * 96
    finally:
        sizes.pool.stop()


def test_a_process_that_has_ended_while_it_was_idle_costs_no_request(sizes: SceneSizes, scene: Path):
    assert sizes.pixels([scene], "lake.tif") == 64 * 96
    (process,) = sizes.pool.processes()
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)  # all its threads have ended
    assert sizes.pixels([scene], "lake.tif") == 64 * 96


def test_after_the_stop_no_process_is_left(scene: Path):
    sizes = SceneSizes()
    sizes.pool.start()
    assert sizes.pixels([scene], "lake.tif") == 64 * 96
    processes = sizes.pool.processes()
    sizes.pool.stop()
    assert len(processes) == 2
    assert not any(map(psutil.pid_exists, processes))
    with pytest.raises(ProblemError):
        sizes.pixels([scene], "lake.tif")


_SERVER = """
import sys
from pathlib import Path
from drshym_pipeline.service.app import create_app
from drshym_pipeline.service.mapping_requests import addressed_scene
from drshym_pipeline.service.scene_sizes import SceneSizes
from drshym_pipeline.service.schemas import SegmentRequest
from drshym_pipeline.service.settings import ServiceSettings

if __name__ == "__main__":
    import rasterio

    rasterio.open = None  # in this process alone; those that are started have their own
    scene = Path(sys.argv[1])
    settings = ServiceSettings(root=scene.parent / "root", input_roots=(scene.parent,))
    create_app(settings)
    sizes = SceneSizes(processes=1)
    sizes.pool.start()
    request = SegmentRequest(domain="flood_sar", image_uri=str(scene))
    print(addressed_scene(request, settings, sizes).pixels)
    sizes.pool.stop()
"""


def test_the_service_itself_opens_no_raster_for_a_request(scene: Path, tmp_path: Path):
    script = tmp_path / "server.py"
    script.write_text(_SERVER)
    run = subprocess.run(
        [sys.executable, str(script), str(scene)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == f"{64 * 96}\n", run.stderr
