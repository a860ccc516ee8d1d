"""Peak memory and time of whole scenes, each mapped in a process of its own.

The full scene takes minutes, so this is a benchmark and not a test. The tests check the same properties on small
scenes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.big_scene import FULL_SCENE, USUAL_SCENE, SceneForm, write_big_scene
from benchmarks.measure import Row, measured_alone, peak_bytes

COMMAND = "python -m benchmarks memory"
MOST_GIB, MORE_THAN_USUAL, SLOWER_THAN_USUAL = 2.0, 1.15, 1.10
_MODULE = "benchmarks.scene_memory"


def map_once(source: Path, out: Path) -> dict[str, float]:
    """Map a scene in this process and return the seconds and the peak memory in bytes."""
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
    found = measured_alone(_MODULE, source, out)
    source.unlink()
    return found


def measure(usual: tuple[int, int] = USUAL_SCENE, full: tuple[int, int] = FULL_SCENE) -> list[Row]:
    """Measure peak memory and time per megapixel: a full scene against a usual one of the same form."""
    forms: dict[SceneForm, str] = {"db": "dB float32", "dn": "DN u16 with control points"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {form: (measured(folder, usual, form), measured(folder, full, form)) for form in forms}
    size, small_size = f"{full[1]:,} x {full[0]:,}", f"{usual[0]:,} x {usual[1]:,}"
    rows = []
    for form, (small, large) in found.items():
        gib, growth = large["peak"] / 2**30, large["peak"] / small["peak"]
        rows.append(
            Row(
                what=f"Peak memory of {size} x 2, {forms[form]}",
                measured=f"{gib:.2f} GiB, {growth:.2f} x that of {small_size} ({small['peak'] / 2**30:.2f} GiB)",
                asked=f"under {MOST_GIB} GiB, within 15 %",
                met=gib < MOST_GIB and growth <= MORE_THAN_USUAL,
                command=COMMAND,
                samples={"peak, bytes": [large["peak"]], "usual, bytes": [small["peak"]]},
            )
        )
    for form, (small, large) in found.items():
        pace = (large["seconds"] / (full[0] * full[1])) / (small["seconds"] / (usual[0] * usual[1]))
        rows.append(
            Row(
                what=f"Time per megapixel of {size} x 2, {forms[form]}, against {small_size}",
                measured=f"{pace:.2f} x ({large['seconds']:.0f} s in all)",
                asked="within 10 %",
                met=pace <= SLOWER_THAN_USUAL,
                command=COMMAND,
                samples={"seconds": [large["seconds"]], "usual, seconds": [small["seconds"]]},
            )
        )
    return rows


if __name__ == "__main__":
    print(json.dumps(map_once(Path(sys.argv[1]), Path(sys.argv[2]))))
