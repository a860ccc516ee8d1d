"""Timing of programs in turn: times vary from run to run, so compared programs run in turn and medians are used."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: Description of the measurement.
        measured: The figure with its unit.
        asked: The aim.
        met: Whether the aim was reached.
        command: The command that measures this row.
        samples: All single measurements, in seconds, by name.
    """

    what: str
    measured: str
    asked: str
    met: bool
    command: str
    samples: dict[str, list[float]]

    def as_dict(self) -> dict[str, Any]:
        """Return the row as a JSON value."""
        return asdict(self)


def timed(action: Callable[[], object]) -> float:
    """Return the wall seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def interleave(actions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Run the actions in turn, A B A B ..., after one warm-up of each.

    Returns:
        Wall seconds of every counted run, by name.
    """
    for action in actions.values():
        action()
    samples: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            samples[name].append(timed(action))
    return samples


def ratio(samples: Mapping[str, Sequence[float]], ours: str, other: str) -> float:
    """Return the median over the pairs of ours / other."""
    return statistics.median(a / b for a, b in zip(samples[ours], samples[other], strict=True))


def run(command: Sequence[str], **options: Any) -> None:
    """Run a command without output; its output is shown only when it fails."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if result.returncode:
        sys.stderr.write(result.stdout + result.stderr)
        raise RuntimeError(f"{' '.join(map(str, command))} ended with exit code {result.returncode}")


def measured_alone(module: str, *arguments: str | Path) -> dict[str, float]:
    """Run a module of the benchmarks in a process of its own, and return the figures that it prints as JSON.

    Args:
        module: Its name; run as a script, it prints one JSON object as its last line.
        arguments: Its arguments.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def peak_bytes() -> int:
    """Return the peak memory of this process so far, in bytes.

    `getrusage` is not used: its peak includes that of the process that forked this one, here a large benchmark. psutil
    is not used either: it reports the memory that is used now, but on Linux not the peak of one process (VmHWM).
    """
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def machine() -> str:
    """Return processor, cores and the versions of the main libraries on one line."""
    info = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = f"{names[0]} x {len(names)}" if names else model
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "dagster", "mlflow", "rasterio", "numpy"))
    return f"{model}; Python {platform.python_version()}, {packages}"
