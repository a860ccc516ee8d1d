"""What area intervals are fitted on: quarters of chips, whole chips, and all chips of an event together.

A scene can be smaller or larger than a chip. Therefore the units have three sizes. The units of one event are not
independent: every event has the same total weight, each of the three sizes has a third of it, and the number of
independent observations is the number of events. If all chips are of one event, the chips take the place of the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

FEWEST_PIXELS: Final = 1000  # labelled, of a quarter; the share of a smaller piece says little


class Part(Protocol):
    """A counted part of a chip; parts are added."""

    @property
    def pixels(self) -> int:
        """The number of counted pixels."""
        ...

    def __add__(self, other: Self, /) -> Self: ...


P = TypeVar("P", bound=Part)
T = TypeVar("T")


@dataclass(frozen=True)
class CountedChip(Generic[P]):
    """A chip for a fit.

    Args:
        event: The event of the chip.
        quarters: The counts of its quarters; their sum is the whole chip.
    """

    event: str
    quarters: tuple[P, ...]


class Unit(NamedTuple, Generic[P]):
    """One unit: its counts, its weight, its independent group, and its size (0 quarter, 1 chip, 2 event)."""

    part: P
    weight: float
    group: int
    size: int


@dataclass(frozen=True)
class Units:
    """Units as arrays, one entry per unit.

    Args:
        shares: (units, a) signs of the expected share.
        spreads: (units, b) signs of its error.
        mapped: (units,) mapped shares.
        masses: (units,) sums of probabilities as shares.
        true: (units,) true shares.
        weights: (units,) weights.
        groups: (units,) numbers of the independent groups.
        sizes: (units,) sizes of the units.
    """

    shares: NDArray[np.float64]
    spreads: NDArray[np.float64]
    mapped: NDArray[np.float64]
    masses: NDArray[np.float64]
    true: NDArray[np.float64]
    weights: NDArray[np.float64]
    groups: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def part(self, chosen: NDArray[np.bool_]) -> Units:
        """Return some of the units: (units,) bool."""
        return Units(
            self.shares[chosen],
            self.spreads[chosen],
            self.mapped[chosen],
            self.masses[chosen],
            self.true[chosen],
            self.weights[chosen],
            self.groups[chosen],
            self.sizes[chosen],
        )


def units_of(chips: Sequence[CountedChip[P]]) -> list[Unit[P]]:
    """Return all units of the chips as the docstring of the module says."""
    events: dict[str, list[CountedChip[P]]] = {}
    for chip in chips:
        events.setdefault(chip.event, []).append(chip)
    if len(events) == 1:
        events = {str(number): [chip] for number, chip in enumerate(chips)}
    found: list[Unit[P]] = []
    for group, members in enumerate(_in_order(events)):
        wholes = [reduce(add, chip.quarters) for chip in members]
        quarters = [part for chip in members for part in chip.quarters if part.pixels >= FEWEST_PIXELS]
        sizes = [(number, size) for number, size in enumerate((quarters, wholes, [reduce(add, wholes)])) if size]
        for number, size in sizes:
            weight = 1.0 / len(sizes) / len(size)
            found += [Unit(part, weight, group, number) for part in size]
    return found


def _in_order(events: Mapping[str, list[T]]) -> list[list[T]]:
    """Return the chips of each event, in an order that does not depend on the order of the chips."""
    return [events[name] for name in sorted(events)]
