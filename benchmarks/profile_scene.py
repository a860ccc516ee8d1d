"""Find the functions that take the time of mapping a large scene: `python -m benchmarks profile-scene`.

py-spy samples all threads of a process that maps the scene, a hundred times per second. The samples are added up by the
innermost function of this project, and by the innermost function of any library.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.big_scene import USUAL_SCENE, write_big_scene
from benchmarks.measure import ROOT, machine

OUT = ROOT / "docs" / "measured" / "profile_5120.txt"
_RATE = 100
# Innermost functions of threads that wait in C code for work; py-spy counts these threads as busy.
_WAITING = ("_worker (", "EpollSelector.select (", "SimpleQueue.get (")
_SHOWN = 25


def summarise(raw: str) -> tuple[int, Counter[str], Counter[str]]:
    """Add up py-spy's raw stacks (one line `frame;frame;... count` per stack), without threads that wait.

    Returns:
        Number of samples; samples by the innermost function of this project; samples by the innermost function.
    """
    ours: Counter[str] = Counter()
    innermost: Counter[str] = Counter()
    total = 0
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if frames[-1].startswith(_WAITING):
            continue
        total += int(count)
        innermost[frames[-1]] += int(count)
        own = [frame for frame in frames if "drshym_pipeline" in frame]
        ours[own[-1] if own else "outside"] += int(count)
    return total, ours, innermost


def table(title: str, counts: Counter[str], total: int) -> list[str]:
    """Return the lines of a table of the largest shares, one share per line."""
    lines = [title, "-" * len(title)]
    lines += [f"{100 * count / total:6.1f} %  {name}" for name, count in counts.most_common(_SHOWN)]
    return [*lines, ""]


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile a scene, write the table and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks profile-scene", description=__doc__)
    parser.add_argument("--side", type=int, default=USUAL_SCENE[0], help="rows and columns of the scene")
    parser.add_argument("--out", type=Path, default=OUT, help="text file")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_big_scene(folder / "scene.tif", (chosen.side, chosen.side))
        raw = folder / "raw.txt"
        spy = [str(Path(sys.executable).parent / "py-spy"), "record", "--rate", str(_RATE), "--format", "raw"]
        mapped = [sys.executable, "-m", "benchmarks.scene_memory", str(source), str(folder / "out")]
        subprocess.run([*spy, "--output", str(raw), "--full-filenames", "--", *mapped], cwd=ROOT, check=True)
        total, ours, innermost = summarise(raw.read_text("utf-8").replace(f"{ROOT}/", ""))
    lines = [
        f"{chosen.side} x {chosen.side} x 2, dB float32, from the start of the process to its end; {machine()}.",
        f"py-spy, {_RATE} samples per second of the threads that were busy; {total} samples.",
        "",
        *table("By the innermost function of this project", ours, total),
        *table("By the innermost function", innermost, total),
    ]
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text("\n".join(lines), "utf-8")
    print("\n".join(lines))
