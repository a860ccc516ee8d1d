"""The service (`drshym serve`) against the same functions without it: start, first answer, overhead, load.

Every row uses a real service on a free port of the loopback address. What is compared runs in turn in one session.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import numpy as np

from benchmarks.chip_overhead import write_chip
from benchmarks.measure import Row, interleave, timed
from benchmarks.running_service import PATIENCE_SECONDS, RunningService, map_by_address, map_by_upload, running_service
from benchmarks.service_page import page_rows, tile_row
from drshym_pipeline.service.engine import MappingEngine
from drshym_pipeline.service.jobs import JobSpec
from drshym_pipeline.service.settings import ServiceSettings
from drshym_pipeline.service.workers import usable_cores

COMMAND: Final = "python -m benchmarks service"
START_SECONDS: Final = 12.0
SLOWER, LONGER_SECONDS = 1.1, 0.020
AS_FAST: Final = 1.05  # two medians of equal times differ by less
LEAST_THROUGHPUT: Final = 0.9
HEALTH_SECONDS: Final = 0.050
_HEALTH_PAUSE_SECONDS: Final = 0.05
_PERCENT: Final = 99


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Args:
        starts: Starts of the service.
        answers: Requests after each start; the first one is compared with the last one.
        repeats: Maps of a chip in each way.
        clients: Clients at the same time.
        chips: Chips that each client has mapped, one after the other.
        rounds: Number of times that the clients do this.
        tiles: Map tiles.
        idle: Seconds during which `/health` is requested while nothing is mapped.
    """

    starts: int = 3
    answers: int = 10
    repeats: int = 15
    clients: int = 8
    chips: int = 3
    rounds: int = 3
    tiles: int = 40
    idle: float = 6.0


def measure(extent: Extent = Extent()) -> list[Row]:
    """Measure all rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Each client has its own chips: when several map the same one, only the newest map of it is kept.
        chips = [write_chip(folder / "chips", seed) for seed in range(extent.clients)]
        rows = start_rows(folder, chips[0], extent)
        with running_service(folder / "service", folder / "chips") as service:
            rows += chip_rows(service, chips[0], folder / "in_process", extent.repeats)
            rows += load_rows(service, chips, folder / "engine", extent)
            rows.append(tile_row(service, chips[0], extent.tiles))
            rows += page_rows(service, chips[0])
    return rows


def start_rows(folder: Path, chip: Path, extent: Extent) -> list[Row]:
    """Start services one after the other, and have the same chip mapped by each several times."""
    starts: list[float] = []
    used: list[float] = []
    answers: list[list[float]] = []
    for number in range(extent.starts):
        with running_service(folder / f"start{number}", chip.parent) as service, service.client() as client:
            starts.append(service.start_seconds)
            used.append(service.start_processor_seconds)
            answers.append([timed(lambda: map_by_address(client, chip)) for _ in range(extent.answers)])
    start, first, last = map(statistics.median, (starts, [each[0] for each in answers], [each[-1] for each in answers]))
    slower = statistics.median(each[0] / each[-1] for each in answers)
    return [
        Row(
            what="The service: from the start of `drshym serve` until `/ready` answers 200",
            measured=f"{start:.1f} s ({statistics.median(used):.1f} s of processor time, {usable_cores()} cores)",
            asked=f"under {START_SECONDS:.0f} s",
            met=start < START_SECONDS,
            command=COMMAND,
            samples={"start": starts, "processor time": used},
        ),
        Row(
            what=f"The service, 512 x 512 chip: first request after `/ready` against request {extent.answers}",
            measured=f"{slower:.2f} x ({1000 * first:.0f} ms against {1000 * last:.0f} ms)",
            asked=f"no slower (at most {AS_FAST} x)",
            met=slower <= AS_FAST,
            command=COMMAND,
            samples={f"request {number}": list(each) for number, each in enumerate(zip(*answers, strict=True), 1)},
        ),
    ]


def chip_rows(service: RunningService, chip: Path, out: Path, repeats: int) -> list[Row]:
    """Map a chip by its address, by upload, and by `map_scene` in this process with the options of the service."""
    import torch

    from drshym_pipeline.mapping import map_scene
    from drshym_pipeline.model.bundle import shipped_bundle

    torch.set_num_threads(usable_cores())
    bundle = shipped_bundle()
    reference = bundle.reference("shipped")
    content = chip.read_bytes()
    folders = (out / str(number) for number in itertools.count())

    def map_here(*, backscatter: bool) -> None:
        map_scene([chip], next(folders), bundle, reference, backscatter=backscatter)

    with service.client() as client:
        samples = interleave(
            {
                "by address": lambda: map_by_address(client, chip),
                "by upload": lambda: map_by_upload(client, "uploaded.tif", content),
                "map_scene": lambda: map_here(backscatter=True),
                "map_scene, products of the command": lambda: map_here(backscatter=False),
            },
            repeats,
        )
    median = {name: statistics.median(values) for name, values in samples.items()}
    allowed = SLOWER * median["map_scene"] + LONGER_SECONDS
    return [
        Row(
            what=f"The service, warm 512 x 512 chip {way} against `map_scene` in process with the same products",
            measured=f"{median[way] / median['map_scene']:.2f} x ({1000 * median[way]:.0f} ms against "
            f"{1000 * median['map_scene']:.0f} ms; without the backscatter for the page "
            f"{1000 * median['map_scene, products of the command']:.0f} ms)",
            asked=f"at most {SLOWER} x and {1000 * LONGER_SECONDS:.0f} ms",
            met=median[way] <= allowed,
            command=COMMAND,
            samples={name: values for name, values in samples.items() if name == way or name.startswith("map_scene")},
        )
        for way in ("by address", "by upload")
    ]


def load_rows(service: RunningService, chips: Sequence[Path], folder: Path, extent: Extent) -> list[Row]:
    """Have clients map chips at the same time, in turn with an engine of this process that gets the same jobs."""
    seconds: dict[str, list[float]] = {"service": [], "engine": []}
    health: list[float] = []
    settings = ServiceSettings(root=folder, queue_limit=len(chips) * extent.chips)
    engine = MappingEngine(settings)
    engine.start()
    try:
        if not engine.wait_until_ready(PATIENCE_SECONDS):
            raise RuntimeError(f"the engine is not ready: {engine.problem}")
        folders = (folder / str(number) for number in itertools.count())
        with _Health(service) as idle:
            time.sleep(extent.idle)
        for counted in (False, *[True] * extent.rounds):
            with _Health(service) as watched:
                through_service = timed(lambda: _clients(service, chips, extent.chips))
            through_engine = timed(lambda: _feed(engine, chips, extent.chips, folders.__next__))
            if counted:
                seconds["service"].append(through_service)
                seconds["engine"].append(through_engine)
                health += watched.seconds
    finally:
        engine.stop()
    maps = len(chips) * extent.chips
    throughput = statistics.median(a / b for a, b in zip(seconds["engine"], seconds["service"], strict=True))
    per_second = {name: maps / statistics.median(values) for name, values in seconds.items()}
    slowest, slowest_idle = (float(np.percentile(values, _PERCENT)) for values in (health, idle.seconds))
    return [
        Row(
            what=f"The service, {len(chips)} clients at the same time, {maps} chips of 512 x 512: throughput against "
            "its workers fed without HTTP",
            measured=f"{throughput:.2f} x ({per_second['service']:.2f} against {per_second['engine']:.2f} chips per "
            "second; no error)",
            asked=f"at least {LEAST_THROUGHPUT} x, no error",
            met=throughput >= LEAST_THROUGHPUT,
            command=COMMAND,
            samples={f"{name}, seconds": values for name, values in seconds.items()},
        ),
        Row(
            what=f"The service, `/health` while {len(chips)} clients have chips mapped: 99th percentile",
            measured=f"{1000 * slowest:.0f} ms (median {1000 * statistics.median(health):.0f} ms; while nothing is "
            f"mapped {1000 * slowest_idle:.0f} ms)",
            asked=f"under {1000 * HEALTH_SECONDS:.0f} ms",
            met=slowest < HEALTH_SECONDS,
            command=COMMAND,
            samples={"health": health, "health, nothing is mapped": idle.seconds},
        ),
    ]


def _clients(service: RunningService, chips: Sequence[Path], count: int) -> None:
    """Let one client per chip have its chip mapped `count` times; the first error ends the measurement."""

    def one_client(chip: Path) -> None:
        with service.client() as client:
            for _ in range(count):
                map_by_address(client, chip)

    with ThreadPoolExecutor(len(chips)) as pool:
        list(pool.map(one_client, chips))


def _feed(engine: MappingEngine, chips: Sequence[Path], count: int, new_folder: Callable[[], Path]) -> None:
    """Put the same jobs into an engine as the clients do through the service, and wait for their end."""
    jobs = []
    for chip in [*chips] * count:
        out = new_folder()
        out.mkdir()
        jobs.append(engine.submit(JobSpec(scene_name=chip.stem, sources=(chip,), identity=chip.stem, out=out)))
    for job in jobs:
        ended = engine.wait(job.id, PATIENCE_SECONDS)
        if ended.state != "done":
            raise RuntimeError(f"the job of {ended.spec.scene_name} is {ended.state}: {ended.failure}")


class _Health:
    """Requests `/health` repeatedly while the block runs; `seconds` has the time of each answer."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._end = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self.seconds: list[float] = []

    def __enter__(self) -> _Health:
        self._task = self._pool.submit(self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._pool.shutdown()
        self._task.result()

    def _ask(self) -> None:
        with self._service.client() as client:
            while not self._end.wait(_HEALTH_PAUSE_SECONDS):
                start = time.perf_counter()
                status = client.get("/health").status_code
                self.seconds.append(time.perf_counter() - start)
                if status != httpx.codes.OK:
                    raise RuntimeError(f"/health answered {status}")
