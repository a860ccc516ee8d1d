"""Which chip the next training crop is cut from: by source, by water, and by the network's loss on the chip.

Indices and probabilities only; pixels are cut in `crops`. A draw depends on the generator and on the running losses,
which are updated at validations and never between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.errors import InputError

_MEMORY = 0.7  # share of the old running loss that is kept; single losses are noisy (speckle, place of the crop)


class WeightedChips(Protocol):
    """A source of training chips."""

    @property
    def refs(self) -> Sequence[ChipRef]:
        """The chips."""
        ...

    @property
    def weight(self) -> float:
        """How often crops come from this source, relative to the weights of the others."""
        ...

    @property
    def label_weight(self) -> float:
        """Weight of its labels in the loss; a hand label has the weight 1."""
        ...

    @property
    def laid_water(self) -> float:
        """Share of its crops that get water from a crop of the first source."""
        ...


def weighted_choice(values: NDArray[np.int64], chances: NDArray[np.float64], rng: np.random.Generator) -> int:
    """Draw one of `values` (n,) in proportion to `chances` (n,), which are not negative and not all 0."""
    sums = np.cumsum(chances)
    place = int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
    return int(values[min(place, len(values) - 1)])


class ChipSampler:
    """Draws chips. Chips without a labelled, observed pixel are never drawn.

    Args:
        labelled: (n,) number of labelled pixels of every chip.
        water: (n,) number of water pixels of every chip.
        sources: (n,) number of the source that a chip belongs to, counted from 0.
        weights: Weights of the sources.
        water_share: Share of draws that ask for a chip with water. A source without such a chip gives another one.
        hard_share: Share of draws in proportion to the running losses; the other draws are uniform.

    Raises:
        InputError: A source has no chip to draw, or no source has a weight.
    """

    def __init__(
        self,
        labelled: NDArray[np.int64],
        water: NDArray[np.int64],
        sources: NDArray[np.int64],
        weights: Sequence[float],
        *,
        water_share: float,
        hard_share: float,
    ) -> None:
        self._weights = np.asarray(weights, np.float64)
        if not (self._weights >= 0).all() or not self._weights.sum() > 0:
            raise InputError("training sources", f"have the weights {list(weights)}", "Give at least one more than 0")
        self._water_share = water_share
        self._hard_share = hard_share
        self._usable = [np.flatnonzero((labelled > 0) & (sources == number)) for number in range(len(weights))]
        self._wet = [np.flatnonzero((water > 0) & (sources == number)) for number in range(len(weights))]
        for number, usable in enumerate(self._usable):
            if usable.size == 0:
                name = "split" if len(weights) == 1 else f"source {number + 1} of {len(weights)}"
                raise InputError(
                    f"training {name}",
                    f"none of its {int((sources == number).sum())} chips has a labelled, observed pixel",
                    "Check the labels, or train with labels of another kind",
                )
        self._losses = np.full(len(labelled), np.nan)

    @property
    def losses(self) -> NDArray[np.float64]:
        """(n,) copy of the running losses, NaN for chips that were not drawn yet. The sampler has no other state."""
        return self._losses.copy()

    @losses.setter
    def losses(self, values: NDArray[np.float64]) -> None:
        if values.shape != self._losses.shape:
            raise ValueError(f"expected {self._losses.shape}, got {values.shape}")
        self._losses = values.astype(np.float64)

    def learn(self, chips: NDArray[np.int64], losses: NDArray[np.float64]) -> None:
        """Update the running losses with the losses of crops, in the order in which they were drawn.

        Args:
            chips: (m,) indices of the chips that the crops were cut from.
            losses: (m,) losses of the crops, not negative; NaN is skipped.
        """
        for chip, loss in zip(chips, losses, strict=True):
            if np.isnan(loss):
                continue
            old = self._losses[chip]
            self._losses[chip] = loss if np.isnan(old) else _MEMORY * old + (1.0 - _MEMORY) * loss

    def draw(self, rng: np.random.Generator) -> tuple[int, bool]:
        """Draw the next chip, and whether its crop must show water."""
        source = weighted_choice(np.arange(len(self._weights)), self._weights, rng)
        near_water = bool(rng.random() < self._water_share) and self._wet[source].size > 0
        among = self._wet[source] if near_water else self._usable[source]
        if rng.random() < self._hard_share:
            return weighted_choice(among, self._hardness(among), rng), near_water
        return int(among[rng.integers(among.size)]), near_water

    def draw_wet(self, rng: np.random.Generator) -> int | None:
        """Draw a chip with water from the first source; None if it has none."""
        wet = self._wet[0]
        return int(wet[rng.integers(wet.size)]) if wet.size else None

    def _hardness(self, chips: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the running losses of chips; a chip that was not drawn yet gets the mean of the others."""
        losses = self._losses[chips]
        seen = ~np.isnan(losses)
        if not losses[seen].any():
            return np.ones(len(chips))
        return np.where(seen, losses, losses[seen].mean())
