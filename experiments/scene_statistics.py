"""Compare simulated chips with real scenes: `python -m experiments scene-statistics`.

Every measure of `scene_measures` is computed for each real scene without a flood label and for each simulated chip. A
real scene outside the middle 90 % of the chips shows what the simulator does not produce yet, and in which direction.
The figures are written to a JSON file and the curves to a picture (`scene_plot`). A table of the measures with values
outside is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from drshym_pipeline.errors import InputError
from drshym_pipeline.storage import write_json
from experiments import scene_plot
from experiments.measured_scene import Measured, measure_all
from experiments.paths import ROOT
from experiments.unlabelled_scenes import real_scenes, simulated_scenes, simulator_version

IMAGE = ROOT / "docs" / "images" / "scene_statistics.png"
_DRY_SHARE = 0.02
_SPREAD = (5, 50, 95)


def spread(values: list[float]) -> dict[str, float] | None:
    """Return the 5, 50 and 95 % quantiles of the finite values of some chips; None without finite values."""
    known = np.array(values, np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return None
    return {f"{q} %": round(float(v), 4) for q, v in zip(_SPREAD, np.percentile(known, _SPREAD), strict=True)}


def place(value: float, of: dict[str, float] | None) -> str:
    """Return whether a real value is `below`, `inside` or `above` the middle 90 % of the chips, or `unknown`."""
    if of is None or not np.isfinite(value):
        return "unknown"
    return "below" if value < of["5 %"] else "above" if value > of["95 %"] else "inside"


def _known(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def compare(real: list[Measured], simulated: list[Measured]) -> dict[str, Any]:
    """Return the figures of the comparison as a JSON value."""
    dry = [one for one in simulated if one.water_share < _DRY_SHARE]
    measures: dict[str, Any] = {}
    for name in simulated[0].measures:
        of = spread([one.measures[name] for one in simulated])
        measures[name] = {
            "simulated": of,
            "simulated dry": spread([one.measures[name] for one in dry]),
            "real": {one.name: _known(one.measures[name]) for one in real},
            "outside": {
                one.name: where for one in real if (where := place(one.measures[name], of)) in {"below", "above"}
            },
        }
    classes = sorted({name for one in (*real, *simulated) for name in one.cover})
    cover = {
        name: {
            band: {
                "simulated": spread([one.cover[name][index] for one in simulated if name in one.cover]),
                "real": {one.name: round(one.cover[name][index], 2) for one in real if name in one.cover},
            }
            for index, band in enumerate(("VV", "VH"))
        }
        for name in classes
    }
    places = [place(one.measures[name], measures[name]["simulated"]) for name in measures for one in real]
    known = [where == "inside" for where in places if where != "unknown"]
    return {
        "chips": len(simulated),
        "dry_chips": len(dry),
        "share_inside": round(float(np.mean(known)), 4),
        "measures": measures,
        "land_cover_medians_db": cover,
    }


def table(result: dict[str, Any]) -> str:
    """Return every measure with a real scene outside, one per line."""
    lines = [f"{'measure':<48} {'5 %':>8} {'50 %':>8} {'95 %':>8}  real scenes outside"]
    for name, row in result["measures"].items():
        if row["outside"]:
            of = row["simulated"]
            outside = ", ".join(f"{scene} {row['real'][scene]:.2f}" for scene in row["outside"])
            lines.append(f"{name:<48} {of['5 %']:>8.2f} {of['50 %']:>8.2f} {of['95 %']:>8.2f}  {outside}")
    lines.append(
        f"{result['share_inside']:.0%} of the real scenes' values are within the middle 90 % of "
        f"{result['chips']} simulated chips"
    )
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Compare the scenes, draw the pictures and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m experiments scene-statistics", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--simulated", type=Path, required=True, help="a simulated set in Sen1Floods11's layout")
    parser.add_argument("--split", default="train", help="split of this set")
    parser.add_argument("--chips", type=int, default=300, help="largest number of its chips")
    parser.add_argument("--out", type=Path, default=IMAGE, help="the picture of the curves")
    parser.add_argument("--json", type=Path, default=None, help="the figures; beside the picture when not given")
    parser.add_argument("--examples", type=Path, default=None, help="a picture of real and simulated scenes")
    given = parser.parse_args(arguments)
    try:
        real = list(real_scenes(given.data))
        simulated = list(simulated_scenes(given.simulated, given.chips, given.split))
    except InputError as error:
        parser.error(str(error))
    measured, chips = measure_all(real), measure_all(simulated)
    result = {"simulator": simulator_version(given.simulated), "split": given.split, **compare(measured, chips)}
    write_json(given.json or given.out.with_suffix(".json"), result)
    scene_plot.draw(given.out, measured, chips, result)
    if given.examples is not None:
        scene_plot.draw_examples(given.examples, real, simulated)
    print(table(result))
