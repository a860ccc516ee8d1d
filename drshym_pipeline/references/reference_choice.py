"""Which reference a map of the watched folder gets: the scene in its side-car, and the maps of earlier scenes.

Decided on records alone, for the map that is being made and for the question whether a map must be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import PurePosixPath

from drshym_pipeline.ancillary.tile_store import TileStore
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import LeftOutMap, SceneMeta, TerrainLimits
from drshym_pipeline.references.earlier_maps import choose_earlier
from drshym_pipeline.references.earlier_median import EarlierReference
from drshym_pipeline.references.layers_plan import LayersReference, PlannedExclusion
from drshym_pipeline.references.mapped_pre_event import plan_pre_event
from drshym_pipeline.references.mapped_scenes import MappedScene, names_of
from drshym_pipeline.references.reference_plan import PlannedReference, ReferencePlan
from drshym_pipeline.sar.file_names import stem
from drshym_pipeline.sar.sidecar import SceneSidecar, scene_name
from drshym_pipeline.settings import ReferenceOption

Names = frozenset[str]

_NEAR_NAME = 0.8  # likeness from 0 to 1, by difflib


def event_days(notes: Iterable[SceneSidecar]) -> dict[str, date]:
    """Return the day of each event that side-cars name with a date; the earliest if they disagree."""
    days: dict[str, date] = {}
    for note in notes:
        if note.event is not None and note.date is not None:
            days[note.event] = min(note.date, days.get(note.event, note.date))
    return days


def choose_reference(
    now: SceneMeta,
    note: SceneSidecar,
    others: Sequence[MappedScene],
    *,
    model_sha256: str,
    option: ReferenceOption = "auto",
    days: Mapping[str, date] | None = None,
    waiting: Mapping[str, Names] | None = None,
    folder: TileStore | None = None,
    limits: TerrainLimits | None = None,
) -> ReferencePlan:
    """Return the plan for the reference of a map.

    Args:
        now: The scene.
        note: Its side-car.
        others: The scenes with a finished map.
        model_sha256: The model of the map.
        option: `auto` uses the scene of the side-car and earlier maps, `side-car` no earlier maps, `none` no reference.
        days: The days of events by their names, from the side-cars of all scenes.
        waiting: The names that a user may call each scene by that has no finished map.
        folder: Tiles of long-term layers and elevation. They are used where no other reference has a value.
        limits: The limits of slope and height; steeper or higher ground is excluded.
    """
    terrain = None if folder is None else PlannedExclusion(folder, now, limits or TerrainLimits())
    if option == "none":
        return ReferencePlan(reason="references are switched off (DRSHYM_REFERENCE=none)", terrain=terrain)
    known = dict(days or {})
    event_day = note.date or known.get(note.event or "")
    sources: list[PlannedReference] = []
    warnings = _before_the_event(now, event_day)
    reasons = []
    left_out: tuple[LeftOutMap, ...] = ()
    if note.pre_event is not None:
        try:
            named = _named(note.pre_event, now, others, waiting or {})
            sources.append(plan_pre_event(now, named, model_sha256, event_day))
            others = [other for other in others if other is not named]  # it is not an earlier map once more
        except InputError as error:
            reasons.append(f"the pre-event scene {note.pre_event} of the side-car is not used: it {error.problem}")
            warnings.append(f"The pre-event scene {note.pre_event} of the side-car is not used: it {error.problem}.")
    if option == "auto":
        choice = choose_earlier(now, others, model_sha256=model_sha256, event_day=event_day, event_days=known)
        if choice.candidates:
            sources.append(EarlierReference(choice))
        else:
            reasons.append(choice.reason)
            left_out = choice.left_out
    elif note.pre_event is None:
        reasons.append("the side-car names no pre-event scene, and DRSHYM_REFERENCE=side-car uses no other")
    if folder is not None:
        layers = LayersReference(folder, now.map_grid)
        if layers.identity:
            sources.append(layers)
        else:
            reasons.append(f"{folder.root} has no long-term map of water for it")
    return ReferencePlan(tuple(sources), tuple(warnings), "" if sources else "; ".join(reasons), terrain, left_out)


def _before_the_event(now: SceneMeta, event_day: date | None) -> list[str]:
    if event_day is None or now.acquired_at is None or now.acquired_at.date() >= event_day:
        return []
    return [
        f"The scene is of {now.acquired_at.date()}, before the event of {event_day}: what its map shows as flood is "
        "not of this event."
    ]


def _named(text: str, now: SceneMeta, others: Sequence[MappedScene], waiting: Mapping[str, Names]) -> MappedScene:
    """Return the scene that a side-car names by its name, or by a file of it with or without folder and ending.

    Letter case counts only where names differ in nothing else.

    Raises:
        InputError: No scene has that name, or several have, or the one that has it is not mapped yet.
    """
    mapped = {other.name: other for other in others}
    names = {**waiting, **{name: other.names | {name} for name, other in mapped.items()}}
    found = _scenes_called(text, names)
    if len(found) > 1:
        problem = f"is the name of several scenes ({', '.join(sorted(found))})"
        raise InputError(text, problem, "Name one of them in the side-car")
    if found and found[0] in mapped:
        return mapped[found[0]]
    if found:
        raise InputError(text, "has no finished map yet", "Wait until it is mapped")
    own = names_of(now.scene_id, tuple(PurePosixPath(uri).name for uri in now.source_uris))
    if _scenes_called(text, {now.scene_id: own}):
        raise InputError(text, "is the name of the scene itself", "Name an earlier scene in the side-car")
    near = get_close_matches(text, sorted(set().union(*names.values())), 1, _NEAR_NAME)
    problem = f"is the name of no scene{f' (the nearest name is {near[0]})' if near else ''}"
    raise InputError(text, problem, "Correct the name in the side-car, or copy the scene into the watched folder")


def _scenes_called(text: str, names: Mapping[str, Names]) -> list[str]:
    """Return the scenes that have a name; with other letter case, or without folder and ending, if none has it."""
    name = PurePosixPath(text).name
    short = frozenset({name, stem(name), scene_name(name)})
    for wanted in (frozenset({text}), short):
        if found := [scene for scene, own in names.items() if wanted & own]:
            return found
    for wanted in (frozenset({text}), short):
        folded = {one.casefold() for one in wanted}
        if found := [scene for scene, own in names.items() if folded & {one.casefold() for one in own}]:
            return found
    return []
