"""What to do about the files of the watched folder; pure functions, without Dagster and without a disk.

`plan_tick` is given a complete listing and what earlier ticks saw, and answers which scenes are to be mapped now and
what the next tick must remember. A file is taken when its size and etag stood still over two ticks; a VH file waits for
its VV file; a VV file waits some ticks for a VH file, then goes alone, and goes again with it when it comes later. A
side-car is one more file of its scene: one that comes or changes later has the scene mapped again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drshym_pipeline.sar.scene_files import ROLES, Role, SourceFile, pair_files, partition_key
from drshym_pipeline.sar.sidecar import is_sidecar, scene_name

PARTNER_TICKS = 3


@dataclass(frozen=True, slots=True)
class SceneRequest:
    """One scene to be mapped.

    Args:
        partition: Its partition key.
        run_key: Unique to this content of these files: partition, how many times it was requested, etags and sizes.
        files: Keys of its files, VV first.
        size: Bytes of all its files.
        sidecar: Key of its side-car, if it has one.
    """

    partition: str
    run_key: str
    files: tuple[str, ...]
    size: int
    sidecar: str | None = None


@dataclass(frozen=True, slots=True)
class SceneState:
    """What is remembered of one scene.

    Args:
        partition: Its partition key, kept for good.
        seen: Fingerprints of its files at the last tick, by key.
        mapped: Fingerprints of the files it was last requested with; empty when it never was.
        requested: How many times it was requested.
        waited: Ticks it has waited for a second polarisation since its files stood still.
    """

    partition: str
    seen: Mapping[str, str] = field(default_factory=dict)
    mapped: Mapping[str, str] = field(default_factory=dict)
    requested: int = 0
    waited: int = 0


Seen = Mapping[str, SceneState]


@dataclass(frozen=True, slots=True)
class TickPlan:
    """What one tick decided.

    Args:
        requests: Scenes to be mapped now.
        seen: What the next tick must be given.
        waiting: Why each of the other unfinished scenes is not mapped yet, by partition.
        unclaimed: Keys of side-cars of which the scene is not there.
    """

    requests: tuple[SceneRequest, ...]
    seen: Seen
    waiting: Mapping[str, str]
    unclaimed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    """The files of one scene, by role: `whole`, or `VV` and `VH`; and its side-car."""

    stem: str
    roles: Mapping[Role, SourceFile]
    sidecar: SourceFile | None

    @property
    def rasters(self) -> tuple[SourceFile, ...]:
        return tuple(self.roles[role] for role in ROLES if role in self.roles)

    @property
    def files(self) -> tuple[SourceFile, ...]:
        return self.rasters if self.sidecar is None else (*self.rasters, self.sidecar)


def plan_tick(listing: Sequence[SourceFile], seen: Seen, limit: int) -> TickPlan:
    """Decide about one tick.

    Args:
        listing: All scene files and side-cars, complete.
        seen: What the tick before returned; empty at first.
        limit: Most scenes to request now; the others stay for later ticks.
    """
    groups = _group(listing)
    # What was mapped is remembered after its file is gone, so that the same file brought back is not mapped again.
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
        still, moved = now == state.seen, _changed(state, now)
        state = SceneState(state.partition, now, state.mapped, state.requested, state.waited if still else 0)
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
            state = SceneState(state.partition, now, now, count, 0)
        elif moved:
            waiting[state.partition] = str(reason)
            if still and set(group.roles) == {"VV"}:
                state = SceneState(state.partition, now, state.mapped, state.requested, state.waited + 1)
        after[name] = state
    claimed = {group.sidecar.key for group in groups.values() if group.sidecar is not None}
    unclaimed = tuple(sorted(file.key for file in listing if is_sidecar(file.key) and file.key not in claimed))
    return TickPlan(tuple(requests), dict(sorted(after.items())), waiting, unclaimed)


def _changed(state: SceneState, now: Mapping[str, str]) -> bool:
    """Whether a file is new or other than when the scene was last requested; a file taken away is no change."""
    return any(state.mapped.get(key) != fingerprint for key, fingerprint in now.items())


def _reason_to_wait(group: _Group, state: SceneState, still: bool) -> str | None:
    if not still:
        return "its files were still changing"
    if set(group.roles) == {"VH"}:
        return "its VV file is not there"
    if set(group.roles) == {"VV"} and state.waited < PARTNER_TICKS:
        return "a VH file may follow"
    return None


def _group(listing: Iterable[SourceFile]) -> dict[str, _Group]:
    """The scenes of a listing, by a name unique to each: two folders, two extensions or two roles never mix."""
    files = {file.key: file for file in sorted(listing)}
    sidecars = {_shared_name(key): file for key, file in files.items() if is_sidecar(key)}
    pairs = pair_files(key for key in files if not is_sidecar(key))
    return {
        pair.name: _Group(
            pair.stem,
            {role: files[key] for role, key in pair.files.items()},
            sidecars.get(_shared_name(min(pair.files.values()))),
        )
        for pair in sorted(pairs, key=lambda pair: pair.name)
    }


def _shared_name(key: str) -> str:
    """What the files of a scene and its side-car have in common: the folder and the scene's name."""
    folder, _, name = key.rpartition("/")
    return f"{folder}/{scene_name(name)}"


def seen_to_json(seen: Seen) -> dict[str, Any]:
    """What ticks remember, as plain JSON values."""
    return {
        name: {
            "partition": state.partition,
            "seen": dict(state.seen),
            "mapped": dict(state.mapped),
            "requested": state.requested,
            "waited": state.waited,
        }
        for name, state in seen.items()
    }


def seen_from_json(value: Mapping[str, Any]) -> Seen:
    """The inverse of `seen_to_json`."""
    return {name: SceneState(**state) for name, state in value.items()}
