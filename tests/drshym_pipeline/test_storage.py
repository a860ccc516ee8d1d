"""A reader never sees half a file, and a content hash depends on content alone."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from drshym_pipeline import storage
from drshym_pipeline.errors import InputError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    storage.write_text(target, "old")

    def fail() -> None:
        with storage.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_file_keeps_its_suffix(tmp_path: Path) -> None:
    with storage.atomic_path(tmp_path / "mask.tif") as temporary:
        assert temporary.suffix == ".tif"
        temporary.write_bytes(b"x")
    assert (tmp_path / "mask.tif").read_bytes() == b"x"


def test_a_directory_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "array.zarr"
    for name in ("first", "second"):
        with storage.atomic_directory(target) as temporary:
            (temporary / name).write_text(name)
    assert [path.name for path in target.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_directory_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "array.zarr"
    with storage.atomic_directory(target) as temporary:
        (temporary / "kept").write_text("kept")

    def fail() -> None:
        with storage.atomic_directory(target) as temporary:
            (temporary / "half").write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in target.iterdir()] == ["kept"]
    assert list(tmp_path.iterdir()) == [target]


def test_json_round_trip_and_refusal_of_nan(tmp_path: Path) -> None:
    storage.write_json(tmp_path / "a.json", {"b": [1, 2.5, None]})
    assert storage.read_json(tmp_path / "a.json") == {"b": [1, 2.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


def test_missing_and_broken_json_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: the file does not exist"):
        storage.read_json(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match=r"bad\.json: not valid JSON"):
        storage.read_json(tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("NaN", "it contains NaN, but every number must be finite"),
        ('{"a": [1, Infinity]}', "it contains Infinity, but every number must be finite"),
        ('{"a": {"b": -Infinity}}', "it contains -Infinity, but every number must be finite"),
        ("[1e999]", "the number 1e999 is too large"),
        ("[-1e999]", "the number -1e999 is too large"),
    ],
)
def test_numbers_that_are_not_finite_are_no_json(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError) as raised:
        storage.read_json(tmp_path / "a.json", remedy="Copy it again")
    assert str(raised.value) == f"{tmp_path / 'a.json'}: not valid JSON ({problem}). Copy it again."
    (tmp_path / "a.json").write_text("[1e308, 0.5, -3]")
    assert storage.read_json(tmp_path / "a.json") == [1e308, 0.5, -3]


def test_hashes_depend_on_content_and_relative_names_only(tmp_path: Path) -> None:
    for root in ("one", "two"):
        (tmp_path / root).mkdir()
        (tmp_path / root / "x").write_bytes(b"abc")
    first, second = (storage.sha256_files([tmp_path / root / "x"], tmp_path / root) for root in ("one", "two"))
    assert first == second
    (tmp_path / "two" / "x").write_bytes(b"abd")
    assert storage.sha256_files([tmp_path / "two" / "x"], tmp_path / "two") != first
    # The published test vector of SHA-256 for "abc".
    assert storage.sha256_file(tmp_path / "one" / "x").startswith("ba7816bf8f01cfea")


def test_key_order_does_not_change_a_json_hash() -> None:
    assert storage.sha256_json({"a": 1, "b": 2}) == storage.sha256_json({"b": 2, "a": 1})


def test_the_uri_of_a_file_is_absolute_and_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = quote(tmp_path.resolve().as_posix())  # it may have any name
    assert storage.to_uri(Path("a scene.tif")) == f"file://{folder}/a%20scene.tif"


def leave(folder: Path, name: str | None) -> None:
    with storage.output_directory(folder):
        if name:
            (folder / name).write_text("kept")
        raise RuntimeError("stopped")


def test_a_folder_made_for_results_is_deleted_if_it_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        leave(tmp_path / "a" / "b", None)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError):
        leave(tmp_path / "a" / "b", "result")
    assert (tmp_path / "a" / "b" / "result").is_file()


def test_an_empty_folder_of_the_user_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(RuntimeError):
        leave(tmp_path / "mine", None)
    assert (tmp_path / "mine").is_dir()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_is_refused_as_a_folder_for_results(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be used as a folder"):
        storage.make_directory(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


def left_by_a_killed_process(folder: Path) -> Path:
    """The files that a process leaves when it is killed while it works."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from drshym_pipeline.storage import temporary_directory\n"
        "with temporary_directory(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False, timeout=300)
    (left,) = folder.glob(".partial-*")
    return left


def test_leftovers_of_a_killed_process_are_deleted_and_files_of_a_running_one_are_not(tmp_path: Path) -> None:
    left = left_by_a_killed_process(tmp_path)
    with storage.temporary_directory(tmp_path) as own:
        assert storage.remove_abandoned(tmp_path) == [left]
        assert own.is_dir()
    assert list(tmp_path.iterdir()) == []
    assert storage.remove_abandoned(tmp_path / "nothing") == []


@pytest.mark.parametrize("name", [".partial-abc123", ".partial-another.host.12.34-abc"])
def test_a_temporary_folder_without_a_known_owner_is_kept_for_a_week(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert storage.remove_abandoned(tmp_path) == []
    moment = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    os.utime(tmp_path / name, (moment, moment))
    assert storage.remove_abandoned(tmp_path) == [tmp_path / name]


def test_a_folder_is_deleted_although_another_process_has_the_same_id(tmp_path: Path) -> None:
    with storage.temporary_directory(tmp_path) as own:
        started = storage.process_start(os.getpid())
        assert started is not None
        reused = tmp_path / own.name.replace(f".{started}-", f".{started - 3600}-")
        reused.mkdir()
        assert storage.remove_abandoned(tmp_path) == [reused]


def test_the_next_command_on_a_folder_cleans_up_after_a_killed_one(tmp_path: Path) -> None:
    left = left_by_a_killed_process(tmp_path)
    with storage.output_directory(tmp_path):
        assert not left.exists()


def test_a_deleted_directory_disappears_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "map").mkdir()
    (tmp_path / "map" / "file").write_text("x")
    storage.delete_directory(tmp_path / "map")
    assert list(tmp_path.iterdir()) == []
