"""Memory of the service over hundreds of maps, in a group of its own because it takes long."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks.chip_overhead import write_chip
from benchmarks.measure import Row
from benchmarks.running_service import map_by_address, running_service
from benchmarks.service_page import draw_tile

COMMAND: Final = "python -m benchmarks service-memory"
MORE_MEMORY: Final = 1.05
_CHIPS: Final = 8
_CLIENTS: Final = 2


def measure(step: int = 50, steps: int = 10) -> list[Row]:
    """Have chips mapped by two clients, show a tile of each map, and compare the memory after all with the early one.

    Args:
        step: Number of maps between two measurements of the memory.
        steps: Number of measurements.
    """
    found: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chips = [write_chip(folder / "chips", seed) for seed in range(_CHIPS)]
        with running_service(folder / "service", folder / "chips") as service, service.client() as client:

            def map_and_show(number: int) -> None:
                scene_id = map_by_address(client, chips[number % len(chips)])["scene_id"]
                draw_tile(client, scene_id)

            with ThreadPoolExecutor(_CLIENTS) as pool:
                for turn in range(steps):
                    list(pool.map(map_and_show, range(turn * step, (turn + 1) * step)))
                    found.append(service.memory())
    growth = found[-1] / found[0]
    return [
        Row(
            what=f"The service: memory of all its processes after {steps * step} maps of 512 x 512, each with a map "
            f"tile, against that after {step}",
            measured=f"{growth:.3f} x ({found[-1] / 2**30:.2f} GiB against {found[0] / 2**30:.2f} GiB)",
            asked=f"at most {MORE_MEMORY} x",
            met=growth <= MORE_MEMORY,
            command=COMMAND,
            samples={f"bytes, after every {step} maps": found},
        )
    ]
