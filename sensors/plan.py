"""Decides what to do with the files of the watched folder: pure functions that use neither Dagster nor the disk.

`plan_tick` gets a complete listing and what earlier ticks saw. It returns which scenes to map now and what the next
tick must remember. A file is used when its size and etag were the same in two ticks. A VH file waits for its VV file. A
VV file waits some ticks for a VH file; then it is mapped alone, and mapped again with the VH file if that arrives
later. The images of a SAFE folder wait for their calibration tables in the same way. A side-car, a calibration or noise
table and the annotation of a product are more files of their scene: if one is added or changed later, the scene is
mapped again. A deleted side-car does not count as a change, unless the scene has failed with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from drshym_pipeline.sar.product_tables import TABLE_KINDS, table_places
from drshym_pipeline.sar.safe_product import is_table, safe_folder_of
from drshym_pipeline.sar.scene_files import SourceFile
from drshym_pipeline.sar.scene_groups import ROLES, Companion, Role, SceneGroup, group_files
from drshym_pipeline.sar.scene_names import partition_key
from drshym_pipeline.sar.sidecar import is_sidecar, scene_name, unused_sidecars

PARTNER_TICKS = 3


@dataclass(frozen=True, slots=True)
class SceneRequest:
    """One scene to map.

    Args:
        partition: Partition key of the scene.
        run_key: Unique for this content of these files: partition, number of the request, etags and sizes.
        files: Keys of the scene's files, VV first.
        size: Size of all files, in bytes.
        sidecar: Key of the side-car, if the scene has one.
    """

    partition: str
    run_key: str
    files: tuple[str, ...]
    size: int
    sidecar: str | None = None


@dataclass(frozen=True, slots=True)
class SceneState:
    """What ticks remember about one scene.

    Args:
        partition: Partition key of the scene; it never changes.
        seen: Fingerprints of its files at the last tick, by key.
        mapped: Fingerprints of its files at the last request; empty if it was never requested.
        requested: How many times it was requested.
        waited: Number of ticks it has waited for a second polarisation since its files stopped changing.
        tables: Whether `mapped` knows the tables of its images. Earlier releases did not list them.
    """

    partition: str
    seen: Mapping[str, str] = field(default_factory=dict)
    mapped: Mapping[str, str] = field(default_factory=dict)
    requested: int = 0
    waited: int = 0
    tables: bool = False


Seen = Mapping[str, SceneState]


@dataclass(frozen=True, slots=True)
class TickPlan:
    """The decisions of one tick.

    Args:
        requests: Scenes to map now.
        seen: The state to give to the next tick.
        waiting: Why each other unfinished scene is not mapped yet, by partition.
        unclaimed: Side-cars without a scene, each with the name that it should have.
        companions: Side rasters of scenes, which are not mapped.
    """

    requests: tuple[SceneRequest, ...]
    seen: Seen
    waiting: Mapping[str, str]
    unclaimed: tuple[str, ...] = ()
    companions: tuple[Companion, ...] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    """The files of one scene, by role (`whole`, or `VV` and `VH`), its side-car, and the tables of its images."""

    stem: str
    roles: Mapping[Role, SourceFile]
    sidecar: SourceFile | None
    tables: tuple[SourceFile, ...] = ()

    @property
    def rasters(self) -> tuple[SourceFile, ...]:
        return tuple(self.roles[role] for role in ROLES if role in self.roles)

    @property
    def may_follow(self) -> str | None:
        """Return which file may follow, so that the scene waits some ticks for it; None if the scene is complete."""
        if set(self.roles) == {"VV"}:
            return "a VH file may follow"
        keys = {file.key for file in self.tables}
        for raster in map(PurePosixPath, (file.key for file in self.rasters)):
            places = {place.as_posix() for place in table_places(raster, "calibration")}
            if safe_folder_of(raster) is not None and not keys & places:
                return "its calibration tables may follow"
        return None

    @property
    def files(self) -> tuple[SourceFile, ...]:
        return (*self.rasters, *(() if self.sidecar is None else (self.sidecar,)), *self.tables)


def plan_tick(
    listing: Sequence[SourceFile], seen: Seen, limit: int, has_failed: Callable[[str], bool] = lambda _: False
) -> TickPlan:
    """Return the plan for one tick.

    Args:
        listing: All files that may be scenes, companions or side-cars, complete.
        seen: The state that the last tick returned; empty at the first tick.
        limit: How many scenes to request now, at most; the others wait for later ticks.
        has_failed: Called with a partition; returns whether its last request failed.
    """
    groups, companions = _group(listing)
    seen = _renamed(seen, groups)
    # Mapped scenes are remembered after their files are deleted, so that the same file is not mapped again if it
    # returns.
    after = {name: state for name, state in seen.items() if name in groups or state.mapped}
    taken = {state.partition for state in after.values()}
    requests: list[SceneRequest] = []
    waiting: dict[str, str] = {}
    for name, group in groups.items():
        state = seen.get(name)
        if state is None:
            state = SceneState(partition_key(group.stem, name, taken))
            taken.add(state.partition)
        now = {file.key: file.fingerprint for file in group.files}
        state = _with_tables(state, group)
        lost = any(is_sidecar(key) for key in state.mapped.keys() - now.keys())
        still, moved = now == state.seen, _changed(state, now) or (lost and has_failed(state.partition))
        state = replace(state, seen=now, waited=state.waited if still else 0)
        reason = _reason_to_wait(group, state, still)
        if moved and reason is None and len(requests) >= limit:
            reason = f"more than {limit} scenes at once"
        if moved and reason is None:
            count = state.requested + 1
            parts = "+".join(file.fingerprint for file in group.files)
            files = tuple(file.key for file in group.rasters)
            sidecar = None if group.sidecar is None else group.sidecar.key
            size = sum(file.size for file in group.files)
            requests.append(SceneRequest(state.partition, f"{state.partition}:{count}:{parts}", files, size, sidecar))
            state = replace(state, mapped=now, requested=count, waited=0)
        elif moved:
            waiting[state.partition] = str(reason)
            if still and group.may_follow is not None:
                state = replace(state, waited=state.waited + 1)
        after[name] = state
    claimed = {group.sidecar.key for group in groups.values() if group.sidecar is not None}
    scenes = [_own_path(group.rasters[0].key) for group in groups.values()]
    unclaimed = tuple(unused_sidecars([file.key for file in listing if is_sidecar(file.key)], scenes, claimed))
    return TickPlan(tuple(requests), dict(sorted(after.items())), waiting, unclaimed, companions)


def _renamed(seen: Seen, groups: Mapping[str, _Group]) -> Seen:
    """Return the state with the new names of scenes whose files are the same.

    An earlier release called them otherwise, or the name now belongs to a scene that was added: `s.VV.tif` and
    `s.VH.tif` beside `s_VV.tif` and `s_VH.tif`.
    """
    earlier = {
        key: name
        for name, state in seen.items()
        if name not in groups or not {file.key for file in groups[name].rasters} & {*state.seen, *state.mapped}
        for key in {**state.seen, **state.mapped}
    }
    renamed = dict(seen)
    for name, group in groups.items():
        if name in seen:
            continue
        before = next((earlier[file.key] for file in group.rasters if file.key in earlier), None)
        if before is not None and before in renamed:
            renamed[name] = renamed.pop(before)
    return renamed


def _with_tables(state: SceneState, group: _Group) -> SceneState:
    """Return a state that knows the tables; after an earlier release they do not count as a change."""
    if state.tables:
        return state
    tables = {file.key: file.fingerprint for file in group.tables} if state.mapped else {}
    return replace(state, mapped={**state.mapped, **tables}, tables=True)


def _changed(state: SceneState, now: Mapping[str, str]) -> bool:
    """Return whether a file is new or has changed since the last request; a deleted file is not a change."""
    return any(state.mapped.get(key) != fingerprint for key, fingerprint in now.items())


def _reason_to_wait(group: _Group, state: SceneState, still: bool) -> str | None:
    if not still:
        return "its files were still changing"
    if set(group.roles) == {"VH"}:
        return "its VV file is missing"
    return group.may_follow if state.waited < PARTNER_TICKS else None


def _group(listing: Iterable[SourceFile]) -> tuple[dict[str, _Group], tuple[Companion, ...]]:
    """Return the scenes of a listing, each under a unique name, and the companions of scenes in it.

    Files of two folders or extensions never mix.
    """
    files = {file.key: file for file in sorted(listing)}
    sidecars = {_shared_name(key): file for key, file in files.items() if is_sidecar(key)}
    tables = {key for key in files if is_table(PurePosixPath(key))}
    pairs, companions = group_files([key for key in files if not is_sidecar(key) and key not in tables])
    groups = {
        pair.name: _Group(
            pair.stem,
            {role: files[key] for role, key in pair.files.items()},
            next((sidecars[name] for name in _shared_names(pair) if name in sidecars), None),
            tuple(files[key] for key in _table_keys(pair) if key in tables),
        )
        for pair in sorted(pairs, key=lambda pair: pair.name)
    }
    return groups, tuple(companions)


def _shared_names(pair: SceneGroup) -> list[str]:
    """Return the names that the side-car of a scene may have; that of a SAFE folder is beside the folder."""
    key = min(pair.files.values())
    safe = safe_folder_of(PurePosixPath(key))
    return [_shared_name(key), *([] if safe is None else [_shared_name(safe.as_posix())])]


def _own_path(key: str) -> str:
    """Return the path that the side-car of a scene is named after: its image, or the SAFE folder that it is in."""
    return (safe_folder_of(PurePosixPath(key)) or PurePosixPath(key)).as_posix()


def _table_keys(pair: SceneGroup) -> list[str]:
    """Return the keys that the tables of a scene's images may have."""
    places = (
        place.as_posix()
        for key in pair.ordered
        for kind in TABLE_KINDS
        for place in table_places(PurePosixPath(key), kind)
    )
    return list(dict.fromkeys(places))


def _shared_name(key: str) -> str:
    """Return the name that the files of a scene and its side-car share: the folder and the scene's name."""
    folder, _, name = key.rpartition("/")
    return f"{folder}/{scene_name(name)}"


def seen_to_json(seen: Seen) -> dict[str, Any]:
    """Return the state of all scenes as plain JSON values."""
    return {
        name: {
            "partition": state.partition,
            "seen": dict(state.seen),
            "mapped": dict(state.mapped),
            "requested": state.requested,
            "waited": state.waited,
            "tables": state.tables,
        }
        for name, state in seen.items()
    }


def seen_from_json(value: Mapping[str, Any]) -> Seen:
    """Return the state of all scenes from JSON values, as `seen_to_json` wrote them."""
    return {name: SceneState(**state) for name, state in value.items()}
