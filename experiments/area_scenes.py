"""Map twenty simulated scenes and compare the area of water with the truth: `python -m experiments area-scenes`.

The scenes are as large as those of `make demo`. Their seeds were fixed before the shipped checkpoint was trained, and
its recipe uses no scene of these seeds. Every scene is mapped as `drshym segment` maps it. OUT.json has every figure,
OUT.md the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from drshym_pipeline.console import shown_progress
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.storage import write_json, write_text

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

SEEDS = tuple(range(8101, 8121))
SIZES = ((1300, 900), (1100, 1500))
FLOOD_SHARE = 0.12
WITHIN = 0.25  # of the true area; the share of scenes with a smaller error is in the table


def map_simulated(bundle: ModelBundle, seed: int, size: tuple[int, int], progress: Progress = silent) -> dict[str, Any]:
    """Simulate a scene, map it, and return its true and its mapped area with the interval."""
    scene = simulate_scene(seed, *size, flood_share=FLOOD_SHARE)
    pixel_km2 = abs(scene.transform.a * scene.transform.e) / 1e6
    counted = np.isfinite(scene.db[0]) & (scene.label >= 0)
    with TemporaryDirectory() as folder:
        source = write_scene(Path(folder), f"simulated_{seed}", scene)
        record = map_scene([source], Path(folder) / "map", bundle, bundle.reference("checkpoint"), progress=progress)
    area = record.flooded
    assert area is not None  # a simulated scene always has observed pixels
    return {
        "seed": seed,
        "water": scene.conditions.water,
        "product": scene.conditions.product,
        "bare_share": round(scene.conditions.bare.share, 3),
        "true_km2": float((counted & (scene.label == 1)).sum()) * pixel_km2,
        "undecided_km2": float((np.isfinite(scene.db[0]) & (scene.label < 0)).sum()) * pixel_km2,
        "observed_km2": record.observed_km2,
        "mapped_km2": area.km2,
        "low_km2": area.low_km2,
        "high_km2": area.high_km2,
    }


def area_scenes(
    bundle: ModelBundle,
    seeds: Sequence[int] = SEEDS,
    sizes: Sequence[tuple[int, int]] = SIZES,
    *,
    progress: Progress = silent,
) -> Iterator[dict[str, Any]]:
    """Map the scenes one after the other; their sizes alternate."""
    for number, seed in enumerate(seeds):
        yield map_simulated(bundle, seed, sizes[number % len(sizes)], progress)


def is_inside(row: dict[str, Any]) -> bool:
    """Return whether the interval contains the true area. Undecided pixels may be water or not."""
    most = row["true_km2"] + row["undecided_km2"]
    return bool(row["low_km2"] <= most and row["true_km2"] <= row["high_km2"])


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median absolute area error of the scenes with water, and how many intervals contain the truth."""
    errors = np.array([abs(row["mapped_km2"] / row["true_km2"] - 1.0) for row in rows if row["true_km2"] > 0])
    widths = np.array([(row["high_km2"] - row["low_km2"]) / row["mapped_km2"] for row in rows if row["mapped_km2"] > 0])
    return {
        "scenes": len(rows),
        "median_error": float(np.median(errors)) if errors.size else None,
        "within_a_quarter": int((errors <= WITHIN).sum()),
        "inside": sum(map(is_inside, rows)),
        "median_width": float(np.median(widths)) if widths.size else None,
    }


def table_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the scenes as a Markdown table below one line with the summary."""
    found = summary(rows)
    error = "-" if found["median_error"] is None else f"{found['median_error']:.0%}"
    width = "-" if found["median_width"] is None else f"{found['median_width']:.2f}"
    lines = [
        f"{found['scenes']} scenes: median area error {error}, {found['within_a_quarter']} within {WITHIN:.0%}, "
        f"{found['inside']} inside the interval, median width of the interval over the mapped area {width}.",
        "",
        "| seed | water | product | bare fields | true km2 | mapped km2 | interval | error | inside |",
        "|---:|---|---|---:|---:|---:|---|---:|---|",
    ]
    for row in rows:
        shown = f"{row['mapped_km2'] / row['true_km2'] - 1.0:+.0%}" if row["true_km2"] > 0 else "-"
        lines.append(
            f"| {row['seed']} | {row['water']} | {row['product']} | {row['bare_share']:.0%} | {row['true_km2']:.2f} "
            f"| {row['mapped_km2']:.2f} | {row['low_km2']:.2f} to {row['high_km2']:.2f} | {shown} "
            f"| {'yes' if is_inside(row) else 'no'} |"
        )
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> None:
    """Map the scenes with the shipped checkpoint or another one, and write the table after every scene."""
    from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle

    parser = argparse.ArgumentParser(prog="python -m experiments area-scenes", description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a sealed model; by default the shipped one")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; the table is written beside it")
    parser.add_argument("--scenes", type=int, choices=range(1, len(SEEDS) + 1), default=len(SEEDS), help="number")
    options = parser.parse_args(arguments)
    bundle = ModelBundle.load(options.model) if options.model else shipped_bundle()
    rows: list[dict[str, Any]] = []
    with shown_progress() as progress:
        for row in area_scenes(bundle, SEEDS[: options.scenes], progress=progress):
            rows.append(row)
            write_json(options.out, {"summary": summary(rows), "scenes": rows})
            write_text(options.out.with_suffix(".md"), table_markdown(rows))
    print(table_markdown(rows))
