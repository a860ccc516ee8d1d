"""Time that Dagster needs to load this code location, against a project with one empty file."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Row, interleave, ratio, run

LIMIT = 1.5
EMPTY_DEFINITIONS = "import dagster as dg\n\ndefs = dg.Definitions()\n"
WORKSPACE = "load_from:\n  - python_file:\n      relative_path: definitions.py\n      working_directory: .\n"


def measure(repeats: int = 5) -> list[Row]:
    """Run `dagster definitions validate` on this project and on an empty project, in turn."""
    dagster = str(Path(sys.executable).parent / "dagster")
    with tempfile.TemporaryDirectory() as folder:
        empty, home = Path(folder, "empty"), Path(folder, "home")
        empty.mkdir()
        home.mkdir()
        (empty / "definitions.py").write_text(EMPTY_DEFINITIONS)
        (empty / "workspace.yaml").write_text(WORKSPACE)
        environment = {**os.environ, "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
        command = [dagster, "definitions", "validate", "-w", "workspace.yaml"]
        samples = interleave(
            {
                "ours": lambda: run(command, cwd=ROOT, env=environment),
                "empty": lambda: run(command, cwd=empty, env=environment),
            },
            repeats,
        )
    value = ratio(samples, "ours", "empty")
    return [
        Row(
            what="`dagster definitions validate` on this project against an empty one",
            measured=f"{value:.2f} x",
            asked=f"under {LIMIT} x",
            met=value < LIMIT,
            command="python -m benchmarks load",
            samples=samples,
        )
    ]
