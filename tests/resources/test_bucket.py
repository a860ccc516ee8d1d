"""The watched folder: what is listed, and that a failed listing is never an empty one."""

import os
from pathlib import Path

import pytest

from drshym_pipeline.errors import InputError
from resources.bucket import SceneBucket


def touch(path: Path, content: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    [
        "scene.tif.part",
        "scene.part",
        "scene.tif.tmp",
        "scene.tif~",
        "~scene.tif",
        ".scene.tif",
        ".partial-1/scene.tif",
        "scene.json",
        "scene.tif.aux.xml",
    ],
)
def test_uploads_in_progress_hidden_files_and_other_formats_are_ignored(tmp_path: Path, name: str):
    touch(tmp_path / name)
    assert SceneBucket(root=str(tmp_path)).listing() == ()


def test_scenes_of_all_folders_are_listed_with_size_and_an_etag_that_changes(tmp_path: Path):
    bucket = SceneBucket(root=str(tmp_path))
    for name in ("b.tif", "a/x.TIFF", "a/b/y.tif"):
        touch(tmp_path / name, b"12345")
    before = bucket.listing()
    assert [file.key for file in before] == ["a/b/y.tif", "a/x.TIFF", "b.tif"]
    assert {file.size for file in before} == {5}
    os.utime(tmp_path / "b.tif", ns=(1, 1))
    after = bucket.listing()
    assert after[:2] == before[:2]
    assert after[2].fingerprint != before[2].fingerprint


def test_a_missing_folder_is_an_error_not_an_empty_listing(tmp_path: Path):
    with pytest.raises(OSError, match="does not exist"):
        SceneBucket(root=str(tmp_path / "unmounted")).listing()


def test_a_subfolder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path / "a" / "x.tif")
    real = os.scandir

    def refuse(path):
        if Path(path).name == "a":
            raise PermissionError(13, "denied", str(path))
        return real(path)

    # Permission bits do not stop root, which tests may run as.
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        SceneBucket(root=str(tmp_path)).listing()


def test_the_default_folder_is_created_on_first_use(tmp_path: Path):
    assert SceneBucket(root=str(tmp_path / "inbox"), create=True).listing() == ()
    assert (tmp_path / "inbox").is_dir()


def test_a_dangling_link_does_not_stop_the_others(tmp_path: Path):
    (tmp_path / "gone.tif").symlink_to(tmp_path / "nowhere.tif")
    touch(tmp_path / "a.tif")
    assert [file.key for file in SceneBucket(root=str(tmp_path)).listing()] == ["a.tif"]


def test_a_link_to_outside_the_folder_is_ignored_with_a_note_and_a_link_inside_is_a_scene(tmp_path: Path):
    inbox = tmp_path / "inbox"
    touch(inbox / "kept" / "a.tif")
    touch(tmp_path / "secret.tif")
    (inbox / "out.tif").symlink_to(tmp_path / "secret.tif")
    (inbox / "circle.tif").symlink_to(inbox / "circle.tif")
    (inbox / "folder").symlink_to(tmp_path)
    (inbox / "inside.tif").symlink_to(inbox / "kept" / "a.tif")
    notes: list[str] = []
    bucket = SceneBucket(root=str(inbox))
    assert [file.key for file in bucket.listing(notes.append)] == ["inside.tif", "kept/a.tif"]
    assert sorted(Path(note.split(":")[0]).name for note in notes) == ["circle.tif", "out.tif"]
    assert bucket.local_path("inside.tif").is_file()
    for key in ("out.tif", "folder/secret.tif"):
        with pytest.raises(InputError, match="outside the watched folder"):
            bucket.local_path(key)


def test_the_folder_itself_may_be_a_link(tmp_path: Path):
    touch(tmp_path / "disk" / "a.tif")
    (tmp_path / "inbox").symlink_to(tmp_path / "disk")
    notes: list[str] = []
    bucket = SceneBucket(root=str(tmp_path / "inbox"))
    assert [file.key for file in bucket.listing(notes.append)] == ["a.tif"]
    assert bucket.local_path("a.tif").is_file()
    assert notes == []


@pytest.mark.parametrize("key", ["../secret.tif", "/etc/passwd", "a/../../secret.tif"])
def test_a_key_cannot_point_outside_the_folder(tmp_path: Path, key: str):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    touch(tmp_path / "secret.tif")
    with pytest.raises(InputError, match="not a path below"):
        SceneBucket(root=str(inbox)).local_path(key)


def test_a_file_that_was_deleted_from_the_folder_is_an_input_error(tmp_path: Path):
    with pytest.raises(InputError, match="no longer"):
        SceneBucket(root=str(tmp_path)).local_path("a.tif")


def test_only_files_that_may_have_been_meant_as_scenes_are_named(tmp_path: Path):
    scenes = ["a.tif", "a.drshym.json", "d/b.TIFF", "calibration-a.xml"]
    named = ["a.png", "d/notes.txt", "a.zip", "a.json", "a.tif.aux.xml", "README"]
    silent = [
        "upload.tif.part",
        "x.tmp",
        ".hidden.txt",
        "~lock",
        "a.tif~",
        ".drshym.json",
        "S1.SAFE/manifest.safe",
        "S1.SAFE/annotation/s1a.xml",
        "S1.SAFE/preview/quick-look.tif",
    ]
    for name in (*scenes, *named, *silent):
        touch(tmp_path / name)
    ignored: list[str] = []
    found = SceneBucket(root=str(tmp_path)).listing(None, ignored.append)
    assert [file.key for file in found] == sorted(scenes)
    assert sorted(ignored) == sorted(named)
