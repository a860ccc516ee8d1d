"""Seconds from the kill of a scene's run until the scene is mapped, with the settings of `make ui`."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.measure import Row, timed
from deploy import local

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

STAGE = "tile_probabilities"
SIZE = (1200, 1300)
LIMIT_SECONDS = 120.0
PATIENCE_SECONDS = 900.0


def measure(repeats: int = 3) -> list[Row]:
    """Measure the time after a kill of the run's process, and after a kill of the daemon and all its processes."""
    from drshym_pipeline.datasets.simulator.scene import simulate_scene
    from drshym_pipeline.datasets.simulator.writer import write_scene

    samples: dict[str, list[float]] = {"undisturbed": [], "process killed": [], "all killed": []}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        (home / "inbox").mkdir(parents=True)
        scene = write_scene(Path(folder), "S1_scene", simulate_scene(5, *SIZE))
        with (
            local.dagster(home, local.free_port(), {"DRSHYM_NEW_SCENES_INTERVAL": "1"}) as running,
            local.open_instance(home) as instance,
        ):
            for number in range(repeats):
                for kind, times in samples.items():
                    name = f"S1_{kind.replace(' ', '_')}_{number}"
                    copied = Path(folder, f"{name}.part")
                    shutil.copyfile(scene, copied)
                    copied.rename(home / "inbox" / f"{name}.tif")
                    run = _in_stage(instance, name)
                    if kind != "undisturbed":
                        _kill(instance, run, running.services[0].process.pid if kind == "all killed" else None)
                    times.append(timed(partial(_wait_for_map, instance, name)))
                    print(f"  {kind}: {times[-1]:.0f} s", file=sys.stderr)
    medians = {kind: statistics.median(times) for kind, times in samples.items()}
    longest = max(medians["process killed"], medians["all killed"])
    return [
        Row(
            what=f"A run killed in `{STAGE}` until its scene of {SIZE[1]} x {SIZE[0]} pixels is mapped: its process "
            "alone, and with the daemon and all its processes; undisturbed from the same moment on",
            measured=", ".join(f"{medians[kind]:.0f} s" for kind in ("process killed", "all killed", "undisturbed")),
            asked=f"under {LIMIT_SECONDS:.0f} s",
            met=longest < LIMIT_SECONDS,
            command="python -m benchmarks recovery",
            samples=samples,
        )
    ]


def _runs(instance: DagsterInstance, partition: str) -> list[DagsterRun]:
    from dagster import RunsFilter

    return list(instance.get_runs(RunsFilter(tags={"dagster/partition": partition})))


def _in_stage(instance: DagsterInstance, partition: str) -> DagsterRun:
    """Wait until the first run of a scene is in the stage."""
    from dagster import DagsterEventType

    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for run in _runs(instance, partition):
            events = instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_START)
            if any(entry.dagster_event and entry.dagster_event.step_key == STAGE for entry in events):
                return run
        time.sleep(0.1)
    raise TimeoutError(f"{partition} did not reach {STAGE} within {PATIENCE_SECONDS:.0f} s")


def _kill(instance: DagsterInstance, run: DagsterRun, daemon: int | None) -> None:
    """Kill the process of a run, and a daemon with all its child processes when one is given."""
    from resources.dagster_internals import processes_of

    pids = [pid for pid, _ in processes_of(instance, run.run_id)]
    if daemon is not None:
        pids += [daemon, *(child.pid for child in psutil.Process(daemon).children(recursive=True))]
    for pid in dict.fromkeys(pids):
        os.kill(pid, signal.SIGKILL)


def _wait_for_map(instance: DagsterInstance, partition: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(run.is_success for run in _runs(instance, partition)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{partition} was not mapped within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.1)
