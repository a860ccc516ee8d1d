"""The processes that draw: replaced when they end or hang, and never left behind."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from affine import Affine

from drshym_pipeline.service.map_tiles import TileServer, TileServerError
from tests.served_scenes import MapOnDisk, write_map

pytestmark = pytest.mark.system


@pytest.fixture
def scene(tmp_path) -> MapOnDisk:
    grid = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 2_000_000.0)
    return write_map(tmp_path, "EPSG:32644", grid, {"mask": np.ones((300, 300), np.uint8)})


def test_a_process_that_ends_is_replaced_and_its_request_is_answered(scene):
    server = TileServer(processes=1)
    server.pool.start()
    try:
        first = server.image(scene, "mask")
        (killed,) = server.pool.processes()
        os.kill(killed, signal.SIGKILL)
        assert server.image(scene, "mask") == first
        assert killed not in server.pool.processes()
        assert len(server.pool.processes()) == 1
    finally:
        server.pool.stop()


def test_a_process_that_hangs_is_replaced_after_the_time_limit(scene):
    server = TileServer(processes=1, seconds=2.0)
    server.pool.start()
    try:
        first = server.image(scene, "mask")
        (stopped,) = server.pool.processes()
        os.kill(stopped, signal.SIGSTOP)
        with pytest.raises(TileServerError, match="not drawn within 2 seconds"):
            server.image(scene, "mask")
        assert not psutil.pid_exists(stopped)
        assert server.image(scene, "mask") == first
    finally:
        server.pool.stop()


def test_several_threads_get_their_own_answers_and_stop_ends_all_processes(scene):
    server = TileServer(processes=2)
    server.pool.start()
    processes = server.pool.processes()
    assert len(processes) == 2
    expected = {(row, row + 1): (row, row + 1) for row in range(60)}
    with ThreadPoolExecutor(8) as pool:
        points = pool.map(lambda place: server.point(scene, row=place[0], column=place[1]), expected)
        assert [(point.row, point.column) for point in points] == list(expected.values())
    server.pool.stop()
    assert not any(psutil.pid_exists(process) for process in processes)
    with pytest.raises(TileServerError):
        server.image(scene, "mask")


def test_kept_tiles_are_bounded_in_bytes(scene):
    server = TileServer(processes=1, cache_bytes=2_000)
    server.pool.start()
    try:
        place = server.tilejson(scene, "mask")
        sizes = [len(server.tile(scene, "mask", zoom, 0, 0)) for zoom in range(place["maxzoom"])]
        assert sizes
        assert server.kept_bytes() <= 2_000
    finally:
        server.pool.stop()


def test_no_process_is_left_when_the_service_is_killed(tmp_path):
    import subprocess
    import sys

    script = tmp_path / "service.py"
    script.write_text(
        "import time\n"
        "from drshym_pipeline.service.map_tiles import TileServer\n"
        "if __name__ == '__main__':\n"
        "    server = TileServer(processes=2)\n"
        "    server.pool.start()\n"
        "    print(*server.pool.processes(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)}
    ) as service:
        assert service.stdout is not None
        children = [psutil.Process(int(text)) for text in service.stdout.readline().split()]
        assert len(children) == 2
        service.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
