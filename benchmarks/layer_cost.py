"""Time and peak memory of a map with long-term water maps and terrain, against the same map without them.

Each map is made in a process of its own. The tiles have their official sizes; below the scene they repeat the ground of
a simulated block, mirrored as the pixels of the scene are.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from benchmarks.big_scene import FULL_SCENE, USUAL_SCENE, write_big_scene
from benchmarks.measure import Row, measured_alone, peak_bytes, ratio

COMMAND = "python -m benchmarks layers"
FULL_COMMAND = "python -m benchmarks layers-full"
MOST_TIME, MOST_GIB, REPEATS = 1.15, 2.0, 3
_MODULE = "benchmarks.layer_cost"
_SEED = 4
_SEED_BEFORE = 12
_SIDE = 1024
_BEYOND = 64  # pixels


def map_once(source: Path, out: Path, ancillary: Path | None = None, *pre: Path) -> dict[str, float]:
    """Map a scene in this process and return the seconds, those of the layers, and the peak memory in bytes."""
    from drshym_pipeline.mapping import map_scene
    from drshym_pipeline.model.bundle import shipped_bundle

    bundle = shipped_bundle()
    start = time.perf_counter()
    reference = bundle.reference("shipped")
    record = map_scene([source], out, bundle, reference, pre=pre, ancillary=ancillary, overwrite=True)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "layers": record.seconds.get("ancillary", 0.0), "peak": float(peak_bytes())}


def write_layers(folder: Path, scene: Path) -> None:
    """Write the tiles below a scene on a grid in metres."""
    from drshym_pipeline.datasets.simulator.ancillary_tiles import write_ancillary_tiles
    from drshym_pipeline.datasets.simulator.scene import simulate_scene

    with rasterio.open(scene) as source:
        # Real tiles go on beyond a scene.
        shape = (source.height + 2 * _BEYOND, source.width + 2 * _BEYOND)
        crs, transform = source.crs.to_string(), source.transform @ Affine.translation(-_BEYOND, -_BEYOND)
    block = simulate_scene(_SEED, min(_SIDE, *shape), min(_SIDE, *shape))

    def repeated(values: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the scene's size, mirrored so that there is no seam."""
        padding = [(0, size - have) for size, have in zip(shape, values.shape, strict=True)]
        return np.pad(values, padding, mode="symmetric")

    write_ancillary_tiles(
        folder,
        replace(
            block,
            label=repeated(block.label),
            permanent_water=repeated(block.permanent_water),
            dem=repeated(block.dem),
            landcover=repeated(block.landcover),
            crs=crs,
            transform=transform,
        ),
    )


def measure(shape: tuple[int, int] = USUAL_SCENE, repeats: int = REPEATS) -> list[Row]:
    """Measure both ways in turn."""
    found: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = write_big_scene(folder / "S1_20210111T1234_now.tif", shape)
        write_layers(folder / "layers", scene)
        for _ in range(repeats):
            found["without"].append(measured_alone(_MODULE, scene, folder / "without"))
            found["with"].append(measured_alone(_MODULE, scene, folder / "with", folder / "layers"))
    seconds = {way: [one["seconds"] for one in values] for way, values in found.items()}
    slower = ratio(seconds, "with", "without")
    middle = {way: statistics.median(values) for way, values in seconds.items()}
    layers = statistics.median(one["layers"] for one in found["with"])
    return [
        Row(
            what=f"{shape[1]:,} x {shape[0]:,} dual-pol scene with water maps and terrain (`--ancillary`) against the "
            "same scene alone: time",
            measured=f"{slower:.2f} x ({middle['with']:.1f} s against {middle['without']:.1f} s; reading the layers "
            f"{layers:.1f} s)",
            asked=f"at most {MOST_TIME} x",
            met=slower <= MOST_TIME,
            command=COMMAND,
            samples={f"{way}, seconds": values for way, values in seconds.items()},
        )
    ]


def measure_full(shape: tuple[int, int] = FULL_SCENE) -> list[Row]:
    """Measure the peak memory of a full scene with everything: a pre-event scene, water maps and terrain."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = write_big_scene(folder / "S1_20210111T1234_now.tif", shape)
        before = write_big_scene(folder / "S1_20201230T1234_before.tif", shape, seed=_SEED_BEFORE)
        write_layers(folder / "layers", scene)
        found = measured_alone(_MODULE, scene, folder / "with", folder / "layers", before)
    gib = found["peak"] / 2**30
    return [
        Row(
            what=f"Peak memory of {shape[1]:,} x {shape[0]:,} x 2 with a pre-event scene, water maps and terrain "
            "(`--pre`, `--ancillary`)",
            measured=f"{gib:.2f} GiB ({found['seconds']:.0f} s in all; reading the layers {found['layers']:.0f} s)",
            asked=f"under {MOST_GIB} GiB",
            met=gib < MOST_GIB,
            command=FULL_COMMAND,
            samples={"peak, bytes": [found["peak"]], "seconds": [found["seconds"]]},
        )
    ]


if __name__ == "__main__":
    print(json.dumps(map_once(*map(Path, sys.argv[1:]))))
