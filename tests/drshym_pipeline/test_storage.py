"""A reader never sees half a file, and a content hash depends on content alone."""

from __future__ import annotations

from pathlib import Path

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


def test_file_uris_and_paths_are_the_same_place(tmp_path: Path) -> None:
    path = tmp_path / "a scene.tif"
    assert storage.to_path(storage.to_uri(path)) == path.resolve()
    assert storage.to_path(str(path)) == path
    assert storage.to_path(path) is path
    with pytest.raises(InputError, match="'s3' locations cannot be read here"):
        storage.to_path("s3://bucket/key.tif")
