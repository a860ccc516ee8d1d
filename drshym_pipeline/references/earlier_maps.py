"""Which maps of earlier scenes are the reference of a map: pure functions on records and counts, without files.

The rules, in this order:

1. A candidate overlaps the scene and is at most 120 days earlier. It has the same relative orbit. If no usable one has,
   scenes count whose orbit, or that of the mapped scene, is not known, if their pass is not known to be another one.
2. A flood must not become its own reference. So a candidate is left out if it has a file of the scene, is less than a
   day earlier, is of the day of the event or later, or belongs to an event of its own that had begun.
3. All maps are of one model: that of the map if it made any, otherwise that of the first candidate, with a warning.
4. Candidates with a larger overlap come first, in steps of a tenth, and among these the newest. Ten are compared.
5. One with far more water than usual is left out (`flood_reasons`). The first five of the others are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import LeftOutMap, MapGrid, SceneMeta
from drshym_pipeline.references.grid_points import points_in_degrees
from drshym_pipeline.references.mapped_scenes import MappedScene, relative_orbit_of
from drshym_pipeline.sar.georeference import to_degrees
from drshym_pipeline.sar.named_times import is_before

MOST_MAPS = 5
MOST_COMPARED = 10
MOST_DAYS = 120
LEAST_OVERLAP = 0.05
NO_VALUE = "it has no value where the scene is observed"
# Open water of one place changes between two dates, by the season and the wind. A flood that matters adds more than
# half of it and more than a two-hundredth of the land.
_FAR_ABOVE, _FAR_ABOVE_SHARE = 1.5, 0.005
# One or two maps have no usual amount. They must not have more water than the scene itself, apart from the differences
# that every two dates have: the flood of an earlier date would then hide that of the scene.
_ABOVE_SCENE, _ABOVE_SCENE_SHARE = 1.1, 0.002
_FEW = 2
_POINTS = 33  # on each side of a grid, to find how much of it another grid covers


@dataclass(frozen=True)
class EarlierChoice:
    """The candidates for the reference of a map.

    Args:
        candidates: The earlier maps that are compared, the best first.
        left_out: The earlier maps that cannot be used, and why.
        warnings: What a reader of the map must know about the candidates, as sentences.
        reason: Why there are none, as a clause; empty if there are some.
        same_model: Whether the model of the map made them.
    """

    candidates: tuple[MappedScene, ...] = ()
    left_out: tuple[LeftOutMap, ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str = ""
    same_model: bool = True


@dataclass(frozen=True)
class ComparedWater:
    """Pixels of one candidate in the part of the scene that it knows.

    Args:
        known: Pixels that are compared.
        water: Water in the candidate.
        other: Water in what it is compared with: the median of three or more candidates, or the scene itself.
    """

    known: int
    water: int
    other: int


def choose_earlier(
    now: SceneMeta,
    others: Iterable[MappedScene],
    *,
    model_sha256: str,
    event_day: date | None = None,
    event_days: Mapping[str, date] | None = None,
) -> EarlierChoice:
    """Choose the candidates for the reference of a map: rules 1 to 4 of this module.

    Args:
        now: The scene of the map.
        others: Scenes with a finished map; the scene itself may be among them.
        model_sha256: The model of the map.
        event_day: The day of the event that the scene shows.
        event_days: The days of events by their names.
    """
    if now.acquired_at is None:
        return EarlierChoice(reason="the name of the scene has no date, so it is not known which maps are earlier")
    near = [(share, other) for other in others if (share := _nearness(now, other)) >= LEAST_OVERLAP]
    orbit = relative_orbit_of(now)
    same = [item for item in near if orbit is not None and relative_orbit_of(item[1].meta) is not None]
    unsure = [item for item in near if orbit is None or relative_orbit_of(item[1].meta) is None]
    left_out: list[LeftOutMap] = []
    usable: list[tuple[float, MappedScene]] = []
    for group in (same, unsure):
        for share, other in group:
            reason = _unusable(now, other, event_day, event_days or {})
            if reason:
                left_out.append(left_out_map(other, reason))
            else:
                usable.append((share, other))
        if usable:
            break
    ordered = [other for _, other in sorted(usable, key=_rank)]
    chosen, of_other_models, warnings = _one_model(ordered, model_sha256)
    if orbit is None or any(relative_orbit_of(other.meta) is None for other in chosen):
        warnings += _unknown_pass(now, chosen)
    return EarlierChoice(
        tuple(chosen[:MOST_COMPARED]),
        (*left_out, *of_other_models),
        tuple(warnings),
        "" if chosen else _why_none(left_out),
        all(other.model.sha256 == model_sha256 for other in chosen),
    )


def left_out_map(scene: MappedScene, reason: str) -> LeftOutMap:
    """Return the record of a map that is not used."""
    return LeftOutMap(
        scene_id=scene.name, map_version=scene.map_version, acquired_at=scene.meta.acquired_at, reason=reason
    )


def flood_reasons(waters: Sequence[ComparedWater]) -> list[str]:
    """Return for each candidate why its water cannot be the reference, as a clause; empty if it can be: rule 5.

    With three or more candidates, one is left out if its water is more than 1.5 times that of their median and more
    than 0.5 % of the compared pixels above it. With one or two, it is left out if its water is more than 1.1 times that
    of the scene itself and more than 0.2 % above it: they could all show a flood.

    Args:
        waters: The water of each candidate.
    """
    few = len(waters) <= _FEW
    factor, share = (_ABOVE_SCENE, _ABOVE_SCENE_SHARE) if few else (_FAR_ABOVE, _FAR_ABOVE_SHARE)
    other = "the scene itself" if few else "the median of the earlier maps"
    reasons = []
    for found in waters:
        if not found.known:
            reasons.append(NO_VALUE)
        elif found.water > factor * found.other and found.water > found.other + share * found.known:
            reasons.append(
                f"its water is far above that of {other} ({found.water / found.known:.1%} against "
                f"{found.other / found.known:.1%} of the pixels), as in a flood"
            )
        else:
            reasons.append("")
    return reasons


def _rank(item: tuple[float, MappedScene]) -> tuple[float, float, str]:
    share, other = item
    moment = other.meta.acquired_at
    return -round(share, 1), 0.0 if moment is None else -moment.timestamp(), other.name


def _nearness(now: SceneMeta, other: MappedScene) -> float:
    """Return the share of a scene that an earlier one covers; 0 if its time, pass or name excludes the earlier one."""
    meta = other.meta
    if meta.scene_id == now.scene_id or now.acquired_at is None or meta.acquired_at is None:
        return 0.0
    # The cheap comparisons come first: a store may have thousands of scenes.
    if now.relative_orbit is not None and meta.relative_orbit not in (None, now.relative_orbit):
        return 0.0
    if is_before(meta.acquired_at, now.acquired_at) is False:
        return 0.0
    if now.acquired_at.date() - meta.acquired_at.date() > timedelta(days=MOST_DAYS):
        return 0.0
    for one, two in (
        (now.orbit_direction, meta.orbit_direction),
        (relative_orbit_of(now), relative_orbit_of(meta)),
    ):
        if one is not None and two is not None and one != two:
            return 0.0
    return covered_share(now.map_grid, meta.map_grid)


@lru_cache(maxsize=4096)
def _points(grid: MapGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes of points all over a grid, which are the middles of equal cells."""
    return points_in_degrees(grid, (np.arange(_POINTS) + 0.5) / _POINTS)


def covered_share(grid: MapGrid, other: MapGrid) -> float:
    """Return which share of a grid another grid covers, from 0 to 1, measured at about a thousand points."""
    lons, lats = _points(grid)
    to_grid = to_degrees(other.crs)
    # Infinite where the CRS of the other grid has no place for a point: such a point is outside.
    x, y = to_grid.transform(lons, lats, direction="INVERSE")
    inside = np.zeros(len(lons), dtype=bool)
    in_degrees = to_grid.source_crs is not None and to_grid.source_crs.is_geographic
    # The longitudes of a grid in degrees may go on beyond 180.
    for turn in (-360.0, 0.0, 360.0) if in_degrees else (0.0,):
        found: Any = ~other.affine @ np.stack([x + turn, y])
        cols, rows = found
        inside |= (cols >= 0) & (cols <= other.width) & (rows >= 0) & (rows <= other.height)
    return float(inside.mean())


def _unusable(now: SceneMeta, other: MappedScene, event_day: date | None, event_days: Mapping[str, date]) -> str:
    """Return why a candidate may show the flood of the scene, or another one, as a clause; empty if nothing says so."""
    files = {now.sha256, *(band.sha256 for band in now.bands)} - {None}
    if files & {other.meta.sha256, *(band.sha256 for band in other.meta.bands)}:
        return "it has a file of the scene itself"
    return _too_close(now, other) or _of_an_event(other, event_day, event_days)


def _too_close(now: SceneMeta, other: MappedScene) -> str:
    one, two = other.meta.acquired_at, now.acquired_at
    if one is None or two is None or is_before(one, two) is None:
        return "it is of the same day"
    return "it is less than a day earlier, so it may show the same flood" if two - one < timedelta(days=1) else ""


def _of_an_event(other: MappedScene, event_day: date | None, event_days: Mapping[str, date]) -> str:
    day = other.day or date.max  # an unknown day may be after any event
    if event_day is not None and day >= event_day:
        return f"it is of the day of the event ({event_day}) or later"
    own_event = other.note.event
    own_day = other.note.date or event_days.get(own_event or "")
    if own_day is not None and day >= own_day:
        return f"its side-car says that it shows an event of {own_day}"
    if own_event is not None and own_day is None:
        return f"its side-car names the event {own_event!r} and not its date, so it may show that flood"
    return ""


def _one_model(
    ordered: Sequence[MappedScene], model_sha256: str
) -> tuple[list[MappedScene], list[LeftOutMap], list[str]]:
    """Return the candidates of one model, those of others, and a warning if it is not the model of the map."""
    if not ordered:
        return [], [], []
    own = any(other.model.sha256 == model_sha256 for other in ordered)
    used = model_sha256 if own else ordered[0].model.sha256
    chosen = [other for other in ordered if other.model.sha256 == used]
    others = [
        left_out_map(other, f"it was made by another model ({other.model.label})")
        for other in ordered
        if other.model.sha256 != used
    ]
    warning = (
        f"The earlier maps were made by another model ({chosen[0].model.label}): a difference between the models may "
        "appear as flood, or hide it."
    )
    return chosen, others, [] if own else [warning]


def _unknown_pass(now: SceneMeta, chosen: Sequence[MappedScene]) -> list[str]:
    if now.orbit_direction is not None and all(other.meta.orbit_direction is not None for other in chosen):
        return []
    if not chosen:
        return []
    return [
        "It is not known whether the earlier maps were taken on the same pass as this scene: from the other side "
        "slopes and buildings look different, and some of that may appear as flood."
    ]


def _why_none(left_out: Sequence[LeftOutMap]) -> str:
    if not left_out:
        return f"there is no map of the same place and pass from the {MOST_DAYS} days before"
    first, more = left_out[0], len(left_out) - 1
    others = f", and {more} more cannot be used" if more else ""
    return f"the earlier map {first.scene_id} cannot be used, because {first.reason}{others}"
