"""Compare ways to map scenes whose pixels are not 10 m: `python -m experiments spacing --data ROOT --out FILE.json`.

The network is trained for pixels of 10 m. Chips of 10 m are averaged in power to coarser pixels, or interpolated to
finer ones, and mapped in each of the ways of `spacing_candidates`. The way is chosen on simulated chips, and on the
real scenes of `real_db`, where the map of the 10 m pixels is a second truth. The labelled chips are only scored with
`--report`, with the pixels as they are and with the chosen way; every such call adds lines to the log of evaluations.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.metrics import ConfusionCounts, confusion
from drshym_pipeline.datasets.chips import ChipRef, read_chip
from drshym_pipeline.datasets.simulator.conditions import SceneKind
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.evaluation_log import append_log, check_log, evaluation_row
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.model.compute import TileNetwork, resolve_precision
from drshym_pipeline.model.inputs import network_input
from drshym_pipeline.probabilities import encode, is_water
from drshym_pipeline.records import BandMode
from drshym_pipeline.settings import SEED
from drshym_pipeline.storage import write_json
from experiments.card import LOG
from experiments.real_chips import real_chips
from experiments.spacing_candidates import CHOSEN, Candidate, averaged, candidates, majority

MODES: tuple[BandMode, ...] = ("vv_vh", "vv")
AS_IT_IS = Candidate("as it is", split=1)
NETWORK_M = 10
BOUND = "the map of the 10 m pixels"
_SIDE = 480
_NOT_FOR_TUNING = ("morava", "awc01")  # chips of `real_db` that are for reporting only


@dataclass(frozen=True)
class Chip:
    """A chip of 10 m pixels.

    Args:
        name: Name of the chip.
        db: (2, h, w) float32 dB, NaN where not observed.
        label: (h, w) int8: 1 water, 0 dry, -1 not known.
    """

    name: str
    db: NDArray[np.float32]
    label: NDArray[np.int8]


class Mapper:
    """The network, prepared as for maps."""

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle
        self._network = TileNetwork(bundle.build(), "cpu", resolve_precision("auto"))

    def logits(self, db: NDArray[np.float32], mode: BandMode) -> NDArray[np.float32]:
        """Compute the (h, w) logits of (2, h, w) dB."""
        bands = 1 if mode == "vv" else 2
        logits: NDArray[np.float32] = self._network.logits(network_input(db[:bands], self.bundle.network.bands)[None])[
            0
        ]
        return logits

    def water(self, probability: NDArray[np.float32], mode: BandMode) -> NDArray[np.bool_]:
        """Compute the (h, w) mask of probabilities."""
        return is_water(encode(probability), self.bundle.calibration[mode].threshold)

    def mask(self, db: NDArray[np.float32], spacing: Fraction, way: Candidate, mode: BandMode) -> NDArray[np.bool_]:
        """Map a chip in one way: (h, w) bool on the chip's own grid."""
        logits = self.logits(way.prepare(db, spacing), mode)
        return self.water(way.chip_probability(logits, spacing, self.bundle.calibration[mode]), mode)


def simulated_chips(count: int) -> Iterator[Chip]:
    """Simulate chips of 480 x 480 pixels, every third one hard."""
    for number in range(count):
        kind: SceneKind = "hard" if number % 3 == 2 else "standard"
        scene = simulate_scene(SEED + 1000 + number, _SIDE, _SIDE, kind=kind)
        yield Chip(f"{kind} {number}", scene.db, scene.label)


def tuning_scenes(root: Path) -> Iterator[Chip]:
    """Read the real scenes that a choice may depend on.

    Raises:
        InputError: The folder has none.
    """
    images = [path for path in sorted((root / "real_db").glob("*.tif")) if not path.stem.endswith("_label")]
    images = [path for path in images if path.stem not in _NOT_FOR_TUNING]
    if not images:
        raise InputError(root, "holds no folder real_db", "Give the folder of the real data with --data")
    for image in images:
        label = image.with_name(f"{image.stem}_label.tif")
        chip = read_chip(ChipRef(image.stem, image.stem, "tuning", image, label if label.is_file() else None))
        yield Chip(image.stem, chip.db, chip.label)


def labelled_chips(root: Path) -> Iterator[Chip]:
    """Read the labelled chips, which are for reporting only."""
    for ref in real_chips(root):
        if ref.label is not None:
            chip = read_chip(ref)
            if (chip.label >= 0).any():
                yield Chip(ref.chip_id, chip.db, chip.label)


def scored(
    mapper: Mapper, chip: Chip, spacing: Fraction, ways: Sequence[Candidate], mode: BandMode, *, truth: str
) -> dict[str, dict[str, tuple[int, int, int, int]]]:
    """Count the pixels of one chip by way.

    Args:
        mapper: The network.
        chip: The chip, with pixels of 10 m.
        spacing: Side of the pixels to map divided by 10 m.
        ways: The candidates.
        mode: The bands.
        truth: `label`, or `map` for the map of the 10 m pixels.

    Returns:
        Counts (tp, fp, fn, tn) by way, against the label and, where `truth` is `map`, against the map.
    """
    coarse = averaged(chip.db, spacing)
    observed = np.asarray(np.isfinite(coarse).all(axis=0), bool)
    truths = {"label": majority(chip.label, spacing)}
    seen = np.where(np.isfinite(chip.db).all(axis=0), mapper.mask(chip.db, Fraction(1), AS_IT_IS, mode), -1)
    best = majority(seen.astype(np.int8), spacing)
    if truth == "map":
        truths["map"] = best
    found: dict[str, dict[str, tuple[int, int, int, int]]] = {
        BOUND: {name: confusion((best == 1) & observed, label, observed).as_tuple() for name, label in truths.items()}
    }
    for way in ways:
        water = mapper.mask(coarse, spacing, way, mode) & observed
        found[way.name] = {name: confusion(water, label, observed).as_tuple() for name, label in truths.items()}
    return found


def figures(counts: Sequence[tuple[int, int, int, int]]) -> dict[str, float | None]:
    """Return pooled IoU, mean IoU of chips with water, and the share of dry land mapped as water."""
    pooled = sum((ConfusionCounts(*each) for each in counts), ConfusionCounts())
    wet = [
        found.iou
        for found in (ConfusionCounts(*each) for each in counts)
        if found.tp + found.fn and found.iou is not None
    ]
    values = {"iou": pooled.iou, "wet iou": float(np.mean(wet)) if wet else None, "false water": pooled.false_water}
    return {name: None if value is None else round(value, 4) for name, value in values.items()}


def table(rows: dict[str, dict[str, dict[str, float | None]]], title: str) -> str:
    """Return a Markdown table: one row per way, IoU / mean wet IoU / false water per spacing."""
    spacings = list(next(iter(rows.values())))
    lines = [f"| {title} | " + " | ".join(spacings) + " |", "|---|" + "---|" * len(spacings)]
    for way, by_spacing in rows.items():
        cells = (" / ".join("-" if v is None else f"{v:.3f}" for v in found.values()) for found in by_spacing.values())
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def chip_table(chips: dict[str, dict[str, dict[str, dict[str, float | None]]]]) -> str:
    """Return a Markdown table of the IoU of every chip, one column per way."""
    ways = list(next(iter(next(iter(next(iter(chips.values())).values())).values())))
    lines = ["| chip | bands | pixels | " + " | ".join(ways) + " |", "|---|---|---|" + "---|" * len(ways)]
    for mode, by_spacing in chips.items():
        for spacing, by_chip in by_spacing.items():
            for chip, by_way in by_chip.items():
                cells = ("-" if value is None else f"{value:.3f}" for value in by_way.values())
                lines.append(f"| {chip} | {mode} | {spacing} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def compare(
    mapper: Mapper, chips: Sequence[Chip], spacings: Sequence[Fraction], ways: Sequence[Candidate], truth: str
) -> dict[str, Any]:
    """Score all ways on chips and print their tables.

    Returns:
        Figures by mode, truth, way and spacing, and the IoU of every chip against its label.
    """
    result: dict[str, Any] = {"figures": {}, "chips": {}}
    for mode in MODES:
        counts = {
            f"{float(spacing) * NETWORK_M:g} m": {
                chip.name: scored(mapper, chip, spacing, ways, mode, truth=truth) for chip in chips
            }
            for spacing in spacings
        }
        names = [BOUND, *(way.name for way in ways)]
        for against in ("label", "map") if truth == "map" else ("label",):
            rows = {
                way: {
                    spacing: figures([by_way[way][against] for by_way in by_chip.values()])
                    for spacing, by_chip in counts.items()
                }
                for way in names
            }
            result["figures"].setdefault(mode, {})[against] = rows
            print(table(rows, f"{mode}, against the {against}"), flush=True)
        result["chips"][mode] = {
            spacing: {
                chip: {way: figures([counted["label"]])["iou"] for way, counted in by_way.items()}
                for chip, by_way in by_chip.items()
            }
            for spacing, by_chip in counts.items()
        }
    return result


def main(arguments: list[str]) -> None:
    """Compare the candidates, or report the chosen one on labelled chips."""
    parser = argparse.ArgumentParser(prog="python -m experiments spacing", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for all figures")
    parser.add_argument("--chips", type=int, default=12, help="number of simulated chips")
    parser.add_argument("--spacing", type=Fraction, nargs="+", default=[Fraction(2), Fraction(3), Fraction(4)],
                        help="sides of the pixels divided by 10 m, such as 3/2")  # fmt: skip
    parser.add_argument("--way", action="append", help="compare only these ways")
    parser.add_argument("--report", action="store_true", help="score the labelled chips")
    parser.add_argument("--log", type=Path, default=LOG, help="log of evaluations on real chips")
    given = parser.parse_args(arguments)
    wanted = [AS_IT_IS.name, CHOSEN] if given.report and given.way is None else given.way
    ways = [way for way in candidates() if wanted is None or way.name in wanted]
    try:
        check_log(given.log)
        mapper = Mapper(shipped_bundle())
        found: dict[str, Any] = {}
        if given.report:
            found["labelled"] = compare(mapper, list(labelled_chips(given.data)), given.spacing, ways, "label")
            print(chip_table(found["labelled"]["chips"]))
            append_log(given.log, _log_rows(mapper.bundle, found["labelled"]))
        else:
            found["simulated"] = compare(mapper, list(simulated_chips(given.chips)), given.spacing, ways, "label")
            found["real_db"] = compare(mapper, list(tuning_scenes(given.data)), given.spacing, ways, "map")
    except InputError as error:
        parser.error(str(error))
    write_json(given.out, found)


def _log_rows(bundle: ModelBundle, found: dict[str, Any]) -> list[dict[str, str]]:
    model = {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256}
    return [
        evaluation_row(
            model,
            data="Sen1Floods11 and STAC-Overflow",
            split=f"{spacing}, {way}",
            bands=mode,
            chips=len(found["chips"][mode][spacing]),
            figures=(values["iou"], values["wet iou"], None, values["false water"]),
        )
        for mode in MODES
        for way, by_spacing in found["figures"][mode]["label"].items()
        for spacing, values in by_spacing.items()
    ]
