"""The mapping engine in a program of its own: it is killed, interrupted, or its disk is full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from drshym_pipeline.service.engine import MappingEngine
from drshym_pipeline.service.settings import ServiceSettings
from tests.small_scenes import write_lake_scene

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[2]
LONG = 300.0  # seconds; nothing here takes as long unless it is broken


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lake_scene(tmp_path_factory.mktemp("scenes") / "lake.tif")


SERVICE = """
import os, sys, time
from pathlib import Path
from drshym_pipeline.service.engine import MappingEngine
from drshym_pipeline.service.jobs import JobSpec
from drshym_pipeline.service import engine as engine_module
from drshym_pipeline.service.settings import ServiceSettings
from tests.worker_faults import FaultySetup

if __name__ == "__main__":
    engine_module.WorkerSetup = FaultySetup
    root, scene, *names = sys.argv[1:]
    engine = MappingEngine(ServiceSettings(root=root, workers=1))
    engine.start()
    while not engine._dispatcher.workers:
        time.sleep(0.01)
    print(*[worker.pid for worker in engine._dispatcher.workers], flush=True)
    {body}
"""


def service(folder: Path, body: str, *arguments: str | Path, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a program with an engine in a process group of its own; its first line has the ids of the workers."""
    script = folder / "service_program.py"
    script.write_text(SERVICE.replace("{body}", textwrap.indent(textwrap.dedent(body), "    ").strip()))
    return subprocess.Popen(
        [*prefix, sys.executable, str(script), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


SUBMIT = """
assert engine.wait_until_ready(300)
for name in names:
    job = engine.submit(JobSpec(scene_name=name, sources=(scene,), identity="0", out=Path(root, "maps", name)))
    print(job.id, flush=True)
"""


UNTIL_DRAWN = """
while engine.jobs()[-1].stage != 'stitched_scenes':
    time.sleep(0.01)
print('now', flush=True)
time.sleep(600)
"""


def test_workers_end_with_a_killed_service_and_its_jobs_are_done_after_the_restart(scene: Path, tmp_path: Path) -> None:
    names = ("hangs-at-stitched_scenes", "b", "c")
    body = SUBMIT + UNTIL_DRAWN
    with service(tmp_path, body, tmp_path / "root", scene, *names) as killed:
        assert killed.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in killed.stdout.readline().split()]
        ids = [killed.stdout.readline().strip() for _ in names]
        assert killed.stdout.readline() == "now\n"
        killed.kill()
    assert len(workers) == 1
    _, alive = psutil.wait_procs(workers, timeout=LONG)
    assert alive == []
    order: list[str] = []
    engine = MappingEngine(ServiceSettings(root=tmp_path / "root", workers=1), lambda job, record: order.append(job.id))
    engine.start()
    try:
        ended = [engine.wait(job_id, LONG) for job_id in ids]
    finally:
        engine.stop()
    assert [(job.state, job.starts) for job in ended] == [("done", 2), ("done", 1), ("done", 1)]
    assert order == ids
    assert sorted(path.name for path in (tmp_path / "root" / "maps").rglob(".partial-*")) == []


def test_control_c_prints_no_traceback_of_a_worker(scene: Path, tmp_path: Path) -> None:
    body = """
    try:
        print("waits", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        engine.stop()
        print("stopped", flush=True)
    """
    with service(tmp_path, body, tmp_path / "root", scene) as program:
        assert program.stdout is not None
        assert program.stdout.readline().strip().isdigit()  # the worker is being started now
        assert program.stdout.readline() == "waits\n"
        os.killpg(program.pid, signal.SIGINT)
        out, err = program.communicate(timeout=LONG)
    assert (out, err, program.returncode) == ("stopped\n", "", 0)


def test_a_full_disk_fails_the_job_and_nothing_else(
    scene: Path, tmp_path: Path, system_tool: Callable[[str], str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    # The warm-up scene fits on the disk beside the list of jobs; then a file takes the space, and is deleted.
    body = """
    assert engine.wait_until_ready(300), engine.problem
    def mapped(name):
        job = engine.submit(JobSpec(scene_name=name, sources=(scene,), identity="0", out=Path(root, "maps", name)))
        return engine.wait(job.id, 300)
    free = os.statvfs(root)
    with open(Path(root, "large"), "wb") as large:
        large.write(bytes(free.f_bavail * free.f_frsize - (200 << 10)))
    failed = mapped("a")
    os.remove(Path(root, "large"))
    done = mapped("b")
    print(failed.state, failed.failure.code, failed.spec.out.exists(), done.state, engine.job(failed.id).state)
    print(failed.failure.detail)
    engine.stop()
    """
    mount = 'mount -t tmpfs -o size=64m tmpfs "$0" && exec "$@"'
    as_root = ["--map-root-user"] if os.geteuid() else []
    prefix = [system_tool("unshare"), "--mount", *as_root, "sh", "-c", mount, str(disk)]
    with service(tmp_path, body, disk, scene, prefix=prefix) as program:
        out, err = program.communicate(timeout=LONG)
    lines = out.splitlines()
    assert lines[1:] == [
        "failed disk_full False done failed",
        "a: the disk of the service is full. Free space on it, then map the scene again.",
    ], err
