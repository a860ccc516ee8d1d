"""Long-term layers and the terrain in the plan of a map: what they decide is known before a pixel of them is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drshym_pipeline.ancillary.tile_store import TileStore
from drshym_pipeline.records import MapGrid, SceneMeta, TerrainLimits
from drshym_pipeline.references.event_scene import EventScene
from drshym_pipeline.references.exclusion import TerrainExclusion, exclusion_identity, terrain_exclusion
from drshym_pipeline.references.reference import ReferenceWater
from drshym_pipeline.references.reference_layers import long_term_identity, long_term_reference
from drshym_pipeline.references.reference_plan import NoReference


@dataclass(frozen=True)
class LayersReference:
    """The long-term maps of water of a place, as a source of `reference_plan`.

    Args:
        folder: The tiles.
        grid: The grid of the map.
    """

    folder: TileStore
    grid: MapGrid

    @property
    def identity(self) -> Mapping[str, Mapping[str, Any]]:
        """The hashes of the tiles of the grid; empty if there are none."""
        return long_term_identity(self.folder, self.grid)

    def make(self, now: EventScene, raster: Path) -> ReferenceWater | NoReference:
        """Write the probability of water of the layers on the map grid of a scene.

        Args:
            now: The scene.
            raster: The file of the result.
        """
        water, warnings = long_term_reference(now.reader, self.folder, now.work, raster=raster)
        return NoReference(" ".join(warnings)) if water is None else water


@dataclass(frozen=True)
class PlannedExclusion:
    """What the terrain excludes from a map.

    Args:
        folder: The tiles of elevation and of height above drainage.
        meta: The scene.
        limits: The limits of slope and height; steeper or higher ground is excluded.
    """

    folder: TileStore
    meta: SceneMeta
    limits: TerrainLimits

    @property
    def _sources(self) -> list[Path]:
        """The files of the scene where they were when it was staged; the store keeps no companions of its copies."""
        return [path for path in map(Path, self.meta.source_paths) if path.is_absolute()]

    @property
    def identity(self) -> Mapping[str, Any]:
        """What changes its pixels; empty if no layer is known."""
        return exclusion_identity(self.meta.map_grid, self.folder, self._sources, self.limits)

    def make(self, raster: Path) -> tuple[TerrainExclusion | None, tuple[str, ...]]:
        """Write what is excluded on the map grid of the scene.

        Args:
            raster: The file of the result.

        Returns:
            The exclusion, None when no layer is known; and what a reader of a map without it must know.
        """
        return terrain_exclusion(self.meta.map_grid, self.folder, self._sources, raster=raster, limits=self.limits)
