"""Overhead of Dagster for a 512 x 512 chip: the run of `map_scene` against `drshym segment` on the same file."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.measure import Row, run, timed
from deploy import local

LIMIT_SECONDS = 8.0
WAIT_SECONDS = 300.0
SENSOR_INTERVAL = 2


def write_chip(folder: Path, seed: int) -> Path:
    """Write one simulated chip, which is different for every seed."""
    from drshym_pipeline.datasets.simulator.scene import simulate_scene
    from drshym_pipeline.datasets.simulator.writer import write_scene

    return write_scene(folder, f"chip_{seed}", simulate_scene(seed, 512, 512))


def drop_and_wait(home: Path, chip: Path, patience: float = WAIT_SECONDS) -> tuple[float, float]:
    """Copy a scene into the inbox and wait for its map.

    Args:
        home: Dagster home of a running instance.
        chip: The scene.
        patience: Seconds after which the wait ends with an error.

    Returns:
        Seconds from the drop to the end of the run, and from the run's launch to its end (without the sensor's delay).
    """
    from dagster import RunsFilter

    dropped = time.time()
    shutil.copyfile(chip, home / "inbox" / chip.name)
    with local.open_instance(home) as instance:
        while time.time() - dropped < patience:
            records = instance.get_run_records(
                RunsFilter(job_name="map_scene", tags={"dagster/partition": chip.stem}), limit=1
            )
            if records and records[0].dagster_run.is_finished:
                if not records[0].dagster_run.is_success:
                    raise RuntimeError(f"the run of {chip.name} failed; logs in {home}")
                end = records[0].end_time or time.time()
                return end - dropped, end - records[0].create_timestamp.timestamp()
            time.sleep(0.1)
    raise RuntimeError(f"{chip.name} was not mapped within {patience:.0f} s")


def measure(repeats: int = 3) -> list[Row]:
    """Drop chips one after another, and map the same files with `drshym segment` in between."""
    drshym = str(Path(sys.executable).parent / "drshym")
    samples: dict[str, list[float]] = {"drop to map": [], "run": [], "drshym segment": []}
    with tempfile.TemporaryDirectory() as folder:
        home, scratch = Path(folder, "home"), Path(folder, "scratch")
        (home / "inbox").mkdir(parents=True)
        chips = [write_chip(scratch, seed) for seed in range(repeats + 1)]
        environment = {**os.environ, "DAGSTER_HOME": str(home)}
        with local.dagster(home, local.free_port(), {"DRSHYM_NEW_SCENES_INTERVAL": str(SENSOR_INTERVAL)}):
            for index, chip in enumerate(chips):
                whole, run_seconds = drop_and_wait(home, chip)
                command = [drshym, "segment", str(chip), "--out", str(scratch / f"out{index}")]
                segment = timed(partial(run, command, env=environment))
                if index:  # the first chip only fills the disk cache for both
                    samples["drop to map"].append(whole)
                    samples["run"].append(run_seconds)
                    samples["drshym segment"].append(segment)
    median = {name: statistics.median(values) for name, values in samples.items()}
    overhead = statistics.median(
        run_seconds - segment for run_seconds, segment in zip(samples["run"], samples["drshym segment"], strict=True)
    )
    return [
        Row(
            what="512 x 512 chip: Dagster's run of `map_scene` beyond `drshym segment` on the same file",
            measured=f"{overhead:.1f} s ({median['run']:.1f} s against {median['drshym segment']:.1f} s)",
            asked=f"under {LIMIT_SECONDS:.0f} s",
            met=overhead < LIMIT_SECONDS,
            command="python -m benchmarks chip",
            samples=samples,
        ),
        Row(
            what=f"512 x 512 chip: from drop to map, the sensor looking every {SENSOR_INTERVAL} s",
            measured=f"{median['drop to map']:.1f} s",
            asked="reported",
            met=True,
            command="python -m benchmarks chip",
            samples={"drop to map": samples["drop to map"]},
        ),
    ]
