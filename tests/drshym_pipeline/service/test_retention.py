"""Which maps and uploads are deleted."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.service.retention import (
    DAY,
    HOUR,
    SETTLING_SECONDS,
    Deletion,
    Limits,
    StoredMap,
    StoredUpload,
    plan_deletions,
    stored_maps,
    sweep,
)
from drshym_pipeline.service.scenes import SceneCatalogue, ServedScene
from drshym_pipeline.service.settings import ServiceSettings
from tests.examples import examples

AddMap = Callable[..., ServedScene]
LIMITS_OF_DAYS = Limits(quota_bytes=1 << 40, keep_seconds=30 * DAY, keep_upload_seconds=DAY)
LIMITS = Limits(quota_bytes=100, keep_seconds=30 * DAY, keep_upload_seconds=DAY)
NOW = 1_800_000_000.0


def stored(name: str, days: float, *, size: int = 10, current: bool = True, finished: bool = True) -> StoredMap:
    scene, _, _ = name.partition("/")
    return StoredMap(scene, Path("/s") / name, size, NOW - days * DAY, current, finished)


def reasons(maps: list[StoredMap], **options) -> dict[str, str]:
    plan = plan_deletions(maps, [], LIMITS, NOW, **options)
    return {str(found.folder.relative_to("/s")): found.reason for found in plan}


def test_a_map_is_kept_until_its_age():
    assert reasons([stored("a/1", 29.9), stored("b/1", 30.1)]) == {"b/1": "age"}


def test_replaced_and_unfinished_folders_are_deleted_when_no_job_uses_them():
    maps = [
        stored("a/new", 1),
        stored("a/old", 2, current=False),
        stored("a/dead", 1, current=False, finished=False),
        stored("a/running", 1, current=False, finished=False),
        stored("a/begun", 0.5 * SETTLING_SECONDS / DAY, current=False, finished=False),
        stored("a/just_finished", 0.5 * SETTLING_SECONDS / DAY, current=False),
    ]
    assert reasons(maps, active=[Path("/s/a/running")]) == {"a/old": "replaced", "a/dead": "unfinished"}


def test_the_oldest_maps_are_deleted_for_the_quota():
    maps = [stored(f"{day}/1", day, size=40) for day in (3, 1, 4, 2)]
    assert reasons(maps) == {"3/1": "quota", "4/1": "quota"}


def test_what_is_deleted_for_other_reasons_does_not_count():
    maps = [stored("a/1", 1, size=60), stored("b/1", 2, size=40), stored("c/1", 31, size=1000)]
    assert reasons(maps) == {"c/1": "age"}


def test_folders_of_running_jobs_count_but_are_kept():
    running = stored("c/1", 5, size=60, current=False, finished=False)
    maps = [stored("a/1", 1, size=40), stored("b/1", 2, size=40), running]
    assert reasons(maps, active=[running.folder]) == {"b/1": "quota"}


def test_a_map_that_is_larger_than_the_quota_is_kept_when_it_was_just_made():
    big = stored("a/1", 0, size=1000)
    assert reasons([big]) == {}
    # Also when another one was finished in the same moment.
    assert reasons([big, stored("b/1", 0, size=1)], just_made=[big.folder]) == {}


def test_unused_uploads_are_deleted_after_their_time():
    uploads = [StoredUpload(Path(f"/u/{hours}"), NOW - hours * HOUR) for hours in (1, 23, 25, 30)]
    plan = plan_deletions([], uploads, LIMITS, NOW, active=[Path("/u/30")])
    assert plan == [Deletion(Path("/u/25"), "unused")]


def test_the_limits_are_those_of_the_settings(tmp_path: Path):
    settings = ServiceSettings(root=tmp_path, quota_bytes=5, keep_days=2, keep_upload_hours=3)
    assert Limits.of(settings) == Limits(5, 2 * 86400, 3 * 3600)


def in_order(found: StoredMap) -> tuple[float, Path]:
    return found.changed_at, found.folder


@st.composite
def scenes_of_maps(draw: st.DrawFn) -> list[StoredMap]:
    maps = []
    for scene in range(draw(st.integers(0, 6))):
        count = draw(st.integers(1, 4))
        current = draw(st.integers(-1, count - 1))
        maps += [
            stored(
                f"{scene}/{number}",
                draw(st.floats(-1, 60)),
                size=draw(st.integers(0, 80)),
                current=number == current,
                finished=number == current or draw(st.booleans()),
            )
            for number in range(count)
        ]
    return maps


@examples(300, more=4)
@given(scenes_of_maps(), st.data())
def test_what_is_never_deleted_and_what_always_is(maps: list[StoredMap], data: st.DataObject):
    folders = [found.folder for found in maps]
    subset = st.lists(st.sampled_from(folders), unique=True) if folders else st.just([])
    active, just_made = data.draw(subset), data.draw(subset)
    plan = plan_deletions(maps, [], LIMITS, NOW, active=active, just_made=just_made)
    why = {found.folder: found.reason for found in plan}
    assert len(why) == len(plan)
    assert not why.keys() & {*active, *just_made}
    kept = [found for found in maps if found.folder not in why]
    for found in maps:
        age = NOW - found.changed_at
        if found.current:
            # The newest map of its scene: deleted for its age or the quota, and for nothing else.
            assert why.get(found.folder) in (None, "age", "quota")
            assert (why.get(found.folder) == "age") == (
                age > LIMITS.keep_seconds and found.folder not in {*active, *just_made}
            )
        else:
            assert why.get(found.folder) in (None, "replaced", "unfinished")
    total = sum(found.bytes for found in kept)
    in_time = [found for found in maps if found.current and why.get(found.folder) != "age"]
    newest = max(in_time, key=in_order, default=None)
    # Beyond the quota only what may not be deleted for it is left.
    removable = [
        found for found in kept if found.current and found is not newest and found.folder not in {*active, *just_made}
    ]
    assert total <= LIMITS.quota_bytes or not removable
    for found in maps:
        if why.get(found.folder) == "quota":
            assert found is not newest
            # Needed: without this deletion, and those of younger maps, the others would be too large.
            younger = [
                other for other in maps if why.get(other.folder) == "quota" and in_order(other) >= in_order(found)
            ]
            assert total + sum(other.bytes for other in younger) > LIMITS.quota_bytes
            assert all(in_order(found) < in_order(other) for other in removable)


# --- the files -------------------------------------------------------------------------------------------------------


def made_earlier(folder: Path, seconds: float) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - seconds, time.time() - seconds))


@pytest.fixture
def catalogue(tmp_path: Path) -> SceneCatalogue:
    return SceneCatalogue(tmp_path / "service", None)


def swept(catalogue: SceneCatalogue, limits: Limits, **options) -> set[str]:
    uploads = catalogue.folder.parent / "uploads"
    return {found.folder.name for found in sweep(catalogue, uploads, limits, **options)}


ALL = Limits(quota_bytes=1 << 40, keep_seconds=30 * DAY, keep_upload_seconds=DAY)


def test_a_folder_without_anything_is_swept(catalogue: SceneCatalogue):
    assert swept(catalogue, ALL) == set()


def test_the_replaced_map_goes_and_the_current_one_stays(catalogue: SceneCatalogue, add_map: AddMap):
    older = add_map(catalogue, "job1")
    newer = add_map(catalogue, "job2")
    assert swept(catalogue, ALL) == set()  # it may still be downloaded
    made_earlier(older.folder, HOUR)
    assert swept(catalogue, ALL) == {"job1"}
    assert not older.folder.exists()
    assert catalogue.get(newer.id) == newer


def test_the_last_map_of_a_scene_goes_with_the_scene(catalogue: SceneCatalogue, add_map: AddMap):
    scene = add_map(catalogue, "job1")
    made_earlier(scene.folder, 31 * DAY)
    assert swept(catalogue, ALL) == {"job1"}
    assert catalogue.scenes() == []
    assert [*catalogue.folder.iterdir()] == []


def test_a_lost_note_does_not_make_the_newest_map_an_old_one(catalogue: SceneCatalogue, add_map: AddMap):
    scenes = [add_map(catalogue, name) for name in ("job1", "job2")]
    for scene, age in zip(scenes, (2 * DAY, DAY), strict=True):
        made_earlier(scene.folder, age)
    note = catalogue.folder / "S1_lake" / "current.json"
    for text in ("{", '{"job": "gone", "record": "x_report.json"}'):
        note.write_text(text)
        assert {found.folder.name: found.current for found in stored_maps(catalogue)} == {"job1": False, "job2": True}
    assert swept(catalogue, ALL) == {"job1"}
    assert scenes[1].folder.is_dir()


def test_the_sizes_of_real_maps_count(catalogue: SceneCatalogue, add_map: AddMap):
    scenes = [add_map(catalogue, f"job{number}", f"{number}" * 64) for number in range(3)]
    for days, scene in enumerate(reversed(scenes), start=1):
        made_earlier(scene.folder, days * DAY)
    one = sum(path.stat().st_size for path in scenes[0].folder.iterdir())
    assert {found.bytes for found in stored_maps(catalogue)} == {one}
    limits = Limits(quota_bytes=2 * one, keep_seconds=30 * DAY, keep_upload_seconds=DAY)
    assert swept(catalogue, limits) == {"job0"}
    assert swept(catalogue, limits) == set()


def test_uploads_are_swept_and_links_are_not_followed(catalogue: SceneCatalogue, tmp_path: Path):
    uploads = tmp_path / "service" / "uploads"
    outside = tmp_path / "outside"
    for folder in (outside, uploads / "old", uploads / "used", uploads / "new"):
        folder.mkdir(parents=True)
        (folder / "scene.tif").write_bytes(b"x")
    for name in ("old", "used"):
        made_earlier(uploads / name, 2 * DAY)
    (uploads / "link").symlink_to(outside)
    made_earlier(outside, 2 * DAY)
    assert swept(catalogue, ALL, active=[uploads / "used"]) == {"old"}
    assert {path.name for path in uploads.iterdir()} == {"used", "new", "link"}
    assert (outside / "scene.tif").is_file()


def test_a_folder_that_cannot_be_deleted_does_not_stop_the_others(
    catalogue: SceneCatalogue, add_map: AddMap, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    for number in range(2):
        made_earlier(add_map(catalogue, f"job{number}", f"{number}" * 64).folder, 31 * DAY)
    real = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "job0":
            raise PermissionError(1, "Operation not permitted", str(self))
        return real(self, target)

    # root, as whom the tests may run, is refused nothing by the permissions of a folder.
    monkeypatch.setattr(Path, "replace", refuse)
    assert swept(catalogue, ALL) == {"job1"}
    assert "job0 cannot be deleted" in caplog.text


def test_a_map_is_read_to_its_end_while_it_is_swept(catalogue: SceneCatalogue, add_map: AddMap, lake_map: Path):
    scene = add_map(catalogue, "job1")
    path = scene.file("proba")
    assert path is not None
    made_earlier(scene.folder, 31 * DAY)
    with path.open("rb", buffering=0) as handle:
        begun = handle.read(10)
        assert swept(catalogue, ALL) == {"job1"}
        assert begun + handle.read() == (lake_map / path.name).read_bytes()


def test_a_running_job_keeps_its_folder(catalogue: SceneCatalogue, lake_map: Path):
    scene, folder = catalogue.new_folder("S1_lake", "a" * 64, "job1")
    shutil.copytree(lake_map, folder, dirs_exist_ok=True)
    made_earlier(folder, 40 * DAY)
    assert swept(catalogue, ALL, active=[folder]) == set()
    catalogue.publish(scene, "job1")
    assert swept(catalogue, ALL, just_made=[folder]) == set()


def test_a_scene_without_any_map_loses_its_id_unless_a_job_has_it(tmp_path: Path, add_map: AddMap):
    catalogue = SceneCatalogue(tmp_path / "root", None)
    kept = add_map(catalogue, "1")
    _, waiting = catalogue.new_folder("S1_waiting", "b" * 64, "2")
    _, failed = catalogue.new_folder("S1_failed", "c" * 64, "3")
    for folder in (waiting, failed):
        folder.rmdir()
    sweep(catalogue, tmp_path / "root" / "uploads", LIMITS_OF_DAYS, active=[waiting])
    assert sorted(folder.name for folder in catalogue.folder.iterdir()) == [kept.id, "S1_waiting"]
    sweep(catalogue, tmp_path / "root" / "uploads", LIMITS_OF_DAYS)
    assert [folder.name for folder in catalogue.folder.iterdir()] == [kept.id]
    assert catalogue.new_folder("S1_failed", "d" * 64, "4")[0] == "S1_failed"
