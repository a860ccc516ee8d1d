"""A pre-event scene that has been mapped already, as a source of `reference_plan`: its probability file is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import rasterio

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import ReferenceSources, SceneMeta
from drshym_pipeline.references.event_scene import EventScene, values_on, write_reference
from drshym_pipeline.references.mapped_scenes import MappedScene
from drshym_pipeline.references.pre_event import check_pre_event, pre_event_record, scene_label
from drshym_pipeline.references.reference import ReferenceWater
from drshym_pipeline.references.reference_plan import NoReference


@dataclass(frozen=True)
class MappedPreEvent:
    """The map of a pre-event scene as the reference of another map.

    Args:
        scene: The pre-event scene.
        warnings: What a reader of the map must know about it, as sentences.
        same_model: Whether the model of the other map made its map.
    """

    scene: MappedScene
    warnings: tuple[str, ...]
    same_model: bool

    @property
    def identity(self) -> Mapping[str, Mapping[str, Any]]:
        """The scene and its probability file."""
        return {"pre_event": {"scene": self.scene.meta.version, "probability": self.scene.proba_sha256}}

    def make(self, now: EventScene, raster: Path) -> ReferenceWater | NoReference:
        """Move its probability of water to the map grid of a scene.

        Args:
            now: The scene.
            raster: The file of the result.
        """
        meta, grid = self.scene.meta, now.reader.meta.map_grid
        if not self.scene.is_intact():
            return _not_used(self.scene, "its probability file is missing or has changed; map it again")
        with rasterio.open(self.scene.proba) as source:
            written = write_reference(now.reader, [values_on(source, grid)], raster, now.work)
        if not written.known:
            return _not_used(self.scene, "it has no observed pixel inside this scene")
        if not written.compared and now.reader.meta.observed_fraction > 0:
            return _not_used(self.scene, "it has no observed pixel where this scene has one")
        record = pre_event_record(meta, self.scene.modality, written.compared, self.scene.pixel_spacing)
        # The intervals of flood were fitted on pairs that one model has mapped, so they do not hold for two models.
        one = raster if self.same_model else None
        return ReferenceWater(raster, ReferenceSources(pre_event=record), self.identity, self.warnings, one)


def plan_pre_event(now: SceneMeta, scene: MappedScene, model_sha256: str, event_day: date | None) -> MappedPreEvent:
    """Return a pre-event scene as the reference of a map.

    Args:
        now: The scene of the map.
        scene: The pre-event scene.
        model_sha256: The model of the map.
        event_day: The day of the event, if it is known.

    Raises:
        InputError: It cannot be the reference; see `check_pre_event`. Or it is of the day of the event or later.
    """
    warnings = list(check_pre_event(now, scene.meta))
    if event_day is not None and scene.day is not None and scene.day >= event_day:
        problem = f"is of {scene.day}, not earlier than the event of {event_day}"
        raise InputError(scene.name, problem, "Name a scene from before the event in the side-car")
    named = f"The pre-event scene {scene_label(scene.meta, now)}"
    if scene.mode == "vv":
        warnings.append(f"{named} was mapped from VV alone, which is usually weaker than VV with VH.")
    if scene.pixel_spacing is not None:
        warnings.append(f"{named} has {scene.pixel_spacing.text()}.")
    same_model = scene.model.sha256 == model_sha256
    if not same_model:
        warnings.append(
            f"{named} was mapped by another model ({scene.model.label}): a difference between the models may appear as "
            "flood, or hide it."
        )
    return MappedPreEvent(scene, tuple(warnings), same_model)


def _not_used(scene: MappedScene, reason: str) -> NoReference:
    return NoReference(f"The pre-event scene {scene.name} of the side-car is not used: {reason}.")
