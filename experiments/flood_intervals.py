"""Measure the intervals of the flooded area: `python -m experiments flood-intervals --data CHIPS --ombria FOLDER ...`.

Every pair is mapped as a map with a pre-event scene is, and its flooded area and its other water get the intervals of
the model. They are compared with the truth, and with the rule for models without such intervals: from 0 to the upper
end of the interval of all water. CHIPS has the simulated test chips, which the model was not fitted on. On OMBRIA and
EMSR763 only the flood is known, and they are mapped from VV alone. `--fit-ombria` also fits intervals with the pairs of
OMBRIA, for one event at a time on the others. `--add-to BUNDLE` first fits the intervals on the validation chips of
CHIPS and adds them to a bundle that was sealed without them.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from drshym_pipeline.assessment.conformal import EMPTY_MAPPED
from drshym_pipeline.assessment.flood_interval import ChipPair, LabelledPair, PartInterval, fit_part
from drshym_pipeline.assessment.pair_signs import PARTS, PartName
from drshym_pipeline.assessment.scene_signs import SignCounts
from drshym_pipeline.console import shown_progress
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.model.bundle import ModelBundle, shipped_path
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.records import BandMode
from drshym_pipeline.sar.codes import encode_db
from drshym_pipeline.storage import read_json, write_json, write_text
from drshym_pipeline.training.flood_errors import with_flood_errors
from drshym_pipeline.training.flood_pairs import MappedPair
from drshym_pipeline.training.mode_calibration import CALIBRATION_FILE
from experiments.flood_evidence import PairMapper
from experiments.flood_pairs import FloodPair, chip_pairs, emsr763_pairs, ombria_pairs

_HEAD = (
    "pairs",
    "number",
    "intervals that hold",
    "the same where flood or other water is mapped",
    "median width / mapped area",
    "without a fit: intervals that hold",
    "without a fit: median width / mapped area",
)
_NAMES: dict[PartName, str] = {"flooded": "flood", "other_water": "other water"}


@dataclass(frozen=True)
class Measured:
    """A counted pair.

    Args:
        pair: The counts of its quarters.
        water_high: The upper end of the interval of all water, as a share of the counted pixels.
    """

    pair: ChipPair
    water_high: float

    @property
    def whole(self) -> LabelledPair:
        """The counts of the whole pair."""
        return reduce(add, self.pair.quarters)


@dataclass(frozen=True)
class Held:
    """Whether the interval of a pair holds, its width, the mapped share, and the same of the rule without a fit."""

    event: str
    holds: bool
    width: float
    mapped: float
    holds_without: bool
    width_without: float


def measured(bundle: ModelBundle, pairs: Iterable[FloodPair], mode: BandMode) -> Iterator[Measured]:
    """Map and count pairs in one band mode."""
    mapper, bands = PairMapper(bundle), 1 if mode == "vv" else 2
    errors, calibration = bundle.area_errors[mode], bundle.calibration[mode]
    for pair in pairs:
        now, _ = mapper.stored(pair.now[:bands])
        before, _ = mapper.stored(pair.before[:bands])
        counted = pair.scored & (now != NOT_OBSERVED) & (before != NOT_OBSERVED)
        now, before = (np.where(counted, values, np.uint16(NOT_OBSERVED)) for values in (now, before))
        signs = SignCounts()
        signs.add(now, encode_db(np.where(counted, pair.now[:bands], np.float32(np.nan))))
        found = signs.signs(calibration.threshold)
        other = np.zeros_like(pair.flood) if pair.other is None else pair.other
        mapped = MappedPair(pair.event, now, before, pair.flood, other)
        yield Measured(mapped.quarters(calibration.threshold), errors.estimate(found.mapped, 1.0, found).high_km2)


def held(found: Measured, part: PartName, interval: PartInterval) -> Held:
    """Return whether both intervals of a part of the water contain the truth."""
    whole = found.whole
    signs, true = whole.counts.signs(part), whole.true(part)
    share = interval.estimate(signs)
    return Held(
        event=found.pair.event,
        holds=share.low <= true <= share.high,
        width=share.high - share.low,
        mapped=signs.mapped,
        holds_without=true <= found.water_high,
        width_without=found.water_high,
    )


def row(title: str, results: Sequence[Held]) -> str:
    """Return a row of the table."""
    mapped = [result for result in results if result.mapped > EMPTY_MAPPED]

    def share(values: Sequence[bool]) -> str:
        return f"{np.mean(values):.3f}" if values else "-"

    def width(values: Sequence[float]) -> str:
        return f"{np.median(values):.2f}" if values else "-"

    cells = [
        title,
        str(len(results)),
        share([result.holds for result in results]),
        share([result.holds for result in mapped]),
        width([result.width / result.mapped for result in mapped]),
        share([result.holds_without for result in results]),
        width([result.width_without / result.mapped for result in mapped]),
    ]
    return f"| {' | '.join(cells)} |"


def add_to(folder: Path, data: Sen1Floods11) -> None:
    """Add the intervals of the flooded area to a bundle and its calibration; nothing else in it changes."""
    bundle = ModelBundle.load(folder)
    with shown_progress() as progress:
        changed = with_flood_errors(bundle, data.chips("valid"), progress)
    calibration = copy.deepcopy(read_json(folder / CALIBRATION_FILE))
    for mode, entry in calibration.items():
        entry["area_errors"]["flood"] = changed.document["area_errors"][mode]["flood"]
    changed.write_files(folder)
    write_json(folder / CALIBRATION_FILE, calibration)
    print(f"{folder}: {bundle.sha256[:12]} is now {changed.sha256[:12]}")


def by_event(pairs: Sequence[Measured], simulated: Sequence[Measured]) -> list[str]:
    """Return one row per event, with intervals that were fitted on all other events of these pairs."""
    rows = []
    for event in sorted({found.pair.event for found in pairs}):
        inside = [found for found in pairs if found.pair.event == event]
        others = [found.pair for found in pairs if found.pair.event != event]
        fits = {"others": others, "others and simulated pairs": [*others, *(found.pair for found in simulated)]}
        for name, chosen in fits.items():
            interval = fit_part(chosen, "flooded")
            if interval is not None:
                title = f"{event}, fitted on the {name} (level {interval.level:.2f})"
                rows.append(row(title, [held(found, "flooded", interval) for found in inside]))
    return rows


def main(arguments: Sequence[str]) -> None:
    """Add the intervals where this is asked for, measure them and print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments flood-intervals", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="simulated chips in Sen1Floods11's layout")
    parser.add_argument("--add-to", type=Path, help="a sealed model that gets the intervals")
    parser.add_argument("--model", type=Path, default=shipped_path(), help="a sealed model; by default the shipped one")
    parser.add_argument("--ombria", type=Path, help="the folder of OMBRIA")
    parser.add_argument("--fit-ombria", action="store_true", help="fit on other events of OMBRIA too")
    parser.add_argument("--emsr763", type=Path, help="the folder of EMSR763")
    parser.add_argument("--out", type=Path, help="a Markdown file for the table")
    options = parser.parse_args(arguments)
    data = Sen1Floods11(options.data)
    if options.add_to:
        add_to(options.add_to, data)
    rows = list(_rows(ModelBundle.load(options.add_to or options.model), data, options))
    table = "\n".join([f"| {' | '.join(_HEAD)} |", f"|---{'|---:' * (len(_HEAD) - 1)}|", *rows])
    if options.out:
        write_text(options.out, f"{table}\n")
    print(table)


def _rows(bundle: ModelBundle, data: Sen1Floods11, options: argparse.Namespace) -> Iterator[str]:
    for mode in bundle.area_errors:
        errors = bundle.area_errors[mode].flood
        if errors is None:
            continue
        tested = list(measured(bundle, chip_pairs(data.chips("test")), mode))
        for part in PARTS:
            interval = errors.flooded if part == "flooded" else errors.other_water
            yield row(f"simulated test, {mode}, {_NAMES[part]}", [held(found, part, interval) for found in tested])
    alone = bundle.area_errors["vv"].flood
    if alone is None:
        return
    if options.ombria:
        real = list(measured(bundle, ombria_pairs(options.ombria), "vv"))
        for event in sorted({found.pair.event for found in real}):
            inside = [held(found, "flooded", alone.flooded) for found in real if found.pair.event == event]
            yield row(f"OMBRIA {event}, vv, flood", inside)
        yield row("OMBRIA, vv, flood", [held(found, "flooded", alone.flooded) for found in real])
        if options.fit_ombria:
            valid = list(measured(bundle, chip_pairs(data.chips("valid")), "vv"))
            yield from by_event(real, valid)
    if options.emsr763:
        reported = list(measured(bundle, emsr763_pairs(options.emsr763), "vv"))
        yield row("EMSR763 tiles, vv, flood", [held(found, "flooded", alone.flooded) for found in reported])
