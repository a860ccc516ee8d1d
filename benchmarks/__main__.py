"""Run the measurements and write `docs/benchmarks.md` and `docs/benchmarks.json`.

`python -m benchmarks` runs all but the longest of them; `python -m benchmarks load chip` only those named, and the rows
measured before stay as they were. `python -m benchmarks profile-scene --help` is a tool with options of its own: it
shows where the time of one scene goes.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from typing import Any

from benchmarks.measure import ROOT, Row, machine
from drshym_pipeline.storage import read_json, write_json, write_text

TABLE = ROOT / "docs" / "benchmarks.md"
NOTES = ROOT / "docs" / "benchmarks_notes.md"  # what the figures mean, and why some fall short; closes the table
DATA = ROOT / "docs" / "benchmarks.json"
# Functions that measure, loaded only when asked for: some need libraries that only a benchmark does.
GROUPS = {
    "load": "load_time:measure",
    "chip": "chip_overhead:measure",
    "large": "large_overhead:measure",
    "large-full": "large_overhead:measure_full",
    "network": "network_cost:measure",
    "engines": "engines:measure",
    "speed": "scene_speed:measure",
    "memory": "scene_memory:measure",
    "training": "training_step:measure",
    "batches": "batches:measure",
    "recovery": "recovery:measure",
    "demo": "whole_commands:measure_demo",
    "test": "whole_commands:measure_test",
}
# Measured only when they are named: they take long.
NAMED_ONLY = ("large-full",)
# Modules with a `main(arguments)`, loaded only when asked for.
TOOLS = {"profile-scene": "benchmarks.profile_scene"}


def markdown(groups: dict[str, Any]) -> str:
    """The table of all rows measured so far."""
    lines = [
        "# Benchmarks",
        "",
        "Measured by `make bench`, which writes this page and `benchmarks.json` (every sample). What is compared ran",
        "in turn in one session; figures are medians. Machines differ: the ratios travel, the seconds do not.",
        "",
        "| what | measured | aim | reached | command | date |",
        "|---|---|---|---|---|---|",
    ]
    for group in GROUPS:
        for row in groups.get(group, {}).get("rows", []):
            lines.append(
                f"| {row['what']} | {row['measured']} | {row['asked']} | {'yes' if row['met'] else 'no'} "
                f"| `{row['command']}` | {groups[group]['date']} |"
            )
    machines = sorted({value["machine"] for value in groups.values()})
    notes = ["", NOTES.read_text("utf-8").rstrip()] if NOTES.is_file() else []
    return "\n".join([*lines, "", "Measured on: " + "; and on: ".join(machines) + ".", *notes, ""])


def main() -> None:
    """Run a tool, or measure the groups asked for and write the table."""
    if len(sys.argv) > 1 and sys.argv[1] in TOOLS:
        importlib.import_module(TOOLS[sys.argv[1]]).main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], default=[])
    chosen = parser.parse_args().groups or [name for name in GROUPS if name not in NAMED_ONLY]
    groups: dict[str, Any] = read_json(DATA) if DATA.exists() else {}
    for name in chosen:
        print(f"measuring {name} ...", flush=True)
        module, _, function = GROUPS[name].partition(":")
        rows: list[Row] = getattr(importlib.import_module(f"benchmarks.{module}"), function)()
        for row in rows:
            print(f"  {row.what}: {row.measured} (aim: {row.asked})")
        groups[name] = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": machine(),
            "rows": [row.as_dict() for row in rows],
        }
        write_json(DATA, groups)
        write_text(TABLE, markdown(groups))
    print(f"written: {TABLE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
