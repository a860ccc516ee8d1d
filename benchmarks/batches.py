"""Many scenes: an archive of chips as one backfill against `predict-folder`, and sensor ticks over many objects."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest.mock import patch

from benchmarks.chip_overhead import write_chip
from benchmarks.measure import ROOT, Row, run, timed

COMMAND = "python -m benchmarks batches"
OVER_FOLDER = 1.3
CHIPS = 100
# Number of listed objects, number of new ones among them, allowed seconds.
FOLDER_TICK = (10_000, 10, 2.0)
LISTED_TICK = (100_000, 10, 15.0)
_CHAIN = "group:inference"


def _backfill(home: Path, names: list[str]) -> None:
    """Run the command that the daemon launches for a backfill of all these partitions."""
    dagster = str(Path(sys.executable).parent / "dagster")
    partitions = f"{names[0]}...{names[-1]}"
    command = [dagster, "asset", "materialize", "-f", "definitions.py", "--select", _CHAIN]
    run([*command, "--partition-range", partitions], cwd=ROOT, env={**os.environ, "DAGSTER_HOME": str(home)})


def _fresh_home(home: Path, chips: list[Path]) -> list[str]:
    """Prepare a Dagster home with all chips in its inbox and their partitions added, as the sensor does it."""
    from assets.partitions import scenes
    from deploy import local
    from resources.store import ArtefactStore

    local.prepare_home(home)
    inbox, store = home / "inbox", ArtefactStore(root=str(home / "store"))
    inbox.mkdir()
    for chip in chips:
        os.link(chip, inbox / chip.name)
        store.scenes.write_sources(chip.stem, {"files": [chip.name], "run_key": chip.stem})
    names = [chip.stem for chip in chips]
    with local.open_instance(home) as instance:
        instance.add_dynamic_partitions(str(scenes.name), names)
    return names


def measure_archive(count: int = CHIPS, repeats: int = 2) -> Row:
    """Map the same chips both ways in turn, each time with new folders."""
    drshym = str(Path(sys.executable).parent / "drshym")
    samples: dict[str, list[float]] = {"backfill": [], "predict-folder": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chips = [write_chip(folder / "simulated", seed) for seed in range(count)]
        archive = folder / "archive"
        archive.mkdir()
        for chip in chips:
            os.link(chip, archive / chip.name)
        for turn in range(repeats):
            home = folder / f"home{turn}"
            names = _fresh_home(home, chips)
            out = folder / f"out{turn}"
            command = [drshym, "predict-folder", "--in", str(archive), "--out", str(out)]
            samples["predict-folder"].append(timed(partial(run, command, cwd=folder)))
            samples["backfill"].append(timed(partial(_backfill, home, names)))
            mapped = len(list((home / "store" / "scenes").glob("*/current.json")))
            if mapped != count:
                raise RuntimeError(f"the backfill mapped {mapped} of {count} chips")
    value = statistics.median(a / b for a, b in zip(samples["backfill"], samples["predict-folder"], strict=True))
    return Row(
        what=f"{count} chips of 512 x 512 as one backfill in Dagster against `drshym predict-folder`",
        measured=f"{value:.2f} x its time ({statistics.median(samples['backfill']):.0f} s against "
        f"{statistics.median(samples['predict-folder']):.0f} s)",
        asked=f"under {OVER_FOLDER} x",
        met=value < OVER_FOLDER,
        command=COMMAND,
        samples=samples,
    )


def _tick_seconds(home: Path, listed: int, new: int, *, stub: bool) -> float:
    """Return the seconds of a tick that requests new scenes among many known ones, with a real listing or a stub."""
    from drshym_pipeline.sar.scene_files import SourceFile, list_scenes
    from resources import bucket
    from sensors.new_scenes import SEEN
    from sensors.plan import plan_tick, seen_to_json
    from tests.lineage import Lineage

    lineage = Lineage(home, {"scenes_per_tick": listed})
    names = [f"S1A_IW_GRDH_{number:06d}.tif" for number in range(listed)]
    stubbed = tuple(SourceFile(name, 1000, f"{number:x}") for number, name in enumerate(names))
    if not stub:
        for name in names:
            (lineage.inbox / name).write_bytes(b"x")

    def listing() -> tuple[SourceFile, ...]:
        return stubbed if stub else list_scenes(lineage.inbox)

    files = listing()
    known = files[:-new]
    first = plan_tick(known, {}, listed)
    settled = plan_tick(known, first.seen, listed)
    waiting = plan_tick(files, settled.seen, listed)
    lineage.cursor = lineage.store.put_object(SEEN, seen_to_json(waiting.seen))
    with patch.object(bucket, "list_scenes", lambda *_: files) if stub else nullcontext():
        requests: list[int] = []
        seconds = timed(lambda: requests.append(len(lineage.tick())))
    if requests != [new]:
        raise RuntimeError(f"the tick asked for {requests} runs, not {new}")
    return seconds


def measure_tick(listed: int, new: int, allowed: float, *, stub: bool, repeats: int = 3) -> Row:
    """Measure a tick over many objects; every repeat uses a new instance."""
    found = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            found.append(_tick_seconds(Path(name), listed, new, stub=stub))
    value = statistics.median(found)
    return Row(
        what=f"Sensor tick with {listed:,} objects listed ({'a stub' if stub else 'a folder'}), {new} of them new",
        measured=f"{value:.1f} s",
        asked=f"under {allowed:.0f} s",
        met=value < allowed,
        command=COMMAND,
        samples={"tick": found},
    )


def measure() -> list[Row]:
    """Measure all rows."""
    return [
        measure_archive(),
        measure_tick(*FOLDER_TICK, stub=False),
        measure_tick(*LISTED_TICK, stub=True),
    ]


if __name__ == "__main__":
    print(json.dumps(measure_archive(int(sys.argv[1]), 1).as_dict(), indent=2))
