"""What the reference of a map will be, before any raster is read; and making it when the map is drawn.

The version of a map follows from the plan, so a map that exists is found without making its reference again. What the
plan depends on are records and hashes of files, so it can be compared with that of an earlier map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from drshym_pipeline.records import LeftOutMap, ReferenceNote
from drshym_pipeline.references.event_scene import EventScene
from drshym_pipeline.references.exclusion import TerrainExclusion
from drshym_pipeline.references.reference import ReferenceIdentity, ReferenceWater, combined
from drshym_pipeline.storage import sha256_json

_KEY_DIGITS = 16


@dataclass(frozen=True)
class NoReference:
    """A source that turned out to have no value for a scene, when its files were read.

    Args:
        reason: Why, as a sentence.
        left_out: The maps of earlier scenes that cannot be used.
    """

    reason: str
    left_out: tuple[LeftOutMap, ...] = ()


class PlannedReference(ReferenceIdentity, Protocol):
    """One source of the probability of water before. Its identity is known before it is read."""

    def make(self, now: EventScene, raster: Path) -> ReferenceWater | NoReference:
        """Write its raster on the map grid of a scene, or say why there is none."""


class PlannedTerrain(Protocol):
    """What the terrain excludes from a map; its identity is known before it is read."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What changes its pixels, as plain values of JSON; empty if nothing is known."""

    def make(self, raster: Path) -> tuple[TerrainExclusion | None, tuple[str, ...]]:
        """Write it on the map grid; return None if nothing is known, and what a reader of such a map must know."""


@dataclass(frozen=True)
class MadeReference:
    """The reference of a map.

    Args:
        water: The probability of water before; None if no source has a value.
        note: What is kept with the map.
        warnings: What a reader of a map without a reference must know about that, as sentences.
    """

    water: ReferenceWater | None
    note: ReferenceNote
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReferencePlan:
    """All sources of the reference of a map.

    Args:
        sources: The sources, in the order of precedence.
        warnings: What a reader of the map must know about what is missing, as sentences.
        reason: Why there is no source, as a clause; empty if there is one.
        terrain: What the terrain excludes from the map; None where terrain is not used.
        left_out: The maps of earlier scenes that cannot be used, where no earlier map is a source.
    """

    sources: tuple[PlannedReference, ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str = ""
    terrain: PlannedTerrain | None = None
    left_out: tuple[LeftOutMap, ...] = ()

    @cached_property
    def identity(self) -> dict[str, Mapping[str, Any]]:
        """What changes the map by its reference; empty for a map as it is without one."""
        found: dict[str, Mapping[str, Any]] = {}
        for source in self.sources:
            found |= source.identity
        if self.warnings:
            found["reference_warnings"] = {"texts": list(self.warnings)}
        return found

    @cached_property
    def terrain_identity(self) -> Mapping[str, Any]:
        """What changes the map by the terrain; empty where no terrain is known."""
        return {} if self.terrain is None else self.terrain.identity

    @property
    def note(self) -> ReferenceNote:
        """The plan as it is kept with a map."""
        identity: dict[str, Any] = dict(self.identity)
        if self.terrain_identity:
            identity["exclusion"] = self.terrain_identity
        return ReferenceNote(key=sha256_json(identity)[:_KEY_DIGITS] if identity else "", reason=self.reason)

    def make(self, now: EventScene, folder: Path) -> MadeReference:
        """Write the reference on the map grid of a scene.

        Args:
            now: The scene.
            folder: An existing folder for the rasters.
        """
        made: list[ReferenceWater] = []
        missing: list[str] = []
        left_out = list(self.left_out)
        for number, source in enumerate(self.sources):
            outcome = source.make(now, folder / f"reference_{number}.tif")
            if isinstance(outcome, NoReference):
                missing.append(outcome.reason)
                left_out += outcome.left_out
            else:
                made.append(outcome)
        warnings = (*self.warnings, *missing)
        if not made:
            reason = self.reason or " ".join(missing)
            return MadeReference(None, self.note.model_copy(update={"reason": reason}), warnings)
        water = combined(made, now.reader.meta.map_grid, folder / "reference.tif")
        sources = water.sources.model_copy(update={"left_out": tuple(left_out)})
        return MadeReference(replace(water, sources=sources, warnings=(*warnings, *water.warnings)), self.note)
