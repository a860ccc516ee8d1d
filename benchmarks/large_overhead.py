"""Overhead of Dagster for a large scene: from the drop to the report against `drshym segment` on the same file.

The file is stored in strips of one row, GDAL's default layout, in which reading tile by tile, or twice, takes long.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.big_scene import FULL_SCENE, write_big_scene
from benchmarks.chip_overhead import SENSOR_INTERVAL, drop_and_wait
from benchmarks.measure import Row, run, timed
from deploy import local

LARGE_SCENE = (3_000, 20_000)  # rows and columns
FACTOR, MORE_SECONDS = 1.2, 5.0
_PATIENCE = 3600.0
_SMALL = (512, 512)


def measure_shape(shape: tuple[int, int], command: str) -> Row:
    """Map one scene both ways, after a small scene that fills the disk cache for both."""
    drshym = str(Path(sys.executable).parent / "drshym")
    with tempfile.TemporaryDirectory() as folder:
        home, scratch = Path(folder, "home"), Path(folder, "scratch")
        (home / "inbox").mkdir(parents=True)
        environment = {**os.environ, "DAGSTER_HOME": str(home)}
        scenes = [write_big_scene(scratch / f"S1_{size[1]}.tif", size, tiled=False) for size in (_SMALL, shape)]
        segment = whole = mapping = 0.0
        with local.dagster(home, local.free_port(), {"DRSHYM_NEW_SCENES_INTERVAL": str(SENSOR_INTERVAL)}):
            for scene in scenes:
                whole, mapping = drop_and_wait(home, scene, _PATIENCE)
                out = scratch / "out"
                segment = timed(lambda: run([drshym, "segment", str(scene), "--out", str(out)], env=environment))  # noqa: B023
                shutil.rmtree(out)
    delay = whole - mapping
    return Row(
        what=f"{shape[1]:,} x {shape[0]:,} scene in strips: from drop to report against `drshym segment`",
        measured=f"{whole:.0f} s, {delay:.0f} s of it until the run was requested, against {segment:.0f} s "
        f"({mapping / segment:.2f} x)",
        asked=f"under {FACTOR:g} x and {MORE_SECONDS:.0f} s more, beyond the sensor's delay",
        met=mapping < FACTOR * segment + MORE_SECONDS,
        command=command,
        samples={"drop to report": [whole], "run": [mapping], "drshym segment": [segment]},
    )


def measure() -> list[Row]:
    """Measure a large scene, which takes minutes."""
    return [measure_shape(LARGE_SCENE, "python -m benchmarks large")]


def measure_full() -> list[Row]:
    """Measure a full scene, which takes a quarter of an hour and 10 GB of disk."""
    return [measure_shape(FULL_SCENE, "python -m benchmarks large-full")]
