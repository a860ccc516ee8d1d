"""The maps that the service shows: its own and those of a store."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.errors import InputError
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.service.scenes import SceneCatalogue, ServedScene
from tests.examples import examples
from tests.releases.state import unpack

AddMap = Callable[..., ServedScene]
FIRST, SECOND = "S1_20210111_first", "S1_20210112_second"
ONE, OTHER = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def earlier_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack("0.1.0", tmp_path_factory.mktemp("release") / "home") / "store"


@pytest.fixture
def catalogue(tmp_path: Path) -> SceneCatalogue:
    return SceneCatalogue(tmp_path / "service", None)


def set_created(scene: ServedScene, moment: str) -> None:
    path = scene.file("record")
    assert path is not None
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "created_at": moment}))


# --- ids and folders -------------------------------------------------------------------------------------------------


def test_a_scene_has_its_name_as_its_id_and_keeps_it(catalogue: SceneCatalogue):
    assert catalogue.new_folder("S1_x", ONE, "job1") == ("S1_x", catalogue.folder / "S1_x" / "job1")
    assert catalogue.new_folder("S1_x", ONE, "job2") == ("S1_x", catalogue.folder / "S1_x" / "job2")
    assert (catalogue.folder / "S1_x" / "job2").is_dir()


def test_another_scene_of_the_same_name_gets_a_part_of_its_identity(catalogue: SceneCatalogue):
    catalogue.new_folder("S1_x", ONE, "job1")
    assert catalogue.new_folder("S1_x", OTHER, "job2")[0] == "S1_x-bbbbbbbb"
    assert catalogue.new_folder("S1_x", OTHER, "job3")[0] == "S1_x-bbbbbbbb"
    # Identities that begin alike.
    assert catalogue.new_folder("S1_x", f"{'b' * 8}{'c' * 56}", "job4")[0] == "S1_x-bbbbbbbbc"


def test_a_folder_with_a_damaged_note_is_not_reused(catalogue: SceneCatalogue):
    catalogue.new_folder("S1_x", ONE, "job1")
    (catalogue.folder / "S1_x" / "source.json").write_text("{")
    assert catalogue.new_folder("S1_x", ONE, "job2")[0] == "S1_x-aaaaaaaa"


def test_a_killed_process_leaves_no_id_that_is_used_for_ever(catalogue: SceneCatalogue):
    (catalogue.folder / "S1_x").mkdir(parents=True)
    assert catalogue.new_folder("S1_x", ONE, "job1")[0] == "S1_x"


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "../x", ".hidden", "a\0", "x" * 101, "current.json", "a\n"])
def test_the_name_of_a_job_cannot_lead_out_of_its_scene(catalogue: SceneCatalogue, job_id: str):
    with pytest.raises(ValueError, match="folder"):
        catalogue.new_folder("S1_x", ONE, job_id)


@examples(25)
@given(st.lists(st.text(max_size=300), min_size=1, max_size=3))
def test_no_name_leads_out_of_the_folder_or_looks_like_a_map_of_the_lineage(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
):
    root = tmp_path_factory.mktemp("root")
    catalogue = SceneCatalogue(root, None)
    for number, name in enumerate([*names, f"lineage.{names[0]}", f"../{names[0]}"]):
        scene, folder = catalogue.new_folder(name, f"{number:064x}", "job")
        assert folder.parent.parent == catalogue.folder
        assert folder.resolve() == folder
        assert folder.parent.name == scene
        assert not scene.startswith(("lineage.", "."))
    shutil.rmtree(root)


def test_jobs_that_begin_at_the_same_time_get_different_ids_for_different_scenes(catalogue: SceneCatalogue):
    found: list[str] = []
    threads = [
        Thread(target=lambda n=number: found.append(catalogue.new_folder("S1_x", f"{n % 4:x}" * 64, f"job{n}")[0]))
        for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 4


# --- the service's own maps ------------------------------------------------------------------------------------------


def test_a_map_is_shown_when_it_is_published(catalogue: SceneCatalogue, lake_map: Path):
    scene, folder = catalogue.new_folder("S1_lake", ONE, "job1")
    shutil.copytree(lake_map, folder, dirs_exist_ok=True)
    assert catalogue.scenes() == []
    assert catalogue.get(scene) is None
    published = catalogue.publish(scene, "job1")
    assert published.origin == "service"
    assert published.folder == folder
    assert catalogue.scenes() == [published]
    assert catalogue.get("S1_lake") == published
    assert published.file("mask") == folder / "S1_lake_mask.tif"
    assert published.file("reference") is None
    assert published.backscatter is None


def test_a_scene_that_is_mapped_again_shows_the_new_map(catalogue: SceneCatalogue, add_map: AddMap):
    add_map(catalogue, "job1")
    add_map(catalogue, "job2")
    assert [scene.folder.name for scene in catalogue.scenes()] == ["job2"]
    # A new process sees the same.
    assert SceneCatalogue(catalogue.folder.parent, None).scenes() == catalogue.scenes()


def test_the_images_for_the_page_are_found(catalogue: SceneCatalogue, lake_map: Path):
    scene, folder = catalogue.new_folder("S1_lake", ONE, "job1")
    shutil.copytree(lake_map, folder, dirs_exist_ok=True)
    (folder / "S1_lake_backscatter.tif").touch()
    (folder / "S1_lake_backscatter_before.tif").touch()
    found = catalogue.publish(scene, "job1")
    assert found.backscatter == folder / "S1_lake_backscatter.tif"
    assert found.backscatter_before == folder / "S1_lake_backscatter_before.tif"
    assert catalogue.get(scene) == found


def test_the_newest_map_comes_first_whatever_the_time_zones_are(catalogue: SceneCatalogue, add_map: AddMap):
    for number, moment in enumerate(["2026-01-02T00:00:00Z", "2026-01-03T00:00:00", "2026-01-02T01:00:00+02:00"]):
        set_created(add_map(catalogue, f"job{number}", f"{number}" * 64), moment)
    days = [scene.record.created_at.isoformat() for scene in SceneCatalogue(catalogue.folder.parent, None).scenes()]
    assert days == ["2026-01-03T00:00:00", "2026-01-02T00:00:00+00:00", "2026-01-02T01:00:00+02:00"]


def test_a_folder_without_one_whole_map_cannot_be_published(catalogue: SceneCatalogue, lake_map: Path):
    scene, folder = catalogue.new_folder("S1_lake", ONE, "job1")
    with pytest.raises(InputError, match="0 records"):
        catalogue.publish(scene, "job1")
    (folder / "S1_lake_report.json").write_text("{}")
    with pytest.raises(InputError, match="missing"):
        catalogue.publish(scene, "job1")
    shutil.copy(lake_map / "S1_lake_report.json", folder / "S1_other_report.json")
    (folder / "S1_lake_report.json").unlink()
    with pytest.raises(InputError, match="another scene"):
        catalogue.publish(scene, "job1")
    assert catalogue.scenes() == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../S1_lake", "S1_lake/job1", "S1_lake\0", "x" * 300, ".hidden", "lineage."]
)
def test_an_id_that_cannot_be_one_finds_nothing(catalogue: SceneCatalogue, add_map: AddMap, name: str):
    add_map(catalogue, "job1")
    assert catalogue.get(name) is None
    assert not catalogue.remove(name)
    assert len(catalogue.scenes()) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("current.json", "{"),
        ("current.json", '{"job": "..", "record": "x_report.json"}'),
        ("current.json", '{"job": "job1", "record": "../x"}'),
        ("current.json", '{"job": "job9", "record": "S1_lake_report.json"}'),
        ("job1/S1_lake_report.json", "{}"),
        ("job1/S1_lake_report.json", "\xff"),
    ],
)
def test_a_damaged_scene_does_not_hide_the_others_and_is_logged_once(
    catalogue: SceneCatalogue, add_map: AddMap, caplog: pytest.LogCaptureFixture, file: str, text: str
):
    scene, other = add_map(catalogue, "job1"), add_map(catalogue, "job2", OTHER)
    path = catalogue.folder / scene.id / file
    whole = path.read_bytes()
    path.write_text(text, "latin-1")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert catalogue.scenes() == [other]
            assert catalogue.get(scene.id) is None
    (line,) = [line for line in caplog.records if line.name.startswith("drshym")]
    assert "S1_lake" in line.getMessage()
    # A repaired file is seen without a restart.
    path.write_bytes(whole)
    assert {found.id for found in catalogue.scenes()} == {scene.id, other.id}


def test_nothing_is_read_again_while_nothing_changes(
    catalogue: SceneCatalogue, add_map: AddMap, monkeypatch: pytest.MonkeyPatch
):
    for number in range(5):
        add_map(catalogue, f"job{number}", f"{number}" * 64)
    before = catalogue.scenes()
    read: list[Path] = []
    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda self, *args: read.append(self) or real(self, *args))
    assert catalogue.scenes() == before
    assert [catalogue.get(scene.id) for scene in before] == before
    assert read == []
    add_map(catalogue, "newer", "3" * 64)
    read.clear()
    after = catalogue.scenes()
    assert [path.name for path in read] == ["current.json", "S1_lake_report.json"]
    assert "newer" in {scene.folder.name for scene in after}


# --- maps of a store -------------------------------------------------------------------------------------------------


def test_maps_of_the_first_release_are_shown_as_they_are(tmp_path: Path, earlier_store: Path):
    before = {path: path.stat().st_mtime_ns for path in earlier_store.rglob("*")}
    catalogue = SceneCatalogue(tmp_path, earlier_store)
    found = catalogue.scenes()
    assert {scene.id for scene in found} == {f"lineage.{FIRST}", f"lineage.{SECOND}"}
    for scene in found:
        assert scene.origin == "lineage"
        assert scene.file("mask") is not None
        assert scene.file("proba") is not None
        # Later releases have added these.
        assert scene.file("exclusion") is None
        assert catalogue.get(scene.id) == scene
    assert {path: path.stat().st_mtime_ns for path in earlier_store.rglob("*")} == before


def test_the_image_of_a_store_is_shown_while_it_is_there(tmp_path: Path, earlier_store: Path):
    store = Path(shutil.copytree(earlier_store, tmp_path / "store"))
    newest = SceneStore(store).current(FIRST)
    assert newest is not None
    image = newest.scene.backscatter
    catalogue = SceneCatalogue(tmp_path / "service", store)

    def shown() -> Path | None:
        scene = catalogue.get(f"lineage.{FIRST}")
        assert scene is not None
        return scene.backscatter

    image.touch()
    assert shown() == image
    image.unlink()
    assert shown() is None
    image.touch()
    assert shown() == image


def test_a_map_of_a_store_that_lost_a_file_is_left_out(
    tmp_path: Path, earlier_store: Path, caplog: pytest.LogCaptureFixture
):
    store = Path(shutil.copytree(earlier_store, tmp_path / "store"))
    newest = SceneStore(store).current(FIRST)
    assert newest is not None
    newest.product("proba").unlink()
    catalogue = SceneCatalogue(tmp_path / "service", store)
    with caplog.at_level(logging.WARNING):
        assert [scene.id for scene in catalogue.scenes()] == [f"lineage.{SECOND}"]
    assert "not complete" in caplog.text


def test_maps_of_a_store_cannot_be_deleted(tmp_path: Path, earlier_store: Path):
    catalogue = SceneCatalogue(tmp_path, earlier_store)
    assert not catalogue.remove(f"lineage.{FIRST}")
    assert catalogue.get(f"lineage.{FIRST}") is not None


def test_both_origins_are_listed_together_and_a_missing_store_is_empty(
    tmp_path: Path, earlier_store: Path, add_map: AddMap
):
    catalogue = SceneCatalogue(tmp_path, earlier_store)
    add_map(catalogue, "job1", name=FIRST)
    # Its name is that of a scene of the store, but its id is not.
    assert {scene.id for scene in catalogue.scenes()} == {FIRST, f"lineage.{FIRST}", f"lineage.{SECOND}"}
    assert len(SceneCatalogue(tmp_path, tmp_path / "nothing").scenes()) == 1


# --- deletion --------------------------------------------------------------------------------------------------------


def test_a_deleted_scene_is_gone_with_its_id(catalogue: SceneCatalogue, add_map: AddMap):
    scene = add_map(catalogue, "job1")
    assert catalogue.remove(scene.id)
    assert catalogue.scenes() == []
    assert catalogue.get(scene.id) is None
    assert not catalogue.remove(scene.id)
    assert [*catalogue.folder.iterdir()] == []
    assert catalogue.new_folder("S1_lake", OTHER, "job2")[0] == "S1_lake"


def test_a_job_that_runs_keeps_its_folder_when_its_scene_is_deleted(catalogue: SceneCatalogue, add_map: AddMap):
    scene = add_map(catalogue, "job1")
    _, running = catalogue.new_folder("S1_lake", ONE, "job2")
    assert catalogue.remove(scene.id, active=[running])
    assert catalogue.get(scene.id) is None
    assert running.is_dir()
    assert not scene.folder.exists()


def test_a_link_to_a_folder_is_no_scene(catalogue: SceneCatalogue, add_map: AddMap, tmp_path: Path):
    add_map(catalogue, "job1")
    outside = tmp_path / "outside"
    shutil.move(catalogue.folder / "S1_lake", outside)
    (catalogue.folder / "S1_lake").symlink_to(outside)
    assert catalogue.scenes() == []
    assert not catalogue.remove("S1_lake")
    assert (outside / "job1").is_dir()


def test_a_file_that_is_being_read_is_readable_to_its_end(catalogue: SceneCatalogue, add_map: AddMap):
    scene = add_map(catalogue, "job1")
    path = scene.file("mask")
    assert path is not None
    whole = path.read_bytes()
    with path.open("rb", buffering=0) as handle:
        begun = handle.read(100)
        assert catalogue.remove(scene.id)
        assert not path.exists()
        assert begun + handle.read() == whole


def test_what_a_killed_process_has_left_is_deleted(catalogue: SceneCatalogue, add_map: AddMap):
    scene = add_map(catalogue, "job1")
    half = catalogue.folder / ".deleted-123"
    half.mkdir()
    (half / "x_mask.tif").touch()
    partial = catalogue.folder / scene.id / f".partial-{os.uname().nodename}.999999999.1-x"
    partial.mkdir()
    catalogue.remove_leftovers()
    assert not half.exists()
    assert not partial.exists()
    assert catalogue.get(scene.id) == scene
