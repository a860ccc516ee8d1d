"""The probability of water before an event on the grid of a map, wherever it comes from.

`pre_event` makes it from a scene. What it means for flood is said in `change`. Where a map has several references, a
pixel has the value of the first one that knows it: the scene from before the event, then the maps of earlier scenes,
then long-term layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import rasterio

from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.records import MapGrid, ReferenceSources
from drshym_pipeline.reprojection import strips


class ReferenceIdentity(Protocol):
    """What changes the values of a reference, made or planned."""

    @property
    def identity(self) -> Mapping[str, Mapping[str, Any]]:
        """Plain values of JSON, by the name of the source."""


@dataclass(frozen=True)
class ReferenceWater:
    """The probability of water before an event, on the grid of a map.

    Args:
        raster: One band of uint16 in steps of 1e-4, 65535 where it is not known.
        sources: Where it comes from, for the record of the map.
        identity: What changes its values, by the name of the source: plain values of JSON. The version of a map that
            uses it follows from them.
        warnings: What a reader of the map must know about it, as sentences.
        of_one_scene: The same values where they are those of one scene, 65535 elsewhere; None if no pixel has such a
            value.
    """

    raster: Path
    sources: ReferenceSources
    identity: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...] = ()
    of_one_scene: Path | None = None


def new_reference_raster(path: Path, grid: MapGrid) -> Any:
    """Open a new raster for the probability of water before on a map grid, to be written row by row."""
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="uint16",
        count=1,
        nodata=NOT_OBSERVED,
        height=grid.height,
        width=grid.width,
        crs=grid.crs,
        transform=grid.affine,
        BIGTIFF="IF_SAFER",
    )


def combined(references: Sequence[ReferenceWater], grid: MapGrid, raster: Path) -> ReferenceWater:
    """Combine references of one map: each pixel has the value of the first one that knows it.

    Args:
        references: The references, at least one, in the order of precedence; each has other sources.
        grid: The grid of the map, on which all of them are.
        raster: The file of the result; it is not written if there is only one.
    """
    if len(references) == 1:
        return references[0]
    with ExitStack() as stack:
        sources = [stack.enter_context(rasterio.open(reference.raster)) for reference in references]
        target = stack.enter_context(new_reference_raster(raster, grid))
        for rows in strips(grid):
            window = ((rows.start, rows.stop), (0, grid.width))
            values = sources[0].read(1, window=window)
            for source in sources[1:]:
                unknown = values == NOT_OBSERVED
                if not unknown.any():
                    break
                values[unknown] = source.read(1, window=window)[unknown]
            target.write(values, 1, window=window)
    used: dict[str, Any] = {}
    identity: dict[str, Mapping[str, Any]] = {}
    for reference in references:
        used |= {name: value for name, value in reference.sources if value}
        identity |= reference.identity
    warnings = tuple(warning for reference in references for warning in reference.warnings)
    return ReferenceWater(raster, ReferenceSources(**used), identity, warnings, references[0].of_one_scene)
