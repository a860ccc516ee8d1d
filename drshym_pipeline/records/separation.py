"""The records of how flood was separated from water that was there before, and of what is known about that water."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from drshym_pipeline.records.areas import AreaEstimate
from drshym_pipeline.records.base import Record
from drshym_pipeline.records.spacing import PixelSpacing
from drshym_pipeline.records.tiles import Modality


class PreEventScene(Record):
    """The scene from before the event whose map is the reference.

    `scene_version` changes with the bytes of its source and with how they are read. `modality` names the bands that the
    network used of it. `known_pixels` of the grid of the map are observed in the scene of the event and have a
    probability of water before: only they were compared. `pixel_spacing` is None where the network computed the
    scene's own pixels.
    """

    scene_id: str
    scene_version: str
    source_uris: tuple[str, ...]
    source_sha256: str
    acquired_at: datetime | None
    orbit_direction: str | None
    modality: Modality
    crs: str
    shape: tuple[int, int]
    known_pixels: int = Field(ge=0)
    pixel_spacing: PixelSpacing | None = None


class EarlierMap(Record):
    """A map of an earlier scene whose probability of water is part of the median.

    `proba_sha256` is the hash of its probability file. `modality` names the bands that the network used.
    """

    scene_id: str
    map_version: str
    acquired_at: datetime
    orbit_direction: str | None
    relative_orbit: int | None
    proba_sha256: str
    modality: Modality | None = None


class LeftOutMap(Record):
    """A map of an earlier scene that was not used for the median, and why, as a clause."""

    scene_id: str
    map_version: str
    acquired_at: datetime | None
    reason: str


class EarlierMaps(Record):
    """The maps of earlier scenes whose median probability of water is the reference.

    `known_pixels` of the grid of the map have a value from them and are observed in the scene of the event.
    """

    maps: tuple[EarlierMap, ...] = Field(min_length=1)
    left_out: tuple[LeftOutMap, ...] = ()
    known_pixels: int = Field(ge=0)


class LayerTile(Record):
    """A file of a layer, and the hash of its bytes."""

    uri: str
    sha256: str


class ReferenceLayer(Record):
    """A long-term map of water that is the reference where no other is known.

    `missing` are the names of tiles that the map needs and that were not found. `known_pixels` of the grid of the map
    have a value from this layer and are observed in the scene of the event.
    """

    name: str
    title: str
    tiles: tuple[LayerTile, ...]
    missing: tuple[str, ...] = ()
    known_pixels: int = Field(ge=0)


class ReferenceSources(Record):
    """Where the probability of water before comes from: at least one of these.

    They are in the order of precedence. A pixel has its reference from the first that has a value there. `left_out` are
    the maps of earlier scenes that were not used, where no earlier map was; otherwise `earlier_maps` has them.
    """

    pre_event: PreEventScene | None = None
    earlier_maps: EarlierMaps | None = None
    layers: tuple[ReferenceLayer, ...] = ()
    left_out: tuple[LeftOutMap, ...] = ()

    @property
    def maps_left_out(self) -> tuple[LeftOutMap, ...]:
        """All maps of earlier scenes that were not used."""
        return (*(() if self.earlier_maps is None else self.earlier_maps.left_out), *self.left_out)


class FloodSeparation(ReferenceSources):
    """How flood was separated from water that was there before, and what came of it.

    `method` names the combination that gives the probability of flood, and water is flood where it is not below
    `threshold`. `water` is the area of all water, flooded or not. `other_water` is the area of water that was there
    before. Both are None when `flooded` of the map is None. Where the water before is not known, water is in the
    flooded class: `water_unseparated` pixels with `water_unseparated_km2`. `areas_km2` has the area of every mask value
    by the names of `MapRecord.pixels`, as it is mapped; these are counted and have no interval. `interval_source` says,
    as a part of a sentence, where the fitted intervals of flood and of other water come from; it is None where each of
    both is between 0 and the upper end of all water, and in records of earlier releases.
    """

    method: str
    threshold: float = Field(ge=0.0, le=1.0)
    water: AreaEstimate | None
    other_water: AreaEstimate | None
    water_unseparated: int = Field(ge=0)
    water_unseparated_km2: float = Field(ge=0.0)
    areas_km2: dict[str, float]
    interval_source: str | None = None


class ReferenceNote(Record):
    """What the reference of a map was planned to be, as it is kept with the map in a store.

    `key` is a hash of what the reference depends on, empty for a map without one. `reason` says why there is none,
    and is empty if there is one.
    """

    key: str
    reason: str = ""
