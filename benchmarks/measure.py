"""Timing side by side: machines are noisy, so what is compared runs in turn and the median counts."""

from __future__ import annotations

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
        what: What was measured.
        measured: The figure with its unit.
        asked: The figure aimed at.
        met: Whether the aim was reached.
        command: What prints this row.
        samples: All single measurements, in seconds, by name.
    """

    what: str
    measured: str
    asked: str
    met: bool
    command: str
    samples: dict[str, list[float]]

    def as_dict(self) -> dict[str, Any]:
        """For the JSON beside the table."""
        return asdict(self)


def timed(action: Callable[[], object]) -> float:
    """Wall seconds of one call."""
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
    """Median over the pairs of ours / other."""
    return statistics.median(a / b for a, b in zip(samples[ours], samples[other], strict=True))


def run(command: Sequence[str], **options: Any) -> None:
    """Run a command quietly; its output is shown only when it fails."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if result.returncode:
        sys.stderr.write(result.stdout + result.stderr)
        raise RuntimeError(f"{' '.join(map(str, command))} ended with exit code {result.returncode}")


def peak_bytes() -> int:
    """Peak memory of this process so far.

    Not `getrusage`: there a process starts with the peak of the one it was forked from, which a benchmark has filled.
    """
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def machine() -> str:
    """Processor, cores and the versions that matter, on one line."""
    info = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = f"{names[0]} x {len(names)}" if names else model
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "dagster", "mlflow", "rasterio", "numpy"))
    return f"{model}; Python {platform.python_version()}, {packages}"
