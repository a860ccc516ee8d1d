"""Peak memory and time of whole scenes, each mapped in a process of its own.

The full scene takes minutes: this is a benchmark, not a test. A small version of each property is a test.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.big_scene import FULL_SCENE, USUAL_SCENE, SceneForm, write_big_scene
from benchmarks.measure import ROOT, Row, peak_bytes

COMMAND = "python -m benchmarks memory"
MOST_GIB, MORE_THAN_USUAL, SLOWER_THAN_USUAL = 2.0, 1.15, 1.10
_MODULE = "benchmarks.scene_memory"


def map_once(source: Path, out: Path) -> dict[str, float]:
    """Map a scene in this process: seconds, and bytes of memory at its peak."""
    from drshym_pipeline.mapping import map_scene
    from drshym_pipeline.model.bundle import shipped_bundle

    bundle = shipped_bundle()
    start = time.perf_counter()
    map_scene([source], out, bundle, bundle.reference("shipped"))
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak": peak_bytes()}


def measured(folder: Path, shape: tuple[int, int], form: SceneForm) -> dict[str, float]:
    """Write a scene, map it in a new process, and delete it."""
    source = write_big_scene(folder / f"{form}_{shape[0]}.tif", shape, form)
    out = folder / f"out_{form}_{shape[0]}"
    command = [sys.executable, "-m", _MODULE, str(source), str(out)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    source.unlink()
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(usual: tuple[int, int] = USUAL_SCENE, full: tuple[int, int] = FULL_SCENE) -> list[Row]:
    """The rows of peak memory and of time a megapixel."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = measured(folder, usual, "db")
        large = {form: measured(folder, full, form) for form in ("db", "dn")}
    size = f"{full[1]:,} x {full[0]:,}"
    names = {"db": "dB float32", "dn": "DN u16 with control points"}
    rows = []
    for form, found in large.items():
        gib, growth = found["peak"] / 2**30, found["peak"] / small["peak"]
        rows.append(
            Row(
                what=f"Peak memory of {size} x 2, {names[form]}",
                measured=f"{gib:.2f} GiB, {growth:.2f} x that of {usual[0]:,} x {usual[1]:,} "
                f"({small['peak'] / 2**30:.2f} GiB)",
                asked=f"under {MOST_GIB} GiB, within 15 %",
                met=gib < MOST_GIB and growth <= MORE_THAN_USUAL,
                command=COMMAND,
                samples={"peak, bytes": [found["peak"]], "usual, bytes": [small["peak"]]},
            )
        )
    pace = {key: found["seconds"] / (full[0] * full[1]) for key, found in large.items()}
    usual_pace = small["seconds"] / (usual[0] * usual[1])
    for form, value in pace.items():
        rows.append(
            Row(
                what=f"Time a megapixel of {size} x 2, {names[form]}, against {usual[0]:,} x {usual[1]:,} dB float32",
                measured=f"{value / usual_pace:.2f} x ({large[form]['seconds']:.0f} s in all)",
                asked="within 10 %" if form == "db" else "reported",
                met=form != "db" or value / usual_pace <= SLOWER_THAN_USUAL,
                command=COMMAND,
                samples={"seconds": [large[form]["seconds"]], "usual, seconds": [small["seconds"]]},
            )
        )
    return rows


if __name__ == "__main__":
    print(json.dumps(map_once(Path(sys.argv[1]), Path(sys.argv[2]))))
