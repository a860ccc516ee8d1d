"""Decides which maps are made again because their reference has changed: pure functions without Dagster and the disk.

A map keeps the key of the reference that it was planned with. When the plan of today has another key, the map is made
again from its stored probabilities. A plan depends on the probability files of other scenes and on side-cars. Making a
map again changes neither, so it never has another map made again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MapState:
    """The newest map of one scene.

    Args:
        partition: Partition key of the scene.
        stamp: Changes with every newest map of the scene and with its side-car.
        key: The key of the reference that the map was planned with; None if an earlier release made the map, which is
            then never made again.
        planned: The key of the reference that it would be planned with now.
    """

    partition: str
    stamp: str
    key: str | None
    planned: str

    @property
    def is_outdated(self) -> bool:
        """Whether the map would have another reference now."""
        return self.key is not None and self.key != self.planned


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """One map to make again.

    Args:
        partition: Partition key of the scene.
        run_key: Unique for this map and this reference.
    """

    partition: str
    run_key: str


@dataclass(frozen=True, slots=True)
class RenewalPlan:
    """The decisions of one tick.

    Args:
        requests: Maps to make again now.
        requested: The planned key that was requested last for each map that is still outdated, for the next tick.
        open: Scenes that the next tick must look at again.
        given_up: Outdated maps whose run did not give them the planned reference.
    """

    requests: tuple[RenewalRequest, ...]
    requested: Mapping[str, str]
    open: tuple[str, ...]
    given_up: tuple[str, ...]


def affected_scenes(
    before: Mapping[str, str], stamps: Mapping[str, str], may_use: Callable[[str, Collection[str]], bool]
) -> list[str]:
    """Return the scenes whose reference may have changed between two ticks.

    Args:
        before: The stamps that the last tick saw.
        stamps: The stamps of now, by scene.
        may_use: Called with a scene and the scenes that have changed, are new or were deleted. It returns whether one
            of them can be in the reference of the scene.
    """
    changed = {name for name in {*before, *stamps} if before.get(name) != stamps.get(name)}
    return [name for name in stamps if changed and (name in changed or may_use(name, changed))]


def plan_renewals(
    states: Sequence[MapState], requested: Mapping[str, str], running: Collection[str], limit: int
) -> RenewalPlan:
    """Return the plan for one tick.

    A map is requested once for each reference: if its run fails, or gives it another reference than was planned, it is
    not requested again before the plan changes.

    Args:
        states: The maps that were looked at and can be made again.
        requested: What the last tick returned.
        running: Scenes whose map is being made again now.
        limit: How many maps may be made again at the same time.
    """
    requests: list[RenewalRequest] = []
    again: list[str] = []
    given_up: list[str] = []
    current = {state.partition for state in states if not state.is_outdated}
    after = {partition: key for partition, key in requested.items() if partition not in current}
    free = limit - len(running)
    for state in sorted(states, key=lambda state: state.partition):
        if not state.is_outdated:
            continue
        if state.partition in running:
            again.append(state.partition)
        elif requested.get(state.partition) == state.planned:
            given_up.append(state.partition)
        elif len(requests) < free:
            run_key = f"{state.partition}:{state.stamp}:{state.planned or 'no reference'}"
            requests.append(RenewalRequest(state.partition, run_key))
            after[state.partition] = state.planned
        else:
            again.append(state.partition)
    return RenewalPlan(tuple(requests), after, tuple(again), tuple(given_up))
