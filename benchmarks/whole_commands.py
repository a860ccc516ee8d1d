"""Time of `make demo` and `make test` as a user runs them, after installation."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Row, run, timed

DEMO_SECONDS = 360.0
TEST_SECONDS = 720.0


def measure_demo() -> list[Row]:
    """Measure `make demo` on a new instance, and a second time on the finished one."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DAGSTER_HOME": str(Path(folder, "home"))}
        command = [sys.executable, "demo.py"]
        first, again = (timed(lambda: run(command, cwd=ROOT, env=environment)) for _ in range(2))
    return [
        Row(
            what="`make demo` after installation, on a new instance",
            measured=f"{first:.0f} s (a second time: {again:.0f} s)",
            asked=f"under {DEMO_SECONDS:.0f} s",
            met=first < DEMO_SECONDS,
            command="python -m benchmarks demo",
            samples={"first": [first], "again": [again]},
        )
    ]


def measure_test() -> list[Row]:
    """Measure `make test` after installation."""
    seconds = timed(lambda: run(["make", "test"], cwd=ROOT))
    return [
        Row(
            what="`make test` after installation",
            measured=f"{seconds:.0f} s",
            asked=f"under {TEST_SECONDS:.0f} s",
            met=seconds < TEST_SECONDS,
            command="python -m benchmarks test",
            samples={"make test": [seconds]},
        )
    ]
