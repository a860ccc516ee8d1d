"""The median probability of water of earlier maps as the reference of a map.

The maps' own probability files are read and moved to the grid of the map in strips, so memory does not grow with the
scene. A pixel has the median of the maps that know it; of an even number, the lower of the two middle values, so that
water which only half of the maps have does not count as water that was there before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling

from drshym_pipeline.probabilities import NOT_OBSERVED, is_water
from drshym_pipeline.records import EarlierMap, EarlierMaps, LeftOutMap, MapGrid, ReferenceSources, counted
from drshym_pipeline.references.earlier_maps import (
    MOST_MAPS,
    NO_VALUE,
    ComparedWater,
    EarlierChoice,
    flood_reasons,
    left_out_map,
)
from drshym_pipeline.references.event_scene import EventScene, values_on, write_own_probability, write_reference
from drshym_pipeline.references.mapped_scenes import MappedScene, relative_orbit_of
from drshym_pipeline.references.reference import ReferenceWater
from drshym_pipeline.references.reference_plan import NoReference
from drshym_pipeline.reprojection import moved

# Raised when the same candidates would give another reference: maps of an earlier number are made again.
EARLIER_FORMAT = 1
_MOST_COMPARED_PIXELS = 1 << 21  # enough to measure shares of water
_FEW = 2
_VIEW = Resampling.nearest


@dataclass(frozen=True)
class EarlierReference:
    """The reference from earlier maps, as a source of `reference_plan`.

    Args:
        choice: The candidates; at least one.
    """

    choice: EarlierChoice

    @property
    def identity(self) -> Mapping[str, Mapping[str, Any]]:
        """The files of all candidates: which of them are used follows from their values."""
        maps = [[scene.name, scene.proba_sha256] for scene in self.choice.candidates]
        return {"earlier_maps": {"format": EARLIER_FORMAT, "maps": maps}}

    def make(self, now: EventScene, raster: Path) -> ReferenceWater | NoReference:
        """Write the median of the candidates that do not look like a flood.

        A candidate whose file is missing or has changed is left out: GDAL would take the parts of a damaged file that
        it cannot read for places without a value.

        Args:
            now: The scene.
            raster: The file of the result.
        """
        used, left_out = self._used(now)
        if not used:
            return NoReference(_none_used(left_out), left_out)
        grid = now.reader.meta.map_grid
        with ExitStack() as stack:
            views = [values_on(stack.enter_context(rasterio.open(scene.proba)), grid) for scene in used]
            written = write_reference(now.reader, views, raster, now.work, lower_median)
        if not written.compared:
            left_out += tuple(left_out_map(scene, NO_VALUE) for scene in used)
            return NoReference(
                "No earlier map is the reference of this map: they know no pixel that it observes.", left_out
            )
        # Such a map changes no observed pixel of the median, so it is not named as a part of it.
        empty = [scene for scene, count in zip(used, written.of_views, strict=True) if not count]
        used = [scene for scene in used if scene not in empty]
        left_out += tuple(left_out_map(scene, NO_VALUE) for scene in empty)
        earlier = EarlierMaps(maps=tuple(map(_record, used)), left_out=left_out, known_pixels=written.compared)
        return ReferenceWater(
            raster,
            ReferenceSources(earlier_maps=earlier),
            self.identity,
            (*self.choice.warnings, *_warnings(used)),
            of_one_scene=raster if len(used) == 1 and self.choice.same_model else None,
        )

    def _used(self, now: EventScene) -> tuple[list[MappedScene], tuple[LeftOutMap, ...]]:
        """Return the candidates that are used, and all that are left out."""
        left_out = list(self.choice.left_out)
        whole = []
        for scene in self.choice.candidates:
            if scene.is_intact():
                whole.append(scene)
            else:
                left_out.append(left_out_map(scene, "its probability file is missing or has changed"))
        used: list[MappedScene] = []
        for scene, reason in zip(whole, flood_reasons(compared_water(now, whole)), strict=True):
            if reason:
                left_out.append(left_out_map(scene, reason))
            elif len(used) == MOST_MAPS:
                left_out.append(left_out_map(scene, f"{MOST_MAPS} maps come before it"))
            else:
                used.append(scene)
        return used, tuple(left_out)


def lower_median(values: Sequence[NDArray[np.uint16]]) -> NDArray[np.uint16]:
    """Return the median of the known values of each pixel; of an even number, the lower of the two middle ones.

    Args:
        values: Arrays of one shape, at least one, in steps of 1e-4, 65535 where a value is not known. They are
            changed.

    Returns:
        The medians, 65535 where no value is known.
    """
    ordered = list(values)
    known = np.zeros(ordered[0].shape, np.uint8)
    for array in ordered:
        known += array != NOT_OBSERVED
    # Odd-even transposition: few passes over whole arrays are many times faster than a sort of each pixel. Unknown
    # values are the largest, so they come last.
    for turn in range(len(ordered)):
        for place in range(turn % 2, len(ordered) - 1, 2):
            low = np.minimum(ordered[place], ordered[place + 1])
            np.maximum(ordered[place], ordered[place + 1], out=ordered[place + 1])
            ordered[place] = low
    median = ordered[0]
    for place in range(1, (len(ordered) + 1) // 2):
        np.copyto(median, ordered[place], where=known > 2 * place)
    return median


def compared_water(now: EventScene, candidates: Sequence[MappedScene]) -> list[ComparedWater]:
    """Count the water of each candidate, and that of what it is compared with (`earlier_maps.flood_reasons`).

    Shares of water are measured on a coarse grid, from the overviews of the files.

    Args:
        now: The scene.
        candidates: Maps whose files are whole.
    """
    if not candidates:
        return []
    grid = _coarse(now.reader.meta.map_grid)
    maps = [_coarse_values(scene.proba, grid) for scene in candidates]
    if len(candidates) <= _FEW:
        image = now.work / "own.tif"
        write_own_probability(now, image)
        with rasterio.open(image) as source:
            other = moved(source, grid, range(grid.height), _VIEW)[0]
        image.unlink()
    else:
        other = lower_median([values.copy() for values in maps])
    found = []
    for scene, values in zip(candidates, maps, strict=True):
        both = (values != NOT_OBSERVED) & (other != NOT_OBSERVED)
        found.append(
            ComparedWater(
                known=int(np.count_nonzero(both)),
                water=int(np.count_nonzero(is_water(values, scene.threshold) & both)),
                other=int(np.count_nonzero(is_water(other, now.threshold) & both)),
            )
        )
    return found


def _coarse(grid: MapGrid) -> MapGrid:
    """Return a grid of the same extent with at most about two million pixels."""
    step = max(1.0, math.sqrt(grid.height * grid.width / _MOST_COMPARED_PIXELS))
    height, width = max(1, round(grid.height / step)), max(1, round(grid.width / step))
    affine = grid.affine @ Affine.scale(grid.width / width, grid.height / height)
    return MapGrid(crs=grid.crs, transform=affine[:6], height=height, width=width)


def _coarse_values(path: Path, grid: MapGrid) -> NDArray[np.uint16]:
    """Return the values of a probability file on a coarse grid, from its overview of a similar size."""
    with rasterio.open(path) as source:
        step = math.sqrt(source.height * source.width / (grid.height * grid.width))
        fitting = [level for level, factor in enumerate(source.overviews(1)) if factor <= step]
    options = {"OVERVIEW_LEVEL": fitting[-1]} if fitting else {}
    with rasterio.open(path, **options) as source:
        values: NDArray[np.uint16] = moved(source, grid, range(grid.height), _VIEW)[0]
    return values


def _record(scene: MappedScene) -> EarlierMap:
    meta = scene.meta
    assert meta.acquired_at is not None  # a candidate has a date
    return EarlierMap(
        scene_id=scene.name,
        map_version=scene.map_version,
        acquired_at=meta.acquired_at,
        orbit_direction=meta.orbit_direction,
        relative_orbit=relative_orbit_of(meta),
        proba_sha256=scene.proba_sha256,
        modality=scene.modality,
    )


def _warnings(used: Sequence[MappedScene]) -> list[str]:
    found = []
    if len(used) <= _FEW:
        found.append(
            f"The reference comes from {counted(len(used), 'earlier map')} only: a flood or wind on one of these days "
            "is not outvoted by other days."
        )
    alone = [scene.name for scene in used if scene.mode == "vv"]
    if alone:
        found.append(
            f"{counted(len(alone), 'earlier map')} of the reference ({', '.join(alone)}) "
            f"{'was' if len(alone) == 1 else 'were'} made from VV alone, which is usually weaker than VV with VH."
        )
    return found


def _none_used(left_out: Sequence[LeftOutMap]) -> str:
    named = "; ".join(f"{left.scene_id}: {left.reason}" for left in left_out)
    return f"No earlier map is the reference of this map ({named})."
