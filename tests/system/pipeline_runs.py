"""The real services with their own home, and runs that can be stopped in the middle of a stage."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from dagster import DagsterEventType, DagsterInstance, DagsterRun, RunsFilter

from deploy import local
from drshym_pipeline.storage import TEMPORARY_PREFIX
from resources.dagster_internals import processes_of

WAIT_SECONDS = 400.0
# The file that says where a process stops, in the home of the services; read by tests/system/held/sitecustomize.py.
HOLD_FILE = "hold"
# What each stage writes under a temporary name and then renames, relative to the folder of the scene.
RENAMED = {
    "raw_scenes": "[0-9a-f]" * 12,  # the folder of the scene's version
    "tiles": "*tiles.parquet",
    "tile_probabilities": "*.zarr",
    "stitched_scenes": "*_mask.tif",
    "scene_reports": "*_report.json",
}
# Shorter than in dagster.yaml, so that the tests take less time; everything else is the same.
QUICK = {
    ("run_coordinator", "config", "dequeue_interval_seconds"): 1,
    ("run_monitoring", "poll_interval_seconds"): 2,
}
ENVIRONMENT = {
    "DRSHYM_NEW_SCENES_INTERVAL": "1",
    "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
    "OMP_NUM_THREADS": "1",
}


def wait_until(condition: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """Wait for a condition and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.05)
    return value


def quick_home(home: Path, changes: Mapping[tuple[str, ...], Any]) -> None:
    """Make a Dagster home with the checkout's settings and some changes to them."""
    settings = yaml.safe_load((local.ROOT / "dagster.yaml").read_text("utf-8"))
    for path, value in {**QUICK, **changes}.items():
        section = settings
        for name in path[:-1]:
            section = section[name]
        section[path[-1]] = value
    (home / "inbox").mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))


@dataclass
class Pipeline:
    """The running services and their runs.

    Args:
        home: Their folder of state.
        instance: Their Dagster instance.
        running: The services.
    """

    home: Path
    instance: DagsterInstance
    running: local.Running

    @property
    def scenes(self) -> Path:
        """The folder of all scenes in the store."""
        return self.home / "store" / "scenes"

    @property
    def daemon(self) -> psutil.Process:
        """The daemon that runs now."""
        return psutil.Process(self.running.services[0].process.pid)

    def drop(self, scene: Path, name: str) -> None:
        """Copy a scene into the watched folder under a given name."""
        shutil.copyfile(scene, self.home / f"{name}.part")
        (self.home / f"{name}.part").rename(self.home / "inbox" / f"{name}.tif")

    def runs(self, partition: str) -> list[DagsterRun]:
        """The runs of a scene, oldest first."""
        return list(self.instance.get_runs(RunsFilter(tags={"dagster/partition": partition}), ascending=True))

    def steps(self, run: DagsterRun, kind: DagsterEventType) -> set[str]:
        """The steps of a run that have an event of a kind."""
        return {entry.step_key for entry in self.instance.all_logs(run.run_id, of_type=kind) if entry.step_key}

    @contextlib.contextmanager
    def held(self, scene: Path, partition: str, stage: str) -> Iterator[tuple[DagsterRun, psutil.Process]]:
        """Drop a scene, and stop the process of its first run while it writes the files of a stage.

        The process stops itself just before it gives a file its final name (`tests/system/held`). Whatever happens in
        the block, no stopped process is left: it would block the queue of runs for all later tests.

        Args:
            scene: The scene.
            partition: Its name in the watched folder.
            stage: Key of the step.

        Yields:
            The run, and its process, which is stopped.
        """
        request = self.home / HOLD_FILE
        pattern = f"*/scenes/{glob.escape(partition)}/{RENAMED[stage]}"
        request.write_text(pattern, "utf-8")
        self.drop(scene, partition)
        run: DagsterRun = wait_until(lambda: next(iter(self.runs(partition)), None), f"a run of {partition}")
        pid = wait_until(lambda: next(processes_of(self.instance, run.run_id), None), f"a process of {partition}")[0]
        process = psutil.Process(pid)
        try:
            wait_until(lambda: process.status() == psutil.STATUS_STOPPED, f"the process of {partition} in {stage}")
            assert stage in self.steps(run, DagsterEventType.STEP_START)
            assert stage not in self.steps(run, DagsterEventType.STEP_SUCCESS)
            assert self.partials(), f"{stage} writes no file under a temporary name"
            yield run, process
        finally:
            request.unlink(missing_ok=True)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def partials(self) -> list[Path]:
        """Return the files of scenes that are being written, or were left half written."""
        return list(self.scenes.rglob(f"{TEMPORARY_PREFIX}*"))

    def mapped(self, partition: str, attempts: int = 2) -> list[DagsterRun]:
        """Wait until the last attempt has mapped a scene; return its runs."""

        def succeeded() -> list[DagsterRun] | None:
            runs = self.runs(partition)
            assert len(runs) <= attempts, f"{partition}: {[run.status for run in runs]}"
            return runs if runs and runs[-1].is_success else None

        found: list[DagsterRun] = wait_until(succeeded, f"the map of {partition}")
        return found

    def ask(self, query: str, variables: Mapping[str, Any]) -> Any:
        """Send a request to Dagster's web server, as its pages do."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.running.address}/graphql", data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            value = json.load(answer)
        assert "errors" not in value, value
        return value["data"]


@contextlib.contextmanager
def pipeline(home: Path) -> Iterator[Pipeline]:
    """Start the services on a prepared home, and stop them in order."""
    environment = {
        **ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join([str(local.ROOT / "tests" / "system" / "held"), str(local.ROOT)]),
        "DRSHYM_TEST_HOLD": str(home / HOLD_FILE),
    }
    with (
        local.dagster(home, local.free_port(), environment) as running,
        local.open_instance(home) as instance,
    ):
        yield Pipeline(home, instance, running)


def kill(*processes: psutil.Process) -> None:
    """Kill processes at once, without a chance to clean up; those that have ended do not count."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(process.pid, signal.SIGKILL)


def is_asked_to_end(process: psutil.Process) -> bool:
    """Return whether a stopped process has been sent SIGTERM, which it receives when it goes on."""
    status = Path(f"/proc/{process.pid}/status").read_text("ascii", errors="replace")
    pending = next(line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd:"))
    return bool(int(pending, 16) >> (signal.SIGTERM - 1) & 1)
