"""Run the measurements and write `docs/benchmarks.md` and `docs/benchmarks.json`.

`python -m benchmarks` runs all measurements except the longest one. `python -m benchmarks load chip` runs only the
named ones and keeps the earlier rows of the others. `python -m benchmarks profile-scene` is a tool with its own options
(see `--help`); it shows which functions take the time of mapping one scene.
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
NOTES = ROOT / "docs" / "benchmarks_notes.md"  # explains figures and aims that were not reached; follows the table
DATA = ROOT / "docs" / "benchmarks.json"
# Functions that measure. A module is imported only when it is requested: some need libraries that nothing else needs.
GROUPS = {
    "load": "load_time:measure",
    "chip": "chip_overhead:measure",
    "large": "large_overhead:measure",
    "large-full": "large_overhead:measure_full",
    "network": "network_cost:measure",
    "engines": "engines:measure",
    "speed": "scene_speed:measure",
    "memory": "scene_memory:measure",
    "checks": "input_checks:measure",
    "pre-event": "pre_event_cost:measure",
    "layers": "layer_cost:measure",
    "layers-full": "layer_cost:measure_full",
    "training": "training_step:measure",
    "batches": "batches:measure",
    "recovery": "recovery:measure",
    "service": "service_speed:measure",
    "service-memory": "service_memory:measure",
    "demo": "whole_commands:measure_demo",
    "test": "whole_commands:measure_test",
}
# Measured only when they are named, because they take long.
NAMED_ONLY = ("large-full", "layers-full")
# Modules with a `main(arguments)`, imported only when they are requested.
TOOLS = {"profile-scene": "benchmarks.profile_scene"}


def markdown(groups: dict[str, Any]) -> str:
    """Return the page with the table of all measured rows."""
    lines = [
        "# Benchmarks",
        "",
        "Measured by `make bench`, which writes this page and `benchmarks.json` (every sample). Compared programs ran",
        "in turn in one session; figures are medians. On another machine seconds differ, but ratios are similar.",
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
    """Run a tool, or measure the requested groups and write the table."""
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
