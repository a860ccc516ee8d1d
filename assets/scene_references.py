"""The reference of a scene of the store: its side-car and the mapped scenes beside it, read once as long as they stay.

Both the asset `stitched_scenes` and the sensor that has maps made again take the plan from here, so they agree.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.references.mapped_scenes import MappedScene, names_of, read_mapped_scene
from drshym_pipeline.sar.named_times import named_time
from drshym_pipeline.sar.sidecar import SceneSidecar
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.settings import ReferenceOptions
from resources.sidecars import kept_sidecar, sidecar_place

if TYPE_CHECKING:
    from drshym_pipeline.ancillary.tile_store import TileStore
    from drshym_pipeline.references.reference_plan import ReferencePlan

# `drshym_pipeline.references.earlier_maps` decides. Scenes whose names have other times are not read. A name may have
# the time of another part of the product, so the limits here are some days wider.
_NEAR, _SAME = timedelta(days=125), timedelta(days=5)
_LAYERS_REMEDY = (
    "Bring the folder or bucket back, or set DRSHYM_ANCILLARY to that of the tiles and restart the services; then "
    "re-execute the runs of the scenes that have failed"
)
# A process that maps many scenes, or a code server that runs a sensor every minute, reads a scene again only when its
# newest map or its side-car has changed.
_READ: dict[Path, tuple[str, MappedScene | None]] = {}


@dataclass(frozen=True)
class ScenesBeside:
    """What is known of all scenes of a store when a reference is chosen.

    Args:
        store: The scenes.
        stamps: What changes with the newest map and the side-car of each scene.
        notes: The side-cars that can be used, by scene.
    """

    store: SceneStore
    stamps: Mapping[str, str]
    notes: Mapping[str, SceneSidecar]
    _mapped: dict[str, MappedScene | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, store: SceneStore) -> "ScenesBeside":
        """Look at the files of all scenes; only side-cars are read."""
        stamps = {name: f"{_time(store.current_path(name))}-{_time(_note_path(store, name))}" for name in store.names()}
        notes = {name: note for name in stamps if (note := _note(store, name)) is not None}
        return cls(store, stamps, notes)

    def mapped(self, scene: str) -> MappedScene | None:
        """Return a scene with its newest map, None if it has none or if its side-car cannot be used."""
        if scene not in self._mapped:
            self._mapped[scene] = self._read(scene) if scene in self.notes else None
        return self._mapped[scene]

    def _read(self, scene: str) -> MappedScene | None:
        place = self.store.folder / scene
        known = _READ.get(place)
        if known is None or known[0] != self.stamps[scene]:
            known = self.stamps[scene], read_mapped_scene(self.store, scene, self.notes[scene])
            _READ[place] = known
        return known[1]

    def plan(self, scene: str, now: SceneMeta, model_sha256: str, options: ReferenceOptions) -> "ReferencePlan":
        """Return the plan for the reference of a scene.

        Args:
            scene: Its name.
            now: Its description.
            model_sha256: The model of its map.
            options: The settings.

        Raises:
            InputError: The folder or bucket of layers cannot be used.
            UnavailableError: The bucket cannot be read now.
        """
        from drshym_pipeline.references.reference_choice import choose_reference

        note = self.notes.get(scene, SceneSidecar())
        names: Iterable[str] = self.stamps if note.pre_event is not None else self._near(now.acquired_at)
        others = [other for name in names if name != scene and (other := self.mapped(name)) is not None]
        waiting = {} if note.pre_event is None else {name: own for name, own in self._waiting.items() if name != scene}
        return choose_reference(
            now,
            note,
            others,
            model_sha256=model_sha256,
            option=options.reference,
            days=self._days,
            waiting=waiting,
            folder=None if options.ancillary is None else open_layers(options.ancillary),
            limits=options.limits,
        )

    def may_use(self, scene: str, changed: Collection[str]) -> bool:
        """Return whether one of the changed scenes can be in the reference of a scene."""
        note = self.notes.get(scene)
        if note is None:
            return False
        # A side-car can name any scene, and give the day of an event to the scenes of others.
        if note.pre_event is not None or any(name in self.notes and self.notes[name].event for name in changed):
            return True
        moment = named_time(scene)
        return moment is None or any(
            (other := named_time(name)) is None or moment - _NEAR <= other <= moment + _SAME for name in changed
        )

    @cached_property
    def _waiting(self) -> dict[str, frozenset[str]]:
        """The names of all scenes that have no finished map."""
        found = {}
        for name in self.stamps:
            if self.mapped(name) is None:
                try:
                    sources = self.store.sources(name)
                except InputError:  # a damaged scene must not stop the maps of others
                    sources = None
                found[name] = names_of(name, () if sources is None else sources.files)
        return found

    @cached_property
    def _days(self) -> Mapping[str, date]:
        from drshym_pipeline.references.reference_choice import event_days

        return event_days(self.notes.values())

    @cached_property
    def _by_time(self) -> tuple[list[tuple[datetime, str]], list[str]]:
        """The scenes whose names have a time, in its order, and the others."""
        times = {name: named_time(name) for name in self.stamps}
        timed = sorted((moment, name) for name, moment in times.items() if moment is not None)
        return timed, [name for name, moment in times.items() if moment is None]

    def _near(self, now: datetime | None) -> list[str]:
        """Return the scenes whose names do not say that they are of another time than the reference of a scene."""
        timed, others = self._by_time
        if now is None:
            return others
        first = bisect_left(timed, (now - _NEAR, ""))
        last = bisect_left(timed, (now + _SAME, ""))
        return [*(name for _, name in timed[first:last]), *others]


def open_layers(place: str) -> "TileStore":
    """Return the tiles of the setting `ancillary`.

    Raises:
        InputError: The folder or bucket cannot be used.
        UnavailableError: The bucket cannot be read now.
    """
    from drshym_pipeline.ancillary.places import open_tiles

    try:
        return open_tiles(place)
    except InputError as error:
        raise InputError(error.subject, error.problem, _LAYERS_REMEDY) from error


def _note_path(store: SceneStore, scene: str) -> Path:
    return sidecar_place(store.root, scene)


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _note(store: SceneStore, scene: str) -> SceneSidecar | None:
    try:
        return kept_sidecar(store.root, scene)
    except InputError:  # its own run fails with the reason; whether it shows a flood is not known
        return None
