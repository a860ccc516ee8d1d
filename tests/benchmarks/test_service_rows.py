"""The rows about the service are measured with a real one; here with as few requests as possible."""

from __future__ import annotations

import pytest

from benchmarks import service_memory, service_speed
from benchmarks.service_speed import Extent


@pytest.mark.system
def test_the_service_is_measured_against_the_same_work_without_it():
    extent = Extent(starts=1, answers=2, repeats=1, clients=2, chips=1, rounds=1, tiles=2, idle=0.5)
    rows = service_speed.measure(extent)
    assert [row.command for row in rows] == [service_speed.COMMAND] * len(rows)
    assert all(values for row in rows for values in row.samples.values())
    samples = {name: len(values) for row in rows for name, values in row.samples.items()}
    assert samples["start"] == samples["request 1"] == samples["request 2"] == 1
    assert samples["by address"] == samples["by upload"] == samples["map_scene"] == 1
    assert samples["service, seconds"] == samples["engine, seconds"] == 1
    assert samples["drawn"] == samples["kept"] == 2


@pytest.mark.system
def test_the_memory_of_all_processes_of_the_service_is_measured():
    (row,) = service_memory.measure(step=1, steps=2)
    assert row.command == service_memory.COMMAND
    (found,) = row.samples.values()
    # Two workers have the network in memory, each with more than 512 MiB of its own.
    assert len(found) == 2 and min(found) > 1 << 30
