"""Scores of shores and of water bodies, which cannot be computed from four counts.

They are added one chip at a time. Shores and bodies are defined in `assessment.boundary` and `assessment.small_floods`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.boundary import BoundaryCounts, boundary_counts
from drshym_pipeline.assessment.small_floods import SizeRecall, size_recall
from drshym_pipeline.datasets.chips import LabelledChip
from drshym_pipeline.evaluation.slices import pixel_size_metres

_SQUARE_METRES_PER_HECTARE = 10_000.0


@dataclass(frozen=True)
class ShapeScores:
    """Shores by chip, and water bodies by size over all chips.

    Args:
        boundary: Counts of shore pixels by chip.
        bodies: Water bodies of all chips together.
    """

    boundary: Mapping[str, BoundaryCounts] = field(default_factory=dict)
    bodies: SizeRecall = field(default_factory=SizeRecall.empty)

    @property
    def shores(self) -> BoundaryCounts:
        """The shores of all chips together."""
        return sum(self.boundary.values(), BoundaryCounts())

    def with_chip(self, chip: LabelledChip, water: NDArray[np.bool_], observed: NDArray[np.bool_]) -> ShapeScores:
        """Return these scores with one more chip; the masks are (h, w) bool."""
        across, down = pixel_size_metres(chip.crs, chip.transform, chip.label.shape[0])
        counts = boundary_counts(water, chip.label, observed)
        found = size_recall(water, chip.label, observed, across * down / _SQUARE_METRES_PER_HECTARE)
        return ShapeScores({**self.boundary, chip.ref.chip_id: counts}, self.bodies + found)

    def to_dict(self) -> dict[str, object]:
        """Return a JSON value: pooled boundary figures, counts by chip, recall by size of the water body."""
        shores, table = self.shores, self.bodies.table()
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        for row in rows:
            row["high_ha"] = None if row["high_ha"] == float("inf") else row["high_ha"]
        return {
            "boundary": {"f1": shores.f1, "precision": shores.precision, "recall": shores.recall},
            "boundary_counts": {chip: list(astuple(counts)) for chip, counts in self.boundary.items()},
            "water_bodies": rows,
        }
