"""Time and peak memory of a map with a scene from before the event, against the same map without it.

Each map is made in a process of its own, so that its peak memory is its own. The scene before has the same size, and
other pixels.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.big_scene import USUAL_SCENE, write_big_scene
from benchmarks.measure import Row, measured_alone, peak_bytes, ratio

COMMAND = "python -m benchmarks pre-event"
MOST_TIME, MOST_MEMORY, REPEATS = 2.1, 1.05, 3
_MODULE = "benchmarks.pre_event_cost"
_SEED_BEFORE = 12


def map_once(source: Path, out: Path, *pre: Path) -> dict[str, float]:
    """Map a scene in this process; return the seconds, those of the pre-event scene, and the peak memory in bytes."""
    from drshym_pipeline.mapping import map_scene
    from drshym_pipeline.model.bundle import shipped_bundle

    bundle = shipped_bundle()
    start = time.perf_counter()
    record = map_scene([source], out, bundle, bundle.reference("shipped"), pre=pre, overwrite=True)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "pre_event": record.seconds.get("pre_event", 0.0), "peak": float(peak_bytes())}


def measure(shape: tuple[int, int] = USUAL_SCENE, repeats: int = REPEATS) -> list[Row]:
    """Measure both ways in turn."""
    ways: dict[str, list[float]] = {"without": [], "with": []}
    peaks: dict[str, list[float]] = {"without": [], "with": []}
    of_before: dict[str, list[float]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        now = write_big_scene(folder / "S1_20210111T1234_now.tif", shape)
        before = write_big_scene(folder / "S1_20201230T1234_before.tif", shape, seed=_SEED_BEFORE)
        for _ in range(repeats):
            for way, pre in (("without", []), ("with", [before])):
                found = measured_alone(_MODULE, now, folder / way, *pre)
                ways[way].append(found["seconds"])
                of_before[way].append(found["pre_event"])
                peaks[way].append(found["peak"])
    size = f"{shape[1]:,} x {shape[0]:,}"
    slower, larger = ratio(ways, "with", "without"), ratio(peaks, "with", "without")
    seconds = {way: statistics.median(values) for way, values in ways.items()}
    gib = {way: max(values) / 2**30 for way, values in peaks.items()}
    return [
        Row(
            what=f"{size} dual-pol scene with a pre-event scene (`--pre`) against the same scene alone: time",
            measured=f"{slower:.2f} x ({seconds['with']:.1f} s against {seconds['without']:.1f} s)",
            asked=f"at most {MOST_TIME} x",
            met=slower <= MOST_TIME,
            command=COMMAND,
            samples={
                **{f"{way}, seconds": values for way, values in ways.items()},
                **{f"{way}, seconds of the pre-event scene": values for way, values in of_before.items()},
            },
        ),
        Row(
            what=f"{size} dual-pol scene with a pre-event scene (`--pre`) against the same scene alone: peak memory",
            measured=f"{larger:.2f} x ({gib['with']:.2f} GiB against {gib['without']:.2f} GiB)",
            asked=f"the same, within {MOST_MEMORY - 1:.0%}",
            met=larger <= MOST_MEMORY,
            command=COMMAND,
            samples={f"{way}, bytes": values for way, values in peaks.items()},
        ),
    ]


if __name__ == "__main__":
    print(json.dumps(map_once(*map(Path, sys.argv[1:]))))
